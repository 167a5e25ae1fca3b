"""What the readers of Keras files build before it is frozen: a model's layers, first without arrays, then with them."""

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
class StoredArray:
    """One array where it lies: its name there, its shape, the type it is read as (float32 or float64), and how to read it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


@dataclass(eq=False)
class KerasLayer:
    """A layer, an operation or a model of the file.

    written  class name as the file has it: it names the layer's group in a v3 store
    arrays   role -> array, filled in by the reader of the weights
    order    the order in which the file lists the arrays of this layer and all within it; empty where the file has none
    refusal  why it has no graph, where the architecture tells
    """

    name: str
    kind: str
    written: str
    options: Mapping[str, Any]
    keras: int
    inner: dict[str, KerasLayer | tuple[KerasLayer, ...]] = field(default_factory=dict)
    graph: Graph | None = None
    arrays: dict[str, StoredArray] = field(default_factory=dict)
    order: list[StoredArray] = field(default_factory=list)
    refusal: str | None = None

    @property
    def dialect(self) -> str:
        """The name of the dialect that its Keras speaks."""
        return f"keras{self.keras}"

    def within(self) -> Iterator[KerasLayer]:
        """The layers inside a wrapper, in the order of their variables; not those of a nested model."""
        for inner in self.inner.values():
            yield from inner if isinstance(inner, tuple) else (inner,)

    def pieces(self) -> Iterator[KerasLayer]:
        """This layer and all those inside it that belong to the same layer of the file: those of a model too, where it stands in a wrapper."""
        yield self
        for inner in self.within():
            yield from inner.pieces()
            for nested in inner.graph.layers if inner.graph else ():
                yield from nested.everything()

    def everything(self) -> Iterator[KerasLayer]:
        """This layer and all that is inside it, nested models included."""
        yield from self.pieces()
        for nested in self.graph.layers if self.graph else ():
            yield from nested.everything()


def identity(layer: KerasLayer) -> str:
    """Equal for two entries that may be one object of the program that wrote them."""
    return json.dumps([layer.written, layer.name, without_ids(layer.options)], sort_keys=True)


def without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [without_ids(element) for element in value]
    if isinstance(value, Mapping):
        return {key: without_ids(element) for key, element in value.items() if key != "shared_object_id"}
    return value


@dataclass(frozen=True, eq=False)
class KerasCall:
    """A call as `etl.network.Call` has it, of a layer that is not frozen yet."""

    layer: KerasLayer
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(eq=False)
class Graph:
    """A model's layers in the file's order and its calls in topological order."""

    layers: list[KerasLayer]
    calls: list[KerasCall]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def network(graph: Graph, begins: dict[int, int] | None = None) -> Network:
    """The finished description. A layer called several times stays one object.

    begins  of the arrays, where the model stands in a wrapper and its layers belong to that layer of the file
    """
    layers = {
        id(layer): file_layer(layer) if begins is None else network_layer(layer, begins) for layer in graph.layers if layer.kind != "InputLayer"
    }
    position = {tensor.call: number for number, tensor in enumerate(graph.inputs)}
    remaining = [number for number in range(len(graph.calls)) if number not in position]
    place = {number: rank for rank, number in enumerate(remaining)}

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(INPUT, position[tensor.call]) if tensor.call in position else Tensor(place[tensor.call], tensor.output)

    def finished(call: KerasCall) -> Call:
        args, kwargs = substitute((call.args, call.kwargs), Tensor, moved)
        return Call(layers[id(call.layer)], args, kwargs, call.number)

    inputs = tuple(declared_input(graph.calls[tensor.call].layer) for tensor in graph.inputs)
    return Network(tuple(finished(graph.calls[number]) for number in remaining), inputs, tuple(map(moved, graph.outputs)))


def declared_input(layer: KerasLayer) -> Input:
    """What an InputLayer says: its shape without the batch axis, None where the file does not tell."""
    shape = layer.options["batch_shape"]
    dtype = layer.options.get("dtype")
    return Input(layer.name, None if shape is None else tuple(shape[1:]), dtype if isinstance(dtype, str) else "float32")


def file_layer(layer: KerasLayer) -> Layer:
    """One layer of the file with all that is inside it."""
    if layer.graph is not None:  # its layers are layers of the file themselves
        return Layer(layer.name, layer.kind, layer.options, network=network(layer.graph), dialect=layer.dialect)
    begin, begins = 0, {}
    for stored in layer.order or canonical(layer):
        begins[id(stored)] = begin
        begin += prod(stored.shape)
    return network_layer(layer, begins)


def canonical(layer: KerasLayer) -> list[StoredArray]:
    """Arrays in the order of Keras' `layer.weights`: trainable ones first, then the others."""
    arrays = [(role in NOT_TRAINABLE, stored) for inner in layer.pieces() for role, stored in inner.arrays.items()]
    return [stored for _, stored in sorted(arrays, key=lambda pair: pair[0])]


def network_layer(source: KerasLayer, begins: dict[int, int]) -> Layer:
    inner = {
        role: tuple(network_layer(cell, begins) for cell in inside) if isinstance(inside, tuple) else network_layer(inside, begins)
        for role, inside in source.inner.items()
    }
    arrays = tuple(Array(role, stored.shape, stored.dtype, begins.get(id(stored)), stored.read) for role, stored in source.arrays.items())
    if isinstance(activation := inner.get("activation"), Layer) and source.kind in ACTIVATED:
        return with_activation(Layer(source.name, source.kind, {**source.options, "activation": None}, arrays, dialect=source.dialect), activation)
    inside = network(source.graph, begins) if source.graph else None
    return Layer(source.name, source.kind, source.options, arrays, inner, inside, source.dialect, refusal=source.refusal)


# Layers whose activation is the last thing they do, so that one with weights of its own may stand behind them.
ACTIVATED = {"Dense", "EinsumDense", "Activation"} | {
    f"{kind}{n}D" for n in (1, 2, 3) for kind in ("Conv", "DepthwiseConv", "SeparableConv", "LocallyConnected")
}
ACTIVATED |= {f"Conv{n}DTranspose" for n in (1, 2, 3)}


def with_activation(first: Layer, activation: Layer) -> Layer:
    """A layer and the one that is its activation, as a model of both under the name of the first."""
    calls = (Call(first, (Tensor(INPUT),)), Call(activation, (Tensor(0),)))
    return Layer(first.name, first.kind, network=Network(calls, (Input("input", None),), (Tensor(1),)), dialect=first.dialect)
