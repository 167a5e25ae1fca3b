"""Neo4j made ready: fetched, and its two programs practised once, so that they start and work quickly from then on (see warm.py)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from etl.store import home as places
from etl.store.local import class_cache as warm
from etl.store.local import server as local
from etl.store.local.configuration import heap
from etl.store.local.fetch import ADMIN_CLASS, DEFAULT, MAIN_CLASS, Runtime, fetch
from etl.store.queries import text

if TYPE_CHECKING:
    from etl.graph.trace import Graph

STATEMENTS = (  # what makes Neo4j load the classes that loads and queries need
    "UNWIND range(0, 99) AS i CREATE (:Neuron {id: i, layer: 'a', index: [i], bias: 0.5})",
    "UNWIND range(0, 99) AS i MATCH (a:Neuron {id: i}) MATCH (b:Neuron {id: 99 - i}) CREATE (a)-[:WEIGHT {weight: 0.5, parameter: i}]->(b)",
    "MATCH (n:Neuron)<-[w:WEIGHT]-() WHERE n.id >= 10 AND n.id < 90 RETURN n.layer, count(w), sum(toInteger(w.weight * 4)), collect(w.parameter)",
    "MATCH p = SHORTEST 1 (:Neuron {id: 1})-[:WEIGHT]->+(:Neuron {id: 98}) RETURN [n IN nodes(p) | n.id] ORDER BY length(p) LIMIT 1",
)
Practice = Callable[[tuple[str, ...]], None]  # runs a program with more of Java's flags
SIDE = 1000  # of the weights that are imported: as many to the square, for the compiler to see what matters


def ready(progress: Callable[[str], None], version: str = DEFAULT) -> Runtime:
    """A Neo4j on disk, fetched if need be, whose programs start quickly. Raises FetchError as `fetch` does."""
    runtime = fetch(progress, version)
    programs: dict[str, tuple[Practice, tuple[str, ...]]]
    programs = {MAIN_CLASS[version]: (partial(serve, runtime), (*heap(), *warm.CLASSES_ALONE))}  # profiles: see docs/design.md
    if version == DEFAULT:  # whose import tool is used
        programs[ADMIN_CLASS] = (import_some, ())
    if not all(runtime.kept(program).exists() for program in programs):
        progress("preparing Neo4j for quick starts, once")
        for program, (run, flags) in programs.items():
            warm.make(runtime, program, run, flags)
    return runtime


def serve(runtime: Runtime, flags: tuple[str, ...]) -> None:
    """Start a server on an empty store of its own, let it run what loads and queries are made of, and stop it."""
    from etl.store.connection import connect

    home = places.private(places.cache() / "practice") / "neo4j"
    with local.exclusive(home):
        try:
            local.end(home)  # one whose starter was killed
            local.prepare(places.fresh(home), runtime, lambda _: None)
            server = local.launch(home, runtime, flags)
            assert server.uri is not None
            with connect(server.uri, username=server.username, password=local.password(server)) as store:
                for statement in (*text("load", "constraints").split(";"), *STATEMENTS):
                    store.write(statement)
        finally:
            local.end(home)
            shutil.rmtree(home, ignore_errors=True)


def import_some(flags: tuple[str, ...]) -> None:
    """Let the import tool build a store of its own."""
    from etl.sinks.neo4j import bulk  # heavy, and every start comes by here

    folder = places.private(places.cache() / "practice") / "beside"
    bulk.end_tools(folder)  # one whose starter was killed
    try:
        staged = bulk.staged(weights(), "practice", places.private(places.fresh(folder) / "import"), lambda *_: None)
        bulk.build(staged, folder, lambda *_: None, flags)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def weights() -> Graph:
    """A layer of many different weights."""
    import numpy as np

    from etl.graph.trace import trace
    from etl.network import Array, Call, Layer, Model, Network, Tensor

    values = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    dense = Layer("dense_1", "Dense", {"units": SIDE, "use_bias": False}, (Array("kernel", values.shape, values.dtype, 0, lambda: values),))
    calls = (Call(Layer("input_1", "InputLayer", {"batch_shape": (None, SIDE)})), Call(dense, (Tensor(0),)))
    return trace(Model("practice", Network(calls, (Tensor(0),), (Tensor(1),)), "", "memory"))
