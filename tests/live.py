"""What a live Keras model says of itself, to compare with what the readers find: an oracle that shares no code with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.network import INPUT, Layer, Network, Tensor

Calls = dict[tuple[str, int], list[tuple[str, int, int]]]


def calls_of(model: Any) -> Calls:
    """(layer, number of the call in this model) -> its input tensors as (layer, number, output), positional ones first. One level deep."""
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    own = {id(node) for node in nodes}

    def number(layer: Any, place: int) -> int:
        return sum(1 for node in layer._inbound_nodes[:place] if id(node) in own)

    calls: Calls = {}
    for node in nodes:
        layer = node.operation if hasattr(node, "operation") else node.layer
        place = next(place for place, one in enumerate(layer._inbound_nodes) if one is node)
        inputs = [] if node.is_input else [tensor._keras_history for tensor in tensors_of(node)]
        calls[layer.name, number(layer, place)] = [(source.name, number(source, at), output) for source, at, output in inputs]
    return calls


def tensors_of(node: Any) -> list[Any]:
    """The tensors of a call: positional arguments, then those by name, the layer's first argument before the others."""
    if hasattr(node, "keras_inputs"):  # Keras 2 makes the first argument positional itself
        return list(node.keras_inputs)
    by_name = sorted(node.arguments.kwargs.items(), key=lambda pair: (pair[0] != "query", pair[0]))
    flat = [*node.arguments.args, *(value for _, value in by_name)]
    return [one for value in flat for one in (value if isinstance(value, list | tuple) else [value]) if hasattr(one, "_keras_history")]


def calls_of_network(network: Network) -> Calls:
    def tensors(value: Any) -> list[Tensor]:
        if isinstance(value, Tensor):
            return [value]
        if isinstance(value, dict):
            value = [value[key] for key in sorted(value)]  # as Keras flattens keyword arguments
        if isinstance(value, slice):
            value = [value.start, value.stop, value.step]
        return [one for part in value for one in tensors(part)] if isinstance(value, list | tuple) else []

    def place(tensor: Tensor) -> tuple[str, int, int]:
        if tensor.call == INPUT:
            return network.inputs[tensor.output].name, 0, 0
        source = network.calls[tensor.call]
        return source.layer.name, source.number, tensor.output

    calls = {(call.layer.name, call.number): [place(one) for one in tensors([call.args, dict(call.kwargs)])] for call in network.calls}
    return {(given.name, 0): [] for given in network.inputs} | calls


def compare_arrays(network: Network, model: Any) -> None:
    """Every layer's arrays are its live layer's variables, trainable ones first, and lie end to end in that order."""
    lives = {layer.name: layer for layer in model.layers}
    assert {name for name, live in lives.items() if live.weights} <= {layer.name for layer in network.layers()}
    for layer in network.layers():
        live = lives.get(layer.name)
        if live is None:
            assert not list(layer.stored()), layer.name
        elif layer.network is not None:
            compare_arrays(layer.network, live)
        else:
            compare_layer(layer, live)


def compare_layer(layer: Layer, live: Any) -> None:
    wanted = [one for one in [*live.trainable_weights, *live.non_trainable_weights] if "seed" not in one.name]
    arrays = sorted(layer.stored(), key=lambda array: array.begin)
    assert len(arrays) == len(wanted), layer.name
    begin = 0
    for array, variable in zip(arrays, wanted, strict=True):
        assert array.begin == begin, (layer.name, array.role)
        role, name = array.role.rpartition("_")[2], variable.name.partition(":")[0].rpartition("/")[2]
        assert name.endswith(role) or name.startswith("variable") or name == "sn_u", (layer.name, array.role, variable.name)
        np.testing.assert_array_equal(array.read(), np.asarray(variable.numpy()).astype(array.dtype), err_msg=f"{layer.name} {array.role}")
        begin += array.size
