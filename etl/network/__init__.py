"""A network as its file describes it: what readers give and everything else takes. No framework, no rows, no ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Array:
    """One stored weight array, known by shape and read when it is needed.

    role   what the layer calls it: `kernel`, `recurrent_kernel`, `moving_mean` ...
    begin  place of its first element among the layer's arrays laid end to end (the base of `parameter`)
    read   returns the array, float32 or float64, C order; raises BadFile where the file is broken. Layers that share an array share this function
    """

    role: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int
    read: Callable[[], NDArray[Any]]

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One layer of the file (or one operation that stands between layers).

    name     its name in its own model
    kind     Keras class name (`Conv2D`), or `op:` and the operation's name (`op:Add`, `op:nn.relu`)
    options  its configuration as written in the file, untouched
    arrays   its own stored arrays, in the file's order
    inner    layers inside it by role: `layer`, `forward_layer`, `backward_layer`, `cell`, `cells`; a nested model is a Layer with a network.
             Their arrays' `begin` counts on within the outermost layer of the file.
    network  the calls inside it, where it is a model itself
    keras    2 or 3: whose meaning of names and defaults the file has
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    arrays: tuple[Array, ...] = ()
    inner: Mapping[str, Layer | tuple[Layer, ...]] = field(default_factory=dict)
    network: Network | None = None
    keras: int = 3

    @property
    def parameters(self) -> int:
        """Number of stored weights of this layer and all within it: Keras' `count_params`."""
        return sum(array.size for array in self.stored())

    def stored(self) -> Iterator[Array]:
        """Every stored array of this layer and all within it, each once."""
        yield from self.arrays
        for part in self.inner.values():
            for layer in part if isinstance(part, tuple) else (part,):
                yield from layer.stored()
        if self.network is not None:
            yield from self.network.stored()


@dataclass(frozen=True)
class Tensor:
    """One output of one call, by place: `network.calls[call]`, its output number `output`."""

    call: int
    output: int = 0


@dataclass(frozen=True)
class Call:
    """A layer called on tensors. `number` is 0 at its first call in its model, then 1, 2 ...

    args    positional arguments. Layers: a flat tuple of Tensors. Operations: as written, Tensors as leaves among constants, lists and slices.
    kwargs  keyword arguments that are tensors or say something: defaults and None are left out.
    """

    layer: Layer
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class Network:
    """Calls in topological order, every Tensor pointing to an earlier call; inputs are calls of InputLayer with no args.

    inputs, outputs  in the model's own order (an input is the Tensor of its InputLayer's call)
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def layers(self) -> Iterator[Layer]:
        """Each layer of this model once, in the order of first calls; not those of nested models."""
        seen: set[int] = set()
        for call in self.calls:
            if id(call.layer) not in seen:
                seen.add(id(call.layer))
                yield call.layer

    def stored(self) -> Iterator[Array]:
        """Every stored array of this model and of all within it, each once."""
        for layer in self.layers():
            yield from layer.stored()


@dataclass(frozen=True)
class Model:
    """A whole file.

    format   `keras-h5`, `keras-zip`, `weights` + architecture ... or `memory`
    version  the writer's Keras version, as written (`2.2.4-tf`), or None
    sha256   of the file's bytes, hexadecimal (of configuration and weights for an in-memory model)
    """

    name: str
    network: Network
    sha256: str
    format: str
    version: str | None = None


def flow(network: Network, inputs: Sequence[Any], visit: Callable[[Call, Mapping[Tensor, Any]], Sequence[Any] | None]) -> list[Any] | None:
    """Let values flow through a model: `visit` turns what reaches a call into its outputs, an input's own value included.

    inputs  one value a model input, in the model's order. Where `visit` returns None, what depends on that call is left out.
    Returns the values of the outputs; None where one of them was left out. Raises BadFile where an output is read that a call doesn't have.
    """
    given = {tensor.call: {tensor: value} for tensor, value in zip(network.inputs, inputs, strict=True)}
    made: list[Sequence[Any] | None] = []

    def value(tensor: Tensor) -> Any:
        try:
            return made[tensor.call][tensor.output]  # type: ignore[index]
        except IndexError:
            name = network.calls[tensor.call].layer.name
            raise BadFile(f"output {tensor.output} of layer {name!r} is read, which has none of that number; the file is broken") from None

    for number, call in enumerate(network.calls):
        leaves = list(tensors((call.args, call.kwargs)))
        if any(made[t.call] is None for t in leaves):
            made.append(None)
        else:
            reach = given.get(number) or {t: value(t) for t in leaves}
            made.append(visit(call, reach))
    if any(made[t.call] is None for t in network.outputs):
        return None
    return [value(t) for t in network.outputs]


def tensors(value: Any) -> Iterator[Tensor]:
    """The Tensors in a structure of arguments, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def substitute(value: Any, given: Mapping[Tensor, Any]) -> Any:
    """The same structure with the given values in the places of its Tensors. Constant arrays become float64: nothing but ids is int64."""
    if isinstance(value, Tensor):
        return given[value]
    if isinstance(value, np.ndarray):
        return value.astype(np.float64)
    if isinstance(value, Mapping):
        return {key: substitute(part, given) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(substitute(part, given) for part in value)
    return value


def placeholder(array: Array) -> NDArray[Any]:
    """Zeros of the array's shape that take no memory: enough to count with."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
