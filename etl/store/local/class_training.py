"""Neo4j's two programs practised once, so that they start and work quickly from then on (see class_cache.py): at once, or in the background."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cypher import text
from etl.store import home as places
from etl.store.local import class_cache, import_tool
from etl.store.local import server as local
from etl.store.local.configuration import heap
from etl.store.local.fetch import ADMIN_CLASS, DEFAULT, MAIN_CLASS, Runtime, fetch

STATEMENTS = (  # what makes Neo4j load the classes that loads and queries need
    "UNWIND range(0, 99) AS i CREATE (:Neuron {id: i, layer: 'a', index: [i], bias: 0.5})",
    "UNWIND range(0, 99) AS i MATCH (a:Neuron {id: i}) MATCH (b:Neuron {id: 99 - i}) CREATE (a)-[:WEIGHT {weight: 0.5, parameter: i}]->(b)",
    "MATCH (n:Neuron)<-[w:WEIGHT]-() WHERE n.id >= 10 AND n.id < 90 RETURN n.layer, count(w), sum(toInteger(w.weight * 4)), collect(w.parameter)",
    "MATCH p = SHORTEST 1 (:Neuron {id: 1})-[:WEIGHT]->+(:Neuron {id: 98}) RETURN [n IN nodes(p) | n.id] ORDER BY length(p) LIMIT 1",
)
Practice = Callable[[tuple[str, ...]], None]  # runs a program with more of Java's flags
SIDE = 1000  # of the weights that are imported: as many to the square, for the compiler to see what matters


def train(version: str = DEFAULT) -> None:
    """Practise the programs that were not yet, which takes about a minute. Raises FetchError as `fetch` does."""
    runtime = fetch(version=version)
    for program, (run, flags) in programs(runtime).items():
        class_cache.make(runtime, program, run, flags)


def trained(runtime: Runtime) -> bool:
    """Whether each of its programs was practised, or can't be."""
    return all(runtime.kept(program).exists() for program in programs(runtime))


def programs(runtime: Runtime) -> dict[str, tuple[Practice, tuple[str, ...]]]:
    """The main classes of its programs, each with what practises it and Java's flags for it."""
    server = MAIN_CLASS[runtime.version], (partial(serve, runtime), (*heap(), *class_cache.CLASSES_ALONE))  # no profiles: see docs/design.md
    importer = ADMIN_CLASS, (import_some, ())
    return dict((server, importer) if runtime.version == DEFAULT else (server,))  # the other one's import tool is not used


def serve(runtime: Runtime, flags: tuple[str, ...]) -> None:
    """Start a server on an empty store of its own, let it run what loads and queries are made of, and stop it."""
    from neo4j import GraphDatabase

    home = places.private(places.cache() / "practice") / "neo4j"
    with local.exclusive(home):
        try:
            local.end(home)  # one whose starter was killed
            local.prepare(places.fresh(home))
            server = local.launch(home, runtime, flags, temporary=True)
            assert server.uri is not None
            with GraphDatabase.driver(server.uri, auth=(server.username, local.password(server)), telemetry_disabled=True) as driver:
                for statement in (*text("load", "constraints").split(";"), *STATEMENTS):
                    driver.execute_query(statement, database_=local.DATABASE)
        finally:
            local.end(home)
            shutil.rmtree(home, ignore_errors=True)


def import_some(flags: tuple[str, ...]) -> None:
    """Let the import tool build a store of its own."""
    folder = places.private(places.cache() / "practice") / "beside"
    import_tool.end_tools(folder)  # one whose starter was killed
    try:
        import_tool.build(stage(places.private(places.fresh(folder) / "import")), folder, lambda *_: None, flags)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage(folder: Path) -> import_tool.Staged:
    """A layer of many different weights, in files of the kind that loads write."""
    import numpy as np  # heavy, and every start comes by here
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids, edges = np.arange(2 * SIDE), np.arange(SIDE * SIDE)
    layers = np.repeat(["input_1", "dense_1"], SIDE)
    labels = np.char.add(f"Neuron{import_tool.LISTED}", layers)
    named = {":ID": ids, "id:long": ids, "layer:string": layers, "index:long[]": (ids % SIDE)[:, None].tolist(), ":LABEL": labels}
    pq.write_table(pa.table(named | {"bias:float": np.zeros(len(ids), np.float32)}), folder / "neurons.parquet", compression="zstd")
    weights = {"source": edges // SIDE, "target": SIDE + edges % SIDE, "weight": np.random.default_rng(0).standard_normal(len(edges), np.float32)}
    delta = dict.fromkeys(("source", "target", "parameter"), "DELTA_BINARY_PACKED")
    table = pa.table(weights | {"parameter": edges, "layer": np.full(len(edges), "dense_1")})
    pq.write_table(table, folder / "weights.parquet", compression="zstd", use_dictionary=["layer"], column_encoding=delta)
    (folder / "header.csv").write_text(":START_ID,:END_ID,weight:float,parameter:long,layer:string\nsource,target,weight,parameter,layer\n", "utf-8")
    files = (f"--nodes={folder / 'neurons.parquet'}", f"--relationships=WEIGHT={folder / 'header.csv'},{folder / 'weights.parquet'}")
    return import_tool.Staged(folder, (*files, *import_tool.OPTIONS), len(ids), len(edges))
