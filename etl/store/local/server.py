"""The local Neo4j's process: one server per user, on loopback only, that goes on running when the command that started it has ended."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from etl.errors import FetchError, StoreError
from etl.store import home as places
from etl.store.local.configuration import HOST, configure, free_port, heap
from etl.store.local.credential import initial
from etl.store.local.fetch import ADMIN_CLASS, DEFAULT, MAIN_CLASS, Runtime, fetch

USERNAME = "neo4j"
DATABASE = "neo4j"
PARTS = ("databases", "transactions")  # of a store: where its folders lie
READY = "ready"  # in the folder of a store that is to be taken over: all of it is there
BOLT, HTTP = 7687, 7474  # where they are free
START_SECONDS = 300.0  # a first start takes 6 to 10; a busy machine gets its time
STOP_SECONDS = 120.0  # a stop writes the last checkpoint
PHRASES = ("NOTE:", "Picked up", "Error occurred during", "Error: Could not create", "Error: A fatal")  # what Java says around its reason


@dataclass(frozen=True)
class Server:
    """The local Neo4j as it is now. Without a running server `pid` is None, without a first start `uri` and `browser` are too."""

    running: bool
    uri: str | None
    browser: str | None
    username: str
    password_file: Path
    pid: int | None
    version: str


class PortTakenError(Exception):
    """Another process took the port between our look and the server's."""


def status(home: Path | None = None) -> Server:
    """Is the local Neo4j running, and where? Quick: reads one file and looks at one process; creates nothing."""
    home = home or places.place() / "neo4j"
    state = _state(home)
    pid = state.get("pid")
    alive = pid is not None and _is_ours(pid, home)
    return Server(
        running=alive,
        uri=f"bolt://{HOST}:{state['bolt']}" if state else None,
        browser=f"http://{HOST}:{state['http']}/browser/" if state else None,
        username=USERNAME,
        password_file=home / "password",
        pid=pid if alive else None,
        version=state.get("version", DEFAULT),
    )


def stop(home: Path | None = None) -> Server:
    """Stop the local Neo4j in good order and wait until it is gone. Raises StoreError if it won't go."""
    home = home or places.neo4j()
    with exclusive(home):
        state = _state(home)
        if state:  # first: a load that sees it go must know that it is to stay away
            with suppress(OSError):  # on a full disk it is stopped all the same, at the price that such a load starts it again
                places.write_private(home / "server.json", json.dumps(state | {"stopping": True}))
        return end(home)


def was_stopped(server: Server) -> bool:
    """Whether somebody ended it on purpose: whoever needs it is not to start it again unasked."""
    return bool(_state(server.password_file.parent).get("stopping"))


def end(home: Path) -> Server:
    """As `stop`, for those who hold the lock already."""
    server = status(home)
    if server.pid is not None:
        try:
            _finish(psutil.Process(server.pid))
        except psutil.NoSuchProcess:
            pass  # it went by itself
        except psutil.Error as error:
            raise StoreError(f"Neo4j (process {server.pid}) does not stop: end that process, then try again.") from error
    return replace(server, running=False, pid=None)


def beside(home: Path) -> Path:
    """Where a store is built that is to take the served one's place."""
    return home / "beside"


def is_new(home: Path | None = None) -> bool:
    """True where there is no store yet, none that waits to be taken over, and nobody is about to make one: there is nothing to ask."""
    home = home or places.neo4j()
    return not (_has_store(home) or (beside(home) / READY).exists() or status(home).running)


def before(home: Path) -> Path:
    """Where the store lies that was served before the last one took its place, until that one is found to hold what it should."""
    return home / "before"


def written(home: Path) -> tuple[str, int] | None:
    """The end of the served store's transaction log: another one after whoever wrote anything."""
    logs = list((home / "data/transactions" / DATABASE).glob("neostore.transaction.db.*"))
    last = max(logs, key=lambda log: int(log.suffix[1:]), default=None)
    return (last.name, last.stat().st_size) if last else None


def move_in(home: Path) -> None:
    """Finish what `startup.take_over` began: one rename after the other, each of which may have been done."""
    new = beside(home)
    if (new / READY).exists():
        for part in PARTS:
            if (new / "data" / part / DATABASE).exists():
                _rename(home / "data" / part / DATABASE, before(home) / "data" / part / DATABASE)
                _rename(new / "data" / part / DATABASE, home / "data" / part / DATABASE)
        (new / READY).unlink()


def _rename(folder: Path, place: Path) -> None:
    """Move a folder that may be there to a place where another may be."""
    if folder.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)


def password(server: Server) -> str:
    """The local Neo4j's password. Raises FetchError where its file is gone."""
    try:
        return server.password_file.read_text("utf-8").strip()
    except OSError as error:
        raise FetchError(_password_gone(server.password_file.parent)) from error


def refused(server: Server) -> str:
    """What to say when the local Neo4j doesn't take its password: somebody changed it."""
    return f"the local Neo4j refuses the password in {server.password_file}: put the one that was set there instead into the file."


def admin(
    home: Path, *arguments: str, version: str = DEFAULT, tell: Callable[[str], None] = lambda _: None, flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run Neo4j's admin tool on the server's folder `home`; the caller looks at the return code.

    tell   is given each line that it prints
    flags  Java's
    """
    command = fetch(version=version).command(ADMIN_CLASS, *arguments, flags=flags)
    lines = []
    with subprocess.Popen(
        command, env=_environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                tell(line)
        except BaseException:
            process.kill()  # else leaving the context would wait for its end
            raise
    return subprocess.CompletedProcess(command, process.returncode, "".join(lines))


def _environment(home: Path) -> dict[str, str]:
    """What Java sees: in the C locale it could not name a folder outside ASCII."""
    return os.environ | {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf"), "LC_ALL": "C.UTF-8"}


def exclusive(home: Path) -> Any:
    """A lock, as a context manager: whoever starts, stops or replaces the store in `home` holds it."""
    from filelock import FileLock

    return FileLock(home.with_name(home.name + ".lock"))


def prepare(home: Path) -> None:
    """Before the first start: a random password, known to Neo4j and to a file of the user's alone."""
    file, credentials = home / "password", home / "data" / "dbms" / "auth.ini"
    if _has_store(home):
        if not file.is_file():
            raise FetchError(_password_gone(home))
    elif not (file.is_file() and credentials.is_file()):  # else it is set, and read at the first start
        password = secrets.token_hex(16)
        places.write_private(file, password)
        places.write_private(places.private(credentials.parent) / credentials.name, initial(USERNAME, password))


def _has_store(home: Path) -> bool:
    return (home / "data" / "databases" / "system").is_dir()


def _password_gone(home: Path) -> str:
    return f"the password of the local Neo4j is gone ({home / 'password'}): put it back, or delete {home} to begin with an empty store."


def launch(home: Path, runtime: Runtime, flags: tuple[str, ...] = (), *, temporary: bool = False) -> Server:
    """Start a server on a home that is prepared, and wait until it lets us in. Raises FetchError as `start` does.

    flags      Java's
    temporary  on any free ports, in the session of its starter and with its priority; else on the last start's ports or the usual ones, to stay
    """
    state, usual = _state(home), (0, 0) if temporary else (BOLT, HTTP)
    if state:
        _wait_for_killed(state["pid"])
    bolt = free_port(state.get("bolt", usual[0]), usual[0])  # the same as last time, so that bookmarks go on working
    http = free_port(state.get("http", usual[1]), usual[1])
    configure(home, runtime.version, bolt, http)
    arguments = (f"--home-dir={home}", f"--config-dir={home / 'conf'}")
    command = runtime.command(MAIN_CLASS[runtime.version], *arguments, flags=(*heap(), *flags))
    places.private(home / "logs")
    (home / "logs" / "neo4j.log").unlink(missing_ok=True)  # what it says from here on is about this start; debug.log keeps the past
    with (home / "logs" / "console.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=not temporary,
        )
    try:
        places.write_private(home / "server.json", json.dumps({"pid": process.pid, "bolt": bolt, "http": http, "version": runtime.version}))
        server = replace(status(home), running=True, pid=process.pid)
        if not comes_up(server, lambda: process.poll() is None):  # its command line can't be read yet at the moment when it becomes Java
            raise _failure(home, killed=process.returncode < 0)
    except BaseException:
        if process.poll() is None:
            _finish(psutil.Process(process.pid))
        raise
    finally:
        process.returncode = 0  # it outlives us: no warning about a child that still runs
    return server


def _finish(process: psutil.Process) -> None:
    """Ask it to stop, then make it: a store whose process was killed is as good as ever after its next start. Raises TimeoutExpired."""
    process.terminate()
    if not ends(process):
        process.kill()
        if not ends(process):
            raise psutil.TimeoutExpired(STOP_SECONDS, process.pid)


def _wait_for_killed(pid: int) -> None:
    """Wait for what is left of a server that was killed: it has no command line any more, but its ports and files until its last thread has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        try:
            is_dying = not process.cmdline()
        except psutil.ZombieProcess:
            is_dying = True
        if is_dying:
            ends(process)


def ends(process: psutil.Process, within: float = STOP_SECONDS) -> bool:
    """Wait until a process is gone, or nothing but an entry that its parent, such as a notebook that started it, has not fetched. within: seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:  # no other thread is still at it
                process.wait(0)  # fetched, if we are its parent
            if not process.is_running():
                return True
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            return True
        time.sleep(0.05)
    return False


def comes_up(server: Server, lives: Callable[[], bool]) -> bool:
    """Wait until a login works and the database is there. False if the server's process ends before that."""
    deadline = time.monotonic() + START_SECONDS
    steps: tuple[Callable[[], bool], ...] = (  # the first login takes a second: Browser comes up meanwhile
        lambda: listens(server, server.uri) and _lets_in(server),
        lambda: listens(server, server.browser),
    )
    for done in steps:
        while not done():
            if not lives():
                return False
            if time.monotonic() > deadline:
                logs = server.password_file.parent / "logs"
                raise FetchError(f"Neo4j did not answer within {START_SECONDS:.0f} s: look into {logs}, then try again.")
            time.sleep(0.1)
    return True


def _failure(home: Path, *, killed: bool) -> Exception:
    if killed:
        return FetchError("Neo4j did not start: another program ended it; try again.")
    lines = _said(home)
    if any("PortBindException" in line or "Address already in use" in line for line in lines):
        return PortTakenError()
    return FetchError(f"Neo4j did not start: {telling(lines)} (the whole log: {home / 'logs'})")


def _lets_in(server: Server) -> bool:
    """False while it is starting. Raises FetchError where waiting is no use: a wrong password, a database that can't be opened."""
    from neo4j import GraphDatabase
    from neo4j.exceptions import AuthError, DriverError, Neo4jError

    assert server.uri is not None
    with GraphDatabase.driver(server.uri, auth=(server.username, password(server)), telemetry_disabled=True) as driver:
        try:
            with driver.session(database=DATABASE) as session:
                session.run("RETURN 1").consume()
            return True
        except AuthError as error:
            raise FetchError(refused(server)) from error
        except (DriverError, Neo4jError):
            pass
        try:
            with driver.session(database="system") as session:  # asked only then: it takes a second on a server that was just started
                status_message = session.run("SHOW DATABASE $name YIELD statusMessage", name=DATABASE).single(strict=True)["statusMessage"]
        except (DriverError, Neo4jError):
            return False
    if status_message:
        raise FetchError(
            f"the local Neo4j can't open its database ({telling(status_message.splitlines())}): "
            f"delete {server.password_file.parent} to begin with an empty store."
        )
    return False


def listens(server: Server, *addresses: str | None) -> bool:
    """True if it is this very process that has the ports of those addresses, not another Neo4j."""
    try:
        ports = {connection.laddr.port for connection in psutil.Process(server.pid).net_connections("tcp") if connection.status == psutil.CONN_LISTEN}
    except psutil.Error:
        return False
    return {urlsplit(address).port for address in addresses} <= ports


def _is_ours(pid: int, home: Path) -> bool:
    """True if `pid` is a server on `home`: the number alone may long belong to another program."""
    try:
        return f"--home-dir={home}" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _state(home: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((home / "server.json").read_text("utf-8")))
    except (OSError, ValueError):  # no start yet, or one that was cut off while writing
        return {}


def _said(home: Path) -> list[str]:
    """What the server said since it was started: Java itself on its console, Neo4j in its log."""
    logs = [home / "logs" / name for name in ("console.log", "neo4j.log")]
    return [line for log in logs if log.exists() for line in log.read_text("utf-8", errors="replace").splitlines()]


def telling(lines: list[str]) -> str:
    """The innermost cause of the last error, else the first thing that was said: Java's own complaints begin with the reason."""
    reasons = [line.strip() for line in lines if line.strip() and not line.startswith(PHRASES)]
    causes = [line for line in reasons if line.startswith(("Caused by:", "Exception in thread")) or " ERROR " in line]
    return (causes[-1:] or reasons or ["it said nothing"])[0]
