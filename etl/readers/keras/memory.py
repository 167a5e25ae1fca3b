"""A live Keras model: its own JSON for the architecture, its variables for the arrays. Keras itself is not imported here."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from etl.errors import BadFile, Unsupported
from etl.network import Model
from etl.readers.hdf5 import widened
from etl.readers.keras.architecture import keras_major, model_layer, own_model, parsed
from etl.readers.keras.builder import KerasLayer, StoredArray, network
from etl.readers.keras.lambdas import with_lambdas
from etl.readers.keras.legacy import check_shape
from etl.readers.keras.masks import settle_masks
from etl.readers.keras.origin import FRAMEWORKS, OWN
from etl.readers.keras.roles import CELLS, PROJECTIONS, expected, projected


def read_keras_model(keras_model: Any, *, ignore_masks: bool = False, lambdas: Mapping[str, str] | None = None, lengths: Sequence[int] = ()) -> Model:
    """A built Keras 3 or tf_keras model. Arrays are read from it when they are needed, so it must live as long. Raises BadFile."""
    package = next(
        (base.__module__.partition(".")[0] for base in type(keras_model).__mro__ if base.__module__.startswith(("keras.", "tf_keras."))), None
    )
    if package is None or not hasattr(keras_model, "to_json"):
        raise BadFile(f"{type(keras_model).__name__} is no Keras model; give a keras.Model, or the path of a file")
    version = getattr(sys.modules.get(package), "__version__", None)
    try:
        text = keras_model.to_json()
    except NotImplementedError as error:
        raise BadFile(
            f"model {keras_model.name!r} is described by code and not by a graph; only Sequential and Functional models can be read"
        ) from error
    model = model_layer(parsed(text, keras_model.name), keras_major(version, text))
    assign(keras_model, model)
    if model.graph is None:
        raise own_model(model.kind)
    digest = hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode())
    for variable in keras_model.weights:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    assert model.graph is not None
    described = with_lambdas(network(model.graph), lambdas or {})
    return Model(str(keras_model.name), settle_masks(described, ignore_masks, lengths), digest.hexdigest(), "memory", version)


def assign(live: Any, layer: KerasLayer) -> None:
    """Give a layer and all inside it the variables of the live layer.

    Raises BadFile for a layer that is not built, Unsupported for one that has more arrays than its kind.
    """
    name_own_classes(live, layer)
    if layer.graph is not None:
        layers = {live_layer.name: live_layer for live_layer in live.layers}
        for inside in layer.graph.layers:
            if inside.name in layers:  # input layers and operations may not be among them, and have none
                assign(layers[inside.name], inside)
        return
    slots = expected(layer.kind, layer.options)
    arrays = variables(live, layer)
    if slots is None:
        slots = [(name, None) for name in unique([str(variable.name).rpartition("/")[2].removesuffix(":0") for variable in arrays])]
    if len(arrays) < len(slots):
        raise BadFile(f"layer {layer.name!r} ({layer.kind}) has no weights yet; build the model first by calling it")
    if len(arrays) > len(slots):
        raise Unsupported(
            f"layer {layer.name!r} ({layer.kind}) has {len(arrays)} arrays where its kind has {len(slots)}; it is quantised or changed by code"
        )
    for (role, shape), variable in zip(slots, arrays, strict=True):
        layer.arrays[role] = stored(variable)
        check_shape(live.name, layer, role, shape, layer.arrays[role])
    for role, inner in layer.inner.items():
        lives = getattr(live, role)
        for live_inner, inside in zip(lives, inner, strict=True) if isinstance(inner, tuple) else [(lives, inner)]:
            assign(live_inner, inside)


def name_own_classes(live: Any, layer: KerasLayer) -> None:
    """Call a class and activations of somebody's own by their full names: the live ones are known, whatever the configuration calls them."""
    if is_own(type(live)):
        if ">" not in layer.kind:
            layer.kind = f"{type(live).__module__}>{type(live).__name__}"
        layer.graph, layer.inner, layer.refusal = None, {}, OWN
    for name in layer.options:
        function = getattr(live, name, None) if name.endswith("activation") else None
        if isinstance(function, FunctionType) and is_own(function):
            layer.options = {**layer.options, name: f"{function.__module__}>{function.__name__}"}


def is_own(definition: Any) -> bool:
    """Whether a class or function is somebody's own and not a framework's."""
    return str(definition.__module__).partition(".")[0] not in (*FRAMEWORKS, "tensorflow")


def variables(live: Any, layer: KerasLayer) -> list[Any]:
    """A live layer's own variables in the order of its kind's roles."""
    if layer.kind in PROJECTIONS:
        return [variable for name in projected(layer.options) for variable in getattr(live, f"_{name}_dense").weights]
    if layer.kind == "SpectralNormalization":
        return [live.vector_u]
    if layer.inner:
        return []
    return list((live.cell if layer.kind in CELLS else live).weights)


def stored(variable: Any) -> StoredArray:
    wide = str(getattr(variable.dtype, "name", variable.dtype)) == "float64"
    return StoredArray(variable.name, tuple(variable.shape), np.dtype(np.float64 if wide else np.float32), lambda: widened(variable.numpy()))


def unique(names: list[str]) -> list[str]:
    return names if len(set(names)) == len(names) else [str(place) for place in range(len(names))]
