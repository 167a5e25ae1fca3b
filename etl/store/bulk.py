"""Bulk loading into the local Neo4j: its import tool builds a store beside the served one, which takes its place when all counts agree."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from time import monotonic

from etl import catalogue
from etl.errors import Conflict, StoreError
from etl.graph import Graph
from etl.sinks import neo4j
from etl.sinks.neo4j import Loaded, Progress, fingerprint
from etl.sinks.staged import Staged, stage
from etl.store import home as places
from etl.store import local
from etl.store.connection import Store, connect


def load(graph: Graph, name: str, progress: Progress | None = None) -> Loaded:
    """Load a graph as the only model of the local Neo4j.

    The store stays as it was until the import has ended and its counts agree; then Neo4j is stopped for the time of a rename.
    Killed at any time, the same call goes on or begins again. Raises Conflict where the store holds anything else, StoreError
    where the import fails, with what the tool said.
    """
    started, tell = monotonic(), progress or (lambda *_: None)
    with connect() as store:
        outcome = found(store, graph, name)
    if outcome == "unchanged":
        return Loaded(name, outcome, graph.neurons, graph.edges, 0, monotonic() - started)
    if outcome == "loaded":
        folder = fresh(local.beside(places.neo4j()))
        build(stage(graph, name, places.private(folder / "import"), tell), folder)
        local.take_over()
    with connect() as store:
        checked = neo4j.load(graph, store, name, progress=tell)
    return replace(checked, outcome=outcome, seconds=monotonic() - started)


def possible(store: Store, name: str) -> bool:
    """Whether a bulk load may be tried: the server is the local one, and holds nothing but, perhaps, what an interrupted bulk load left."""
    return store.is_local and (empty(store) or any(begun["plan"] == neo4j.IMPORTED for begun in catalogue.unfinished(store, name)))


def empty(store: Store) -> bool:
    """Whether a store holds no node at all."""
    return not store.read("MATCH (n) RETURN 1 AS one LIMIT 1")


def found(store: Store, graph: Graph, name: str) -> str:
    """What is to be done: `unchanged` nothing, `resumed` the checks alone, `loaded` everything."""
    mark = fingerprint(graph)
    there = catalogue.find(store, name)
    if there is not None and there["fingerprint"] == mark:
        if there["state"] == "COMPLETE":
            return "unchanged"
        if any(begun["plan"] == neo4j.IMPORTED and begun["fingerprint"] == mark for begun in catalogue.unfinished(store, name)):
            return "resumed"
    if not empty(store):
        raise Conflict("bulk builds the whole store anew, and the local Neo4j holds something: delete it, or add to it with --mode live.")
    return "loaded"


def fresh(folder: Path) -> Path:
    """An empty folder."""
    if folder.exists():
        shutil.rmtree(folder)
    return places.private(folder)


def build(staged: Staged, folder: Path) -> None:
    """Import staged files into a store of its own. Raises StoreError unless the tool reports exactly what was staged."""
    places.private(folder / "conf")
    (folder / "conf" / "neo4j.conf").write_text("db.tx_log.preallocate=false\n", "utf-8")
    told = local.admin(folder, "database", "import", "full", *staged.arguments, "--overwrite-destination=true", local.DATABASE)
    counts = {kind: int(count) for count, kind in re.findall(r"^\s*(\d+) (nodes|relationships)$", told.stdout, re.MULTILINE)}
    shutil.rmtree(staged.folder)
    if told.returncode or counts != {"nodes": staged.nodes, "relationships": staged.relationships}:
        said = local.telling((told.stderr or told.stdout).splitlines())
        raise StoreError(f"the import tool made {counts or 'nothing'} ({said}): the store is as it was; try --mode live.")
