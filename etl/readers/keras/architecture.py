"""The architecture JSON of Keras 2.0 to 3.x as parts and calls. Class names are data: nothing in it is imported or called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from etl.errors import BadFile
from etl.network import Tensor
from etl.readers.keras.builder import Graph, Part, PartCall
from etl.readers.keras.calls import connected

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
FRAMEWORKS = {"keras", "tf_keras", "tensorflow", "builtins", None}
WRAPPERS = {"TimeDistributed": "layer", "SpectralNormalization": "layer", "RNN": "cell", "StackedRNNCells": "cells", "Bidirectional": "layer"}


def parsed(text: str | bytes, label: str) -> dict[str, Any]:
    """A JSON object from a file. Raises BadFile where it is none."""
    if len(text) > LARGEST:
        raise BadFile(f"{label}: {len(text):,} bytes of JSON are no architecture; the file is broken")
    try:
        found = json.loads(text, object_hook=without_tuples)
    except RecursionError as error:
        raise BadFile(f"{label}: JSON nested too deeply; the file is broken") from error
    except ValueError as error:
        raise BadFile(f"{label}: not JSON ({error}); the file is broken") from error
    if not isinstance(found, dict):
        raise BadFile(f"{label}: JSON, but no architecture (a {type(found).__name__}); give the text that model.to_json() returns")
    return found


def without_tuples(found: dict[str, Any]) -> Any:
    """Some writers spell tuples and shapes as objects."""
    return found["items"] if found.get("class_name") in ("__tuple__", "TensorShape") and isinstance(found.get("items"), list) else found


def keras_major(version: str | None, text: str) -> int:
    """2 or 3: by the writer's version, and where none is written by what only Keras 3 writes."""
    if version and version[:1].isdigit():
        return 3 if int(re.match(r"\d+", version).group()) >= 3 else 2  # type: ignore[union-attr]
    return 3 if re.search(r'"__keras_tensor__"|"DTypePolicy"|"batch_shape"|"keras\.src\.models\.', text) else 2


def model_part(entry: Mapping[str, Any], keras: int, names: tuple[str, ...] = ()) -> Part:
    """The whole model. `names`: of its layers by position, for old files that leave them out."""
    part = build(entry, keras, 0, names=names)
    if part.graph is None:
        raise BadFile(
            f"its architecture is a {part.kind}, which is described by code and not by a graph; only Sequential and Functional models can be read"
        )
    return part


def build(entry: Mapping[str, Any], keras: int, depth: int, name: str | None = None, names: tuple[str, ...] = ()) -> Part:
    """One entry of the JSON with everything inside it."""
    if depth > DEPTH:
        raise BadFile(f"layers are nested more than {DEPTH} deep; the file is broken")
    written, config = entry["class_name"], entry["config"]
    if not isinstance(written, str) or not isinstance(config, dict | list):
        raise BadFile("a layer without class name and configuration; the file is broken")
    options = config if isinstance(config, dict) else {"layers": config}
    kind = kind_of(entry, written, options, keras)
    title = str(name or entry.get("name") or options.get("name") or written.lower())
    part = Part(title, kind, "Functional" if written == "Model" else written, options, keras)
    if kind == "Functional":
        part.graph = functional(options, keras, depth + 1)
    elif kind == "Sequential":
        part.graph = sequential(options, keras, depth + 1, names)
    elif kind == "InputLayer":
        part.options = {**options, "batch_shape": shape_of(options)}
    elif kind in WRAPPERS:
        part.inner = inside(kind, options, keras, depth + 1)
    return part


def kind_of(entry: Mapping[str, Any], written: str, options: Mapping[str, Any], keras: int) -> str:
    """The class name of today, `op:` and a name for an operation, the registered name for a class that is not Keras' own."""
    if {"layers", "input_layers", "output_layers"} <= set(options):
        return "Functional"  # also of a class of its own: Keras writes a graph only where it is one
    module = entry.get("module")
    if written in ("TFOpLambda", "SlicingOpLambda"):
        return f"op:{options['function']}"
    if module is not None and str(module).startswith(("keras.src.ops", "keras.ops")):
        return f"op:{written}"
    if keras == 3 and module is None and not {"trainable", "dtype", "layers"} & set(options):
        return f"op:{written}"  # in .h5 files nothing else tells an operation from a layer
    if module is not None and str(module).partition(".")[0] not in FRAMEWORKS:
        return str(entry.get("registered_name") or f"{module}>{written}")
    return ALIASES.get(written, written)


def shape_of(options: Mapping[str, Any]) -> list[int | None] | None:
    """The input shape with its batch axis; None where the file has none."""
    for key in ("batch_shape", "batch_input_shape"):
        if options.get(key) is not None:
            return checked_shape(options[key])
    return None


def checked_shape(shape: Any) -> list[int | None]:
    if not isinstance(shape, list) or any(isinstance(n, bool) or not (n is None or isinstance(n, int)) for n in shape):
        raise BadFile(f"{shape!r} is no input shape; the file is broken")
    return shape


def inside(kind: str, options: Mapping[str, Any], keras: int, depth: int) -> dict[str, Part | tuple[Part, ...]]:
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
    parts = [build(entry, keras, depth, name=entry.get("name")) for entry in entries]
    return connected(parts, [entry.get("inbound_nodes") or [] for entry in entries], options["input_layers"], options["output_layers"], keras)


def sequential(options: Mapping[str, Any], keras: int, depth: int, names: tuple[str, ...]) -> Graph:
    """A chain, begun by an input layer even where the file leaves it out."""
    entries = options["layers"]
    if not entries:
        raise BadFile("a Sequential model without layers; nothing to read")
    positions = names if len(names) == len(entries) else (None,) * len(entries)
    parts = [build(entry, keras, depth, name=own_name(entry) or name) for entry, name in zip(entries, positions, strict=True)]
    if parts[0].kind != "InputLayer":
        parts.insert(0, implied_input(parts, entries[0], options))
    if len({part.name for part in parts}) != len(parts):
        raise BadFile("two layers of one Sequential model have the same name; the file is broken")
    calls = [PartCall(part, 0, (Tensor(place - 1),) if place else (), {}) for place, part in enumerate(parts)]
    return Graph(parts, calls, (Tensor(0),), (Tensor(len(parts) - 1),))


def own_name(entry: Mapping[str, Any]) -> str | None:
    config = entry["config"]
    return entry.get("name") or (config.get("name") if isinstance(config, dict) else None)


def implied_input(parts: list[Part], entry: Mapping[str, Any], options: Mapping[str, Any]) -> Part:
    first = parts[0]
    shape = shape_of(first.options)
    if shape is None and first.graph is not None:
        shape = first.graph.calls[first.graph.inputs[0].call].part.options["batch_shape"]
    for given in (options.get("build_input_shape"), (entry.get("build_config") or {}).get("input_shape")):
        if shape is None and given is not None:
            shape = checked_shape(given)
    name, taken = "input", {part.name for part in parts}
    while name in taken:
        name += "_"
    dtype = {"dtype": first.options["dtype"]} if isinstance(first.options.get("dtype"), str) else {}
    return Part(name, "InputLayer", "InputLayer", {"name": name, "batch_shape": shape, **dtype}, first.keras)
