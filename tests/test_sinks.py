"""The contract of sinks: every one of them takes the same rows, tells how far it is, counts what it took, and leaves nothing half done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from etl.graph.traced import Graph
from etl.sinks.graphml import GraphML
from etl.sinks.memory import Memory
from etl.sinks.neo4j.bulk import Bulk
from etl.sinks.neo4j.import_files import ImportFiles
from etl.sinks.neo4j.live import Live
from etl.sinks.networkx import NetworkX
from etl.sinks.npz import Npz
from etl.sinks.parquet import Parquet
from etl.sinks.protocol import Sink
from etl.store import Store
from tests.small import branched, convolutional

Edges = Counter[tuple[int, int, float]]  # source, target, weight as float32


@dataclass
class Place:
    """A sink, and how what it took is read back: how many neurons, and the edges; None and None where nothing is there."""

    sink: Sink
    read: Callable[[], tuple[int, Edges] | None]
    adds_up: bool = False  # parallel edges are one, the sum of them


def edges(source: Any, target: Any, weight: Any) -> Edges:
    numbers = np.asarray(weight, np.float64).astype(np.float32).astype(float).tolist()
    return Counter(zip(np.asarray(source, np.int64).tolist(), np.asarray(target, np.int64).tolist(), numbers, strict=True))


def memory(_: Path) -> Place:
    sink = Memory()

    def read() -> tuple[int, Edges] | None:
        if sink.tables is None:
            return None
        weights = sink.tables.weights
        return sink.tables.neurons.num_rows, edges(*(weights[name].to_numpy() for name in ("source", "target", "weight")))

    return Place(sink, read)


def networkx(_: Path) -> Place:
    sink = NetworkX()

    def read() -> tuple[int, Edges] | None:
        if sink.graph is None:
            return None
        found = list(sink.graph.edges(data="weight"))
        return sink.graph.number_of_nodes(), edges(*zip(*found, strict=True))

    return Place(sink, read)


def parquet(folder: Path) -> Place:
    def read() -> tuple[int, Edges] | None:
        import pyarrow.parquet as pq

        if not (folder / "x.parquet").exists():
            return None
        weights = pq.read_table(folder / "x.parquet" / "weights")
        found = edges(*(weights[name].to_numpy() for name in ("source", "target", "weight")))
        return pq.read_table(folder / "x.parquet" / "neurons").num_rows, found

    return Place(Parquet(folder / "x.parquet"), read)


def graphml(folder: Path) -> Place:
    def read() -> tuple[int, Edges] | None:
        if not (folder / "x.graphml").exists():
            return None
        space = "{http://graphml.graphdrawing.org/xmlns}"
        tree = ElementTree.parse(folder / "x.graphml")
        rows = [(edge.get("source"), edge.get("target"), edge.findtext(f"{space}data[@key='ew']")) for edge in tree.iter(f"{space}edge")]
        return len(list(tree.iter(f"{space}node"))), edges(*zip(*rows, strict=True))

    return Place(GraphML(folder / "x.graphml"), read)


def npz(folder: Path) -> Place:
    def read() -> tuple[int, Edges] | None:
        if not (folder / "x.npz").exists():
            return None
        matrix = scipy.sparse.load_npz(folder / "x.npz").tocoo()
        return matrix.shape[0], edges(matrix.row, matrix.col, matrix.data)

    return Place(Npz(folder / "x.npz"), read, adds_up=True)


def import_files(folder: Path) -> Place:
    def read() -> tuple[int, Edges] | None:
        if not (folder / "files").exists():
            return None
        rows = pq.read_table(folder / "files/weights")
        return pq.read_metadata(folder / "files/neurons.parquet").num_rows, edges(*(rows[name] for name in ("source", "target", "weight")))

    return Place(ImportFiles(folder / "files", "m"), read)


FILES = (memory, networkx, parquet, graphml, npz, import_files)


def in_store(store: Store) -> tuple[int, Edges] | None:
    """What a store holds of a model that is COMPLETE."""
    if not store.read("MATCH (m:Model {name: 'm', state: 'COMPLETE'}) RETURN m.name"):
        return None
    rows = store.read("MATCH (a:Neuron)-[w:WEIGHT]->(b:Neuron) RETURN a.id AS source, b.id AS target, w.weight AS weight")
    return store.read("MATCH (n:Neuron) RETURN count(n) AS n")[0]["n"], edges(*zip(*(row.values() for row in rows), strict=True))


def expected(graph: Graph, *, adds_up: bool) -> tuple[int, Edges]:
    columns = [block.columns()[:3] for block in graph.blocks()]
    source, target, weight = (np.concatenate(column) for column in zip(*columns, strict=True))
    if adds_up:
        (source, target), places = np.unique(np.stack([source, target]), axis=1, return_inverse=True)
        sums = np.zeros(len(source), weight.dtype)
        np.add.at(sums, places, weight)
        weight = sums
    return graph.neurons, edges(source, target, weight)


def keeps_the_contract(place: Place, graph: Graph) -> None:
    """Interrupted, it holds nothing that passes for the graph; written again, all of it, and says so."""

    def stop(what: str, done: int, total: int) -> None:
        if what == "weights":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.sink.write(graph, stop)
    assert place.read() is None
    told = dict[str, list[tuple[int, int]]]()
    written = place.sink.write(graph, lambda what, done, total: told.setdefault(what, []).append((done, total)))
    assert (written.neurons, written.edges) == (graph.neurons, graph.edges)
    assert place.read() == expected(graph, adds_up=place.adds_up)
    assert told["weights"][-1] == (graph.edges, graph.edges)
    for counts in told.values():
        assert [done for done, _ in counts] == sorted(done for done, _ in counts) and {total for _, total in counts} == {counts[-1][1]}


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("graph", [convolutional, branched], ids=lambda graph: graph.__name__)
def test_a_sink(make: Callable[[Path], Place], graph: Callable[[], Graph], tmp_path: Path) -> None:
    keeps_the_contract(make(tmp_path), graph())


def test_a_store_over_bolt(empty_store: Store) -> None:
    keeps_the_contract(Place(Live(empty_store, "m"), lambda: in_store(empty_store)), convolutional())


@pytest.mark.slow
def test_a_store_by_the_import_tool(empty_store: Store) -> None:
    keeps_the_contract(Place(Bulk("m"), lambda: in_store(empty_store)), convolutional())
