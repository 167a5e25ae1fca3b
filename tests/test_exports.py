"""Files that others open: GraphML and .npz beside the Parquet tables, in the programs that they are for; and the graph in NetworkX."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import load_npz

from etl.errors import BadRequest
from etl.graph import batches as extract
from etl.graph.selection import Selection, graph_of
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Layer, Model, Network, Tensor
from etl.sinks import graphml, npz
from etl.sinks import networkx as in_networkx
from etl.sinks.networkx import NetworkX, to_networkx

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"


@pytest.fixture(scope="module")
def digits() -> Graph:
    return graph_of(DIGITS)


def tables(graph: Graph) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """All neurons and all weights as rows."""
    neurons, weights = pa.Table.from_batches(extract.neuron_batches(graph)), pa.Table.from_batches(extract.weight_batches(graph))
    return neurons.to_pylist(), weights.to_pylist()


def squares(name: str = "nested \x1b <&\"'>") -> Graph:
    """Two inputs multiplied with themselves: every neuron has two edges from the same one."""
    both = Call(Layer("both", "Multiply", {}), (Tensor(INPUT), Tensor(INPUT)))
    return trace(Model(name, Network((both,), (Input(name, (2,)),), (Tensor(0),)), "0" * 64, "memory"))


def test_graphml_opens_in_networkx(digits: Graph, tmp_path: Path) -> None:
    graphml.GraphML(tmp_path / "digits.graphml").write(digits)
    read = nx.read_graphml(tmp_path / "digits.graphml", node_type=int)
    neurons, weights = tables(digits)
    assert type(read) is nx.DiGraph and read.graph["name"] == "digits_cnn" and read.graph["sha256"] == digits.model.sha256
    assert list(read) == list(range(digits.neurons)) and read.number_of_edges() == digits.edges
    for row in neurons:
        told = read.nodes[row.pop("id")]
        assert json.loads(told.pop("index")) == row.pop("index")
        assert {k: np.float32(v) if k == "bias" else v for k, v in told.items()} == {k: v for k, v in row.items() if v is not None}
    for row in weights:
        told = read.edges[row.pop("source"), row.pop("target")]
        assert np.float32(told.pop("weight")) == np.float32(row.pop("weight"))
        assert told == {name: value for name, value in row.items() if value is not None}


def test_graphml_holds_any_name_and_parallel_edges(tmp_path: Path) -> None:
    graphml.GraphML(tmp_path / "squares.graphml").write(squares())
    ElementTree.parse(tmp_path / "squares.graphml")
    read = nx.read_graphml(tmp_path / "squares.graphml")
    assert type(read) is nx.MultiDiGraph and read.number_of_edges("0", "2") == 2
    assert read.nodes["0"]["layer"] == "nested \\x1b <&\"'>"


def test_npz_opens_in_scipy(digits: Graph, tmp_path: Path) -> None:
    npz.Npz(tmp_path / "digits.npz").write(digits)
    read = load_npz(tmp_path / "digits.npz")
    expected = np.zeros((digits.neurons, digits.neurons), np.float32)
    for row in tables(digits)[1]:
        expected[row["source"], row["target"]] += row["weight"]
    assert read.format == "csr" and read.dtype == np.float32 and read.nnz == digits.edges
    assert_array_equal(read.toarray(), expected)
    with np.load(tmp_path / "digits.npz", allow_pickle=False) as told:
        assert told["layer_name"].tolist() == [row.name for row in digits.rows]
        assert told["layer_begin"].tolist() == [row.begin for row in digits.rows]
        assert [json.loads(shape) for shape in told["layer_shape"]] == [list(row.shape) for row in digits.rows]


def test_npz_adds_parallel_edges_up(tmp_path: Path) -> None:
    npz.Npz(tmp_path / "two.npz").write(squares("two"))
    assert load_npz(tmp_path / "two.npz").toarray()[:2, 2:].tolist() == [[2, 0], [0, 2]]


def test_matrix_without_memory_is_refused(digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "EDGE_BYTES", 10**12)
    with pytest.raises(BadRequest, match=r"needs .* GB of memory"):
        npz.adjacency(digits)


def test_to_networkx(digits: Graph) -> None:
    made = to_networkx(digits)
    neurons, weights = tables(digits)
    for row in neurons:
        row["index"] = json.dumps(row["index"]).replace(" ", "")
    assert type(made) is nx.DiGraph and list(made) == list(range(digits.neurons))
    assert [dict(told) for _, told in made.nodes(data=True)] == [{k: v for k, v in row.items() if k != "id" and v is not None} for row in neurons]
    assert made.number_of_edges() == digits.edges
    for row in weights:
        told = made.edges[row.pop("source"), row.pop("target")]
        assert told == {name: value for name, value in row.items() if value is not None}


@pytest.mark.slow
def test_networkx_writes_what_the_export_writes(digits: Graph, tmp_path: Path) -> None:
    graphml.GraphML(tmp_path / "ours.graphml").write(digits)
    nx.write_graphml(to_networkx(digits), tmp_path / "theirs.graphml")
    ours, theirs = (nx.read_graphml(tmp_path / name, node_type=int) for name in ("ours.graphml", "theirs.graphml"))
    for graph in (ours, theirs):  # one writes a float32 as it is, the other the double next to it
        for _, told in graph.nodes(data=True):
            told |= {"bias": np.float32(told["bias"])} if "bias" in told else {}
        for *_, told in graph.edges(data=True):
            told |= {"weight": np.float32(told["weight"])}
    assert dict(ours.nodes(data=True)) == dict(theirs.nodes(data=True)) and {**ours.graph} == {**ours.graph, **theirs.graph}
    assert nx.utils.edges_equal(ours.edges(data=True), theirs.edges(data=True), directed=True)


def test_to_networkx_keeps_parallel_edges() -> None:
    made = to_networkx(squares("two"))
    assert type(made) is nx.MultiDiGraph and made.number_of_edges(0, 2) == 2


def test_to_networkx_refuses_what_does_not_fit(digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_networkx, "MOST_EDGES", digits.edges - 1)
    with pytest.raises(BadRequest, match=r"edges and NetworkX holds at most"):
        to_networkx(digits)


def test_layers_alone_are_no_graph_of_neurons(tmp_path: Path) -> None:
    layers, coarse = graph_of(DIGITS, Selection(granularity="layer")), graph_of(DIGITS, Selection(granularity="channel"))
    for sink in (graphml.GraphML(tmp_path / "x"), npz.Npz(tmp_path / "x"), NetworkX()):
        with pytest.raises(BadRequest, match="no neurons at --granularity layer"):
            sink.write(layers)
    assert to_networkx(coarse).number_of_edges() == npz.adjacency(coarse).nnz == coarse.edges > 0


@pytest.mark.parametrize("sink", [graphml.GraphML, npz.Npz])
def test_files_appear_complete_or_not_at_all(sink: type, digits: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"digits.{sink.__name__}"
    with pytest.raises(BadRequest, match="is a folder"):
        sink(tmp_path).write(digits)

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        sink(path).write(digits, stop)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    sink(path).write(digits)
    assert path.stat().st_size > 1000
