"""Which way a graph goes into Neo4j, over Bolt or through the import tool, and whether there is room for it: known before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from etl.errors import BadRequest
from etl.graph import estimate
from etl.graph.protocol import Graph
from etl.sinks.neo4j import bulk, pace
from etl.sinks.neo4j.bulk import Bulk
from etl.sinks.neo4j.capacity import free
from etl.sinks.neo4j.live import Live
from etl.store import models as catalogue
from etl.store.connection import connect
from etl.store.local import server as local
from etl.store.local.class_training import ready

NOBODY: Mapping[str, str | None] = {}
RESTART_FROM = 10_000_000  # weights from which on `auto` restarts a server that others may be talking to


def sink(
    graph: Graph,
    name: str,
    mode: str,
    *,
    replace: bool,
    uri: str | None = None,
    login: Mapping[str, str | None] = NOBODY,
    stage: Callable[[str], None],
) -> Live | Bulk:
    """What writes the graph, ready to be called. A Live's store is open: whoever takes it closes it.

    mode     `live`, `bulk`, or `auto`: through the import tool where that is faster and may be done; restarts a server for large graphs only
    replace  in place of another model of that name
    uri      of the store; None: NEO4J_URI's, or the local one, which is fetched and started if need be
    login    username, password and database, where they are others than the environment says
    stage    is given the name of each stage of that
    Raises BadRequest where disk or memory won't do, StoreError and FetchError where the store can't be reached.
    """
    named = uri or os.environ.get("NEO4J_URI")
    if mode == "bulk" and named:
        raise BadRequest(f"--mode bulk goes into the local Neo4j, not to {named}: leave out --uri and NEO4J_URI, or the mode")
    wanted = mode == "bulk" or (mode == "auto" and not named and not replace and estimate.quicker(graph, pace.known()))
    if wanted and local.is_new():  # what is built needs no server before
        require(graph, bulk=True)
        ready(stage)
        return Bulk(name)
    rested = not named and not local.status().running
    with ExitStack() as held:
        store = held.enter_context(connect(uri, stage, **login))
        there = catalogue.find(store, name)
        wanted = mode == "bulk" or (wanted and (rested or graph.edges >= RESTART_FROM) and bulk.possible(store, name))
        if not named and (replace or there is None or there["state"] != "COMPLETE"):
            require(graph, bulk=wanted)
        if wanted:
            return Bulk(name)
        held.pop_all()
    return Live(store, name, replace)


def require(graph: Graph, *, bulk: bool) -> None:
    """Raises BadRequest, with the numbers and a way out, where the local Neo4j has no room for the graph on the disk or in memory."""
    if lack := estimate.lacking(graph, free(), bulk=bulk):
        raise BadRequest(f"{graph.model.name} {lack}: make room, or the graph smaller (`etl plan` says how)")
