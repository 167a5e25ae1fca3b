"""A range of layers as a model of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from etl.errors import BadRequest, did_you_mean
from etl.graph.trace import trace
from etl.network import INPUT, Input, Model, Network, Tensor
from etl.network.nesting import flat
from etl.network.ranges import after, before, maker, subnetwork
from etl.rules.dialects import DIALECTS


def layers_between(
    model: Model, first: str | None, last: str | None, input_shapes: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] = ()
) -> Model:
    """The layers on the ways from `first` to `last` (None: from the inputs, to the outputs), both included.

    What they read from elsewhere becomes an input with the name and shape of the layer that makes it; `last` makes the output.
    Raises BadRequest where there is no such layer or no way between them.
    """
    network = flat(model.network)
    titles = [call.title for call in network.calls]
    inputs = [declared.name for declared in network.inputs]
    for name in (first, last):
        if name is not None and name not in (*titles, *inputs):
            raise BadRequest(f"--layers: there is no layer {name}{did_you_mean(name, (*inputs, *titles))}: `etl plan` lists them")
    numbers = {name: -1 - place for place, name in enumerate(inputs)} | {title: place for place, title in reversed(list(enumerate(titles)))}
    reads = [set(map(maker, call.reads)) for call in network.calls]
    above = after(reads, {numbers[first]} if first else {-1 - place for place in range(len(inputs))})
    below = before(reads, {numbers[last]} if last else set(map(maker, network.outputs)))
    between_numbers = sorted(number for number in above & below if number >= 0)
    if not between_numbers:
        raise BadRequest(f"--layers: no path leads from {first} to {last}")
    ends = [Tensor(numbers[last])] if last else [tensor for tensor in network.outputs if tensor.call in between_numbers]
    return replace(model, network=subnetwork(network, between_numbers, ends, described_inputs(model, network, input_shapes)))


def described_inputs(model: Model, network: Network, input_shapes: Sequence[Sequence[int]] | Mapping[str, Sequence[int]]) -> dict[Tensor, Input]:
    """Every tensor that a call of a flat network reads, as an input of its name and shape: traced with all of them as outputs."""
    read = list(dict.fromkeys(tensor for call in network.calls for tensor in call.reads))
    graph = trace(replace(model, network=replace(network, outputs=tuple(read))), input_shapes)
    return {tensor: input_of(network, tensor, ids.shape) for tensor, ids in zip(read, graph.outputs, strict=True)}


def input_of(network: Network, tensor: Tensor, shape: tuple[int, ...]) -> Input:
    """A tensor as an input: under the name of what makes it, with all axes that flow."""
    if tensor.call == INPUT:
        return replace(network.inputs[tensor.output], shape=shape)
    batched = DIALECTS[network.calls[tensor.call].layer.dialect].batched and shape[:1] == (1,)
    return Input(network.name_of(tensor) + (f"/{tensor.output}" if tensor.output else ""), shape, batched=batched)
