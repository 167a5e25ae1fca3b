"""Which way a graph goes into Neo4j, over Bolt or through the import tool, and whether there is room for it: known before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from etl.errors import BadRequest
from etl.graph import estimate
from etl.graph.trace import Graph
from etl.store import home
from etl.store import models as catalogue

if TYPE_CHECKING:
    from etl.sinks.neo4j.live import Loaded

RESTART_FROM = 10_000_000  # weights from which on `auto` restarts a server that others may be talking to
Progress = Callable[[str, int, int], None]


def way(graph: Graph, name: str, mode: str, *, replace: bool, uri: str | None, tell: Callable[[str], None]) -> Callable[[Progress], Loaded]:
    """What loads the graph when it is called.

    mode     `live`, `bulk`, or `auto`: through the import tool where that is faster and may be done; restarts a server for large graphs only
    replace  in place of another model of that name
    uri      of the store; None: NEO4J_URI's, or the local one, which is fetched and started if need be
    tell     is given the name of each stage of that
    Raises BadRequest where disk or memory won't do, StoreError and FetchError where the store can't be reached.
    """
    from etl.sinks.neo4j import bulk
    from etl.sinks.neo4j import live as neo4j
    from etl.store import connect
    from etl.store.local import class_training as practice
    from etl.store.local import server as local

    named = uri or os.environ.get("NEO4J_URI")
    if mode == "bulk" and named:
        raise BadRequest(f"--mode bulk goes into the local Neo4j, not to {named}: leave out --uri and NEO4J_URI, or the mode")
    cost = estimate.cost(graph.neurons, graph.edges)
    wanted = mode == "bulk" or (mode == "auto" and not named and not replace and cost.bulk_seconds < cost.live_seconds)
    if wanted and local.is_new():  # what is built needs no server before
        require(graph, bulk=True)
        practice.ready(tell)
        return lambda progress: bulk.load(graph, name, progress)
    rested = not named and not local.status().running
    with ExitStack() as held:
        store = held.enter_context(connect(uri, tell))
        there = catalogue.find(store, name)
        wanted = mode == "bulk" or (wanted and (rested or graph.edges >= RESTART_FROM) and bulk.possible(store, name))
        if not named and (replace or there is None or there["state"] != "COMPLETE"):
            require(graph, bulk=wanted)
        if wanted:
            return lambda progress: bulk.load(graph, name, progress)
        held.pop_all()

    def live(progress: Progress) -> Loaded:
        with store:
            return neo4j.load(graph, store, name, replace=replace, progress=progress)

    return live


def require(graph: Graph, *, bulk: bool) -> None:
    """Raises BadRequest, with the numbers and a way out, where the local Neo4j has no room for the graph on the disk or in memory."""
    import psutil

    from etl.store.local.configuration import page_cache

    need, name = estimate.needs(graph, bulk=bulk), graph.model.name
    disk, memory, cache = home.free_disk(), psutil.virtual_memory().available, page_cache()
    if need.disk > disk:
        raise BadRequest(f"{name} needs about {gigabytes(need.disk)} of disk, {gigabytes(disk)} are free: `etl plan` says what would fit")
    if need.memory > memory:
        raise BadRequest(
            f"{name} needs about {gigabytes(need.memory)} of memory for Neo4j, {gigabytes(memory)} are free: end other programs, "
            "or make the graph smaller (`etl plan` says how)"
        )
    if need.page_cache > cache:
        raise BadRequest(
            f"{name} has {graph.neurons:,} neurons, which need a page cache of {gigabytes(need.page_cache)} while weights are added, and Neo4j's has "
            f"{gigabytes(cache)}: load it into an empty store, which goes through the import tool, or make it smaller (`etl plan` says how)"
        )


def gigabytes(count: float) -> str:
    return f"{count / 1e9:,.2f} GB"
