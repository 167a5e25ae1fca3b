"""Masks say which places of an example count. They have no fixed graph: layers that have one are refused, or taken as if nothing were masked.

Keras 2 sends them along unseen; Keras 3 writes down what computes them as operations, and the mask as an argument of each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from etl.network import INPUT, Call, Layer, Network, Tensor, leaves, substitute

WHY = "so what counts depends on the example; --ignore-masks makes the graph as if nothing were masked"
ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask", "attention_mask")


def settled(network: Network, ignore: bool) -> Network:
    """The same model with its masks taken as absent, or with what masks marked as refused."""
    return without_masks(network) if ignore else refused_masks(network)


def without_masks(network: Network) -> Network:
    """The same model with no mask given to any call, and without what only masks need."""
    layers: dict[int, Layer] = {}
    calls = [ignored(call, layers) for call in network.calls]
    if all(len(after.kwargs) == len(before.kwargs) for before, after in zip(network.calls, calls, strict=True)):
        return replace(network, calls=tuple(calls))
    kept = reached(calls, network.outputs)
    place = {number: rank for rank, number in enumerate(kept)}

    def moved(tensor: Tensor) -> Tensor:
        return tensor if tensor.call == INPUT else Tensor(place[tensor.call], tensor.output)

    def again(call: Call) -> Call:
        args, kwargs = substitute((call.args, dict(call.kwargs)), Tensor, moved)
        return replace(call, args=args, kwargs=kwargs)

    return Network(tuple(again(calls[number]) for number in kept), network.inputs, tuple(map(moved, network.outputs)))


def refused_masks(network: Network) -> Network:
    """The same model, each layer that masks or is given a mask marked as refused."""
    layers: dict[int, Layer] = {}
    return replace(network, calls=tuple(refused(call, layers) for call in network.calls))


def ignored(call: Call, layers: dict[int, Layer]) -> Call:
    """One call without its masks, also in the models within its layer. A layer called again stays one object."""
    layer = layers.setdefault(id(call.layer), unmasking(call.layer))
    return replace(call, layer=layer, kwargs={name: value for name, value in call.kwargs.items() if not is_mask(name, value)})


def refused(call: Call, layers: dict[int, Layer]) -> Call:
    """One call whose layer says why it is refused, where it masks or has a mask."""
    layer = layers.setdefault(id(call.layer), marked(call.layer))
    if any(is_mask(name, value) for name, value in call.kwargs.items()):
        layer = replace(layer, refusal=layer.refusal or f"has a tensor as mask, {WHY}")
    return replace(call, layer=layer)


def is_mask(name: str, value: object) -> bool:
    """Whether an argument is a mask that depends on the example; a constant one does not."""
    return name in ARGUMENTS and any(True for _ in leaves(value, Tensor))


def unmasking(layer: Layer) -> Layer:
    """The layer as if it masked nothing, and all within it."""
    if layer.kind == "Masking":
        layer = replace(layer, kind="Identity", type=layer.kind, options={})
    if layer.options.get("mask_zero"):
        layer = replace(layer, options={**layer.options, "mask_zero": False})
    return replace(layer.with_inner(unmasking), network=layer.network and without_masks(layer.network))


def marked(layer: Layer) -> Layer:
    """The layer with the reason for its refusal, where it masks, and all within it."""
    what = "a mask" if layer.kind == "Masking" else "mask_zero=True" if layer.options.get("mask_zero") else None
    refusal = layer.refusal or (f"has {what}, {WHY}" if what else None)
    return replace(layer.with_inner(marked), refusal=refusal, network=layer.network and refused_masks(layer.network))


def reached(calls: Sequence[Call], outputs: Sequence[Tensor]) -> list[int]:
    """Numbers of the calls that outputs depend on, in order."""
    wanted = {tensor.call for tensor in outputs}
    for number in reversed(range(len(calls))):
        if number in wanted:
            wanted |= {tensor.call for tensor in calls[number].reads}
    return sorted(wanted - {INPUT})
