"""Files that used to be refused although everything needed is in them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import etl
from etl.errors import BadFile
from etl.readers import read
from tests.test_bad_files import dense, fitting, sequential, write
from tests.test_readers import FRAMEWORKS, saved

RANDOM = np.random.default_rng(11)


def drawn(model: Any) -> Any:
    model.set_weights([RANDOM.normal(size=array.shape).astype(np.float32) for array in model.get_weights()])
    return model


def agrees(path: Path, model: Any, *shape: int) -> etl.Graph:
    graph, x = etl.read(path), RANDOM.normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_allclose(graph.forward(x)[0], np.asarray(model(x)), rtol=1e-4, atol=1e-5)
    return graph


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_prelu_as_activation(framework: str, form: str, tmp_path: Path) -> None:
    """A layer with weights of its own behind the first one's."""
    keras = import_module(framework)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            layers.Conv2D(3, 2, activation=layers.PReLU(shared_axes=[1, 2])),
            layers.Flatten(),
            layers.Dense(4, activation=layers.PReLU()),
        ]
    )
    model(np.zeros((1, 6, 5, 2)))  # before it runs, Keras 3 has no array for it
    graph = agrees(saved(drawn(model), tmp_path / f"model.{form}"), model, 6, 5, 2)
    assert graph.plan().parameters == model.count_params()


def test_functions_of_tensorflow_as_activations(tmp_path: Path) -> None:
    keras, tf = import_module("tf_keras"), import_module("tensorflow")
    functions = [tf.abs, tf.square, tf.identity, tf.sin, tf.exp, tf.nn.log_softmax]
    for form in ("h5", "keras"):
        model = drawn(keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(3, activation=function) for function in functions)]))
        agrees(saved(model, tmp_path / f"model.{form}"), model, 4)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_states_that_are_kept_begin_at_zero(framework: str, tmp_path: Path) -> None:
    keras = import_module(framework)

    def model(stateful: bool) -> Any:
        given = keras.Input(batch_shape=(2, 4, 3))
        first = keras.layers.LSTM(3, return_sequences=True, stateful=stateful)(given)
        return keras.Model(given, keras.layers.Bidirectional(keras.layers.GRU(2, stateful=stateful))(first))

    kept, fresh = drawn(model(True)), model(False)
    fresh.set_weights(kept.get_weights())
    for form in ("h5", "keras"):
        agrees(saved(kept, tmp_path / f"model.{form}"), fresh, 4, 3)


def test_marks_for_quantisation(tmp_path: Path) -> None:
    """What TensorFlow's toolkit wraps is still what it was."""
    mark = {
        "class_name": "QuantizeAnnotate",
        "config": {"name": "mark", "layer": dense("inside"), "quantize_config": {"class_name": "Any", "config": {}}},
    }
    kernel = RANDOM.normal(size=(3, 2)).astype(np.float32)
    path = write(tmp_path / "marked.h5", sequential(mark), {"x": {}, "mark": {"kernel": kernel, "bias": np.ones(2, "f4")}})
    x = RANDOM.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(etl.read(path).forward(x)[0], x @ kernel + 1, rtol=1e-5)


def test_low_rank_adaptation_in_hdf5(tmp_path: Path) -> None:
    """The kernel is the stored one plus the product of two others; its edges are no single stored numbers."""
    keras = import_module("keras")
    model = keras.Sequential([keras.Input((5, 6, 2)), keras.layers.Conv2D(4, 2), keras.layers.Flatten(), keras.layers.Dense(3)])
    drawn(model)
    for layer in (model.layers[0], model.layers[2]):
        layer.enable_lora(2, lora_alpha=3)
        for array in (layer.lora_kernel_a, layer.lora_kernel_b):
            array.assign(RANDOM.normal(size=array.shape))
    path = saved(model, tmp_path / "model.h5")
    agrees(path, model, 5, 6, 2)
    begins = {array.role: array.begin for layer in read(path).network.layers() for array in layer.arrays}
    assert begins == {"kernel": None, "bias": 0}


@pytest.mark.parametrize("name", ["weights.h5", "model.weights.h5"])
def test_what_a_file_of_weights_holds(name: str, tmp_path: Path) -> None:
    """What somebody needs who has to write the architecture."""
    keras = import_module("keras")
    model = keras.Sequential(
        [keras.Input((6, 5, 2)), keras.layers.Conv2D(3, 2, name="first"), keras.layers.Flatten(), keras.layers.Dense(4, name="last")]
    )
    path = tmp_path / name
    if name == "model.weights.h5":
        saved(model, path)
    else:
        with h5py.File(saved(model, tmp_path / "model.h5")) as whole, h5py.File(path, "w") as file:
            file.attrs.update(dict(whole["model_weights"].attrs))
            for layer in whole["model_weights"]:
                whole["model_weights"].copy(whole["model_weights"][layer], file)
    with pytest.raises(BadFile) as caught:
        etl.read(path)
    held = {
        "weights.h5": "first: kernel 2x2x2x3, bias 3; last: kernel 60x4, bias 4",
        "model.weights.h5": "conv2d: 0 2x2x2x3, 1 3; dense: 0 60x4, 1 4",
    }[name]
    assert held in str(caught.value) and "--architecture" in str(caught.value)


def test_the_whole_file_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", sequential(dense()), {"x": {}, "dense": {"kernel": fitting()["kernel"]}})
    with pytest.raises(BadFile, match="has only 1 of 2 arrays"):
        etl.read(path)
