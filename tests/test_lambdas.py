"""Lambda layers whose user says what they compute: compared with Keras, which runs the code itself; nothing here runs it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from typer.testing import CliRunner

import etl
from etl.cli import app
from etl.errors import BadRequest, Unsupported
from etl.graph.selection import Selection
from etl.readers import read
from tests.oracle import difference

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # Keras' own, in saving
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]
X = np.random.default_rng(5).normal(size=(1, 3, 4)).astype(np.float32)
K = keras.ops

# What a Lambda's code is, and what its user says.
SAID: list[tuple[Any, str]] = [
    (lambda x: x / 127.5 - 1, "x / 127.5 - 1"),
    (lambda x: x / 127.5 - 1, "lambda t: t / 127.5 - 1"),
    (lambda x: -(x**2) * 3 + 1 / 4, "-(x ** 2) * 3 + 1 / 4"),
    (lambda x: K.mean(x, axis=-1), "mean(x, axis=-1)"),
    (lambda x: K.sum(K.abs(x), 1, keepdims=True), "K.sum(K.abs(x), 1, keepdims=True)"),
    (lambda x: x[..., 0], "x[..., 0]"),
    (lambda x: x[:, 1:, ::2], "x[:, 1:, ::2]"),
    (lambda x: K.sqrt(K.maximum(x, 0.01)) / K.sqrt(64.0), "sqrt(maximum(x, 0.01)) / sqrt(64)"),
    (lambda x: tf.reduce_max(x, axis=1), "tf.reduce_max(x, axis=1)"),
    (lambda x: tf.nn.l2_normalize(x, axis=-1), "tf.nn.l2_normalize(x, axis=-1)"),
    (lambda x: tf.clip_by_value(x, -0.5, 0.5), "tf.clip_by_value(x, -0.5, 0.5)"),
    (lambda x: K.concatenate([x, K.exp(x)], axis=-1), "concatenate([x, exp(x)], axis=-1)"),
    (lambda x: K.transpose(x, (0, 2, 1)), "transpose(x, (0, 2, 1))"),
    (lambda x: K.where(x > 0, x, 0.2 * x), "where(x > 0, x, 0.2 * x)"),
]


def differs(graph: etl.Graph, model: Any, *inputs: np.ndarray) -> float:
    return difference(np.asarray(graph.forward(*inputs)[0]), np.asarray(model(list(inputs) if len(inputs) > 1 else inputs[0])))


@pytest.mark.parametrize(("code", "said"), SAID, ids=[said for _, said in SAID])
def test_computes_what_its_user_says(code: Any, said: str) -> None:
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.Lambda(code, name="code"), keras.layers.Flatten(), keras.layers.Dense(2)])
    assert differs(etl.read(model, lambdas={"code": said}), model, X) < 1e-5


def test_differences_of_twins() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    twin = keras.layers.Dense(3, name="twin")
    model = keras.Model([a, b], keras.layers.Lambda(lambda x: K.abs(x[0] - x[1]), name="apart")([twin(a), twin(b)]))
    graph = etl.read(model, lambdas={"apart": "abs(x[0] - x[1])"})
    assert differs(graph, model, X[:, 0], X[:, 1]) < 1e-6
    rows = graph.layers.to_pylist()
    assert [(row["name"], row["edges"]) for row in rows[-2:]] == [("apart/subtract", 6), ("apart", 3)]
    assert rows[-1]["type"] == "Lambda" and rows[-1]["activation"] == "abs"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kit", [keras, tf_keras])
def test_files_with_nested_models(kit: Any, suffix: str, tmp_path: Path) -> None:
    inner = kit.Sequential([kit.Input((4,)), kit.layers.Lambda(lambda x: x * 2.0 + 1.0, name="scale"), kit.layers.Dense(3)], name="inner")
    model = kit.Sequential([kit.Input((3, 4)), kit.layers.Lambda(lambda x: x[:, 0], name="first"), inner])
    model.save(path := tmp_path / f"m{suffix}")
    with pytest.raises(Unsupported, match=r"first \(Lambda\): .*--lambda first=.*inner/scale \(Lambda\): .*--lambda inner/scale="):
        etl.read(path)
    said = {"first": "x[:, 0]", "inner/scale": "x * 2 + 1"}
    assert differs(etl.read(path, lambdas=said), model, X) < 1e-6
    with pytest.raises(BadRequest, match=r"not compared with it.*first, scale.*--trust"):
        etl.verify(path, lambdas=said)
    assert all(row.right for row in etl.verify(path, lambdas=said, trust=True))
    assert not all(row.right for row in etl.verify(path, lambdas=said | {"first": "x[:, 1]"}, trust=True))


def test_within_a_wrapper() -> None:
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.TimeDistributed(keras.layers.Lambda(lambda x: x - 3.0, name="code"), name="td")])
    assert differs(etl.read(model, lambdas={"td/code": "x - 3"}), model, X) < 1e-6


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("__import__('os').system('touch mark')", "has .*no rule"),
        ("x.__class__", "no meaning"),
        ("open('mark', 'w')", "'open'.*no rule"),
        ("os.abs(x)", "'os.abs'.*no rule"),
        ("[y for y in x]", "no meaning"),
        ("y + 1", "'y'.*called x"),
        ("x +", "no expression"),
        ("x / 'a'", "'a'.*no number"),
        ("abs(x, x)", "calls abs"),
        ("mean()", "calls mean without x"),
        ("mean(x, axes=1)", "calls mean with other arguments"),
        ("mean(x)", "across the examples"),
        ("exp([x, x])", "which is no number"),
        ("tf.cast(x, [x, x])", "rounds values to"),
        ("concatenate([x, x], axis=9)", "axis 9"),
        ("reshape(x, (-1, 5))", "moves values between examples"),
        ("x + ones", "'ones'"),
        ("x / 0", "divides by zero"),
        ("2 + 3", "no value of its input"),
        ("x[0]", "out of the batch"),
        ("(" * 250 + "x" + ")" * 250, "no expression"),
        ("-" * 100 + "x", "nested too deeply"),
    ],
)
def test_what_is_said_wrongly_is_one_line(said: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.Lambda(lambda x: x, name="code")])
    with pytest.raises(Unsupported, match=rf"code \(Lambda\): .*{message}") as caught:
        etl.read(model, lambdas={"code": said})
    assert "\n" not in str(caught.value) and not (tmp_path / "mark").exists()


def test_a_name_without_a_layer_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x, name="code")])
    with pytest.raises(BadRequest, match=r"--lambda cod: no Lambda layer.*its Lambda layers are code"):
        etl.read(model, lambdas={"code": "x", "cod": "x"})
    digits = Path(__file__).parent / "data" / "digits_cnn.onnx"
    with pytest.raises(BadRequest, match="--lambda is for Keras models"):
        etl.read(digits, lambdas={"code": "x"})


def test_the_command_and_what_the_graph_keeps_of_it(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x / 127.5 - 1, name="scale"), keras.layers.Dense(2)])
    model.save(path := tmp_path / "m.keras")
    run = CliRunner().invoke
    assert run(app, ["plan", str(path), "--lambda", "scale=x / 127.5 - 1"]).exit_code == 0
    assert run(app, ["verify", str(path), "--lambda", "scale=x / 127.5 - 1", "--trust"]).exit_code == 0
    assert run(app, ["plan", str(path), "--lambda", "scale"]).exit_code == 2
    assert etl.read(path, lambdas={"scale": "x / 127.5 - 1"})._graph.selection == "--lambda 'scale=x / 127.5 - 1'"


def test_sums_of_random_expressions() -> None:
    """Trees of operators beside the same trees worked out in numpy."""
    draw = random.Random(3)

    def tree(depth: int) -> str:
        if depth == 0:
            return draw.choice(["x", "x", "2", "0.5", "(-3)"])
        kind = draw.choice(["+", "-", "*", "abs", "maximum"])
        left, right = tree(depth - 1), tree(depth - 1)
        return f"abs({left})" if kind == "abs" else f"maximum(x, {right})" if kind == "maximum" else f"({left} {kind} {right})"

    for _ in range(30):
        said = f"x + {tree(3)}"
        model = keras.Sequential([keras.Input((3, 4)), keras.layers.Lambda(lambda x: x, name="code")])
        wanted = eval(said, {"x": X.astype(np.float64), "abs": np.abs, "maximum": np.maximum})
        assert difference(np.asarray(etl.read(model, lambdas={"code": said}).forward(X)[0]), wanted) < 1e-5, said


def test_a_selection_keeps_constants_too() -> None:
    model = read(Path(__file__).parent / "data" / "digits_cnn.h5")
    assert Selection(constants={"sr": 16000, "name": [1, 2]}).written(model) == "--constant sr=16000 --constant 'name=[1, 2]'"
