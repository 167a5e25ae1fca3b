"""A range of layers as a model of its own: what its first layers read becomes its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from etl.errors import BadRequest
from etl.graph.trace import trace
from etl.network import Call, Layer, Model, Network, Tensor, flow, substitute, tensors


def between(model: Model, first: str | None, last: str | None, input_shapes: Sequence[Sequence[int]] = ()) -> Model:
    """The layers on the ways from `first` to `last` (None: from the inputs, to the outputs), both included.

    What they read from elsewhere becomes an input with the name and shape of the layer that makes it; `last` makes the output.
    Raises BadRequest where there is no such layer or no way between them.
    """
    network = flat(model.network)
    names = [label(call) for call in network.calls]
    for name in (first, last):
        if name is not None and name not in names:
            near = get_close_matches(name, names, 1)
            raise BadRequest(f"--layers: there is no layer {name}" + (f"; did you mean {near[0]}?" if near else "; see etl plan"))
    reads = [{t.call for t in tensors((call.args, call.kwargs))} for call in network.calls]
    above = after(reads, {names.index(first)} if first else {t.call for t in network.inputs})
    below = before(reads, {names.index(last)} if last else {t.call for t in network.outputs})
    kept = [n for n in range(len(names)) if n in above and n in below and network.calls[n].args]
    if not kept:
        raise BadRequest(f"--layers: no way leads from {first} to {last}")
    ends = [Tensor(names.index(last))] if last else [t for t in network.outputs if t.call in kept]
    return replace(model, network=cut(network, kept, ends, shapes(model, network, input_shapes)))


def after(reads: Sequence[set[int]], start: set[int]) -> set[int]:
    """The calls that depend on those in `start`, and these."""
    found = set(start)
    for number, read in enumerate(reads):
        if read & found:
            found.add(number)
    return found


def before(reads: Sequence[set[int]], start: set[int]) -> set[int]:
    """The calls that those in `start` depend on, and these."""
    found = set(start)
    for number in range(len(reads) - 1, -1, -1):
        if number in found:
            found |= reads[number]
    return found


def cut(network: Network, kept: Sequence[int], outputs: Sequence[Tensor], known: Mapping[Tensor, tuple[int, ...]]) -> Network:
    """The kept calls, with an input for each tensor that they read from elsewhere."""
    inside = set(kept)
    read = list(dict.fromkeys(t for n in kept for t in tensors((network.calls[n].args, network.calls[n].kwargs)) if t.call not in inside))
    place = {number: len(read) + at for at, number in enumerate(kept)}

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(place[tensor.call], tensor.output) if tensor.call in place else Tensor(read.index(tensor))

    calls = [Call(Layer(made_by(network, t), "InputLayer", {"batch_shape": (None, *known[t])})) for t in read]
    for call in (network.calls[number] for number in kept):
        args, keywords = substitute((call.args, dict(call.kwargs)), {t: moved(t) for t in tensors((call.args, call.kwargs))})
        calls.append(replace(call, args=args, kwargs=keywords))
    return Network(tuple(calls), tuple(Tensor(n) for n in range(len(read))), tuple(moved(t) for t in outputs))


def made_by(network: Network, tensor: Tensor) -> str:
    """The name of an input that stands for a tensor: that of the call that makes it."""
    return label(network.calls[tensor.call]) + (f"/{tensor.output}" if tensor.output else "")


def shapes(model: Model, network: Network, input_shapes: Sequence[Sequence[int]]) -> dict[Tensor, tuple[int, ...]]:
    """The shape of every tensor that a call of a flat network reads, by tracing it with all of them as outputs."""
    read = list(dict.fromkeys(t for call in network.calls for t in tensors((call.args, call.kwargs))))
    graph = trace(replace(model, network=replace(network, outputs=tuple(read))), input_shapes)
    return {tensor: ids.shape for tensor, ids in zip(read, graph.outputs, strict=True)}


def label(call: Call) -> str:
    """A call's name as its row has it."""
    return call.layer.name + (f":{call.number}" if call.number else "")


@dataclass(frozen=True)
class Outputs:
    """The outputs of a call, however many there are."""

    call: int

    def __getitem__(self, output: int) -> Tensor:
        return Tensor(self.call, output)


def flat(network: Network, opened: Callable[[str], bool] = lambda name: True) -> Network:
    """The same network without nested models, or without those whose name `opened` takes: their layers are called `outer/inner`."""
    calls: list[Call] = []

    def visit_in(prefix: str) -> Callable[[Call, Mapping[Tensor, Tensor]], Any]:
        def visit(call: Call, reach: Mapping[Tensor, Tensor]) -> Any:
            if not call.args and prefix:
                return list(reach.values())
            if call.layer.network is not None and opened(prefix + label(call)):
                return flow(call.layer.network, list(reach.values()), visit_in(f"{prefix}{label(call)}/"))
            args, keywords = substitute((call.args, dict(call.kwargs)), reach)
            calls.append(replace(call, layer=replace(call.layer, name=prefix + call.layer.name), args=args, kwargs=keywords))
            return Outputs(len(calls) - 1)

        return visit

    outputs = flow(network, network.inputs, visit_in("")) or []
    names = [network.calls[t.call].layer.name for t in network.inputs]
    begins = {call.layer.name: Tensor(n) for n, call in enumerate(calls) if not call.args}
    return Network(tuple(calls), tuple(begins[name] for name in names), tuple(outputs))
