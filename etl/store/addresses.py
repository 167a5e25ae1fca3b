"""A neuron's address: its layer and its index there, `digit/4` or `pool/2,2,15`; the same in every store and after every load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from etl.errors import QueryError, did_you_mean


def address(layer: str, index: Sequence[int]) -> str:
    """`pool/2,2,15`; a neuron of a layer without axes is `loss/0`."""
    return f"{layer}/{','.join(map(str, index)) or '0'}"


def address_of(neuron: int, layers: Sequence[Mapping[str, Any]]) -> str:
    """The address of the neuron with that id, one of the layers' neurons; the id as text where their shapes give none. layers: rows of `layers`."""
    layer = next(layer for layer in layers if layer["begin"] <= neuron < layer["end"])
    place, index = neuron - layer["begin"], list[int]()
    if prod(layer["shape"]) != layer["end"] - layer["begin"]:
        return str(neuron)
    for size in reversed(layer["shape"]):
        place, last = divmod(place, size)
        index.insert(0, last)
    return address(layer["name"], index)


def neuron_id(place: str, layers: Sequence[Mapping[str, Any]], model: str) -> int:
    """The id of the neuron at an address.

    layers: rows of the query `layers`. Raises QueryError naming what is wrong: the layer, how many numbers, or which of them is too large.
    """
    name, _, numbers = place.rpartition("/")
    known = {layer["name"]: layer for layer in layers}
    if name not in known:
        raise QueryError(f"{model} has no layer {name}{did_you_mean(name, known)}, so no neuron {place}: etl query layers lists the layers.")
    layer = known[name]
    if layer["begin"] == layer["end"]:
        raise QueryError(f"{name} ({layer['type']}) has no neurons of its own, it only passes on others': name one of a layer before it.")
    shape = list(layer["shape"]) or [1]
    if prod(shape) != layer["end"] - layer["begin"]:
        raise QueryError(f"the neurons of {name} have no addresses here: name one by its id, {layer['begin']} to {layer['end'] - 1}.")
    try:
        index = [int(number) for number in numbers.split(",")]
    except ValueError:
        raise QueryError(f"{place}: what follows the layer is an index such as {','.join(str(n - 1) for n in shape)}, not {numbers!r}.") from None
    if len(index) != len(shape) or not all(0 <= n < size for n, size in zip(index, shape, strict=False)):
        raise QueryError(f"{model} has no neuron {place}: the last one of {name} is {address(name, [n - 1 for n in shape])}.")
    position = 0
    for n, size in zip(index, shape, strict=True):
        position = position * size + n
    return int(layer["begin"]) + position
