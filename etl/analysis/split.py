"""The parts of a split model as models of its own framework, written as .keras or .onnx files.

Each part is made by calling the model's own layers on new inputs, so shared layers stay shared within it.
Whoever calls this trusts the file: see etl/frameworks/keras.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.errors import BadFile, BadRequest, Conflict
from etl.frameworks import is_onnx
from etl.frameworks.keras import framework_of, keras_model, leaves_of, model_calls
from etl.network import INPUT, Model, Tensor
from etl.network.cut_points import ModelPart, cut_points, parts, path, unfolded
from etl.sinks.atomic_folder import in_place

if TYPE_CHECKING:
    from etl.store import Store


NO_PARTS = "no parts of it are written; make modules of the parts and export those, or export the whole as ONNX, whose files are split"
PART_FILE = re.compile(r"\d{3,}_.+\.(keras|onnx|onnx\.data)")  # how files of parts are called: see `written_part`


@dataclass(frozen=True)
class Written:
    """One part in its file: the layers that it calls (`name:1` is a second call), those that it takes from and gives on.

    sha256  of the whole model's file
    """

    file: str
    sha256: str
    layers: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def split(
    file: Path,
    at: Sequence[str],
    folder: Path,
    *,
    branches: bool = False,
    architecture: str | None = None,
    constants: Mapping[str, Any] | None = None,
) -> list[Written]:
    """Write the parts of a model into a folder; sorted by name, each takes what the one before it gives.

    at         layers to cut after
    folder     new, empty, or of an earlier split, whose parts go
    branches   allow cuts that something goes around: parts with several inputs
    constants  values of inputs that are options and no data, by name
    Raises BadRequest where the model can't be cut there or the folder is in use, BadFile where the framework can't load or save it.
    """
    from etl.readers import read

    refuse_modules(file, architecture)
    model = read(file, architecture, constants=constants, masks_as_written=True)
    refuse_programs(file, model)
    network, opened = unfolded(model.network, at)
    model = replace(model, network=network)
    planned = parts(network, at, branches=branches)
    folder = folder.absolute()
    if folder.exists() and not (folder.is_dir() and all(PART_FILE.fullmatch(path.name) for path in folder.iterdir())):
        raise BadRequest(f"{folder} is there already and holds something else than parts: choose another --out")
    models_of_parts: list[Any]
    if is_onnx(model):
        from etl.frameworks.onnx import part_models, save_part

        models_of_parts, suffix = part_models(file, model, planned, constants or {}), ".onnx"
    else:
        models_of_parts, suffix = keras_part_models(model, keras_model(file, model, architecture), planned, opened), ".keras"
    written = [written_part(model, part, number, suffix) for number, part in enumerate(planned)]
    try:
        with in_place(folder) as partial:
            for part_file, part_model in zip(written, models_of_parts, strict=True):
                save_part(part_model, partial / part_file.file) if suffix == ".onnx" else part_model.save(partial / part_file.file)
    except OSError as error:
        raise BadRequest(f"{folder} can't be written ({error.strerror or error}): choose another place for it") from error
    return written


def refuse_modules(file: Path, architecture: str | None) -> None:
    """Raises BadRequest for weights whose architecture is code of PyTorch's, before it is asked for shapes."""
    from etl.readers.formats import family
    from etl.readers.torch.modules import is_callable

    if architecture is not None and is_callable(architecture) and family(file) != "keras":
        raise BadRequest(f"{file} is PyTorch's: {NO_PARTS}; a .pt2 in place of {architecture} would say where it can be cut")


def refuse_programs(file: Path, model: Model) -> None:
    """Raises BadRequest for a program of PyTorch's, with the places where it can be cut."""
    if not any(layer.dialect == "aten" for layer in model.network.layers()):
        return
    moves = {call.layer.name for call in model.network.calls if call.layer.kind.startswith("inplace.")}
    names = [name for name in cut_points(model.network) if name not in moves]
    raise BadRequest(f"{file} is PyTorch's: {NO_PARTS}. It can be cut after {', '.join(names) or 'no layer'}")


def written_part(model: Model, part: ModelPart, number: int, suffix: str = ".keras") -> Written:
    """What is in a part; its file has its number and the layer that it ends with."""
    network = model.network
    layers = tuple(network.calls[call].title for call in part.calls)
    inputs, outputs = (tuple(map(network.name_of, tensors)) for tensors in (part.inputs, part.outputs))
    return Written(f"{number:03d}_{file_name_part(outputs[-1])}{suffix}", model.sha256, layers, inputs, outputs)


def tag(store: Store, name: str, written: Sequence[Written]) -> None:
    """Number the parts on a stored model's Layer nodes, sublayers included: `part`. Raises NotInStore, or Conflict where it is of another file."""
    from cypher import text
    from etl.store import stored_graph as stored

    model = stored.span(store, name)
    if model.sha256 != written[0].sha256:
        raise Conflict(f"{name} in the store is of another file than the one that was split: load that one, or name the model that is of it")
    numbers = {layer: number for number, part in enumerate(written) for layer in part.layers}
    numbers |= {layer: number for number, part in reversed(list(enumerate(written))) for layer in part.inputs if layer not in numbers}
    numbers_by_layer = {layer["name"]: number_of(layer["name"], numbers) for layer in model.layers}
    store.write(text("split", "tag"), model=name, parts=numbers_by_layer)


def number_of(row: str, numbers: Mapping[str, int]) -> int | None:
    """The part of a row of the layer table: that of the layer, or of the model, that it is inside."""
    while row not in numbers and "/" in row:
        row = row.rpartition("/")[0]
    return numbers.get(row)


def file_name_part(name: str) -> str:
    """A layer's name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]


def keras_part_models(model: Model, framework_model: Any, planned: Sequence[ModelPart], opened: Set[str] = frozenset()) -> list[Any]:
    """The parts of a model of a framework, in memory, each a model of that framework.

    opened  nested models whose layers are the model's own: see etl/network/cut_points.py; these layers get other names
    """
    live = FrameworkCalls(model, framework_model, opened)
    return [keras_part_model(live, part, number) for number, part in enumerate(planned)]


Key = tuple[str, int]  # the call of a nested model that a framework's tensor is inside (`tower:1/`), and the tensor's id


class FrameworkCalls:
    """A framework's calls by their names in the network, and its tensors by keys.

    same  keys of the inputs and outputs of an opened model -> what they are outside and inside
    """

    def __init__(self, model: Model, framework_model: Any, opened: Set[str]) -> None:
        self.model, self.framework_model, self.network = model, framework_model, model.network
        self.calls: dict[str, tuple[Any, Any, str]] = {}
        self.same: dict[Key, Key] = {}
        self.open(framework_model, opened, "")
        for layer, prefix in {id(layer): (layer, prefix) for layer, _, prefix in self.calls.values() if prefix}.values():
            rename(layer, file_name_part(path(prefix) + layer.name))

    def open(self, framework_model: Any, opened: Set[str], prefix: str) -> None:
        """Collect the calls of a model and of the opened ones inside it."""
        for name, layer, node in model_calls(framework_model):
            inside = f"{prefix}{name}/"
            if path(inside)[:-1] in opened:
                self.same.update(zip(keys(inside, leaves_of(layer.inputs)), keys(prefix, inputs_of(node)), strict=True))
                self.same.update(zip(keys(prefix, outputs_of(node)), keys(inside, leaves_of(layer.outputs)), strict=True))
                self.open(layer, opened, inside)
            else:
                self.calls[prefix + name] = layer, node, prefix

    def call(self, number: int) -> tuple[Any, Any, str]:
        """Layer, node and prefix of one of the network's calls. Raises BadFile where the framework has no such call."""
        name = self.network.calls[number].title
        if name not in self.calls:
            raise BadFile(f"{self.model.name}: {name} is not among the layers that the framework makes of the file; save it anew")
        return self.calls[name]

    def tensor(self, tensor: Tensor) -> tuple[Any, Key]:
        """A tensor of the network as the framework has it, with its key."""
        if tensor.call == INPUT:
            framework_tensor, prefix = leaves_of(self.framework_model.inputs)[tensor.output], ""
        else:
            _, node, prefix = self.call(tensor.call)
            framework_tensor = outputs_of(node)[tensor.output]
        return framework_tensor, self.key(prefix, framework_tensor)

    def key(self, prefix: str, tensor: Any) -> Key:
        """The key that a tensor has where it is made."""
        key = prefix, id(tensor)
        while key in self.same:
            key = self.same[key]
        return key


def keys(prefix: str, live: Sequence[Any]) -> list[Key]:
    return [(prefix, id(tensor)) for tensor in live]


def rename(layer: Any, name: str) -> None:
    """A layer of an opened model may have the name of another; Keras 2 has it in a place of its own."""
    setattr(layer, "_name" if type(layer).__module__.startswith("tf_keras") else "name", name)


def keras_part_model(live: FrameworkCalls, part: ModelPart, number: int) -> Any:
    """One part: its calls made again on new inputs."""
    names = {live.call(n)[0].name for n in part.calls}
    inputs = [new_input(live, tensor, names) for tensor in part.inputs]
    reach = {live.tensor(tensor)[1]: new_tensor for tensor, new_tensor in zip(part.inputs, inputs, strict=True)}
    for call in part.calls:
        layer, node, prefix = live.call(call)
        args, keywords = arguments(node, {id(tensor): reach[live.key(prefix, tensor)] for tensor in inputs_of(node)})
        reach.update(zip(keys(prefix, outputs_of(node)), leaves_of(layer(*args, **keywords)), strict=True))
    outputs = [reach[live.tensor(tensor)[1]] for tensor in part.outputs]
    ends = (tensors if len(tensors) > 1 else tensors[0] for tensors in (inputs, outputs))
    return framework_of(live.framework_model).Model(*ends, name=file_name_part(f"{live.model.name}_{number}"))


def new_input(live: FrameworkCalls, tensor: Tensor, names: set[str]) -> Any:
    """An input in the place of a tensor, with the name of the layer that makes it.

    Raises BadRequest where a mask comes with it, which Keras 2 has no input for.
    """
    original, maker = live.tensor(tensor)[0], live.network.name_of(tensor)
    name = file_name_part(maker + (f"_{tensor.output}" if tensor.output else ""))
    while name in names:
        name += "_input"
    names.add(name)
    if type(live.framework_model).__module__.startswith("tf_keras"):
        import tf_keras as keras

        if getattr(original, "_keras_mask", None) is not None:  # Keras 3 has masks as tensors of their own
            raise BadRequest(f"{maker} gives a mask along, which the input of a part can't take: cut elsewhere")
    else:
        import keras
    return keras.Input(tuple(original.shape[1:]), batch_size=original.shape[0], dtype=getattr(original.dtype, "name", original.dtype), name=name)


def arguments(node: Any, reach: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call's arguments with the given tensors in the places of its own."""
    if hasattr(node, "arguments"):
        args, keywords = node.arguments.fill_in(reach)
        return tuple(args), keywords
    return node.map_arguments({str(number): [tensor] * len(leaves_of(node.keras_inputs)) for number, tensor in reach.items()})


def inputs_of(node: Any) -> list[Any]:
    """The tensors that a call reads."""
    return leaves_of(node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors)


def outputs_of(node: Any) -> list[Any]:
    """The tensors that a call makes."""
    return leaves_of(node.output_tensors if hasattr(node, "output_tensors") else node.outputs)
