"""Bulk loading into the local Neo4j: its import tool builds a store beside the served one, which takes its place when all counts agree."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from filelock import FileLock, Timeout

from etl.errors import Conflict, StoreError
from etl.graph.protocol import Graph
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j.import_files import stage
from etl.sinks.neo4j.live import Loaded, fingerprint
from etl.sinks.neo4j.store_contents import Contents, NotReadableError, contents
from etl.sinks.protocol import Progress, silent
from etl.store import home as places
from etl.store import models as catalogue
from etl.store.connection import connect
from etl.store.local import server as local
from etl.store.local.import_tool import Staged, build, end_tools
from etl.store.local.startup import give_back, take_over
from etl.store.transactions import Store, claimed

ATTEMPTS = 3  # to read a store that somebody writes to
log = logging.getLogger("etl")


@dataclass(frozen=True)
class Bulk:
    """A name in the local Neo4j, which is built anew by the import tool, with all that it holds already.

    replace   in place of another model of that name
    or_live   over Bolt where the store can't be read back exactly
    stage     is given the name of what counts nothing: the server's start
    """

    name: str
    replace: bool = False
    or_live: bool = False
    stage: Callable[[str], None] | None = None

    def write(self, graph: Graph, progress: Progress = silent) -> Loaded:
        """As `load`, which says what is raised."""
        try:
            return load(graph, self.name, progress, replace=self.replace, stage=self.stage)
        except NotReadableError as error:
            if not self.or_live:
                raise
            log.warning("%s", str(error).replace(": add to it with --mode live", ": what is new is loaded over Bolt"))
        with connect() as store:
            return neo4j.load(graph, store, self.name, replace=self.replace, progress=progress)


def load(graph: Graph, name: str, progress: Progress = silent, *, replace: bool = False, stage: Callable[[str], None] | None = None) -> Loaded:
    """Load a graph into the local Neo4j, beside the models that it holds: they are read back and built again along with it.

    The store stays as it was until the import has ended and its counts agree; then Neo4j is stopped for the time of a rename, and where what is
    read back then is not what was sent, it is put back. Killed at any time, the same call goes on or begins again.
    Raises Conflict where the store has another model of that name (unless `replace`), or another bulk load or one of that name is under way,
    NotReadableError where it holds what can't be built again, or is written to all the time, StoreError where the import fails, with what the
    tool said.
    """
    started, home = monotonic(), places.neo4j()
    with alone():
        for _ in range(ATTEMPTS):
            with ExitStack() as opened:
                store = None if local.is_new() else opened.enter_context(connect())
                since = local.written(home)  # first: what is written from here on is seen in the end
                outcome, base = ("loaded", 0) if store is None else outcome_of(graph, store, name, replace=replace)
                if outcome not in ("loaded", "replaced"):
                    break
                beside = None
                if store is not None:
                    opened.enter_context(claimed(store, name))  # where the server dies while it is read, it is started again
                    beside = store, contents(store, without=name)
                rebuild(graph, name, beside, progress)
                base = beside[1].base if beside else 0
            if take_over(since, stage):
                break
        else:
            raise NotReadableError("what somebody else writes into it all the time")
        if outcome != "unchanged":
            finish(graph, name, base, progress)
        shutil.rmtree(local.before(home), ignore_errors=True)
    return Loaded(graph.neurons, graph.edges, name, outcome, base, monotonic() - started)


def rebuild(graph: Graph, name: str, beside: tuple[Store, Contents] | None, progress: Progress) -> None:
    """Build a store of the graph and what the served one holds, in `local.beside`."""
    folder = places.fresh(local.beside(places.neo4j()))
    build(staged(graph, name, places.private(folder / "import"), progress, beside), folder, progress)


def finish(graph: Graph, name: str, base: int, progress: Progress) -> None:
    """Read back what is served; where it is not what was sent, the store that was served before is put back. Raises StoreError then."""
    try:
        with connect() as store:
            neo4j.finish(graph, store, name, base, progress)
    except StoreError as error:
        if error.__cause__ is None and not isinstance(error, Conflict):
            give_back()
        raise


@contextmanager
def alone() -> Iterator[None]:
    """One bulk load at a time. An import tool whose loader was killed works on by itself: it is ended before its folder is used again."""
    home = places.neo4j()
    try:
        with FileLock(home.with_name(home.name + ".bulk.lock"), timeout=0):
            end_tools(local.beside(home))
            yield
    except Timeout as error:
        raise Conflict("another bulk load into the local Neo4j is under way: wait until it has ended, then try again.") from error


def outcome_of(graph: Graph, store: Store, name: str, *, replace: bool) -> tuple[str, int]:
    """What is to be done, and the first id of what is there: `unchanged` nothing, `resumed` the checks alone, `loaded` and `replaced` everything.

    Raises Conflict where another model has the name, unless it is to be replaced.
    """
    mark, stored = fingerprint(graph), catalogue.find(store, name)
    if stored is None:
        return "loaded", 0
    complete = stored["state"] == "COMPLETE"
    if stored["fingerprint"] != mark:
        if not replace:
            raise Conflict(f"the store has another model named {name}: choose another --name, or put this one in its place with --replace.")
        return "replaced" if complete else "loaded", 0
    if complete:
        return "unchanged", stored["base"]
    return ("resumed", stored["base"]) if imported(store, name, mark) else ("loaded", 0)


def imported(store: Store, name: str, mark: str) -> bool:
    """Whether an interrupted bulk load of that graph has left only the checks to be done."""
    return any(begun["plan"] == neo4j.IMPORTED and begun["fingerprint"] == mark for begun in catalogue.unfinished(store, name))


def staged(graph: Graph, name: str, folder: Path, progress: Progress, beside: tuple[Store, Contents] | None) -> Staged:
    """The graph as files in the folder, as `stage` makes them. Raises StoreError where the disk is full."""
    try:
        return stage(graph, name, folder, progress, beside)
    except OSError as error:
        shutil.rmtree(folder)
        reason = error.strerror or str(error)
        raise StoreError(
            f"{name} can't be staged for the import tool in {folder} ({reason}): make room, or set ETL_HOME to another folder."
        ) from error
