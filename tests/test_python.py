"""The library's face: what `import etl` offers, and that it is what the commands do. Every line of docs/python.md runs in test_docs.py."""

from __future__ import annotations

import ast
import inspect
import json
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import etl
from etl.cli import main
from etl.errors import BadRequest, NotInStore, QueryError, StoreError
from etl.graph.selection import graph_of
from etl.sinks.memory import collect
from etl.store.queries import find

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"


@pytest.fixture(scope="module")
def digits() -> etl.Graph:
    return etl.read(DIGITS)


def test_what_is_offered() -> None:
    assert sorted(etl.__all__) == [
        *("EtlError", "Graph", "Plan", "Rows", "Store", "StoredModel", "connect", "features", "layer_kinds", "read", "split", "verify")
    ]
    assert all(hasattr(etl, name) for name in etl.__all__)
    assert (resources.files("etl") / "py.typed").is_file()


def test_everything_public_is_explained() -> None:
    for name in etl.__all__:
        offered = getattr(etl, name)
        assert inspect.getdoc(offered), name
        for label, member in vars(offered).items() if inspect.isclass(offered) else ():
            if not label.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{name}.{label}"


def test_read_takes_the_options_of_the_commands() -> None:
    from etl.cli.options import selection

    plural = {"input_shapes": "input_shape", "constants": "constant_input", "lambdas": "lambda_layer"}  # options that are given once for each
    names = set(inspect.signature(etl.read).parameters) - {"source"}
    assert set(inspect.signature(selection).parameters) == {plural.get(name, name) for name in names}


def test_a_graph_is_one_line(digits: etl.Graph) -> None:
    assert repr(digits) == "<etl.Graph 'digits_cnn': 1,306 neurons, 47,360 edges, 7 layers>"


def test_the_tables_are_those_of_the_export(digits: etl.Graph) -> None:
    tables = collect(graph_of(DIGITS))
    assert digits.layers == tables.layers and digits.outputs == tables.outputs
    assert digits.neurons().read_all() == tables.neurons and digits.weights().read_all() == tables.weights
    frames = digits.to_pandas()
    assert (len(frames.neurons), len(frames.weights)) == (1306, 47360)
    assert digits.to_scipy().nnz == digits.to_networkx().number_of_edges() == 47360


def test_forward_is_what_the_framework_predicts(digits: etl.Graph) -> None:
    import keras

    given = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
    (found,) = digits.forward(given)
    assert_allclose(found, keras.models.load_model(DIGITS, compile=False)(given), rtol=1e-4, atol=1e-6)
    assert_allclose(digits.forward(given[0])[0], found[:1])
    with pytest.raises(BadRequest, match="8, 8, 1"):
        digits.forward(np.zeros(3))
    with pytest.raises(BadRequest, match="only an exact graph"):
        etl.read(DIGITS, top_k=1).forward(given)


def test_plan_is_what_the_command_prints(digits: etl.Graph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["etl", "plan", str(DIGITS), "--format", "json"])
    assert main() == 0
    printed = json.loads(capsys.readouterr().out)
    plan = digits.plan()
    assert {name: printed[name] for name in ("name", "neurons", "edges", "parameters")} == {
        name: getattr(plan, name) for name in ("name", "neurons", "edges", "parameters")
    }
    assert [row["name"] for row in printed["layers"]] == [row["name"] for row in plan.layers] == digits.layers.column("name").to_pylist()


def test_a_suffix_that_says_nothing(digits: etl.Graph, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"call it .parquet, .graphml or .npz"):
        digits.save(tmp_path / "digits.txt")
    written = digits.save(tmp_path / "digits.graphml")
    assert (written.neurons, written.edges) == (1306, 47360)


def test_a_store(digits: etl.Graph, etl_home: Path, empty_store: Any) -> None:
    told: list[str] = []
    with etl.connect() as store:
        loaded = store.load(digits, progress=lambda what, done, total: told.append(what))
        assert (loaded.name, loaded.outcome, loaded.neurons, loaded.edges) == ("digits_cnn", "loaded", 1306, 47360)
        assert set(told) >= {"neurons", "weights", "checks"}
        assert store.load(digits).outcome == "unchanged"
        (row,) = store.models()
        assert (row["name"], row["state"]) == ("digits_cnn", "COMPLETE")
        summary = store.query("summary")
        assert isinstance(summary, list) and summary[0]["edges"] == 47360
        assert summary.arrow().column_names == list(summary[0]) and summary.pandas().neurons[0] == 1306
        cypher = "MATCH (n:Neuron {model: $model}) RETURN n.layer AS layer, count(*) AS neurons ORDER BY neurons LIMIT 1"
        assert store.query(cypher, model="digits_cnn") == [{"layer": "digit", "neurons": 10}]
        assert store.query("MATCH (n:Nothing) RETURN n.id AS id").arrow() == pa.table({"id": []})
        with pytest.raises(StoreError, match="access mode"):
            store.query("CREATE (:Other)")
        with pytest.raises(QueryError, match="did you mean summary"):
            store.query("sumary")
        with pytest.raises(NotInStore, match=r"no model named nobody \(models: digits_cnn\)"):
            store["nobody"]
        strength = store["digits_cnn"].measure("strength", write="strength")
        assert [row["id"] for row in strength] == list(range(1306)) and strength.columns == ("id", "layer", "index", "value")
        with pytest.raises(BadRequest, match="did you mean strength"):
            store["digits_cnn"].measure("strenght")
        assert max(c.relative for c in etl.verify(DIGITS, store=store)) < 2e-4
        maps = store["digits_cnn"].features(DIGITS, DIGITS.with_name("four.png"))
        (value,) = store.query("MATCH (n:Neuron {layer: 'digit'}) WHERE n.index = [4] RETURN n.value AS value")
        assert_allclose(value["value"], maps.values["digit"][4], rtol=1e-5)
        store["digits_cnn"].delete()
        assert store.models() == []


def test_commands_compose_nothing() -> None:
    """A command imports from the library's face, what it prints with, and names of options: no sinks, no readers, no frameworks."""
    for path in sorted((Path(etl.__file__).parent / "cli").glob("*.py")):
        modules = {node.module for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom) and node.module}
        assert not [name for name in modules if name.startswith(("etl.readers", "etl.frameworks", "etl.rules", "etl.network"))], path
        assert not [name for name in modules if name.startswith("etl.sinks") and name != "etl.sinks.neo4j.live"], path  # Loaded, as a type


def test_any_cypher_from_the_command_line(
    etl_home: Path, cleared_store: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared_store.write("CREATE (:Model {name: 'one'}), (:Model {name: 'two'})")
    (tmp_path / "count.cypher").write_text("MATCH (m:Model)\nWHERE m.name = $name\nRETURN count(m) AS models")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["etl", "query", *words])
        code = main()
        return code, *capsys.readouterr()

    assert run("--cypher", "MATCH (m:Model) RETURN m.name AS name ORDER BY name", "--format", "csv") == (0, "name\none\ntwo\n", "")
    assert run("--cypher", str(tmp_path / "count.cypher"), "name=two", "--format", "json") == (0, '[{"models": 1}]\n', "")
    monkeypatch.setattr("sys.stdin", StringIO("RETURN 1 + $more AS sum"))
    assert run("--cypher", "-", "more=2", "--format", "json")[1] == '[{"sum": 3}]\n'
    code, _, said = run("--cypher", "CREATE (:Other)")
    assert code == 1 and said.startswith("error: ") and said.count("\n") == 1
    code, _, said = run("--cypher", "missing.cypher")
    assert code == 1 and "missing.cypher can't be read" in said


def test_a_query_explains_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["etl", "query", "strongest_inputs", "--help"])
    assert main() == 0
    shown = capsys.readouterr().out
    stored = find("strongest_inputs")
    assert stored.title in shown
    assert all(word in shown for part in (*stored.parameters, *stored.columns) for word in (part.name, part.type))
    monkeypatch.setattr("sys.argv", ["etl", "query", "--help"])
    assert main() == 0
    assert "Usage: etl query" in capsys.readouterr().out
