"""What others write as ONNX: scikit-learn by skl2onnx and onnxruntime's own operators. Oracle: onnxruntime."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import etl
from tests.test_onnx import DIGITS, model_of, values_of

DRAW = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "shape", "arrays", "options"),
    [
        ("Gelu", (1, 3, 4), {}, {}),
        ("FastGelu", (1, 3, 4), {"b": (4,)}, {}),
        ("BiasGelu", (1, 3, 4), {"b": (4,)}, {}),
        ("QuickGelu", (1, 3, 4), {}, {"alpha": 1.5}),
        ("FusedMatMul", (1, 3, 4), {"w": (5, 4)}, {"alpha": 0.3, "transB": 1}),
        ("FusedGemm", (1, 4), {"w": (5, 4), "c": (5,)}, {"activation": "Relu", "transB": 1}),
        ("SkipLayerNormalization", (1, 3, 4), {"skip": (1, 3, 4), "gamma": (4,), "beta": (4,), "bias": (4,)}, {"epsilon": 1e-5}),
        ("SkipSimplifiedLayerNormalization", (1, 3, 4), {"skip": (1, 3, 4), "gamma": (4,)}, {"epsilon": 1e-5}),
        ("Attention", (1, 3, 4), {"w": (4, 12), "b": (12,)}, {"num_heads": 2}),
        ("Attention", (1, 3, 4), {"w": (4, 12), "b": (12,)}, {"num_heads": 2, "unidirectional": 1}),
    ],
)
def test_onnxruntimes_own_operators(operator, shape, arrays, options):
    runtime = pytest.importorskip("onnxruntime")
    node = helper.make_node(operator, ["x", *arrays], ["y"], domain="com.microsoft", **options)
    model = model_of([node], {"x": list(shape)}, **{name: normal(*size) for name, size in arrays.items()})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    x = normal(*shape)
    (expected,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(values_of(model, x)[0], expected, rtol=1e-4, atol=1e-5)


def estimators() -> dict[str, Callable[[], Any]]:
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

    return {
        "regression": lambda: LinearRegression(),
        "classes": lambda: LogisticRegression(),
        "perceptron": lambda: make_pipeline(StandardScaler(), MLPClassifier((6,), random_state=0)),
        "values": lambda: make_pipeline(MinMaxScaler(), MLPRegressor(hidden_layer_sizes=(5,), random_state=0)),
        "rows": lambda: make_pipeline(Normalizer(), LogisticRegression()),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["regression", "classes", "perceptron", "values", "rows"])
def test_scikit_learn(name):
    pytest.importorskip("sklearn")
    skl2onnx, runtime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    features = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    wanted = features @ np.ones((5, 2)) if name in ("regression", "values") else np.digitize(features[:, 0], [-0.5, 0.5])
    estimator = estimators()[name]().fit(features, wanted)
    options = {} if wanted.ndim == 2 else {"zipmap": False}
    model = skl2onnx.to_onnx(estimator, features[:1], options=options)
    session = runtime.InferenceSession(model.SerializeToString())
    for row in features[:5, None]:
        expected = session.run(None, {session.get_inputs()[0].name: row})
        for ours, theirs in zip(values_of(model, row), expected, strict=True):
            np.testing.assert_allclose(np.ravel(ours), np.ravel(theirs), rtol=1e-4, atol=1e-5)


def test_an_export_needs_no_framework(tmp_path):
    code = (
        "import sys, etl; etl.read(sys.argv[1]).save(sys.argv[2]); "
        "print([m for m in ('torch', 'tensorflow', 'keras', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, DIGITS, tmp_path / "graph.parquet"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def keras_networks() -> dict[str, tuple[Any, tuple[int, ...]]]:
    import keras
    from keras import layers

    image, steps = keras.Input((6, 5, 2)), keras.Input((4, 3))
    shrunk = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same", activation="relu")(image))
    return {
        "images": (keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(layers.BatchNormalization()(shrunk)))), (6, 5, 2)),
        "steps": (keras.Model(steps, layers.Dense(2)(layers.GRU(3)(layers.LSTM(4, return_sequences=True)(steps)))), (4, 3)),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["images", "steps"])
def test_keras_by_tf2onnx(name):
    tensorflow, tf2onnx = pytest.importorskip("tensorflow"), pytest.importorskip("tf2onnx")
    network, shape = keras_networks()[name]
    signature = [tensorflow.TensorSpec((1, *shape), tensorflow.float32, name="x")]
    model, _ = tf2onnx.convert.from_function(tensorflow.function(lambda x: network(x, training=False)), input_signature=signature, opset=17)
    x = np.random.default_rng(2).normal(size=(1, *shape)).astype(np.float32)
    np.testing.assert_allclose(values_of(model, x)[0], np.asarray(network(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
def test_torchvision_by_both_exporters(tmp_path, dynamo):
    torch, models = pytest.importorskip("torch"), pytest.importorskip("torchvision.models")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network = models.shufflenet_v2_x0_5(num_classes=5).eval()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(0.05 * torch.rand(tensor.shape))
    x = torch.randn(1, 3, 32, 32)
    torch.onnx.export(network, (x,), tmp_path / "network.onnx", dynamo=dynamo, input_names=["x"])
    graph = etl.read(tmp_path / "network.onnx")
    with torch.no_grad():
        expected = network(x).numpy()
    (found,) = graph.forward(x.numpy()[0])
    np.testing.assert_allclose(found.reshape(1, -1), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def pytorch_networks() -> tuple[dict[str, Any], Callable[[np.ndarray], Any]]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).eval()
    return {"torch": torch, "model": model, "x": torch.ones(1, 3)}, lambda x: model(torch.from_numpy(x)).detach().numpy()


def tensorflow_networks() -> tuple[dict[str, Any], Callable[[np.ndarray], Any]]:
    tf, tf2onnx, keras = (pytest.importorskip(name) for name in ("tensorflow", "tf2onnx", "keras"))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(2)])
    return {"tf": tf, "tf2onnx": tf2onnx, "model": model}, lambda x: model.predict(x, verbose=0)


def scikit_networks() -> tuple[dict[str, Any], Callable[[np.ndarray], Any]]:
    skl2onnx, linear = pytest.importorskip("skl2onnx"), pytest.importorskip("sklearn.linear_model")
    model = linear.LogisticRegression().fit(normal(30, 3), np.arange(30) % 3)
    return {"onnx": onnx, "skl2onnx": skl2onnx, "model": model, "x": np.ones((1, 3), np.float32)}, model.predict_proba


def jax_networks() -> tuple[dict[str, Any], Callable[[np.ndarray], Any]]:
    tf, tf2onnx, jax2tf, numpy = (pytest.importorskip(name) for name in ("tensorflow", "tf2onnx", "jax.experimental.jax2tf", "jax.numpy"))

    def model(x: Any) -> Any:
        return numpy.tanh(x @ np.ones((3, 2), np.float32))

    return {"tf": tf, "tf2onnx": tf2onnx, "jax2tf": jax2tf, "model": model}, model


LINES = {"PyTorch": pytorch_networks, "TensorFlow, Keras": tensorflow_networks, "scikit-learn": scikit_networks, "JAX": jax_networks}


@pytest.mark.parametrize("framework", LINES)
def test_the_line_of_each_framework(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/from-any-framework.md shows it."""
    page = (Path(__file__).parents[1] / "docs" / "from-any-framework.md").read_text("utf-8")
    names, predict = LINES[framework]()
    line = re.search(rf"^\| {framework} \| `(.*?)` \|", page, re.MULTILINE)
    assert line is not None
    monkeypatch.chdir(tmp_path)
    exec(line.group(1), names)
    x = np.float32([[0.5, -1, 2]])
    answer = etl.read("model.onnx").forward(x)[-1]
    np.testing.assert_allclose(np.reshape(answer, -1), np.reshape(predict(x), -1), rtol=1e-4, atol=1e-5)
