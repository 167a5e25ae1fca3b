"""What the local Neo4j is started with: its settings, its share of the memory, its ports, room on the disk."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from etl.errors import FetchError
from etl.store import home as places
from etl.store.local.fetch import DEFAULT

HOST = "127.0.0.1"
LEAST_DISK = 300_000_000  # an empty store, its logs and some room to work
STORE = {  # settings of whatever makes a store
    "db.tx_log.preallocate": "false",  # else a quarter of a gigabyte for each of the two databases
    "internal.dbms.block_size.strings": "56",  # bytes; in 120, as is usual, a long name of a layer takes twice the room beside every weight
}


def configure(home: Path, version: str, bolt: int, http: int) -> None:
    """Write Neo4j's configuration: on loopback only, quiet towards its maker."""
    settings = {
        "server.default_listen_address": HOST,
        "server.default_advertised_address": HOST,
        "server.bolt.listen_address": f"{HOST}:{bolt}",
        "server.bolt.advertised_address": f"{HOST}:{bolt}",
        "server.http.enabled": "true",
        "server.http.listen_address": f"{HOST}:{http}",
        "server.http.advertised_address": f"{HOST}:{http}",
        "server.https.enabled": "false",
        "server.memory.pagecache.size": f"{page_cache() >> 20}m",
        "dbms.usage_report.enabled": "false",
        "client.allow_telemetry": "false",
        "internal.dbms.bolt.netty_server_shutdown_quiet_period": "0",  # else a stop takes 10 s
        **STORE,
    }
    if version == DEFAULT:
        settings["server.fleet_discovery.enabled"] = "false"  # else it calls out into the network; unknown to the older one
    write(home, settings)


def write(home: Path, settings: Mapping[str, str]) -> None:
    """Write neo4j.conf, where Neo4j's programs look for it."""
    lines = ["# Written at every start by etl: changes are lost.", *(f"{name}={value}" for name, value in settings.items())]
    (places.private(home / "conf") / "neo4j.conf").write_text("\n".join(lines) + "\n", "utf-8")


def heap() -> tuple[str, ...]:
    """Java's flags for its own memory."""
    return ("-Xms512m", "-Xmx2g") if _memory() > 6 << 30 else ("-Xms256m", "-Xmx1g")


def page_cache() -> int:
    """A quarter of the machine's memory, between 256 MB and 4 GB."""
    return min(max(_memory() // 4, 256 << 20), 4 << 30)


def _memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def require_disk(home: Path) -> None:
    """Refuse to start on a disk that is all but full: Neo4j would stop in the middle of its work."""
    free = shutil.disk_usage(home).free
    if free < LEAST_DISK:
        raise FetchError(
            f"Neo4j needs {LEAST_DISK / 1e6:.0f} MB in {home}, {free / 1e6:.0f} MB are free: make room, or set ETL_HOME to another folder."
        )


def free_port(*wanted: int) -> int:
    """The first of `wanted` where nobody listens, else any port that is free."""
    for port in (*wanted, 0):
        with socket.socket() as probe:
            if os.name != "nt":  # there it would share the port with whoever has it
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise FetchError(f"no free port on {HOST}: end a program that listens there.")
