"""Who is called on what: the inbound nodes of Keras 2 and 3 as calls in topological order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etl.errors import BadFile, Unsupported
from etl.network import Tensor
from etl.readers.keras.builder import Graph, Part, PartCall

RECURRENT = {"RNN", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional", "CuDNNLSTM", "CuDNNGRU"}

FIRST = ("inputs", "sequences", "query")  # the first argument of a layer, where a call gives it by name


@dataclass(frozen=True)
class Reference:
    """An output of a layer's call as the file names it."""

    name: str
    node: int
    output: int


@dataclass(frozen=True)
class Written:
    """A call as written: constants with References among them."""

    part: Part
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def references(self) -> Iterator[Reference]:
        yield from leaves((self.args, self.kwargs), Reference)


def connected(parts: list[Part], nodes: list[Any], inputs: Any, outputs: Any, keras: int) -> Graph:
    """The graph of a Functional model.

    nodes  for each part its `inbound_nodes`; inputs, outputs  `input_layers` and `output_layers`
    """
    by_name = {part.name: part for part in parts}
    if len(by_name) != len(parts):
        raise BadFile("two layers of one model have the same name; the file is broken")
    read = keras3_call if keras == 3 else keras2_call
    calls = [call for part, inbound in zip(parts, nodes, strict=True) for call in written_calls(part, inbound, set(by_name), read)]
    begins, ends = [list(references(one)) for one in (inputs, outputs)]
    index = numbering(calls, by_name, begins, ends, keras)
    order = topological(calls, [[index(one, False) for one in call.references()] for call in calls], [index(one, False) for one in begins])
    place = {position: rank for rank, position in enumerate(order)}

    def tensor(one: Reference, last: bool = False) -> Tensor:
        return Tensor(place[index(one, last)], one.output)

    finished = [
        PartCall(call.part, call.number, *mapped((call.args, call.kwargs), Reference, tensor)) for call in (calls[position] for position in order)
    ]
    for call in finished:
        check(call, finished)
    graph = Graph(parts, finished, tuple(map(tensor, begins)), tuple(tensor(one, True) for one in ends))
    if {one.call for one in graph.inputs} != {place for place, call in enumerate(finished) if call.part.kind == "InputLayer"}:
        raise BadFile("the model's list of inputs is not the list of its input layers; the file is broken")
    return graph


def written_calls(part: Part, inbound: Any, names: set[str], read: Callable[[Part, Any, set[str]], tuple[Any, Any]]) -> list[Written]:
    if part.kind == "InputLayer":
        return [Written(part, 0, (), {})]
    if not inbound and ">" in part.kind:
        raise Unsupported(f"layer {part.name!r} is an input of somebody's own class ({part.kind}); build the model from keras.Input")
    if not inbound:
        raise BadFile(f"layer {part.name!r} is called on nothing; the file is broken")
    return [call_of(part, number, *read(part, node, names)) for number, node in enumerate(inbound)]


def call_of(part: Part, number: int, args: Any, kwargs: dict[str, Any]) -> Written:
    """Operations keep their arguments' structure; a layer's inputs become one flat tuple."""
    kwargs = {name: value for name, value in kwargs.items() if value is not None}
    if part.keras == 3 or not kwargs.get("training"):
        kwargs.pop("training", None)  # Keras 3 writes down its defaults, and `predict` overrules what is written
    if part.kind.startswith("op:"):
        kwargs.pop("name", None)
        return Written(part, number, tuple(args), kwargs)
    flat = list(flattened(args, part))
    while flat and flat[-1] is None:
        flat.pop()
    for name in FIRST:
        flat += flattened(kwargs.pop(name), part) if not flat and name in kwargs else ()
    if part.kind in RECURRENT and len(flat) > 1:
        constants = int(part.options.get("num_constants") or 0)
        states, more = flat[1 : len(flat) - constants], flat[len(flat) - constants :]
        kwargs |= {key: value for key, value in (("initial_state", states), ("constants", more)) if value}
        flat = flat[:1]
    return Written(part, number, tuple(flat), kwargs)


def flattened(value: Any, part: Part) -> Iterator[Any]:
    """Dictionaries in the order of their keys, as Keras does; by input names where a model with plain inputs gets one."""
    if isinstance(value, dict):
        keys = sorted(value)
        if part.graph is not None:
            names = [part.graph.calls[one.call].part.name for one in part.graph.inputs]
            keys = names if sorted(names) == keys and not isinstance(part.options.get("input_layers"), dict) else keys
        value = [value[key] for key in keys]
    if isinstance(value, list | tuple):
        for one in value:
            yield from flattened(one, part)
    else:
        yield value


def keras2_call(part: Part, node: Any, names: set[str]) -> tuple[Any, dict[str, Any]]:
    """`[["a", 0, 0, {}], ["b", 0, 0, {}]]`, or a bare leaf where the call has one argument; each leaf repeats the keyword arguments."""
    found: list[Any] = []

    def structure(value: Any) -> Any:
        if is_leaf(value, (3, 4)):
            found.append(value)
            return (
                np.asarray(value[2])
                if value[0] == "_CONSTANT_VALUE" and isinstance(value[2], list)
                else value[2]
                if value[1] == -1
                else Reference(*value[:3])
            )
        if isinstance(value, dict):
            return {key: structure(one) for key, one in value.items()}
        if isinstance(value, list):
            return [structure(one) for one in value]
        raise BadFile(f"layer {part.name!r}: {value!r} is no input; the file is broken")

    args = structure(node)
    kwargs: dict[str, Any] = next((leaf[3] for leaf in found if len(leaf) == 4 and leaf[3]), {})
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
        return [keras2_value(one, names) for one in value]
    if isinstance(value, dict):
        if set(value) == {"start", "stop", "step"}:
            return slice(*(keras2_value(value[key], names) for key in ("start", "stop", "step")))
        return Ellipsis if value.get("class_name") == "__ellipsis__" else {key: keras2_value(one, names) for key, one in value.items()}
    return value


def keras3_call(part: Part, node: Any, names: set[str]) -> tuple[Any, dict[str, Any]]:
    if isinstance(node, list):  # a Keras 2 configuration that Keras 3 wrote again
        return keras2_call(part, node, names)
    return [keras3_value(one) for one in node["args"]], {name: keras3_value(one) for name, one in node["kwargs"].items()}


def keras3_value(value: Any) -> Any:
    if isinstance(value, list):
        return [keras3_value(one) for one in value]
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
    return {key: keras3_value(one) for key, one in value.items()}


def constant(value: Any, dtype: str) -> np.ndarray[Any, Any]:
    if dtype not in {"bool", "bfloat16"} and np.dtype(dtype).kind not in "iuf":
        raise BadFile(f"a constant of type {dtype!r}; the file is broken")
    array = np.asarray(value, dtype=np.float32 if dtype == "bfloat16" else dtype)
    return array.astype(np.float64) if array.dtype.kind == "f" else array  # computed with as the text says, rounded once


def references(value: Any) -> Iterator[Reference]:
    """`input_layers` or `output_layers`: a tensor, a list of tensors, or any nesting of lists and dictionaries."""
    if is_leaf(value, (3,)):
        yield Reference(*value)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from references(value[key])
    elif isinstance(value, list):
        for one in value:
            yield from references(one)
    else:
        raise BadFile(f"{value!r} is no input or output of a model; the file is broken")


def leaves(value: Any, kind: type) -> Iterator[Any]:
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one, kind)
    elif isinstance(value, dict):
        for one in value.values():
            yield from leaves(one, kind)
    elif isinstance(value, slice):
        yield from leaves([value.start, value.stop, value.step], kind)


def mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """The same structure with every leaf of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(mapped(one, kind, change) for one in value)
    if isinstance(value, dict):
        return {key: mapped(one, kind, change) for key, one in value.items()}
    if isinstance(value, slice):
        return slice(*(mapped(one, kind, change) for one in (value.start, value.stop, value.step)))
    return value


def numbering(
    calls: list[Written], by_name: Mapping[str, Part], begins: list[Reference], ends: list[Reference], keras: int
) -> Callable[[Reference, bool], int]:
    """A function from a reference (and whether it is an output of the model) to the position of its call in `calls`.

    Writers count the calls of a layer from different numbers: Keras 2 from 1 for nested models, Keras 3 from 1 for nested Functional models but
    only in `output_layers`, Keras 3.0 from wherever the layer's calls in other models ended.
    """
    inside = [one for call in calls for one in call.references()] + begins
    positions: dict[str, list[int]] = {}
    for position, call in enumerate(calls):
        positions.setdefault(call.part.name, []).append(position)
    largest: dict[str, int] = {}
    for one in inside + (ends if keras == 2 else []):
        largest[one.name] = max(largest.get(one.name, 0), one.node)
    base = {name: max(0, node - len(positions.get(name, ())) + 1) for name, node in largest.items()}

    def index(one: Reference, last: bool) -> int:
        if one.name not in by_name:
            raise BadFile(f"layer {one.name!r} is used but not in the model; if models share it, save each by itself")
        if last and keras == 3:
            node = max(0, one.node - 1) if by_name[one.name].kind == "Functional" else one.node
        else:
            node = one.node - base.get(one.name, 0)
        if not 0 <= node < len(positions[one.name]):
            raise BadFile(f"call {one.node} of layer {one.name!r} is used but not in the model; the file is broken")
        return positions[one.name][node]

    return index


def topological(calls: list[Written], sources: list[list[int]], begins: list[int]) -> list[int]:
    """Positions of the calls, each after those it reads: the inputs first, then always the earliest in the file."""
    if len(set(begins)) != len(begins):
        raise BadFile("an input of the model is listed twice; the file is broken")
    rank = {position: place - len(begins) for place, position in enumerate(begins)}
    readers: list[list[int]] = [[] for _ in calls]
    waits = [len(set(one)) for one in sources]
    for position, one in enumerate(sources):
        for source in set(one):
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
        stuck = sorted({calls[position].part.name for position, count in enumerate(waits) if count})
        raise BadFile(f"layers {', '.join(map(repr, stuck[:5]))} wait for each other's outputs; the file is broken")
    return order


def check(call: PartCall, calls: list[PartCall]) -> None:
    """Raises BadFile for a call whose inputs can't be right."""
    read = list(leaves((call.args, call.kwargs), Tensor))
    if call.part.kind != "InputLayer" and not read:
        raise BadFile(
            f"layer {call.part.name!r} is called without any tensor: Keras did not write down what it is called on; build it from layers instead"
        )
    for one in read:
        source = calls[one.call].part
        if one.output < 0 or (source.graph and one.output >= len(source.graph.outputs)):
            raise BadFile(f"output {one.output} of layer {source.name!r} is used but there is none; the file is broken")
    if call.part.graph and len(call.args) != len(call.part.graph.inputs):
        raise BadFile(
            f"model {call.part.name!r} is called on {len(call.args)} tensors, but has {len(call.part.graph.inputs)} inputs; the file is broken"
        )
