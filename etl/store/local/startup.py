"""Starting the local Neo4j: fetched, prepared and started, or the one that runs; and a store put into the place of the served one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from etl.errors import FetchError, StoreError
from etl.store import home as places
from etl.store.local import server as local
from etl.store.local import training_process
from etl.store.local.configuration import require_disk
from etl.store.local.fetch import DEFAULT, fetch

log = logging.getLogger("etl")


def start(progress: Callable[[str], None] | None = None, version: str = DEFAULT, home: Path | None = None) -> local.Server:
    """Start the local Neo4j, fetched first if need be, and wait until it lets us in. One that runs is left as it is.

    Two commands may do this at once: the second waits for the first one's server.
    Raises FetchError with the last line of Neo4j's log that says anything.
    """
    home = home or places.neo4j()
    with local.exclusive(home):
        return _start(home, progress or (lambda _: None), version)


def _start(home: Path, progress: Callable[[str], None], version: str) -> local.Server:
    server = local.status(home)
    # where its starter was killed it runs, and may not be up yet
    if server.running and (local.listens(server, server.uri, server.browser) or local.comes_up(server, lambda: local.status(home).running)):
        return server
    runtime = fetch(progress, version)
    require_disk(home)
    local.move_in(home)
    local.prepare(home)
    progress(f"starting Neo4j {version}")
    for _ in range(3):
        try:
            server = local.launch(home, runtime)
        except local.PortTakenError:
            continue
        training_process.begin(runtime)
        return server
    raise FetchError("Neo4j finds no free port: other programs take each one that it chooses; try again.")


def stop(home: Path | None = None) -> local.Server:
    """Stop the local Neo4j in good order, and what practises it, and wait until they are gone. Raises StoreError if it won't go."""
    training_process.end()
    return local.stop(home)


def take_over(since: tuple[str, int] | None, progress: Callable[[str], None] | None = None, home: Path | None = None) -> bool:
    """Put the store that was built in `local.beside(home)` into the place of the served one, for which Neo4j is stopped and started again.

    Once Neo4j has stopped, whoever starts it next finishes this, should this process die. The other store stays in `local.before(home)`.

    since  what `local.written` said of the served store before it was read: where somebody has written since, it stays, and the answer is False
    """
    home = home or places.neo4j()
    with local.exclusive(home):
        local.end(home)
        unwritten = local.written(home) == since
        if unwritten:
            (local.beside(home) / local.READY).touch()
        _start(home, progress or (lambda _: None), DEFAULT)
        return unwritten


def give_back(home: Path | None = None) -> None:
    """Put the store that was served before a `take_over` into its place again, if there was one."""
    home = home or places.neo4j()
    with local.exclusive(home):
        if (local.before(home) / "data" / local.PARTS[0]).exists():
            local.end(home)
            shutil.rmtree(local.beside(home), ignore_errors=True)
            local.before(home).rename(local.beside(home))
            (local.beside(home) / local.READY).touch()
            _start(home, lambda _: None, DEFAULT)


class Revival:
    """Starts the local Neo4j again where it has died (killed, out of memory), unless somebody stopped it. May be called by several threads."""

    def __init__(self, server: local.Server) -> None:
        self.server, self.lock = server, Lock()

    def __call__(self) -> bool:
        """True where another process answers than before. Raises StoreError where it doesn't at the address that is known, FetchError as `start`."""
        with self.lock:
            now = local.status()
            if not now.running and not local.was_stopped(now):
                log.warning("the local Neo4j has died: it is started again, and the work goes on.")
                now = start()
            if now.uri != self.server.uri:
                raise StoreError(f"the local Neo4j is at {now.uri} now, no longer at {self.server.uri}: give the same command again, which goes on.")
            before, self.server = self.server, now if now.running else self.server
            return self.server.pid != before.pid
