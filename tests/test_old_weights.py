"""Weights that Keras converts when it reads them: of Keras 1, of the Theano backend, of CuDNN layers; and whose they are where names disagree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras as keras2
from numpy.typing import NDArray
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM

import etl
from etl.errors import BadFile, Unsupported
from etl.readers import read
from tests.live import compare_arrays
from tests.test_bad_files import dense, fitting, sequential, write
from tests.test_readers import FRAMEWORKS, saved

L = keras2.layers
FIRST = {"data_format": "channels_first"}
RANDOM = np.random.default_rng(3)


def chain(shape: tuple[int, ...], *layers: Any) -> Any:
    return keras2.Sequential([keras2.Input(shape), *layers])


def draw(*shape: int) -> NDArray[np.float32]:
    return RANDOM.normal(size=shape).astype(np.float32)


def written(path: Path, groups: Mapping[str, list[NDArray[Any]]], **attributes: str) -> Path:
    """A legacy file of weights alone: layer -> arrays, under names that say nothing."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file.attrs["layer_names"] = [name.encode() for name in groups]
        for name, arrays in groups.items():
            names = [f"{name}_{place}" for place in range(len(arrays))]
            file.create_group(name).attrs["weight_names"] = [one.encode() for one in names]
            for one, array in zip(names, arrays, strict=True):
                file[name][one] = array
    return path


def given(path: Path, model: Any, arrays: Mapping[str, list[NDArray[Any]]], **attributes: str) -> Path:
    """Weights and, beside them, the architecture of a model; both are read by the framework as well."""
    (path / "model.json").write_text(model.to_json())
    weights = written(path / "weights.h5", arrays, **attributes)
    model.load_weights(weights)
    return weights


def gates(count: int, inputs: int, units: int) -> list[NDArray[np.float32]]:
    """Keras 1's arrays of a recurrent layer: kernel, recurrent kernel and bias of each gate."""
    return [array for _ in range(count) for array in (draw(inputs, units), draw(units, units), draw(units))]


KERAS_1: dict[str, tuple[Callable[[], Any], Callable[[], list[NDArray[Any]]]]] = {
    "Conv1D": (lambda: chain((7, 3), L.Conv1D(4, 2, name="layer")), lambda: [draw(2, 1, 3, 4), draw(4)]),
    "Conv1D of 1.1": (lambda: chain((7, 3), L.Conv1D(4, 2, name="layer")), lambda: [draw(4, 3, 2, 1), draw(4)]),
    "Conv2D": (lambda: chain((7, 8, 2), L.Conv2D(4, (2, 3), name="layer")), lambda: [draw(2, 3, 2, 4), draw(4)]),
    "Conv2D, channels first": (lambda: chain((2, 7, 8), L.Conv2D(4, (2, 3), name="layer", **FIRST)), lambda: [draw(4, 2, 2, 3), draw(4)]),
    "Conv2DTranspose": (lambda: chain((5, 6, 2), L.Conv2DTranspose(4, (2, 3), name="layer")), lambda: [draw(2, 3, 2, 4), draw(4)]),
    "Conv2DTranspose with a shape that fits": (lambda: chain((5, 6, 3), L.Conv2DTranspose(3, 3, name="layer")), lambda: [draw(3, 3, 3, 3), draw(3)]),
    "Conv2DTranspose, channels first": (
        lambda: chain((2, 5, 6), L.Conv2DTranspose(4, (2, 3), name="layer", **FIRST)),
        lambda: [draw(4, 2, 2, 3), draw(4)],
    ),
    "Conv3D, channels first": (
        lambda: chain((2, 5, 6, 7), L.Conv3D(4, (1, 2, 3), name="layer", **FIRST)),
        lambda: [draw(4, 2, 1, 2, 3), draw(4)],
    ),
    "the other way round": (lambda: chain((7, 8, 2), L.Conv2D(4, (2, 3), name="layer")), lambda: [draw(2, 4, 3, 2), draw(4)]),
    "GRU": (lambda: chain((4, 3), L.GRU(5, reset_after=False, name="layer")), lambda: gates(3, 3, 5)),
    "LSTM": (lambda: chain((4, 3), L.LSTM(5, name="layer")), lambda: gates(4, 3, 5)),
    "LSTM in both directions": (lambda: chain((4, 3), L.Bidirectional(L.LSTM(5), name="layer")), lambda: gates(4, 3, 5) + gates(4, 3, 5)),
    "ConvLSTM2D": (
        lambda: chain((3, 6, 7, 2), L.ConvLSTM2D(4, 3, padding="same", name="layer")),
        lambda: [array for _ in range(4) for array in (draw(3, 3, 2, 4), draw(3, 3, 4, 4), draw(4))],
    ),
    "TimeDistributed": (lambda: chain((4, 3), L.TimeDistributed(L.Dense(5), name="layer")), lambda: [draw(3, 5), draw(5)]),
    "BatchNormalization": (lambda: chain((5,), L.BatchNormalization(name="layer")), lambda: [draw(5), draw(5), draw(5), draw(5) ** 2]),
    "a nested model": (
        lambda: chain((2, 7, 8), keras2.Sequential([L.Conv2D(4, (2, 3), input_shape=(2, 7, 8), **FIRST), L.Flatten(), L.Dense(2)], name="layer")),
        lambda: [draw(4, 2, 2, 3), draw(4), draw(144, 2), draw(2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS_1)
def test_weights_of_keras_1(name: str, tmp_path: Path) -> None:
    """No version stands beside them. The oracle is tf_keras, which still converts them."""
    build, draw_arrays = KERAS_1[name]
    model = build()
    compare_arrays(read(given(tmp_path, model, {"layer": draw_arrays()}), tmp_path / "model.json").network, model)


@pytest.mark.parametrize(
    ("build", "arrays", "said"),
    [
        (lambda: chain((3, 7, 8, 2), L.TimeDistributed(L.Conv2D(4, 3, name="c"), name="layer")), lambda: [draw(3, 3, 2, 4), draw(4)],
         "layer 'layer' has weights of Keras 1 for a Conv2D inside TimeDistributed"),
        (lambda: chain((3, 2, 7, 8), L.ConvLSTM2D(4, 3, name="layer", **FIRST)), lambda: [draw(4)] * 12,
         "weights of Keras 1 for a ConvLSTM2D with channels first"),
    ],
)  # fmt: skip
def test_weights_that_keras_2_itself_converts_wrongly(build: Any, arrays: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(build().to_json())
    with pytest.raises(Unsupported, match=said):
        read(written(tmp_path / "weights.h5", {"layer": arrays()}), tmp_path / "model.json")


@pytest.mark.parametrize("version", ["1.2.1", "0.3.3"])
def test_models_of_keras_1(version: str, tmp_path: Path) -> None:
    """Their layers have other options; nothing about them is broken."""
    layer = {"name": "convolution2d_1", "nb_filter": 3, "nb_row": 3, "nb_col": 3, "border_mode": "valid", "dim_ordering": "tf", "init": "uniform",
             "batch_input_shape": [None, 8, 8, 2]}  # fmt: skip
    model = {"class_name": "Sequential", "keras_version": version, "config": [{"class_name": "Convolution2D", "config": layer}]}
    path = write(tmp_path / "old.h5", model, {"convolution2d_1": {"W": draw(3, 3, 2, 3), "b": draw(3)}})
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = version
    with pytest.raises(Unsupported, match=rf"old.h5: it is written by Keras 1 \({version}\).*load it with Keras 2.0 to 2.3"):
        read(path)


THEANO: dict[str, Callable[[], Any]] = {
    "Conv1D": lambda: chain((7, 3), L.Conv1D(4, 3, name="layer")),
    "Conv2D": lambda: chain((7, 8, 2), L.Conv2D(4, (2, 3), name="layer")),
    "Conv3D": lambda: chain((5, 6, 7, 2), L.Conv3D(4, (1, 2, 3), name="layer")),
    "Conv2DTranspose": lambda: chain((5, 6, 2), L.Conv2DTranspose(4, (2, 3), name="layer")),
    "ConvLSTM2D": lambda: chain((3, 6, 7, 2), L.ConvLSTM2D(4, 3, name="layer")),
    "SeparableConv2D": lambda: chain((7, 8, 2), L.SeparableConv2D(4, (2, 3), name="layer")),
    "DepthwiseConv2D": lambda: chain((7, 8, 2), L.DepthwiseConv2D((2, 3), name="layer")),
    "in TimeDistributed": lambda: chain((3, 7, 8, 2), L.TimeDistributed(L.Conv2D(4, (2, 3)), name="layer")),
    "in a nested model": lambda: chain((7, 8, 2), keras2.Sequential([L.Conv2D(4, (2, 3), input_shape=(7, 8, 2))], name="layer")),
}


@pytest.mark.parametrize("name", THEANO)
def test_weights_of_the_theano_backend(name: str, tmp_path: Path) -> None:
    """Theano convolved where the others correlate: kernels are turned round along rows and columns, those of five kinds and no others."""
    model = THEANO[name]()
    values = [draw(*array.shape) for array in model.get_weights()]
    (tmp_path / "model.json").write_text(model.to_json())
    found = read(written(tmp_path / "weights.h5", {"layer": values}, keras_version="2.1.3", backend="theano"), tmp_path / "model.json").network
    kernels = 0 if name.startswith(("Separable", "Depthwise")) else 2 if name == "ConvLSTM2D" else 1
    model.set_weights(
        [value[tuple(slice(None, None, -1) for _ in value.shape[:-2])] if place < kernels else value for place, value in enumerate(values)]
    )
    compare_arrays(found, model)


RECURRENT = {
    "CuDNNLSTM": (CuDNNLSTM, L.LSTM),
    "CuDNNGRU": (CuDNNGRU, L.GRU),
}


@pytest.mark.parametrize("where", ["alone", "in both directions", "in TimeDistributed", "in a nested model"])
@pytest.mark.parametrize("to_cudnn", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
def test_weights_of_cudnn_layers(kind: str, to_cudnn: bool, where: str, tmp_path: Path) -> None:
    """CuDNN's arrays under a plain layer and the reverse. The oracle is tf_keras, which converts them."""
    cudnn, plain = RECURRENT[kind]

    def model(layer: Any) -> Any:
        recurrent = layer(5)
        match where:
            case "in both directions":
                recurrent = L.Bidirectional(recurrent)
            case "in TimeDistributed":
                return chain((2, 4, 3), L.TimeDistributed(recurrent, name="layer"))
            case "in a nested model":
                return chain((4, 3), keras2.Sequential([keras2.Input((4, 3)), recurrent, L.Dense(2)], name="layer"))
        recurrent._name = "layer"
        return chain((4, 3), recurrent)

    source, target = (model(layer) for layer in ((plain, cudnn) if to_cudnn else (cudnn, plain)))
    arrays = {"layer": [draw(*array.shape) for array in source.get_weights()]}
    weights = given(tmp_path, target, arrays, keras_version="2.2.4", backend="tensorflow")
    compare_arrays(read(weights, tmp_path / "model.json").network, target)


@pytest.mark.parametrize(
    ("target", "stored", "said"),
    [
        (lambda: L.GRU(5, reset_after=False, name="layer"), (30,), r"weights of CuDNNGRU, which GRU\(reset_after=False\) can't take"),
        (lambda: CuDNNGRU(5, name="layer"), (15,), r"weights of GRU\(reset_after=False\), which CuDNNGRU can't take"),
        (lambda: L.GRU(5, name="layer"), (15,), r"weights of GRU\(reset_after=False\), which GRU\(reset_after=True\) can't take"),
    ],
)
def test_weights_of_another_gru(target: Any, stored: tuple[int, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(chain((4, 3), target()).to_json())
    weights = written(tmp_path / "weights.h5", {"layer": [draw(3, 15), draw(5, 15), draw(*stored)]}, keras_version="2.2.4")
    with pytest.raises(Unsupported, match=said):
        read(weights, tmp_path / "model.json")


# Whose arrays they are


def scrambled(path: Path) -> Path:
    """The file with array names that say nothing, so that only their order is left."""
    with h5py.File(path, "a") as file:
        for name in file["model_weights"].attrs["layer_names"]:
            group = file["model_weights"][name]
            for place, old in enumerate(group.attrs["weight_names"]):
                group[f"array_{place}"] = group[old][()]
            group.attrs["weight_names"] = [f"array_{place}".encode() for place in range(len(group.attrs["weight_names"]))]
    return path


def frozen(keras: Any, case: str) -> Any:
    """A model in a model, of whose layers some are frozen; all of one width, so that shapes settle nothing."""
    given, outer = keras.Input((4,)), keras.Input((4,))
    layers = [kind(**options) for kind, options in 2 * [(keras.layers.Dense, {"units": 4}), (keras.layers.BatchNormalization, {})]]
    inner = keras.Sequential([keras.Input((4,)), *layers]) if "sequential" in case else keras.Model(given, chained(layers, given))
    for place, layer in enumerate(layers):
        layer.trainable = f"{place}" not in case
    if "all" in case:
        inner.trainable = False
    if "again" in case:
        layers[2].trainable = True
    model = keras.Model(outer, keras.layers.Dense(4)(inner(outer)))
    model.set_weights([draw(*array.shape) ** 2 for array in model.get_weights()])
    return model


def chained(layers: list[Any], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor


@pytest.mark.parametrize(
    "case", ["none", "0", "1", "12", "all", "sequential 1", "sequential all", "all, then one again", "sequential all, then one again"]
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_order_of_arrays_in_nested_models(framework: str, case: str, tmp_path: Path) -> None:
    """What is frozen comes last. The oracle is what the framework makes of its own file, which may be another model than was saved."""
    keras = import_module(framework)
    path = scrambled(saved(frozen(keras, case), tmp_path / "model.h5"))
    if framework == "keras" and case == "sequential all, then one again":  # it writes an order that it does not read
        with pytest.raises(BadFile, match="wrong shapes"):
            read(path)
        return
    loaded = keras.models.load_model(path, compile=False)
    (nested,) = (layer.network for layer in read(path).network.layers() if layer.network is not None)
    for layer in nested.layers():
        for array in layer.arrays:
            live = next(one for one in loaded.layers[1].layers if one.name == layer.name)
            (value,) = (variable for variable in live.weights if variable.name.removesuffix(":0").rpartition("/")[2] == array.role)
            np.testing.assert_array_equal(array.read(), value.numpy(), err_msg=f"{layer.name} {array.role}")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_renamed_layers_of_a_nested_model(framework: str, tmp_path: Path) -> None:
    """Keras takes the arrays by their order, whatever they are called after."""
    keras = import_module(framework)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="p", activation="relu"), keras.layers.Dense(4, name="q")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2)])
    model.set_weights([draw(*array.shape) for array in model.get_weights()])
    path = saved(model, tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/inner"]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
        swapped = [name.replace("p/", "x/").replace("q/", "p/").replace("x/", "q/") for name in names]
        values = {name: group[old][()] for name, old in zip(swapped, names, strict=True)}
        for name, value in values.items():
            group[name][...] = value
        group.attrs["weight_names"] = [name.encode() for name in swapped]
    compare_arrays(read(path).network, model)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_groups_are_taken_by_order(framework: str, tmp_path: Path) -> None:
    """Weights under an architecture whose layers of one shape are called the other way round."""
    keras = import_module(framework)

    def model(first: str, second: str) -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name=first), keras.layers.Dense(4, name=second)])

    source, target = model("p", "q"), model("q", "p")
    source.set_weights([draw(*array.shape) for array in source.get_weights()])
    (tmp_path / "model.json").write_text(target.to_json())
    weights = tmp_path / "weights.h5"
    with h5py.File(saved(source, tmp_path / "model.h5")) as whole, h5py.File(weights, "w") as file:
        whole["model_weights"].copy(whole["model_weights/p"], file)
        whole["model_weights"].copy(whole["model_weights/q"], file)
        file.attrs.update(dict(whole["model_weights"].attrs))
    target.set_weights(source.get_weights())
    compare_arrays(read(weights, tmp_path / "model.json").network, target)


def test_a_frozen_direction_with_slashes_in_its_name(tmp_path: Path) -> None:
    """Order says nothing here, names do, and names may hold slashes. Keras itself can't load its own file of this."""
    given = keras2.Input((5, 4))
    both = L.Bidirectional(L.SimpleRNN(2, return_sequences=True, name="b0/rnn"), name="b0/both")
    inner = keras2.Model(given, L.Dense(4, name="b1/dense")(both(given)), name="inner")
    both.backward_layer.trainable = False
    outer = keras2.Input((5, 4))
    model = keras2.Model(outer, L.Flatten()(inner(outer)))
    model.set_weights([draw(*array.shape) for array in model.get_weights()])
    graph = etl.read(saved(model, tmp_path / "model.h5"))
    x = draw(3, 5, 4)
    np.testing.assert_allclose(graph.forward(x)[0], model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_groups_that_do_not_belong_to_their_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "more.h5", sequential(dense()), {"x": {}, "dense": {f"array_{n}": fitting()["kernel"] for n in range(3)}})
    with pytest.raises(BadFile, match=r"layer 'dense' \(Dense\) takes 2 arrays, but its group has 3 \(dense/array_0:0, .*neither in the order"):
        read(path)
