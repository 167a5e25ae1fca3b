"""Bulk loading into the local Neo4j: its import tool builds a store beside the served one, which takes its place when all counts agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from filelock import FileLock, Timeout

from etl.errors import Conflict, StoreError
from etl.graph.protocol import Graph
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j.import_files import stage
from etl.sinks.neo4j.live import Loaded, fingerprint
from etl.sinks.protocol import Progress, silent
from etl.store import home as places
from etl.store import models as catalogue
from etl.store.connection import connect
from etl.store.local import server as local
from etl.store.local.import_tool import Staged, build, end_tools
from etl.store.local.startup import take_over
from etl.store.transactions import Store


@dataclass(frozen=True)
class Bulk:
    """A name in the local Neo4j, which is built anew for it by the import tool."""

    name: str

    def write(self, graph: Graph, progress: Progress = silent) -> Loaded:
        """As `load`, which says what is raised."""
        return load(graph, self.name, progress)


def load(graph: Graph, name: str, progress: Progress = silent) -> Loaded:
    """Load a graph as the only model of the local Neo4j.

    The store stays as it was until the import has ended and its counts agree; then Neo4j is stopped for the time of a rename.
    Killed at any time, the same call goes on or begins again. Raises Conflict where the store holds anything else or another bulk load is
    under way, StoreError where the import fails, with what the tool said.
    """
    started = monotonic()
    with alone():
        outcome = found(graph, name)
        if outcome == "unchanged":
            return Loaded(graph.neurons, graph.edges, name, outcome, 0, monotonic() - started)
        if outcome == "loaded":
            folder = places.fresh(local.beside(places.neo4j()))
            with ThreadPoolExecutor(1) as pool:
                setting_up = pool.submit(local.set_up)  # Java's starts leave it a core
                build(staged(graph, name, places.private(folder / "import"), progress), folder, progress)
                setting_up.result()
            found(graph, name)  # once more: what somebody else has loaded meanwhile must not be lost
            take_over()
        with connect() as store:
            neo4j.finish(graph, store, name, progress)
    return Loaded(graph.neurons, graph.edges, name, outcome, 0, monotonic() - started)


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


def possible(store: Store, name: str) -> bool:
    """Whether a bulk load may be tried: the server is the local one, and holds nothing but, perhaps, what an interrupted bulk load left."""
    return store.is_local and (empty(store) or any(begun["plan"] == neo4j.IMPORTED for begun in catalogue.unfinished(store, name)))


def empty(store: Store) -> bool:
    """Whether a store holds no node at all."""
    return not store.read("MATCH (n) RETURN 1 AS one LIMIT 1")


def found(graph: Graph, name: str) -> str:
    """What is to be done: `unchanged` nothing, `resumed` the checks alone, `loaded` everything. A store that was never made isn't asked."""
    if local.is_new():
        return "loaded"
    mark = fingerprint(graph)
    with connect() as store:
        there = catalogue.find(store, name)
        if there is not None and there["fingerprint"] == mark:
            if there["state"] == "COMPLETE":
                return "unchanged"
            if any(begun["plan"] == neo4j.IMPORTED and begun["fingerprint"] == mark for begun in catalogue.unfinished(store, name)):
                return "resumed"
        if not empty(store):
            raise Conflict("bulk builds the whole store anew, and the local Neo4j holds something: delete it, or add to it with --mode live.")
    return "loaded"


def staged(graph: Graph, name: str, folder: Path, progress: Progress) -> Staged:
    """The graph as files in the folder. Raises StoreError where the disk is full."""
    try:
        return stage(graph, name, folder, progress)
    except OSError as error:
        shutil.rmtree(folder)
        said = error.strerror or str(error)
        raise StoreError(f"{name} can't be staged for the import tool in {folder} ({said}): make room, or set ETL_HOME to another folder.") from error
