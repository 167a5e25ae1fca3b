"""A network as its file describes it: what readers give and everything else takes. No framework, no rows, no ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile

Shape = tuple[int | None, ...]
INPUT = -1  # the call number of tensors that come from outside: Tensor(INPUT, 2) is the model's third input
LEAVES = (str, int, float, np.ndarray, type(None))  # what most arguments are, and no structure: known at once
LARGEST_LITERAL = 4096  # elements of an array whose values may decide shapes; larger arrays of floats are only computed with


@dataclass(frozen=True)
class Array:
    """One array of the file, known by shape and read when it is needed.

    role   what the layer calls it: `kernel`, `recurrent_kernel`, `moving_mean` ...
    begin  place of its first element among the layer's arrays laid end to end (the base of `parameter`); None for what is no stored number of a
           layer: a constant between layers, or what was computed from stored arrays
    read   returns the array in C order; raises BadFile where the file is broken. Picklable, and equal where layers share an array
    """

    role: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int | None
    read: Callable[[], NDArray[Any]]

    @property
    def size(self) -> int:
        return prod(self.shape)


class Derived:
    """Reads an array that is computed from others whenever it is needed. Subclasses name those others, and compute from them by `value_of`."""

    def __call__(self) -> NDArray[Any]:
        """The array: each that it depends on is computed once, however many read it and however long the chain, and kept until the last has."""
        computed: dict[int, NDArray[Any]] = {}
        order = self.order()
        uses = Counter(id(source) for derived in order for source in derived.sources())
        for derived in order:
            computed[id(derived)] = derived.compute(computed)
            for source in derived.sources():
                uses[id(source)] -= 1
                if not uses[id(source)]:
                    computed.pop(id(source), None)
        return computed[id(self)]

    def order(self) -> list[Derived]:
        """Itself and all that it depends on, each after those that it depends on."""
        order, ordered, waiting = list[Derived](), set[int](), [self]
        while waiting:
            missing = [source for source in waiting[-1].sources() if isinstance(source, Derived) and id(source) not in ordered]
            if missing:
                waiting += missing
            else:
                derived = waiting.pop()
                if id(derived) not in ordered:
                    ordered.add(id(derived))
                    order.append(derived)
        return order

    def sources(self) -> Sequence[Callable[[], NDArray[Any]]]:
        """What reads the arrays that it is computed from."""
        raise NotImplementedError

    def compute(self, computed: dict[int, NDArray[Any]]) -> NDArray[Any]:
        """The array from those that it depends on. computed: what they are, by identity."""
        raise NotImplementedError


def value_of(read: Callable[[], NDArray[Any]], computed: dict[int, NDArray[Any]]) -> NDArray[Any]:
    """What reads an array returns, as a part of what is being computed."""
    return computed[id(read)] if id(read) in computed else read()


@dataclass(frozen=True)
class Layer:
    """One layer of the file (or one operation that stands between layers).

    name     its name in its own model
    kind     what its dialect's table of rules knows it by: a Keras class (`Conv2D`), `op:` and an operation's name (`op:Add`), `aten.conv2d` ...
    options  its configuration as written in the file, untouched
    arrays   its own stored arrays, in the file's order, which its rule takes by their roles
    inner    layers inside it by role: `layer`, `forward_layer`, `backward_layer`, `cell`, `cells`; a nested model is a Layer with a network.
             Their arrays' `begin` counts on within the outermost layer of the file.
    network  the calls inside it, where it is a model itself
    dialect  whose meaning of kinds, names and defaults the file has: a name in `etl.rules.dialects`
    type     what the layer table calls it, where that is not its kind: the class of the module that an operation stands in
    label    the layer of the file that its neurons belong to, where that is not the layer itself
    refusal  why it has no graph, where the reader knows that already
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[Array, ...] = ()
    inner: Mapping[str, Layer | tuple[Layer, ...]] = field(default_factory=dict)
    network: Network | None = None
    dialect: str = "keras3"
    type: str | None = None
    label: str | None = None
    refusal: str | None = None

    @property
    def parameters(self) -> int:
        """Number of stored weights of this layer and all within it: Keras' `count_params`."""
        return sum(array.size for array in self.stored())

    def within(self) -> Iterator[Layer]:
        """The layers directly inside it, those of a nested model aside."""
        for inner in self.inner.values():
            yield from inner if isinstance(inner, tuple) else (inner,)

    def with_inner(self, change: Callable[[Layer], Layer]) -> Layer:
        """The same layer with every layer directly inside it changed, those of a nested model aside."""
        inner = {role: tuple(map(change, layer)) if isinstance(layer, tuple) else change(layer) for role, layer in self.inner.items()}
        return replace(self, inner=inner)

    def stored(self) -> Iterator[Array]:
        """Every stored array of this layer and all within it, each once."""
        yield from self.arrays
        for layer in self.within():
            yield from layer.stored()
        if self.network is not None:
            yield from self.network.stored()


class Padding(NamedTuple):
    """Steps of an input that don't count: all but the first `length`, or but the last where it is below zero, hold `value`."""

    length: int
    value: float

    def counts(self, steps: int) -> NDArray[np.bool_]:
        """Which of all steps count."""
        return np.arange(steps) < self.length if self.length > 0 else np.arange(steps) >= steps + self.length


@dataclass(frozen=True)
class Input:
    """One input of a model.

    shape    None for axes that the file leaves open; None where it says nothing at all. Without the batch axis, unless `batched`
    dtype    as the file has it: a name, or NumPy's where a program says so
    batched  the first axis is the batch, which flows along as an axis of one place
    fixed    axes that the file doesn't leave open can't have another size: sizes were written into what follows
    padding  which steps don't count, where the graph is made for sequences of one length
    """

    name: str
    shape: Shape | None
    dtype: str | np.dtype[Any] = "float32"
    batched: bool = False
    fixed: bool = False
    padding: Padding | None = None

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers alone. By the dtype's name, since NumPy doesn't know all of them (bfloat16)."""
        return str(self.dtype).startswith(("int", "uint", "bool"))


@dataclass(frozen=True)
class Tensor:
    """One output of one call, by place: `network.calls[call]`, its output number `output`; or an input of the model."""

    call: int
    output: int = 0


@dataclass(frozen=True)
class Call:
    """A layer called on tensors. `number` is 0 at its first call in its model, then 1, 2 ...

    args    positional arguments: structures of lists, slices and constants with Tensors and Arrays as leaves. Keras' layers: a flat tuple of Tensors
    kwargs  keyword arguments that are tensors or say something: defaults and None are left out.
    """

    layer: Layer
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0

    @property
    def title(self) -> str:
        """The name of its row: the layer's own at its first call, then `name:1`, `name:2`."""
        return f"{self.layer.name}:{self.number}" if self.number else self.layer.name

    @cached_property
    def reads(self) -> tuple[Tensor, ...]:
        """What it reads, in order, as often as it is read: kept, since loops run their calls at every turn."""
        return tuple(leaves((self.args, self.kwargs), Tensor))

    def stored(self) -> Iterator[Array]:
        """Every stored array of its layer and among its arguments."""
        yield from self.layer.stored()
        yield from (array for array in leaves((self.args, self.kwargs), Array) if array.begin is not None)


@dataclass(frozen=True)
class Network:
    """Calls in topological order, every Tensor pointing to an input or an earlier call.

    inputs, outputs  in the model's own order
    """

    calls: tuple[Call, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Tensor, ...]

    def layers(self) -> Iterator[Layer]:
        """Each layer of this model once, in the order of first calls; not those of nested models."""
        visited: set[int] = set()
        for call in self.calls:
            if id(call.layer) not in visited:
                visited.add(id(call.layer))
                yield call.layer

    def every_layer(self) -> Iterator[Layer]:
        """Each layer once, those inside others and in nested models too."""
        waiting = list(self.layers())
        while waiting:
            layer = waiting.pop(0)
            yield layer
            waiting.extend(layer.within())
            if layer.network is not None:
                waiting.extend(layer.network.layers())

    def stored(self) -> Iterator[Array]:
        """Every stored array of this model and of all within it, each once for every layer that has it."""
        for layer in self.layers():
            yield from layer.stored()
        for call in self.calls:
            yield from (array for array in leaves((call.args, call.kwargs), Array) if array.begin is not None)

    def name_of(self, tensor: Tensor) -> str:
        """What makes a tensor: the name of an input, or the title of a call."""
        return self.inputs[tensor.output].name if tensor.call == INPUT else self.calls[tensor.call].title


@dataclass(frozen=True)
class Model:
    """A whole file.

    format   `keras-h5`, `keras-zip`, `weights` + architecture ... or `memory`
    version  the writer's version, as written (`2.2.4-tf`), or None
    sha256   of the file's bytes, hexadecimal (of configuration and weights for an in-memory model)
    """

    name: str
    network: Network
    sha256: str
    format: str
    version: str | None = None


def flow(network: Network, inputs: Sequence[Any], visit: Callable[[Call, Mapping[Tensor, Any]], Sequence[Any] | None]) -> list[Any] | None:
    """Let values flow through a model: `visit` turns what reaches a call into its outputs.

    inputs  one value a model input, in the model's order. Where `visit` returns None, what depends on that call is left out.
    Returns the values of the outputs; None where one of them was left out. Raises BadFile where an output is read that a call doesn't have.
    """
    values: list[Sequence[Any] | None] = []

    def outputs_of(tensor: Tensor) -> Sequence[Any] | None:
        return inputs if tensor.call == INPUT else values[tensor.call]

    def value(tensor: Tensor) -> Any:
        try:
            return outputs_of(tensor)[tensor.output]  # type: ignore[index]
        except IndexError:
            name = network.calls[tensor.call].layer.name
            raise BadFile(f"output {tensor.output} of layer {name!r} is read, which has none of that number; the file is broken") from None

    for call in network.calls:
        read = call.reads
        reached = all(outputs_of(tensor) is not None for tensor in read)
        values.append(visit(call, {tensor: value(tensor) for tensor in read}) if reached else None)
    if any(outputs_of(tensor) is None for tensor in network.outputs):
        return None
    return [value(tensor) for tensor in network.outputs]


def leaves(value: Any, kind: type[Any]) -> Iterator[Any]:
    """The leaves of a kind in a structure of arguments, in order, as often as they stand there."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, LEAVES):
        return
    elif isinstance(value, Mapping):
        for element in value.values():
            yield from leaves(element, kind)
    elif isinstance(value, list | tuple):
        for element in value:
            yield from leaves(element, kind)
    elif isinstance(value, slice):
        yield from leaves((value.start, value.stop, value.step), kind)


def substitute(value: Any, kind: type[Any] | tuple[type[Any], ...], change: Callable[[Any], Any]) -> Any:
    """The same structure with every leaf of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, LEAVES):
        return value
    if isinstance(value, Mapping):
        return {key: substitute(element, kind, change) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(substitute(element, kind, change) for element in value)
    if isinstance(value, slice):
        return slice(*(substitute(element, kind, change) for element in (value.start, value.stop, value.step)))
    return value


def placeholder(array: Array) -> NDArray[Any]:
    """Zeros of the array's shape that take no memory: enough to count with. Read where the values may decide shapes, or which function a step is.

    That is: whole numbers, few numbers that are constants, and a single number that is stored (the exponent of a pool, say).
    """
    if array.size == 1:
        return array.read()
    if array.begin is None and (array.dtype.kind != "f" or array.size <= LARGEST_LITERAL):
        return array.read()
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
