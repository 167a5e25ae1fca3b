"""Which way a graph goes into Neo4j, over Bolt or through the import tool, and whether there is room for it: known before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from etl.errors import BadRequest
from etl.graph import estimate
from etl.graph.protocol import Graph
from etl.sinks.neo4j import bulk, pace
from etl.sinks.neo4j.bulk import Bulk
from etl.sinks.neo4j.capacity import free
from etl.sinks.neo4j.live import Live, fingerprint
from etl.sinks.neo4j.store_contents import NotReadableError, contents
from etl.store import models as catalogue
from etl.store.connection import connect
from etl.store.local import server as local
from etl.store.local.fetch import fetch
from etl.store.transactions import Store

NOBODY: Mapping[str, str | None] = {}
RESTART = 1.5  # how many times as quick the tool must be for `auto` to restart a server that others may be talking to


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

    mode     `live`, `bulk`, or `auto`: through the import tool where that is faster and may be done, much faster where a server has to be restarted
    replace  in place of another model of that name
    uri      of the store; None: NEO4J_URI's, or the local one, which is fetched and started if need be
    login    username, password and database, where they are others than the environment says
    stage    is given the name of each stage of that
    Raises BadRequest where disk or memory won't do, StoreError and FetchError where the store can't be reached.
    """
    named = uri or os.environ.get("NEO4J_URI")
    if mode == "bulk" and named:
        raise BadRequest(f"--mode bulk goes into the local Neo4j, not to {named}: leave out --uri and NEO4J_URI, or the mode")
    local_alone = not named and mode != "live"
    if local_alone and local.is_new() and (mode == "bulk" or estimate.quicker(graph, pace.known())):  # what is built needs no server before
        require(graph, bulk=True)
        fetch(stage)
        return Bulk(name, or_live=mode == "auto", stage=stage)
    rested = not named and not local.status().running
    with ExitStack() as opened:
        store = opened.enter_context(connect(uri, stage, **login))
        stored = catalogue.find(store, name)
        others = beside(store, name)
        by_tool = mode == "bulk" or (
            local_alone and store.is_local and prefers_tool(graph, store, name, stored, others, replace=replace, rested=rested)
        )
        if not named and (replace or stored is None or stored["state"] != "COMPLETE"):
            require(graph, bulk=by_tool, held=others)
        if by_tool:
            return Bulk(name, replace, or_live=mode == "auto", stage=stage)
        opened.pop_all()
    return Live(store, name, replace)


def prefers_tool(
    graph: Graph, store: Store, name: str, stored: Mapping[str, Any] | None, others: estimate.Held, *, replace: bool, rested: bool
) -> bool:
    """Whether `auto` takes the import tool into a store that is there. rested: no server ran, to which others may be talking."""
    if stored is not None and stored["state"] == "LOADING":  # what has begun goes on in its own way
        return bulk.imported(store, name, fingerprint(graph))
    if (stored is not None and not replace) or not estimate.quicker(graph, pace.known(), others, 1.0 if rested else RESTART):
        return False
    try:
        contents(store, without=name)
    except NotReadableError:
        return False
    return True


def beside(store: Store, name: str) -> estimate.Held:
    """How much of other models a store holds, or will when their loads have ended."""
    others = [row for row in catalogue.models(store) if row["name"] != name]
    return estimate.Held(sum(row["neurons"] for row in others), sum(row["edges"] for row in others))


def require(graph: Graph, *, bulk: bool, held: estimate.Held = estimate.NOTHING) -> None:
    """Raises BadRequest, with the numbers and a way out, where the local Neo4j has no room for the graph on the disk or in memory."""
    if lack := estimate.lacking(graph, free(), bulk=bulk, held=held):
        raise BadRequest(f"{graph.model.name} {lack}: make room, or the graph smaller (`etl plan` says how)")
