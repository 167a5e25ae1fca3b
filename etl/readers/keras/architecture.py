"""The architecture JSON of Keras 2.0 to 3.x as layers and calls. Class names are data: nothing in it is imported or called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from etl.errors import BadFile, Unsupported
from etl.network import Tensor
from etl.readers.keras.builder import Graph, KerasCall, KerasLayer
from etl.readers.keras.calls import connected
from etl.readers.keras.origin import INTERNAL, OWN, SCRIPT, full_name, is_foreign, with_full_names
from etl.readers.keras.roles import ROLES

DEPTH = 32  # models within models; nobody nests so deep, and recursion has an end
LARGEST = 16 * 2**20  # bytes of JSON: thousands of layers are a few MB, and as objects it may grow thirtyfold

# Old or second names of what is the same thing.
ALIASES = {
    "Model": "Functional",
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GroupedQueryAttention": "GroupQueryAttention",
    "DepthwiseConvolution2D": "DepthwiseConv2D",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "LSTMCellV2": "LSTMCell",
    "GRUCellV2": "GRUCell",
    "DenseV1": "Dense",
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"{name}{n}D{end}": f"Conv{n}DTranspose" for n in (1, 2, 3) for name, end in (("Convolution", "Transpose"), ("Deconvolution", ""))},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    **{
        f"{reach}{short}Pool{n}D": f"{reach}{long}Pooling{n}D"
        for reach in ("", "Global")
        for short, long in (("Avg", "Average"), ("Max", "Max"))
        for n in (1, 2, 3)
    },
}
GRAPHS = {"Functional", "Model", "Network"}  # what Keras calls models that have a graph, Model and Network only before 2.4
WRAPPERS = {
    "TimeDistributed": "layer",
    "SpectralNormalization": "layer",
    "RNN": "cell",
    "StackedRNNCells": "cells",
    "Bidirectional": "layer",
    "QuantizeAnnotate": "layer",  # of TensorFlow's toolkit for smaller models
}


def parsed(text: str | bytes, label: str) -> dict[str, Any]:
    """A JSON object from a file. Raises BadFile where it is none."""
    if len(text) > LARGEST:
        raise BadFile(f"{label}: {len(text):,} bytes of JSON are no architecture; the file is broken")
    try:
        document = json.loads(text, object_hook=without_tuples)
    except RecursionError as error:
        raise BadFile(f"{label}: JSON nested too deeply; the file is broken") from error
    except ValueError as error:
        raise BadFile(f"{label}: not JSON ({error}); the file is broken") from error
    if not isinstance(document, dict):
        raise BadFile(f"{label}: JSON, but no architecture (a {type(document).__name__}); give the text that model.to_json() returns")
    return document


def without_tuples(entry: dict[str, Any]) -> Any:
    """Some writers spell tuples and shapes as objects."""
    return entry["items"] if entry.get("class_name") in ("__tuple__", "TensorShape") and isinstance(entry.get("items"), list) else entry


def keras_major(version: str | None, text: str) -> int:
    """2 or 3: by the writer's version, and where none is written by what only Keras 3 writes."""
    if version and version[:1].isdigit():
        return 3 if int(re.match(r"\d+", version).group()) >= 3 else 2  # type: ignore[union-attr]
    return 3 if re.search(r'"__keras_tensor__"|"DTypePolicy"|"batch_shape"|"keras\.src\.models\.', text) else 2


def model_layer(entry: Mapping[str, Any], keras: int, names: tuple[str, ...] = (), version: str | None = None) -> KerasLayer:
    """The whole model. `names`: of its layers by position, for old files that leave them out.

    Raises Unsupported or BadFile where it is no graph of Keras' own kinds.
    """
    check_keras_1(entry, version)
    model = build(entry, keras, 0, names=names)
    if model.graph is None and {"layers", "input_layers", "output_layers"} <= set(model.options):
        raise own_model(model.kind)
    if model.graph is None:
        raise BadFile(
            f"its architecture is a {model.kind}, which is described by code and not by a graph; only Sequential and Functional models can be read"
        )
    return model


def own_model(kind: str) -> Unsupported:
    return Unsupported(
        f"its architecture is a {kind}, a class of somebody's own, whose code may compute something else than its graph says; "
        "where it only trains in another way, save keras.Model(model.inputs, model.outputs)"
    )


def build(entry: Mapping[str, Any], keras: int, depth: int, name: str | None = None, names: tuple[str, ...] = ()) -> KerasLayer:
    """One entry of the JSON with everything inside it. Raises BadFile where it is no layer, or nested too deeply."""
    if depth > DEPTH:
        raise BadFile(f"layers are nested more than {DEPTH} deep; the file is broken")
    written, config = entry["class_name"], entry["config"]
    if not isinstance(written, str) or not isinstance(config, dict | list):
        raise BadFile("a layer without class name and configuration; the file is broken")
    options = with_full_names(config) if isinstance(config, dict) else {"layers": config}
    kind = kind_of(entry, written, options, keras)
    title = str(name or entry.get("name") or options.get("name") or written.lower())
    layer = KerasLayer(title, kind, "Functional" if written == "Model" else written, options, keras)
    if ">" in kind and kind not in INTERNAL:
        layer.refusal = OWN
    if kind == "Functional":
        layer.graph = functional(options, keras, depth + 1)
    elif kind == "Sequential":
        layer.graph = sequential(options, keras, depth + 1, names)
    elif kind == "InputLayer":
        layer.options = {**options, "batch_shape": shape_of(options)}
    elif kind in WRAPPERS:
        layer.inner = wrapped_layers(kind, options, keras, depth + 1)
    elif isinstance(activation := options.get("activation"), dict) and activation.get("class_name") == "PReLU":
        layer.inner = {"activation": build(activation, keras, depth + 1)}
    return layer


# Options of Keras 1's layers, which later ones call otherwise; layers of somebody's own may still have them.
KERAS_1 = {"nb_filter", "nb_row", "border_mode", "dim_ordering", "W_regularizer", "init", "inner_init"}


def check_keras_1(entry: Any, version: str | None) -> None:
    """Raises Unsupported for a model with a layer that only Keras 1 wrote so."""
    if isinstance(entry, list):
        for nested in entry:
            check_keras_1(nested, version)
    elif isinstance(entry, Mapping):
        config = entry.get("config")
        written = entry.get("class_name")
        is_keras_layer = isinstance(written, str) and ALIASES.get(written, written) in ROLES
        if is_keras_layer and isinstance(config, Mapping) and KERAS_1 & set(config):
            keras = f"Keras 1 ({version})" if version and version.startswith(("0.", "1.")) else "Keras 1"
            odd = ", ".join(sorted(KERAS_1 & set(config)))
            raise Unsupported(
                f"it is written by {keras}, whose layers have other options ({config.get('name')}: {odd}); "
                "load it with Keras 2.0 to 2.3 and save it again"
            )
        for nested in entry.values():
            check_keras_1(nested, version)


def kind_of(entry: Mapping[str, Any], written: str, options: Mapping[str, Any], keras: int) -> str:
    """The class name of today, `op:` and a name for an operation, the full name (`mine>Dense`) of a class that is not Keras' own."""
    if is_foreign(entry):
        return full_name(entry)
    module = entry.get("module")
    if {"layers", "input_layers", "output_layers"} <= set(options):  # also of somebody's own class, with a graph but a `call` of its own
        is_keras_model = written == "Functional" or (written in GRAPHS and keras == 2)
        return "Functional" if is_keras_model else written if ">" in written else f"{SCRIPT}>{written}"
    if written in ("TFOpLambda", "SlicingOpLambda"):
        return f"op:{options['function']}"
    if module is not None and str(module).startswith(("keras.src.ops", "keras.ops")):
        return f"op:{written}"
    if keras == 3 and module is None and not {"trainable", "dtype", "layers"} & set(options):
        return f"op:{written}"  # in .h5 files nothing else tells an operation from a layer
    return ALIASES.get(written, written)


def shape_of(options: Mapping[str, Any]) -> list[int | None] | None:
    """The input shape with its batch axis; None where the file has none."""
    for key in ("batch_shape", "batch_input_shape"):
        if options.get(key) is not None:
            return checked_shape(options[key])
    return None


def checked_shape(shape: Any) -> list[int | None]:
    """A shape as the file has it. Raises BadFile where it is none."""
    if not isinstance(shape, list) or any(isinstance(n, bool) or not (n is None or isinstance(n, int)) for n in shape):
        raise BadFile(f"{shape!r} is no input shape; the file is broken")
    return shape


def wrapped_layers(kind: str, options: Mapping[str, Any], keras: int, depth: int) -> dict[str, KerasLayer | tuple[KerasLayer, ...]]:
    """The layers inside a wrapper."""
    within = options[WRAPPERS[kind]]
    if kind == "StackedRNNCells":
        return {"cells": tuple(build(cell, keras, depth) for cell in within)}
    if kind != "Bidirectional":
        return {WRAPPERS[kind]: build(within, keras, depth)}
    forward = build(within, keras, depth)
    turned = options.get("backward_layer") or {
        **within,
        "config": {**within["config"], "go_backwards": not within["config"].get("go_backwards", False)},
    }
    backward = build(turned, keras, depth)
    forward.name = "forward_" + forward.name.removeprefix("forward_")
    backward.name = "backward_" + backward.name.removeprefix("forward_").removeprefix("backward_")
    return {"forward_layer": forward, "backward_layer": backward}


def functional(options: Mapping[str, Any], keras: int, depth: int) -> Graph:
    entries = options["layers"]
    layers = [build(entry, keras, depth, name=entry.get("name")) for entry in entries]
    return connected(layers, [entry.get("inbound_nodes") or [] for entry in entries], options["input_layers"], options["output_layers"], keras)


def sequential(options: Mapping[str, Any], keras: int, depth: int, names: tuple[str, ...]) -> Graph:
    """A chain, begun by an input layer even where the file leaves it out. Raises BadFile where it is empty or two layers have the same name."""
    entries = options["layers"]
    if not entries:
        raise BadFile("a Sequential model without layers; nothing to read")
    positions = names if len(names) == len(entries) else (None,) * len(entries)
    layers = [build(entry, keras, depth, name=own_name(entry) or name) for entry, name in zip(entries, positions, strict=True)]
    if layers[0].kind != "InputLayer":
        layers.insert(0, implied_input(layers, entries[0], options))
    if len({layer.name for layer in layers}) != len(layers):
        raise BadFile("two layers of one Sequential model have the same name; the file is broken")
    calls = [KerasCall(layer, 0, (Tensor(place - 1),) if place else (), {}) for place, layer in enumerate(layers)]
    return Graph(layers, calls, (Tensor(0),), (Tensor(len(layers) - 1),))


def own_name(entry: Mapping[str, Any]) -> str | None:
    config = entry["config"]
    return entry.get("name") or (config.get("name") if isinstance(config, dict) else None)


def implied_input(layers: list[KerasLayer], entry: Mapping[str, Any], options: Mapping[str, Any]) -> KerasLayer:
    first = layers[0]
    shape = shape_of(first.options)
    if shape is None and first.graph is not None:
        shape = first.graph.calls[first.graph.inputs[0].call].layer.options["batch_shape"]
    for declared in (options.get("build_input_shape"), (entry.get("build_config") or {}).get("input_shape")):
        if shape is None and declared is not None:
            shape = checked_shape(declared)
    name, names = "input", {layer.name for layer in layers}
    while name in names:
        name += "_"
    dtype = {"dtype": first.options["dtype"]} if isinstance(first.options.get("dtype"), str) else {}
    return KerasLayer(name, "InputLayer", "InputLayer", {"name": name, "batch_shape": shape, **dtype}, first.keras)
