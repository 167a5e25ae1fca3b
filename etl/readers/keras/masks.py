"""Masks say which places of an example count. They have no fixed graph, so they are refused, or taken as absent where the caller asks for it.

Keras 2 sends them along unseen; Keras 3 writes down what computes them as operations, and the mask as an argument of each call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etl.network import Call, Layer, Network, Tensor, substitute, tensors

WHY = "so what counts depends on the example; --ignore-masks makes the graph as if nothing were masked"
ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask", "attention_mask")


def unmasked(network: Network) -> tuple[Network, list[tuple[str, Layer]]]:
    """The same model with no mask given to any call, without what only masks need; and the calls (name, layer) that had one."""
    masked: list[tuple[str, Layer]] = []
    known: dict[int, Layer] = {}
    calls = [without(call, known, masked) for call in network.calls]
    if not masked:
        return network, masked
    kept = reached(calls, network)
    place = {number: rank for rank, number in enumerate(kept)}
    read = {t for number in kept for t in read_by(calls[number])} | {*network.inputs, *network.outputs}
    moved = {t: Tensor(place[t.call], t.output) for t in read}
    again = [replace(calls[n], args=substitute(calls[n].args, moved), kwargs=substitute(dict(calls[n].kwargs), moved)) for n in kept]
    return Network(tuple(again), *(tuple(moved[t] for t in side) for side in (network.inputs, network.outputs))), masked


def without(call: Call, known: dict[int, Layer], masked: list[tuple[str, Layer]]) -> Call:
    """One call without its masks, also in the models within its layer. A layer called again stays one object."""
    if id(call.layer) not in known:
        known[id(call.layer)] = inside(call.layer, masked)
    kwargs = {name: value for name, value in call.kwargs.items() if not is_mask(name, value)}
    if len(kwargs) < len(call.kwargs):
        masked.append((call.layer.name, call.layer))
    return replace(call, layer=known[id(call.layer)], kwargs=kwargs)


def is_mask(name: str, value: object) -> bool:
    """Whether an argument is a mask that depends on the example; a constant one does not."""
    return name in ARGUMENTS and any(True for _ in tensors(value))


def inside(layer: Layer, masked: list[tuple[str, Layer]]) -> Layer:
    """The layer with no masks in the models within it."""
    found: list[tuple[str, Layer]] = []
    network = layer.network
    if network is not None:
        network, found = unmasked(network)
    inner: dict[str, Layer | tuple[Layer, ...]] = {}
    for role, within in layer.inner.items():
        inner[role] = tuple(inside(one, found) for one in within) if isinstance(within, tuple) else inside(within, found)
    masked += [(f"{layer.name}/{name}", one) for name, one in found]
    return replace(layer, network=network, inner=inner) if found else layer


def reached(calls: list[Call], network: Network) -> list[int]:
    """Numbers of the calls that outputs depend on, and of all inputs, in order."""
    wanted = {t.call for t in (*network.inputs, *network.outputs)}
    for number in reversed(range(len(calls))):
        if number in wanted:
            wanted |= {t.call for t in read_by(calls[number])}
    return sorted(wanted)


def read_by(call: Call) -> Iterator[Tensor]:
    return tensors((call.args, call.kwargs))
