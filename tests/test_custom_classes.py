"""A class or function of somebody's own is never taken for Keras' of the same name: files of real frameworks, and what only a file can hold."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import etl
from etl.errors import Unsupported
from etl.readers.keras.origin import full_name, is_foreign
from tests.test_bad_files import dense, fitting, functional, sequential, write
from tests.test_readers import FRAMEWORKS, saved


def own(base: type, name: str | None = None) -> type:
    """A class of a script, called as its base or otherwise: what it computes is nobody's to guess."""
    return type(name or base.__name__, (base,), {"__module__": "__main__"})


def registered(keras: Any, base: type) -> type:
    return keras.saving.register_keras_serializable("mine")(own(base, "Registered"))  # type: ignore[no-any-return]


def chain(keras: Any, shape: tuple[int, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def nested(keras: Any, layer: Any) -> Any:
    outer, inner = keras.Input((3,)), keras.Input((3,))
    return keras.Model(outer, keras.layers.Dense(2)(keras.Model(inner, layer(inner))(outer)))


def own_model(keras: Any, name: str) -> Any:
    given = keras.Input((3,))
    return own(keras.Model, name)(given, keras.layers.Dense(2)(given))


def model_in_model(keras: Any, name: str) -> Any:
    given = keras.Input((3,))
    return keras.Model(given, keras.layers.Dense(2)(own_model(keras, name)(given)))


def doubled(x: Any) -> Any:
    return 2 * x


def hard_swish(x: Any) -> Any:
    return 2 * x


MODELS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "layer": (lambda k: chain(k, (3,), own(k.layers.Dense)(2)), "__main__>Dense"),
    "registered": (lambda k: chain(k, (3,), registered(k, k.layers.Dense)(2)), "mine>Registered"),
    "time distributed": (lambda k: chain(k, (4, 3), k.layers.TimeDistributed(own(k.layers.Dense)(2))), "__main__>Dense"),
    "cell": (lambda k: chain(k, (4, 3), k.layers.RNN(own(k.layers.LSTMCell)(2))), "__main__>LSTMCell"),
    "one of several cells": (lambda k: chain(k, (4, 3), k.layers.RNN([k.layers.GRUCell(2), own(k.layers.GRUCell)(2)])), "__main__>GRUCell"),
    "in a nested model": (lambda k: nested(k, own(k.layers.Dense)(2)), "__main__>Dense"),
    "nested model": (lambda k: model_in_model(k, "Graph"), ">Graph"),
    "model": (lambda k: own_model(k, "Graph"), ">Graph"),
    "activation layer": (lambda k: chain(k, (3,), k.layers.Dense(2, activation=own(k.layers.LeakyReLU)())), "__main__>LeakyReLU"),
    "activation function": (lambda k: chain(k, (3,), k.layers.Dense(2, activation=doubled)), "doubled"),
    "activation function with a name we know": (lambda k: chain(k, (3,), k.layers.Dense(2, activation=hard_swish)), "hard_swish"),
}
# Whole layers and models stand in HDF5 files under their registered names alone: nothing tells a script's Dense from Keras' there.
IN_HDF5 = {name for name in MODELS if name not in ("layer", "in a nested model")}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("name", "form"), [*((name, "keras") for name in MODELS), *((name, "h5") for name in sorted(IN_HDF5))])
def test_refused_by_name(framework: str, name: str, form: str, tmp_path: Path) -> None:
    build, wanted = MODELS[name]
    with pytest.raises(Unsupported) as caught:
        etl.read(saved(build(import_module(framework)), tmp_path / f"model.{form}"))
    assert wanted in str(caught.value)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_live_models_know_more_than_their_configuration(framework: str) -> None:
    """The classes themselves are there: even a function called as one of Keras' is not taken for it."""
    keras = import_module(framework)

    def relu(x: Any) -> Any:
        return 2 * x

    for model, wanted in (
        (chain(keras, (3,), own(keras.layers.Dense)(2)), "__main__>Dense"),
        (chain(keras, (3,), keras.layers.Dense(2, activation=relu)), "test_custom_classes>relu"),
    ):
        with pytest.raises(Unsupported, match=wanted):
            etl.read(model)


def test_a_dtype_policy_of_ones_own(tmp_path: Path) -> None:
    keras = import_module("keras")
    policy = type("Policy", (keras.DTypePolicy,), {"__module__": "__main__"})("float32")
    with pytest.raises(Unsupported, match="__main__>Policy"):
        etl.read(saved(chain(keras, (3,), keras.layers.Dense(2, dtype=policy)), tmp_path / "policy.keras"))


def test_a_direction_of_ones_own(tmp_path: Path) -> None:
    """Keras can't build such a layer without its class at hand, so it is put into a file."""
    keras = import_module("keras")
    layer = keras.layers.Bidirectional(keras.layers.LSTM(2), backward_layer=keras.layers.LSTM(2, go_backwards=True))
    path, changed = saved(chain(keras, (4, 3), layer), tmp_path / "model.keras"), tmp_path / "changed.keras"
    for role in ("layer", "backward_layer"):
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                text = source.read(name)
                if name == "config.json":
                    config = json.loads(text)
                    config["config"]["layers"][1]["config"][role] |= {"module": "mine.layers", "registered_name": "LSTM"}
                    text = json.dumps(config).encode()
                target.writestr(name, text)
        with pytest.raises(Unsupported, match=r"mine\.layers>LSTM"):
            etl.read(changed)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"module": "keras.layers", "class_name": "Dense", "registered_name": None}, None),
        ({"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}, None),
        ({"module": "tf_keras.src.layers.core.tf_op_layer", "class_name": "TFOpLambda", "registered_name": "TFOpLambda"}, None),
        ({"module": "keras.src.applications.x", "class_name": "CustomScaleLayer", "registered_name": "Custom>CustomScaleLayer"}, None),
        ({"class_name": "Dense"}, None),
        ({"module": None, "class_name": "CustomScaleLayer", "registered_name": "Custom>CustomScaleLayer"}, "__main__>CustomScaleLayer"),
        ({"module": None, "class_name": "Dense", "registered_name": "Dense"}, "__main__>Dense"),
        ({"module": None, "class_name": "Dense", "registered_name": "mine>Dense"}, "mine>Dense"),
        ({"module": "keras_hub.layers", "class_name": "Dense", "registered_name": "keras_hub>Dense"}, "keras_hub>Dense"),
        ({"module": "kerasish", "class_name": "Dense", "registered_name": None}, "kerasish>Dense"),
        ({"module": "keras.layers", "class_name": "Dense", "registered_name": "mine>Dense"}, "mine>Dense"),
    ],
)
def test_whose_a_class_is(entry: dict[str, Any], name: str | None) -> None:
    assert is_foreign(entry) == (name is not None)
    if name:
        assert full_name(entry) == name


def test_what_only_trains_in_another_way_has_a_remedy(tmp_path: Path) -> None:
    model = functional(dense=[[["x", 0, 0, {}]]]) | {"class_name": "mine>GAN"}
    path = write(tmp_path / "gan.h5", model, {"x": {}, "dense": fitting(3)})
    with pytest.raises(Unsupported, match=r"gan.h5: its architecture is a mine>GAN, a class of somebody's own.*keras.Model\(model.inputs"):
        etl.read(path)


def test_arrays_of_refused_layers_hinder_nobody(tmp_path: Path) -> None:
    """Every refusal of a file comes at once, with the layers behind it."""
    odd = {"class_name": "Dense", "config": dense("odd")["config"], "module": None, "registered_name": "Dense"}
    model = sequential(odd, {"class_name": "mine>Scale", "config": {"name": "scale"}})
    path = write(tmp_path / "two.h5", model, {"x": {}, "odd": fitting(), "scale": {"factor": np.ones(2)}})
    with pytest.raises(Unsupported, match=r"odd \(__main__>Dense\): is a class of somebody's own.*scale \(mine>Scale\): is a class"):
        etl.read(path)
