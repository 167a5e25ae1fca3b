"""Graphs out of tables: what was exported comes back as it was, other people's tables are taken, and each fault of tables is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import etl
from etl.errors import BadFile, BadRequest
from etl.graph.selection import Selection, graph_of
from etl.graph.tables import read_tables
from etl.sinks.memory import collect
from etl.sinks.neo4j import checks
from etl.sinks.neo4j.live import fingerprint, model_properties
from etl.sinks.parquet import Parquet
from etl.store import Store
from tests import stored
from tests.small import branched, convolutional

DIGITS = Path(__file__).parent / "data" / "digits_cnn.keras"
GRAPHS: dict[str, Callable[[], Any]] = {
    "digits": lambda: graph_of(DIGITS),
    "folded": lambda: graph_of(DIGITS, Selection(fold=True)),
    "channels": lambda: graph_of(DIGITS, Selection(granularity="channel")),
    "layers": lambda: graph_of(DIGITS, Selection(granularity="layer")),
    "strongest": lambda: graph_of(DIGITS, Selection(top_k=3)),
    "convolutional": convolutional,
    "branched": branched,
    "double": lambda: convolutional(dtype="float64"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_an_export_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    graph = GRAPHS[name]()
    Parquet(tmp_path / "x.parquet").write(graph)
    again = read_tables(tmp_path / "x.parquet")
    assert list(again.rows) == list(graph.rows) and again.dtype == graph.dtype
    assert vars(collect(again)) == vars(collect(graph))
    assert fingerprint(again) == fingerprint(graph) and model_properties(again, "m", "", 0) == model_properties(graph, "m", "", 0)
    assert [vars(sums) for sums in checks.expected(again)] == [vars(sums) for sums in checks.expected(graph)]
    Parquet(tmp_path / "y.parquet").write(again)
    for path in (tmp_path / "x.parquet").rglob("*.*"):
        assert path.read_bytes() == Path(str(path).replace("x.parquet", "y.parquet")).read_bytes(), path


@pytest.mark.parametrize("make", [convolutional, branched])
def test_tables_make_the_same_store(empty_store: Store, make: Callable[[], Any], tmp_path: Path) -> None:
    from etl.sinks.neo4j.live import load

    Parquet(tmp_path / "x.parquet").write(make())
    load(read_tables(tmp_path / "x.parquet"), empty_store, "m")
    stored.check(empty_store, make(), "m")
    assert load(make(), empty_store, "m").outcome == "unchanged"  # the very same model


@pytest.mark.slow
def test_tables_are_loaded_through_the_import_tool(empty_store: Store, tmp_path: Path) -> None:
    """What was exported is loaded without the model, beside another one."""
    from etl.sinks.neo4j.bulk import Bulk
    from etl.sinks.neo4j.live import load

    Parquet(tmp_path / "x.parquet").write(convolutional())
    load(branched(), empty_store, "other")
    assert Bulk("m").write(read_tables(tmp_path / "x.parquet")).base == branched().neurons
    empty_store.driver.verify_connectivity()  # the server is another one
    stored.check(empty_store, convolutional(), "m")
    stored.check(empty_store, branched(), "other")


def theirs(folder: Path, **changes: pa.Table) -> Path:
    """Tables that somebody else wrote: two inputs, three sums, without biases, activations, axes, parameters or model.json."""
    layers = pa.table(
        {
            "name": ["in", "out"],
            "type": ["Input", "Dense"],
            "position": [0, 1],
            "begin": [0, 2],
            "end": [2, 5],
            "shape": [[2], [3]],
            "parameters": [0, 6],
            "edges": [0, 6],
            "inputs": [[], ["in"]],
        }
    )
    neurons = pa.table({"id": range(5), "layer": ["in"] * 2 + ["out"] * 3, "index": [[0], [1], [0], [1], [2]]})
    weights = pa.table({"source": [0, 1] * 3, "target": [2, 2, 3, 3, 4, 4], "weight": np.arange(6) / 2, "layer": ["out"] * 6})
    outputs = pa.table({"output": [0, 0, 0], "position": [0, 1, 2], "id": [2, 3, 4]})
    found = {"layers": layers, "neurons": neurons, "weights": weights, "outputs": outputs} | changes
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in found.items():
        path = folder / name / "0.parquet" if name in ("neurons", "weights") else folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return folder


def test_other_peoples_tables(tmp_path: Path, empty_store: Store) -> None:
    graph = etl.read(theirs(tmp_path / "mine.parquet"))
    assert repr(graph) == "<etl.Graph 'mine': 5 neurons, 6 edges, 2 layers>"
    assert graph.to_scipy().toarray()[:2, 2:].T.tolist() == [[0, 0.5], [1, 1.5], [2, 2.5]]
    assert set(graph.neurons().read_all()["op"].to_pylist()) == {None}
    for use in (lambda: graph.forward(np.zeros(2)), graph.cut_points):
        with pytest.raises(BadRequest, match="mine comes from tables"):
            use()
    with pytest.raises(BadRequest, match="taken as they are"):
        etl.read(tmp_path / "mine.parquet", top_k=1)
    with etl.connect() as store:
        assert store.load(graph).outcome == "loaded"
        assert store.query("MATCH (:Neuron)-[w:WEIGHT]->(n:Neuron:out) RETURN n.index AS i, sum(w.weight) AS s ORDER BY i") == [
            {"i": [n], "s": 2 * n + 0.5} for n in range(3)
        ]


FAULTS = [
    ("layers", "begin", [0, 3], "out has ids 3 to 5, which do not follow on 2"),
    ("layers", "end", [2, 6], "out has 4 neurons, its shape \\[3\\] another number"),
    ("layers", "name", ["in", "in"], "row 1 has the name in again"),
    ("layers", "position", [0, 2], "out has position 2, not 1"),
    ("layers", "inputs", [[], ["elsewhere"]], "out reads elsewhere, which no row before it is"),
    ("layers", "edges", [0, 7], "out has 6 weights, layers.parquet says 7"),
    ("neurons", "id", [0, 1, 3, 2, 4], "neuron 3 is out of order, and 1 more"),
    ("neurons", "layer", ["in"] * 3 + ["out"] * 2, "neuron 2 is not in the layer whose span it is in"),
    ("neurons", "index", [[0], [1], [0], [1], [3]], "indices of out are not the places of its shape \\[3\\]"),
    ("weights", "source", [0, 1, 0, 1, 0, 9], "weight 5 has an end that is no neuron"),
    ("weights", "source", [0, 1, 0, 1, 0, 3], "weight 5 comes from its own layer or a later one"),
    ("weights", "source", [0, 1, 0, 1, 0, None], "weight 5 \\(counted from 0\\) lacks an end or a weight"),
    ("weights", "target", [2, 2, 3, 3, 4, 1], "weight 5 has a target that is not in its layer"),
    ("weights", "weight", [0.0, 1, 2, float("nan"), 3, 4], "weight 3 is no finite number"),
    ("weights", "weight", list("abcdef"), "tables have the columns of docs/graph.md"),
    ("weights", "layer", ["out"] * 5 + ["other"], "weight 5 is of a layer that is not in layers.parquet"),
    ("outputs", "id", [2, 3, 5], "output 0 returns neuron 5, there are 5"),
    ("outputs", "position", [0, 2, 1], "output 0 is out of order"),
]


@pytest.mark.parametrize(("name", "column", "values", "said"), FAULTS, ids=[f"{name}-{column}-{n}" for n, (name, column, *_) in enumerate(FAULTS)])
def test_each_fault_is_named(name: str, column: str, values: Any, said: str, tmp_path: Path) -> None:
    folder = theirs(tmp_path / "x.parquet")
    path = folder / name / "0.parquet" if name in ("neurons", "weights") else folder / f"{name}.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, [values]), path)
    with pytest.raises(BadFile, match=said):
        read_tables(folder)


@pytest.mark.parametrize("name", ["layers", "neurons", "weights", "outputs"])
def test_a_table_or_a_column_is_missing(name: str, tmp_path: Path) -> None:
    folder = theirs(tmp_path / "x.parquet")
    path = folder / name / "0.parquet" if name in ("neurons", "weights") else folder / f"{name}.parquet"
    pq.write_table(pq.read_table(path).drop_columns([pq.read_table(path).column_names[-1]]), path)
    with pytest.raises(BadFile, match=r"has no column .*docs/graph.md"):
        read_tables(folder)
    path.unlink()
    with pytest.raises(BadFile, match=name):
        read_tables(folder)
    path.write_bytes(b"no Parquet at all")
    with pytest.raises(BadFile, match=r"x\.parquet: .*tables have the columns"):
        read_tables(folder)
