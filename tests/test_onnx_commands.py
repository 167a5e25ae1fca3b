"""Every command on ONNX files, as a user gives it. Oracle: onnx.reference, which runs the file's own nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import etl
from etl.cli import main
from etl.store import Store
from tests.oracle import difference
from tests.test_onnx import DATA, DIGITS, model_of

FRAMEWORKS = ("torch", "tensorflow", "keras", "onnxruntime")


def gained(path: Path) -> onnx.ModelProto:
    """A small convolutional network with an input `gain` that is an option, no shapes between its nodes, and a branch that reads from outside."""
    draw = np.random.default_rng(3)
    first, second = (
        numpy_helper.from_array(draw.normal(size=size).astype(np.float32), name) for size, name in (((4, 3, 3, 3), "k"), ((5, 4, 2, 2), "l"))
    )
    bias = numpy_helper.from_array(np.float32([1.5]), "shift")

    def branch(operator: str) -> onnx.GraphProto:
        return helper.make_graph(
            [helper.make_node(operator, ["r", "shift"], [operator])], operator, [], [helper.make_empty_tensor_value_info(operator)]
        )

    nodes = [
        helper.make_node("Conv", ["picture", "k"], ["c"], name="edges", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c", "gain"], ["g"], name="loud"),
        helper.make_node("Relu", ["g"], ["r"], name="relu"),
        helper.make_node("If", ["yes"], ["s"], name="choice", then_branch=branch("Add"), else_branch=branch("Sub")),
        helper.make_node("Conv", ["s", "l"], ["d"], name="shapes"),
        helper.make_node("GlobalAveragePool", ["d"], ["y"], name="pool"),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("picture", [1, 3, 6, 5]), ("gain", []))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 1, 1])]
    stored = [first, second, bias, numpy_helper.from_array(np.array(True), "yes")]
    graph = helper.make_graph(nodes, "gained", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return model


def reference(model: onnx.ModelProto, picture: np.ndarray, gain: float, *wanted: str) -> list[np.ndarray]:
    whole = onnx.ModelProto.FromString(model.SerializeToString())
    whole.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    return ReferenceEvaluator(whole).run(list(wanted), {"picture": picture, "gain": np.float32(gain)})


def test_feature_maps_lie_along_the_axis_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    model, picture = gained(tmp_path / "gained.onnx"), np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)
    np.save(tmp_path / "x.npy", picture)
    arguments = [
        "features",
        tmp_path / "gained.onnx",
        tmp_path / "x.npy",
        "--constant",
        "gain=2.5",
        "--out",
        tmp_path / "maps.png",
        "--format",
        "json",
    ]
    monkeypatch.setattr("sys.argv", ["etl", *map(str, arguments)])
    assert main() == 0 and (tmp_path / "maps.png").stat().st_size > 1000
    rows = json.loads(capsys.readouterr().out)
    edges, shapes = reference(model, picture[None], 2.5, "c", "d")
    wanted = [("edges", c, edges[0, c]) for c in range(4)] + [("shapes", c, shapes[0, c]) for c in range(5)]
    assert [(row["layer"], row["channel"]) for row in rows] == [(layer, channel) for layer, channel, _ in wanted]
    for row, (_, _, values) in zip(rows, wanted, strict=True):
        np.testing.assert_allclose([row["mean"], row["min"], row["max"]], [values.mean(), values.min(), values.max()], rtol=1e-4, atol=1e-5)
    with pytest.raises(etl.errors.BadRequest, match="--constant"):
        etl.features(tmp_path / "gained.onnx", DATA / "four.png")


def test_inputs_of_one_number_are_verified(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    gained(tmp_path / "gained.onnx")
    compared = etl.verify(tmp_path / "gained.onnx")
    assert {"edges", "loud", "choice/Add_0", "output 0"} & {layer.layer for layer in compared} >= {"edges", "loud", "output 0"}
    assert max(layer.relative for layer in compared) < 1e-5


@pytest.mark.parametrize("at", ["edges", "relu", "shapes"])
def test_parts_make_the_whole(tmp_path: Path, at: str) -> None:
    """Also where the file declares nothing between its nodes, and where a branch reads what stands outside it."""
    model, picture = gained(tmp_path / "gained.onnx"), np.random.default_rng(0).normal(size=(1, 3, 6, 5)).astype(np.float32)
    parts = etl.split(tmp_path / "gained.onnx", at, tmp_path / "parts", constants={"gain": 2.5})
    (wanted,) = reference(model, picture, 2.5, "y")
    values: Any = picture
    for part in parts:
        onnx.checker.check_model(tmp_path / "parts" / part.file, full_check=True)
        evaluator = ReferenceEvaluator(onnx.load(tmp_path / "parts" / part.file))
        (values,) = evaluator.run(None, {evaluator.input_names[0]: values})
    assert difference(values, wanted) <= 1e-5


def test_weights_of_large_parts_lie_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.frameworks.onnx.MOST_BYTES", 100)
    weights = np.random.default_rng(0).normal(size=(4, 500)).astype(np.float32)
    onnx.save(
        model_of([helper.make_node("Relu", ["x"], ["r"], name="r"), helper.make_node("MatMul", ["r", "w"], ["y"])], w=weights), tmp_path / "m.onnx"
    )
    last = etl.split(tmp_path / "m.onnx", "r", tmp_path / "parts")[-1]
    assert (tmp_path / "parts" / f"{last.file}.data").stat().st_size == weights.nbytes
    assert etl.read(tmp_path / "parts" / last.file).plan().parameters == weights.size


def in_a_process_of_its_own(*arguments: object) -> tuple[str, list[str]]:
    """What a command prints, and which frameworks it imported."""
    program = (
        "import json, sys; from etl.cli import main; code = main(); "
        f"print(json.dumps([code, [name for name in {FRAMEWORKS} if name in sys.modules]]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=True)
    code, imported = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return done.stdout, imported


@pytest.mark.slow
def test_every_command_on_a_stored_network(cleared_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.load(DATA / "digits_cnn_onnx.npz")["image"][0]
    np.save(tmp_path / "x.npy", picture)
    written = ",".join(map(str, picture.reshape(-1).tolist()))
    for arguments in (["plan", DIGITS], ["load", DIGITS], ["export", DIGITS, tmp_path / "graph.parquet"]):
        assert in_a_process_of_its_own(*arguments)[1] == []
    told, imported = in_a_process_of_its_own("query", "forward", "model=digits_cnn", f"input=[{written}]", "--format", "json")
    np.testing.assert_allclose(
        [row["value"] for row in json.loads(told)], np.load(DATA / "digits_cnn_onnx.npz")["digit"][0].reshape(-1), rtol=1e-4, atol=1e-4
    )
    assert imported == []
    for command in (
        ["query", "summary", "model=digits_cnn"],
        ["measure", "digits_cnn", "strength", "--write", "strength"],
        ["plot", "adjacency", "digits_cnn", tmp_path / "adjacency.png"],
        ["plot", "weights", "digits_cnn", tmp_path / "weights.png", "--layer", "conv2"],
        ["plot", "layers", "digits_cnn", tmp_path / "layers.png"],
        ["plot", "paths", "digits_cnn", tmp_path / "paths.png", "--into", "digit/4"],
        ["verify", DIGITS, "--in", "store"],
        ["features", DIGITS, tmp_path / "x.npy", "--write", "digits_cnn", "--out", tmp_path / "maps.png"],
        ["split", DIGITS, "--at", "pool", "--out", tmp_path / "parts", "--tag", "digits_cnn"],
        ["delete", "digits_cnn", "--yes"],
    ):
        monkeypatch.setattr("sys.argv", ["etl", *map(str, command)])
        assert main() == 0
        if command[0] == "features":
            found = cleared_store.read("MATCH (n:Neuron) WHERE n.layer = 'digit' RETURN n.value AS value ORDER BY n.id")
            np.testing.assert_allclose(
                [row["value"] for row in found], np.load(DATA / "digits_cnn_onnx.npz")["digit"][0].reshape(-1), rtol=1e-4, atol=1e-4
            )
    assert not cleared_store.read("MATCH (n:Neuron) RETURN n LIMIT 1")
