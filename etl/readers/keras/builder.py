"""What the readers build before it is frozen: a model's parts, first without arrays, then with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.network import INPUT, Array, Call, Input, Layer, Network, Tensor, substitute

# Keras lists these after all trainable variables of a layer, wherever inside it they are.
NOT_TRAINABLE = {"moving_mean", "moving_variance", "mean", "variance", "count", "vector_u", "moving_stddev", "renorm_mean", "renorm_stddev"}


@dataclass(frozen=True, eq=False)
class Stored:
    """One array where it lies: its name there, its shape, the type it is read as (float32 or float64), and how to read it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


@dataclass(eq=False)
class Part:
    """A layer, an operation or a model of the file.

    written  class name as the file has it: it names the part's group in a v3 store
    arrays   role -> array, filled in by the reader of the weights
    order    the order in which the file lists the arrays of this part and all within it; empty where the file has none
    refusal  why it has no graph, where the architecture tells
    """

    name: str
    kind: str
    written: str
    options: Mapping[str, Any]
    keras: int
    inner: dict[str, Part | tuple[Part, ...]] = field(default_factory=dict)
    graph: Graph | None = None
    arrays: dict[str, Stored] = field(default_factory=dict)
    order: list[Stored] = field(default_factory=list)
    refusal: str | None = None

    @property
    def dialect(self) -> str:
        """The name of the dialect that its Keras speaks."""
        return f"keras{self.keras}"

    def within(self) -> Iterator[Part]:
        """The layers inside a wrapper, in the order of their variables; not those of a nested model."""
        for part in self.inner.values():
            yield from part if isinstance(part, tuple) else (part,)

    def pieces(self) -> Iterator[Part]:
        """This part and all layers inside it that belong to the same layer of the file: those of a model too, where it stands in a wrapper."""
        yield self
        for part in self.within():
            yield from part.pieces()
            for one in part.graph.parts if part.graph else ():
                yield from one.everything()

    def everything(self) -> Iterator[Part]:
        """This part and all that is inside it, nested models included."""
        yield from self.pieces()
        for one in self.graph.parts if self.graph else ():
            yield from one.everything()


def identity(part: Part) -> str:
    """Equal for two entries that may be one object of the program that wrote them."""
    return json.dumps([part.written, part.name, without_ids(part.options)], sort_keys=True)


def without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [without_ids(one) for one in value]
    if isinstance(value, Mapping):
        return {key: without_ids(one) for key, one in value.items() if key != "shared_object_id"}
    return value


@dataclass(frozen=True, eq=False)
class PartCall:
    part: Part
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(eq=False)
class Graph:
    """A model's layers in the file's order and its calls in topological order."""

    parts: list[Part]
    calls: list[PartCall]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def network(graph: Graph, begins: dict[int, int] | None = None) -> Network:
    """The finished description. A layer called several times stays one object.

    begins  of the arrays, where the model stands in a wrapper and its layers belong to that layer of the file
    """
    layers = {id(part): frozen(part) if begins is None else layer(part, begins) for part in graph.parts if part.kind != "InputLayer"}
    position = {tensor.call: number for number, tensor in enumerate(graph.inputs)}
    kept = [number for number in range(len(graph.calls)) if number not in position]
    place = {number: rank for rank, number in enumerate(kept)}

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(INPUT, position[tensor.call]) if tensor.call in position else Tensor(place[tensor.call], tensor.output)

    def finished(call: PartCall) -> Call:
        args, kwargs = substitute((call.args, call.kwargs), Tensor, moved)
        return Call(layers[id(call.part)], args, kwargs, call.number)

    inputs = tuple(declared(graph.calls[tensor.call].part) for tensor in graph.inputs)
    return Network(tuple(finished(graph.calls[number]) for number in kept), inputs, tuple(map(moved, graph.outputs)))


def declared(part: Part) -> Input:
    """What an InputLayer says: its shape without the batch axis, None where the file does not tell."""
    shape = part.options["batch_shape"]
    dtype = part.options.get("dtype")
    return Input(part.name, None if shape is None else tuple(shape[1:]), dtype if isinstance(dtype, str) else "float32")


def frozen(part: Part) -> Layer:
    """One layer of the file with all that is inside it."""
    if part.graph is not None:  # its layers are layers of the file themselves
        return Layer(part.name, part.kind, part.options, network=network(part.graph), dialect=part.dialect)
    begin, begins = 0, {}
    for stored in part.order or canonical(part):
        begins[id(stored)] = begin
        begin += prod(stored.shape)
    return layer(part, begins)


def canonical(part: Part) -> list[Stored]:
    """Arrays in the order of Keras' `layer.weights`: trainable ones first, then the others."""
    found = [(role in NOT_TRAINABLE, stored) for piece in part.pieces() for role, stored in piece.arrays.items()]
    return [stored for _, stored in sorted(found, key=lambda pair: pair[0])]


def layer(part: Part, begins: dict[int, int]) -> Layer:
    inner = {
        role: tuple(layer(one, begins) for one in inside) if isinstance(inside, tuple) else layer(inside, begins)
        for role, inside in part.inner.items()
    }
    arrays = tuple(Array(role, stored.shape, stored.dtype, begins.get(id(stored)), stored.read) for role, stored in part.arrays.items())
    if isinstance(activation := inner.get("activation"), Layer) and part.kind in ACTIVATED:
        return followed(Layer(part.name, part.kind, {**part.options, "activation": None}, arrays, dialect=part.dialect), activation)
    inside = network(part.graph, begins) if part.graph else None
    return Layer(part.name, part.kind, part.options, arrays, inner, inside, part.dialect, refusal=part.refusal)


# Layers whose activation is the last thing they do, so that one with weights of its own may stand behind them.
ACTIVATED = {"Dense", "EinsumDense", "Activation"} | {
    f"{kind}{n}D" for n in (1, 2, 3) for kind in ("Conv", "DepthwiseConv", "SeparableConv", "LocallyConnected")
}
ACTIVATED |= {f"Conv{n}DTranspose" for n in (1, 2, 3)}


def followed(first: Layer, activation: Layer) -> Layer:
    """A layer and the one that is its activation, as a model of both under the name of the first."""
    calls = (Call(first, (Tensor(INPUT),)), Call(activation, (Tensor(0),)))
    return Layer(first.name, first.kind, network=Network(calls, (Input("input", None),), (Tensor(1),)), dialect=first.dialect)
