"""Who is called on what: the inbound nodes of Keras 2 and 3 as calls in topological order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etl.errors import BadFile, Unsupported
from etl.network import Tensor
from etl.readers.keras.builder import Graph, KerasCall, KerasLayer

RECURRENT = {"RNN", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional", "CuDNNLSTM", "CuDNNGRU"}

FIRST = ("inputs", "sequences", "query")  # the first argument of a layer, where a call gives it by name


@dataclass(frozen=True)
class Reference:
    """An output of a layer's call as the file names it."""

    name: str
    node: int
    output: int


@dataclass(frozen=True)
class WrittenCall:
    """A call as written: constants with References among them."""

    layer: KerasLayer
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def references(self) -> Iterator[Reference]:
        yield from leaves((self.args, self.kwargs), Reference)


def connected(layers: list[KerasLayer], nodes: list[Any], inputs: Any, outputs: Any, keras: int) -> Graph:
    """The graph of a Functional model.

    nodes  for each layer its `inbound_nodes`; inputs, outputs  `input_layers` and `output_layers`
    Raises BadFile where names, calls and inputs contradict each other.
    """
    by_name = {layer.name: layer for layer in layers}
    if len(by_name) != len(layers):
        raise BadFile("two layers of one model have the same name; the file is broken")
    read = keras3_call if keras == 3 else keras2_call
    calls = [call for layer, inbound in zip(layers, nodes, strict=True) for call in written_calls(layer, inbound, set(by_name), read)]
    begins, ends = [list(references(reference)) for reference in (inputs, outputs)]
    index = numbering(calls, by_name, begins, ends, keras)
    order = topological(
        calls, [[index(reference, False) for reference in call.references()] for call in calls], [index(reference, False) for reference in begins]
    )
    place = {position: rank for rank, position in enumerate(order)}

    def tensor(reference: Reference, last: bool = False) -> Tensor:
        return Tensor(place[index(reference, last)], reference.output)

    finished = [
        KerasCall(call.layer, call.number, *replaced((call.args, call.kwargs), Reference, tensor)) for call in (calls[position] for position in order)
    ]
    for call in finished:
        check_inputs(call, finished)
    graph = Graph(layers, finished, tuple(map(tensor, begins)), tuple(tensor(reference, True) for reference in ends))
    if {reference.call for reference in graph.inputs} != {place for place, call in enumerate(finished) if call.layer.kind == "InputLayer"}:
        raise BadFile("the model's list of inputs is not the list of its input layers; the file is broken")
    return graph


def written_calls(
    layer: KerasLayer, inbound: Any, names: set[str], read: Callable[[KerasLayer, Any, set[str]], tuple[Any, Any]]
) -> list[WrittenCall]:
    """All calls of a layer. Raises BadFile where there is none, Unsupported for an input of somebody's own class."""
    if layer.kind == "InputLayer":
        return [WrittenCall(layer, 0, (), {})]
    if not inbound and ">" in layer.kind:
        raise Unsupported(f"layer {layer.name!r} is an input of somebody's own class ({layer.kind}); build the model from keras.Input")
    if not inbound:
        raise BadFile(f"layer {layer.name!r} is called on nothing; the file is broken")
    return [call_of(layer, number, *read(layer, node, names)) for number, node in enumerate(inbound)]


def call_of(layer: KerasLayer, number: int, args: Any, kwargs: dict[str, Any]) -> WrittenCall:
    """Operations keep their arguments' structure; a layer's inputs become one flat tuple."""
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    if layer.keras == 3 or not kwargs.get("training"):
        kwargs.pop("training", None)  # Keras 3 writes down its defaults, and `predict` overrules what is written
    if layer.kind.startswith("op:"):
        kwargs.pop("name", None)
        return WrittenCall(layer, number, tuple(args), kwargs)
    flat = list(flattened(args, layer))
    while flat and flat[-1] is None:
        flat.pop()
    for name in FIRST:
        flat += flattened(kwargs.pop(name), layer) if not flat and name in kwargs else ()
    if layer.kind in RECURRENT and len(flat) > 1:
        constants = int(layer.options.get("num_constants") or 0)
        states, more = flat[1 : len(flat) - constants], flat[len(flat) - constants :]
        kwargs |= {key: value for key, value in (("initial_state", states), ("constants", more)) if value}
        flat = flat[:1]
    return WrittenCall(layer, number, tuple(flat), kwargs)


def flattened(value: Any, layer: KerasLayer) -> Iterator[Any]:
    """Dictionaries in the order of their keys, as Keras does; by input names where a model with plain inputs gets one."""
    if isinstance(value, dict):
        keys = sorted(value)
        if layer.graph is not None:
            names = [layer.graph.calls[element.call].layer.name for element in layer.graph.inputs]
            keys = names if sorted(names) == keys and not isinstance(layer.options.get("input_layers"), dict) else keys
        value = [value[key] for key in keys]
    if isinstance(value, list | tuple):
        for element in value:
            yield from flattened(element, layer)
    else:
        yield value


def keras2_call(layer: KerasLayer, node: Any, names: set[str]) -> tuple[Any, dict[str, Any]]:
    """`[["a", 0, 0, {}], ["b", 0, 0, {}]]`, or a bare leaf where the call has one argument; each leaf repeats the keyword arguments."""
    leaf_entries: list[Any] = []

    def structure(value: Any) -> Any:
        if is_leaf(value, (3, 4)):
            leaf_entries.append(value)
            return (
                np.asarray(value[2])
                if value[0] == "_CONSTANT_VALUE" and isinstance(value[2], list)
                else value[2]
                if value[1] == -1
                else Reference(*value[:3])
            )
        if isinstance(value, dict):
            return {key: structure(element) for key, element in value.items()}
        if isinstance(value, list):
            return [structure(element) for element in value]
        raise BadFile(f"layer {layer.name!r}: {value!r} is no input; the file is broken")

    args = structure(node)
    kwargs: dict[str, Any] = next((leaf[3] for leaf in leaf_entries if len(leaf) == 4 and leaf[3]), {})
    return [args], {name: keras2_value(value, names) for name, value in kwargs.items()}


def is_leaf(value: Any, lengths: tuple[int, ...]) -> bool:
    if not isinstance(value, list) or len(value) not in lengths or not isinstance(value[0], str):
        return False
    return value[0] == "_CONSTANT_VALUE" or all(isinstance(n, int) and not isinstance(n, bool) for n in value[1:3])


def keras2_value(value: Any, names: set[str]) -> Any:
    """A keyword argument: tensors are three-element lists that begin with a layer's name."""
    if is_leaf(value, (3,)) and value[0] in names:
        return Reference(*value)
    if isinstance(value, list):
        return [keras2_value(element, names) for element in value]
    if isinstance(value, dict):
        if set(value) == {"start", "stop", "step"}:
            return slice(*(keras2_value(value[key], names) for key in ("start", "stop", "step")))
        return Ellipsis if value.get("class_name") == "__ellipsis__" else {key: keras2_value(element, names) for key, element in value.items()}
    return value


def keras3_call(layer: KerasLayer, node: Any, names: set[str]) -> tuple[Any, dict[str, Any]]:
    if isinstance(node, list):  # a Keras 2 configuration that Keras 3 wrote again
        return keras2_call(layer, node, names)
    return [keras3_value(argument) for argument in node["args"]], {name: keras3_value(argument) for name, argument in node["kwargs"].items()}


def keras3_value(value: Any) -> Any:
    if isinstance(value, list):
        return [keras3_value(element) for element in value]
    if not isinstance(value, dict):
        return value
    config: Any = value.get("config")
    match value.get("class_name"):
        case "__keras_tensor__":
            name, node, output = config["keras_history"]
            return Reference(str(name), int(node), int(output))
        case "__slice__":
            return slice(*(keras3_value(config[key]) for key in ("start", "stop", "step")))
        case "__ellipsis__":
            return Ellipsis
        case "__numpy__" | "__tensor__":
            return constant(config["value"], str(config["dtype"]))
    return {key: keras3_value(element) for key, element in value.items()}


def constant(value: Any, dtype: str) -> np.ndarray[Any, Any]:
    """A constant among a call's arguments. Raises BadFile for a type that is no number's."""
    if dtype not in {"bool", "bfloat16"} and np.dtype(dtype).kind not in "iuf":
        raise BadFile(f"a constant of type {dtype!r}; the file is broken")
    array = np.asarray(value, dtype=np.float32 if dtype == "bfloat16" else dtype)
    return array.astype(np.float64) if array.dtype.kind == "f" else array  # computed with as the text says, rounded once


def references(value: Any) -> Iterator[Reference]:
    """`input_layers` or `output_layers`: a tensor, a list of tensors, or any nesting of lists and dictionaries. Raises BadFile for anything else."""
    if is_leaf(value, (3,)):
        yield Reference(*value)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from references(value[key])
    elif isinstance(value, list):
        for element in value:
            yield from references(element)
    else:
        raise BadFile(f"{value!r} is no input or output of a model; the file is broken")


def leaves(value: Any, kind: type) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for element in value:
            yield from leaves(element, kind)
    elif isinstance(value, dict):
        for element in value.values():
            yield from leaves(element, kind)
    elif isinstance(value, slice):
        yield from leaves([value.start, value.stop, value.step], kind)


def replaced(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """The same structure with every leaf of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(replaced(element, kind, change) for element in value)
    if isinstance(value, dict):
        return {key: replaced(element, kind, change) for key, element in value.items()}
    if isinstance(value, slice):
        return slice(*(replaced(element, kind, change) for element in (value.start, value.stop, value.step)))
    return value


def numbering(
    calls: list[WrittenCall], by_name: Mapping[str, KerasLayer], begins: list[Reference], ends: list[Reference], keras: int
) -> Callable[[Reference, bool], int]:
    """A function from a reference (and whether it is an output of the model) to the position of its call in `calls`.

    Writers count the calls of a layer from different numbers: Keras 2 from 1 for nested models, Keras 3 from 1 for nested Functional models but
    only in `output_layers`, Keras 3.0 from wherever the layer's calls in other models ended.
    """
    inside = [reference for call in calls for reference in call.references()] + begins
    positions: dict[str, list[int]] = {}
    for position, call in enumerate(calls):
        positions.setdefault(call.layer.name, []).append(position)
    largest: dict[str, int] = {}
    for reference in inside + (ends if keras == 2 else []):
        largest[reference.name] = max(largest.get(reference.name, 0), reference.node)
    base = {name: max(0, node - len(positions.get(name, ())) + 1) for name, node in largest.items()}

    def index(reference: Reference, last: bool) -> int:
        if reference.name not in by_name:
            raise BadFile(f"layer {reference.name!r} is used but not in the model; if models share it, save each by itself")
        if last and keras == 3:
            node = max(0, reference.node - 1) if by_name[reference.name].kind == "Functional" else reference.node
        else:
            node = reference.node - base.get(reference.name, 0)
        if not 0 <= node < len(positions[reference.name]):
            raise BadFile(f"call {reference.node} of layer {reference.name!r} is used but not in the model; the file is broken")
        return positions[reference.name][node]

    return index


def topological(calls: list[WrittenCall], sources: list[list[int]], begins: list[int]) -> list[int]:
    """Positions of the calls, each after those it reads: the inputs first, then always the earliest in the file.

    Raises BadFile where there is no such order.
    """
    if len(set(begins)) != len(begins):
        raise BadFile("an input of the model is listed twice; the file is broken")
    rank = {position: place - len(begins) for place, position in enumerate(begins)}
    readers: list[list[int]] = [[] for _ in calls]
    waits = [len(set(reads)) for reads in sources]
    for position, reads in enumerate(sources):
        for source in set(reads):
            readers[source].append(position)
    ready = [(rank.get(position, position), position) for position, count in enumerate(waits) if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, position = heapq.heappop(ready)
        order.append(position)
        for reader in readers[position]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(ready, (rank.get(reader, reader), reader))
    if len(order) != len(calls):
        stuck = sorted({calls[position].layer.name for position, count in enumerate(waits) if count})
        raise BadFile(f"layers {', '.join(map(repr, stuck[:5]))} wait for each other's outputs; the file is broken")
    return order


def check_inputs(call: KerasCall, calls: list[KerasCall]) -> None:
    """Raises BadFile for a call whose inputs can't be right."""
    read = list(leaves((call.args, call.kwargs), Tensor))
    if call.layer.kind != "InputLayer" and not read:
        raise BadFile(
            f"layer {call.layer.name!r} is called without any tensor: Keras did not write down what it is called on; build it from layers instead"
        )
    for tensor in read:
        source = calls[tensor.call].layer
        if tensor.output < 0 or (source.graph and tensor.output >= len(source.graph.outputs)):
            raise BadFile(f"output {tensor.output} of layer {source.name!r} is used but there is none; the file is broken")
    if call.layer.graph and len(call.args) != len(call.layer.graph.inputs):
        raise BadFile(
            f"model {call.layer.name!r} is called on {len(call.args)} tensors, but has {len(call.layer.graph.inputs)} inputs; the file is broken"
        )
