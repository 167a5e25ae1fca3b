"""The connection to any Neo4j: the one that is named, else the local one, started if it isn't running."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import urlsplit

from etl import errors
from etl.store.driver_errors import explained
from etl.store.transactions import Store, passing

OLDEST = (5, 26)  # dynamic labels in MATCH, scoped subqueries
DYING_SECONDS = 2.0  # that a server which was killed is still there at most
SCHEMES = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
log = logging.getLogger("etl")


def connect(
    uri: str | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    username: str | None = None,
    password: str | None = None,
    database: str | None = None,
) -> Store:
    """Connect to `uri`, else to NEO4J_URI, else to the local Neo4j, which is started if need be.

    What isn't given comes from NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE; the local Neo4j knows its own.
    Raises StoreError: no answer, wrong password, no such database, too old. FetchError: the local one can't be fetched or started.
    """
    uri = uri or os.environ.get("NEO4J_URI") or None
    database = database or os.environ.get("NEO4J_DATABASE") or None
    if uri is None:
        return _connect_local(progress, database)
    _check_address(uri)
    if username is None and password is None and "NEO4J_PASSWORD" not in os.environ and is_local_neo4j(uri):
        return _connect_local(progress, database)
    username = username or os.environ.get("NEO4J_USERNAME") or "neo4j"
    password = password or os.environ.get("NEO4J_PASSWORD") or None
    return _open(uri, (username, password) if password else None, database, browser=None, is_local=False)


def is_local_neo4j(uri: str) -> bool:
    """Whether this is the address of the local Neo4j that runs, under any name of this machine: its password is known."""
    from etl.store.local import server as local

    running, named = urlsplit(local.status().uri or ""), urlsplit(uri)
    here = named.hostname in (running.hostname, "localhost", "127.0.0.1", "::1")
    return running.port is not None and named.port == running.port and here and not named.scheme.endswith(("+s", "+ssc"))


def _connect_local(progress: Callable[[str], None] | None, database: str | None) -> Store:
    import psutil
    from neo4j.exceptions import AuthError

    from etl.store.local import server as local
    from etl.store.local.startup import Revival, start

    server = start(progress)
    revive = Revival(server)

    def login() -> Store:
        now = revive.server
        assert now.uri is not None
        return _open(now.uri, (now.username, local.password(now)), database, now.browser, is_local=True)

    try:
        store = login()
    except errors.StoreError as error:
        if isinstance(error.__cause__, AuthError):
            raise errors.StoreError(local.refused(server)) from error
        if error.__cause__ is None or not passing(error.__cause__):
            raise
        with suppress(psutil.Error):  # it may have been about to end when we found it: what is killed is there for a moment more
            local.ends(psutil.Process(server.pid), DYING_SECONDS)
        if not revive():
            raise
        store = login()
    return replace(store, revive=revive)


def _open(uri: str, auth: tuple[str, str] | None, database: str | None, browser: str | None, *, is_local: bool) -> Store:
    """Log in, look at the version, then ask for the database's name."""
    import neo4j

    with explained(uri):
        driver = neo4j.GraphDatabase.driver(
            uri, auth=auth, notifications_min_severity="OFF", telemetry_disabled=True, user_agent="neuron-etl", connection_timeout=15
        )
    try:
        with explained(uri):
            server = driver.get_server_info()
            version = _supported(server.agent, uri)
            name = driver.execute_query("RETURN 1", database_=database).summary.database
    except BaseException:
        driver.close()
        raise
    bolt = (int(server.protocol_version[0]), int(server.protocol_version[1]))
    return Store(driver, str(name), uri, browser, version, bolt, is_local)


def _supported(agent: str, uri: str) -> tuple[int, ...]:
    """`Neo4j/5.26.30` -> (5, 26, 30)."""
    digits = agent.rpartition("/")[2].partition("-")[0].partition("+")[0]
    version = tuple(int(part) for part in digits.split(".") if part.isdigit())
    if version < OLDEST:
        raise errors.StoreError(f"{uri} runs {agent}: 5.26 or later is needed; upgrade it, or leave out NEO4J_URI to use the local Neo4j.")
    return version


def _check_address(uri: str) -> None:
    """Refuse what the driver can't use or what holds a password; warn where one would travel in the clear."""
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in SCHEMES and parts.hostname and (parts.port is None or parts.port)
    except ValueError:  # a port or an IPv6 address that is none
        usable = False
    if not usable:
        address = "the address of Neo4j" if "@" in uri else uri  # there may be a password before the @
        raise errors.StoreError(f"{address} must look like neo4j+s://host:7687 (schemes: {', '.join(SCHEMES)}): correct NEO4J_URI or --uri.")
    if parts.username or parts.password:
        raise errors.StoreError("the address of Neo4j must hold no user or password: put them into NEO4J_USERNAME and NEO4J_PASSWORD.")
    if parts.scheme in ("neo4j", "bolt") and not _is_loopback(parts.hostname or ""):
        log.warning("%s is not encrypted: the password and all data can be read on the way; use %s+s:// instead.", uri, parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
