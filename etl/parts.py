"""The parts of a split model as models of its own framework, written as .keras files.

Each part is made by calling the model's own layers on new inputs, so shared layers stay shared within it.
Whoever calls this trusts the file: see etl/framework.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.cutout import label
from etl.errors import BadFile, BadRequest, Conflict
from etl.framework import flat, keras_model, model_calls, type_of_functional
from etl.network import Model, Tensor
from etl.sinks.parquet import in_place
from etl.split import Part, parts

if TYPE_CHECKING:
    from etl.store import Store


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


def split(path: Path, at: Sequence[str], folder: Path, *, branches: bool = False, architecture: str | None = None) -> list[Written]:
    """Write the parts of a model into a new folder; sorted by name, each takes what the one before it gives.

    at        layers to cut after
    branches  allow cuts that something goes around: parts with several inputs
    Raises BadRequest where the model can't be cut there or the folder is in use, BadFile where the framework can't load or save it.
    """
    from etl.readers import read

    model = read(path, architecture)
    planned = parts(model.network, at, branches=branches)
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"{folder} is there already and is not empty: choose another --out")
    made = models(model, keras_model(path, model, architecture), planned)
    written = [told(model, part, number) for number, part in enumerate(planned)]
    try:
        with in_place(folder) as partial:
            for each, one in zip(written, made, strict=True):
                one.save(partial / each.file)
    except OSError as error:
        raise BadRequest(f"{folder} can't be written ({error.strerror or error}): choose another place for it") from error
    return written


def told(model: Model, part: Part, number: int) -> Written:
    """What is in a part; its file has its number and the layer that it ends with."""
    numbers = (part.calls, [t.call for t in part.inputs], [t.call for t in part.outputs])
    layers, inputs, outputs = (tuple(label(model.network.calls[n]) for n in calls) for calls in numbers)
    return Written(f"{number:03d}_{plain(outputs[-1])}.keras", model.sha256, layers, inputs, outputs)


def tag(store: Store, name: str, written: Sequence[Written]) -> None:
    """Number the parts on a stored model's Layer nodes, sublayers included: `part`. Raises NotInStore, or Conflict where it is of another file."""
    from etl import stored
    from etl.queries import text

    model = stored.span(store, name)
    if model.sha256 != written[0].sha256:
        raise Conflict(f"{name} in the store is of another file than the one that was split: load that one, or name the model that is of it")
    numbers = {layer: number for number, part in enumerate(written) for layer in part.layers}
    numbers |= {layer: number for number, part in reversed(list(enumerate(written))) for layer in part.inputs if layer not in numbers}
    found = {layer["name"]: number_of(layer["name"], numbers) for layer in model.layers}
    store.write(text("split", "tag"), model=name, parts=found)


def number_of(row: str, numbers: Mapping[str, int]) -> int | None:
    """The part of a row of the layer table: that of the layer, or of the model, that it is inside."""
    while row not in numbers and "/" in row:
        row = row.rpartition("/")[0]
    return numbers.get(row)


def plain(name: str) -> str:
    """A layer's name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]


def models(model: Model, made: Any, planned: Sequence[Part]) -> list[Any]:
    """The parts of a model of a framework, in memory, each a model of that framework."""
    nodes = {name: (layer, node) for name, layer, node in model_calls(made)}
    network = model.network
    live = dict(zip(network.inputs, flat(made.inputs), strict=True))
    for number, call in enumerate(network.calls):
        if call.args:
            if label(call) not in nodes:
                raise BadFile(f"{model.name}: {label(call)} is not among the layers that the framework makes of the file; save it anew")
            live.update({Tensor(number, k): tensor for k, tensor in enumerate(outputs_of(nodes[label(call)][1]))})
    return [one_part(model, made, part, live, nodes, number) for number, part in enumerate(planned)]


def one_part(model: Model, made: Any, part: Part, live: dict[Tensor, Any], nodes: dict[str, tuple[Any, Any]], number: int) -> Any:
    """One part: its calls made again on new inputs."""
    taken = {model.network.calls[n].layer.name for n in part.calls}
    inputs = [new_input(model, made, tensor, live[tensor], taken) for tensor in part.inputs]
    reach = {id(live[tensor]): given for tensor, given in zip(part.inputs, inputs, strict=True)}
    for call in part.calls:
        layer, node = nodes[label(model.network.calls[call])]
        args, keywords = arguments(node, reach)
        reach.update({id(was): now for was, now in zip(outputs_of(node), flat(layer(*args, **keywords)), strict=True)})
    outputs = [reach[id(live[tensor])] for tensor in part.outputs]
    return type_of_functional(made)(*(each if len(each) > 1 else each[0] for each in (inputs, outputs)), name=plain(f"{model.name}_{number}"))


def new_input(model: Model, made: Any, tensor: Tensor, live: Any, taken: set[str]) -> Any:
    """An input in the place of a tensor, with the name of the layer that makes it."""
    call = model.network.calls[tensor.call]
    name = plain(label(call) + (f"_{tensor.output}" if tensor.output else ""))
    while name in taken:
        name += "_input"
    taken.add(name)
    if type(made).__module__.startswith("tf_keras"):
        import tf_keras as keras

        if getattr(live, "_keras_mask", None) is not None:  # Keras 3 has masks as tensors of their own
            raise BadRequest(f"{label(call)} gives a mask along, which the input of a part can't take: cut elsewhere")
    else:
        import keras
    return keras.Input(tuple(live.shape[1:]), batch_size=live.shape[0], dtype=getattr(live.dtype, "name", live.dtype), name=name)


def arguments(node: Any, reach: dict[int, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call's arguments with the given tensors in the places of its own."""
    if hasattr(node, "arguments"):
        args, keywords = node.arguments.fill_in(reach)
        return tuple(args), keywords
    return node.map_arguments({str(number): [tensor] * len(flat(node.keras_inputs)) for number, tensor in reach.items()})


def outputs_of(node: Any) -> list[Any]:
    """The tensors that a call makes."""
    return flat(node.output_tensors if hasattr(node, "output_tensors") else node.outputs)
