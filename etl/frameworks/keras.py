"""The one place where a framework runs a model: its own predictions, layer by layer, for `verify` and feature maps.

Whoever calls this trusts the file: Keras builds the layers that it names. Code of Lambda layers runs only where
the caller trusts it by name, nothing is compiled.
Files of Keras 2 are run by tf_keras, those of Keras 3 by keras.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile, BadRequest, EtlError
from etl.network import Model
from etl.readers.formats import KerasFile, look, with_architecture


def keras_model(
    path: Path, model: Model, architecture: str | None = None, shapes: Mapping[str, Sequence[int]] | None = None, trust: bool = False
) -> Any:
    """Load a file in its own framework, as it computes anywhere: in float32, without a graphics card, from states of zero.

    shapes  of inputs, by their rows' names (`outer/input` inside a nested model), without the batch axis; where the file has others, those change
    trust   run the code of Lambda layers, which nothing else here runs
    Raises BadFile where the framework can't.
    """
    refuse_code(path, model, trust)
    with explained(f"{path}: {framework_name(model)} itself can't load it"):
        framework_model = loaded(path, model, architecture, trust)
        return with_config(
            framework_of(framework_model), framework_model, lambda config: with_input_shapes(stateless(in_float32(config)), shapes or {})
        )


def framework_name(model: Model) -> str:
    """The framework that runs a model's file."""
    return "tf_keras" if any(layer.dialect == "keras2" for layer in model.network.layers()) else "keras"


def loaded(path: Path, model: Model, architecture: str | None = None, trust: bool = False) -> Any:
    """A file in its own framework, its configuration as it is; but for layers that need a graphics card, where there is none."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    file, keras = look(path), import_module(framework_name(model))
    with named_for_keras(path, file) as named_file:
        text = with_architecture(file, path, architecture).architecture
        assert text is not None
        portable = without_cards(keras, text)
        if file.architecture is not None and portable == text:
            framework_model = keras.models.load_model(named_file, custom_objects=own_layers(keras), compile=False, safe_mode=not trust)
        else:
            framework_model = keras.models.model_from_json(portable, custom_objects=own_layers(keras))
            framework_model.load_weights(named_file)
        if keras.__name__ == "tf_keras" and file.written_by_theano():
            flip(framework_model)
    return framework_model


def convert(path: Path, model: Model, out: Path) -> None:
    """A file in the other of Keras' two formats, by the suffix of `out`. Raises BadFile where the framework can't, BadRequest for code of its own."""
    if any(layer.kind == "Lambda" for layer in model.network.every_layer()):
        raise BadRequest(f"{path.name} has Lambda layers, whose code Keras would run to write it as {out.suffix}: save as {path.suffix}")
    with explained(f"{path.name}: {framework_name(model)} itself can't write it as {out.suffix}"):
        loaded(path, model).save(out)


def refuse_code(path: Path, model: Model, trust: bool) -> None:
    """Raises BadRequest for Lambda layers whose code nobody has said to trust: the framework would run it while it loads the file."""
    names = [layer.name for layer in model.network.every_layer() if layer.kind == "Lambda"]
    if names and not trust:
        raise BadRequest(
            f"{path} was not run by Keras, and not compared with it: its Lambda layers ({', '.join(names)}) are code in the file; "
            "where you trust that, `verify --trust` runs it"
        )


def flip(model: Any) -> None:
    """Turn the kernels of the Theano backend round, as Keras did up to 2.3 for these kinds of layers; tf_keras takes them as they are."""
    for layer in model._flatten_layers():
        if type(layer).__name__ in ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTMCell"):
            for kernel in (getattr(layer, name) for name in ("kernel", "recurrent_kernel") if hasattr(layer, name)):
                kernel.assign(np.flip(kernel.numpy(), axis=tuple(range(kernel.shape.rank - 2))))


@contextmanager
def explained(failure: str) -> Iterator[None]:
    """Whatever a framework raises, as one line: its errors have no common class. Nothing on stderr meanwhile."""
    try:
        with without_stderr():
            yield
    except EtlError:
        raise
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BadFile(f"{failure} ({first[:300]}); the graph can still be loaded") from error


def without_cards(keras: Any, text: str) -> str:
    """An architecture whose layers for graphics cards are those that run anywhere, where there is no card: Keras converts their weights."""
    if "CuDNN" not in text:
        return text
    import tensorflow

    if tensorflow.config.list_physical_devices("GPU"):
        return text
    return re.sub(r'"CuDNN(LSTM|GRU)"', r'"\1"', text)


def with_config(keras: Any, model: Any, change: Callable[[Any], Any]) -> Any:
    """The same model with another configuration, its weights taken along; itself where `change` leaves the configuration as it is."""
    config = json.loads(model.to_json())
    new_config = change(config)
    if new_config == config:
        return model
    copied = keras.models.model_from_json(json.dumps(new_config), custom_objects=own_layers(keras))
    widest = np.float64 if '"float64"' in json.dumps(new_config) else np.float32
    copied.set_weights([np.asarray(array).astype(widest) for array in model.get_weights()])
    for layer in copied._flatten_layers():
        if hasattr(layer, "adapt_mean"):  # Normalization computes with what it derives from its weights
            layer.finalize_state()
    return copied


def in_float32(config: Any) -> Any:
    """A configuration in float32 where layers compute in half precision: the file's numbers are the graph's, the rounding on the way is not."""
    return json.loads(re.sub(r'"(mixed_)?b?float16"', '"float32"', json.dumps(config)))


def stateless(config: Any) -> Any:
    """A configuration of which every call starts from states of zero, as the first one does, and takes batches of any size."""
    text = json.dumps(config)
    if '"stateful": true' not in text:
        return config
    return json.loads(re.sub(r'("batch_(?:input_)?shape": \[)\d+', r"\1null", text.replace('"stateful": true', '"stateful": false')))


def with_input_shapes(config: Any, shapes: Mapping[str, Sequence[int]], prefix: str = "") -> Any:
    """A model's configuration with other shapes of inputs, by their rows' names."""
    if not isinstance(config, dict) or not isinstance(inner := config.get("config"), dict):
        return config
    if config.get("class_name") == "InputLayer":
        key = "batch_shape" if "batch_shape" in inner else "batch_input_shape"
        shape = shapes.get(prefix + inner.get("name", ""))
        declared = inner.get(key)
        if declared is None or shape is None or all(axis in (None, size) for axis, size in zip(declared[1:], shape, strict=True)):
            return config
        return config | {"config": inner | {key: [None, *shape]}}
    if "layers" in inner:
        layers = [with_input_shapes(layer, shapes, prefix + (f"{layer['config']['name']}/" if nests(layer) else "")) for layer in inner["layers"]]
        if layers != inner["layers"]:  # what was noted of shapes while it was built holds no longer
            layers = [{key: value for key, value in layer.items() if key != "build_config"} for layer in layers]
            inner = {key: value for key, value in inner.items() if key != "build_input_shape"}
            config = {key: value for key, value in config.items() if key != "build_config"}
        return config | {"config": inner | {"layers": layers}}
    return config


def nests(config: Any) -> bool:
    """Whether a layer's configuration is that of a model."""
    return isinstance(config.get("config"), dict) and "layers" in config["config"]


@contextmanager
def named_for_keras(path: Path, file: KerasFile) -> Iterator[Path]:
    """The file under a name that ends as Keras wants it for what is inside: Keras goes by names, we by contents."""
    if file.format == "keras-zip" and (mended := with_slashes(path)):
        with TemporaryDirectory() as folder:
            (Path(folder) / "model.keras").write_bytes(mended)
            yield Path(folder) / "model.keras"
        return
    if file.format == "keras-zip":
        endings: tuple[str, ...] = (".keras",)
    elif file.layout == "store":
        endings = (".weights.json",) if len(file.sources) > 1 else (".weights.h5",)
    else:
        endings = (".h5", ".hdf5")
    if path.name.endswith(endings) and (file.layout == "store" or not path.name.endswith(".weights.h5")):
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / f"model{endings[0]}"
        link.symlink_to(path.absolute())
        yield link


def with_slashes(path: Path) -> bytes | None:
    """An archive that was written on Windows, whose groups of weights are called `layers\\dense`, as it is written elsewhere; None for any other."""
    weights, mended = io.BytesIO(), io.BytesIO()
    with ZipFile(path) as archive:
        if "model.weights.h5" not in archive.namelist():
            return None
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as stored, h5py.File(weights, "w") as copied:
            if not any("\\" in name for name in stored):
                return None
            for name in stored:
                stored.copy(stored[name], copied, name.replace("\\", "/"))
            copied.require_group("vars")
        with ZipFile(mended, "w") as written:
            for name in archive.namelist():
                written.writestr(name, weights.getvalue() if name == "model.weights.h5" else archive.read(name))
    return mended.getvalue()


@contextmanager
def without_stderr() -> Iterator[None]:
    """Nothing on stderr: TensorFlow tells of missing graphics cards there while it is imported, whatever its log level is."""
    sys.stderr.flush()
    stderr_copy, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
        os.close(nowhere)


def own_layers(keras: Any) -> dict[str, Any]:
    """Layers of keras.applications that its own loader doesn't find by name."""
    places = {"LayerScale": "convnext", "CustomScaleLayer": "inception_resnet_v2"}
    modules = {name: import_module(f"{keras.__name__}.src.applications.{place}") for name, place in places.items()}
    return {name: getattr(module, name) for name, module in modules.items() if hasattr(module, name)}


def predictions(model: Any, inputs: Sequence[NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[NDArray[Any]]]:
    """What a model computes for some examples: each layer's first output by row name (`name:1` is a second call), and the model's outputs.

    inputs  one array a model input, in order, each (examples, *shape)
    Raises BadFile where the framework can't run it.
    """
    layers: dict[str, NDArray[Any]] = {}
    with explained(f"{model.name}: its own framework can't run it here"):
        return layers, collect_outputs(model, list(inputs), "", layers)


def precise_predictions(model: Any, inputs: Sequence[NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[NDArray[Any]]] | None:
    """The same, computed in float64; None where the framework can't compute all of it so."""
    keras = framework_of(model)
    usual = keras.backend.floatx()
    try:
        keras.backend.set_floatx("float64")
        with explained(model.name):
            wide = with_config(keras, model, lambda config: json.loads(json.dumps(config).replace('"float32"', '"float64"')))
        return predictions(wide, [array.astype(np.float64) if array.dtype.kind == "f" else array for array in inputs])
    except BadFile:
        return None
    finally:
        keras.backend.set_floatx(usual)


def collect_outputs(model: Any, inputs: list[Any], prefix: str, layers: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run one model, and the models inside it on what reaches them; the outputs come back."""
    calls = list(model_calls(model))
    first_outputs = [leaves_of(node.output_tensors if hasattr(node, "output_tensors") else node.outputs)[0] for _, _, node in calls]
    inner = [leaves_of(node.input_tensors) if is_model(layer) else [] for _, layer, node in calls]
    probe = framework_of(model).Model(model.inputs, [*first_outputs, *model.outputs, *(tensor for reads in inner for tensor in reads)])
    values = [np.asarray(value) for value in leaves_of(probe(inputs, training=False))]
    reached = iter(values[len(first_outputs) + len(model.outputs) :])
    for (name, layer, _), value, reads in zip(calls, values, inner, strict=False):
        layers[prefix + name] = value
        if is_model(layer):
            collect_outputs(layer, [next(reached) for _ in reads], f"{prefix}{name}/", layers)
    return values[len(first_outputs) : len(first_outputs) + len(model.outputs)]


def model_calls(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every call of every layer of one model: its row name, the layer and the framework's node."""
    functional = getattr(model, "_functional", None) or model
    new = hasattr(functional, "operations")
    node_names = functional._nodes if new else functional._network_nodes
    for layer in functional.operations if new else functional.layers:
        number = 0
        for place, node in enumerate(layer._inbound_nodes):
            if f"{id(layer) if new else layer.name}_ib-{place}" in node_names:
                yield layer.name + (f":{number}" if number else ""), layer, node
                number += 1


def is_model(layer: Any) -> bool:
    """Whether a layer is a model itself, with layers that were called one by one."""
    return hasattr(layer, "layers") and hasattr(layer, "inputs") and hasattr(layer, "get_config")


def framework_of(model: Any) -> Any:
    """The framework that made a model."""
    return import_module("tf_keras" if type(model).__module__.startswith("tf_keras") else "keras")


def leaves_of(value: Any) -> list[Any]:
    """The leaves of a structure of tensors, in order."""
    if isinstance(value, dict):
        return [leaf for element in value.values() for leaf in leaves_of(element)]
    if isinstance(value, list | tuple):
        return [leaf for element in value for leaf in leaves_of(element)]
    return [value]
