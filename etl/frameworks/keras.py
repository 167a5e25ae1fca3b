"""The one place where a framework runs a model: its own predictions, layer by layer, for `verify` and feature maps.

Whoever calls this trusts the file: Keras builds the layers that it names. Lambdas stay off (safe mode), nothing is compiled.
Files of Keras 2 are run by tf_keras, those of Keras 3 by keras.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile
from etl.network import Model
from etl.readers.formats import File, look, with_architecture


def keras_model(path: Path, model: Model, architecture: str | None = None) -> Any:
    """Load a file in its own framework. Raises BadFile where the framework can't."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = look(path)
    old = any(layer.dialect == "keras2" for layer in model.network.layers())
    try:
        with quiet(), named(path, found) as file:
            if old:
                import tf_keras as keras
            else:
                import keras
            if found.architecture is not None:
                return widened(keras, keras.models.load_model(file, custom_objects=own_layers(keras), compile=False, safe_mode=True))
            made = keras.models.model_from_json(with_architecture(found, path, architecture).architecture, custom_objects=own_layers(keras))
            made.load_weights(file)
            return widened(keras, made)
    except (ValueError, TypeError, KeyError, OSError, NotImplementedError, AttributeError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadFile(f"{path}: {'tf_keras' if old else 'keras'} itself can't load it ({first}); the graph can still be loaded") from error


def widened(keras: Any, made: Any) -> Any:
    """The same model in float32 where layers compute in half precision: the file's numbers are the graph's, the rounding on the way is not."""
    text = made.to_json()
    wide = re.sub(r'"(mixed_)?b?float16"', '"float32"', text)
    if wide == text:
        return made
    again = keras.models.model_from_json(wide, custom_objects=own_layers(keras))
    again.set_weights([np.asarray(one).astype(np.float32) for one in made.get_weights()])
    return again


@contextmanager
def named(path: Path, found: File) -> Iterator[Path]:
    """The file under a name that ends as Keras wants it for what is inside: Keras goes by names, we by contents."""
    if found.format == "keras-zip":
        endings: tuple[str, ...] = (".keras",)
    elif found.layout == "store":
        endings = (".weights.json",) if len(found.sources) > 1 else (".weights.h5",)
    else:
        endings = (".h5", ".hdf5")
    if path.name.endswith(endings) and (found.layout == "store" or not path.name.endswith(".weights.h5")):
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / f"model{endings[0]}"
        link.symlink_to(path.absolute())
        yield link


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing on stderr: TensorFlow tells of missing graphics cards there while it is imported, whatever its log level is."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def own_layers(keras: Any) -> dict[str, Any]:
    """Layers of keras.applications that its own loader doesn't find by name."""
    places = {"LayerScale": "convnext", "CustomScaleLayer": "inception_resnet_v2"}
    modules = {name: import_module(f"{keras.__name__}.src.applications.{place}") for name, place in places.items()}
    return {name: getattr(module, name) for name, module in modules.items() if hasattr(module, name)}


def predictions(made: Any, inputs: Sequence[NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[NDArray[Any]]]:
    """What a model computes for some examples: each layer's first output by row name (`name:1` is a second call), and the model's outputs.

    inputs  one array a model input, in order, each (examples, *shape)
    """
    layers: dict[str, NDArray[Any]] = {}
    return layers, collect(made, list(inputs), "", layers)


def collect(made: Any, inputs: list[Any], prefix: str, layers: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run one model, and the models inside it on what reaches them; the outputs come back."""
    calls = list(model_calls(made))
    own = [flat(node.output_tensors if hasattr(node, "output_tensors") else node.outputs)[0] for _, _, node in calls]
    inner = [flat(node.input_tensors) if is_model(layer) else [] for _, layer, node in calls]
    probe = type_of_functional(made)(made.inputs, [*own, *made.outputs, *(tensor for reads in inner for tensor in reads)])
    found = [np.asarray(value) for value in flat(probe(inputs, training=False))]
    reached = iter(found[len(own) + len(made.outputs) :])
    for (name, layer, _), value, reads in zip(calls, found, inner, strict=False):
        layers[prefix + name] = value
        if is_model(layer):
            collect(layer, [next(reached) for _ in reads], f"{prefix}{name}/", layers)
    return found[len(own) : len(own) + len(made.outputs)]


def model_calls(made: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every call of every layer of one model: its row name, the layer and the framework's node."""
    functional = getattr(made, "_functional", None) or made
    new = hasattr(functional, "operations")
    known = functional._nodes if new else functional._network_nodes
    for layer in functional.operations if new else functional.layers:
        number = 0
        for place, node in enumerate(layer._inbound_nodes):
            if f"{id(layer) if new else layer.name}_ib-{place}" in known:
                yield layer.name + (f":{number}" if number else ""), layer, node
                number += 1


def is_model(layer: Any) -> bool:
    """Whether a layer is a model itself, with layers that were called one by one."""
    return hasattr(layer, "layers") and hasattr(layer, "inputs") and hasattr(layer, "get_config")


def type_of_functional(made: Any) -> Any:
    """`Model` of the framework that made a model."""
    if type(made).__module__.startswith("tf_keras"):
        import tf_keras as keras
    else:
        import keras
    return keras.Model


def flat(value: Any) -> list[Any]:
    """The leaves of a structure of tensors, in order."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in flat(part)]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in flat(part)]
    return [value]
