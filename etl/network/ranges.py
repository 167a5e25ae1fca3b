"""A range of layers as a network of its own: what its first layers read becomes its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from etl.network import INPUT, Input, Network, Tensor, substitute


def maker(tensor: Tensor) -> int:
    """The number of the call that makes a tensor; inputs count down from -1, so that each has a number of its own."""
    return tensor.call if tensor.call != INPUT else -1 - tensor.output


def after(reads: Sequence[set[int]], start: set[int]) -> set[int]:
    """The calls that depend on those in `start`, and these. Reads: the makers of what each call reads."""
    dependent = set(start)
    for number, read in enumerate(reads):
        if read & dependent:
            dependent.add(number)
    return dependent


def before(reads: Sequence[set[int]], start: set[int]) -> set[int]:
    """The calls that those in `start` depend on, and these."""
    needed = set(start)
    for number in range(len(reads) - 1, -1, -1):
        if number in needed:
            needed |= reads[number]
    return needed


def subnetwork(network: Network, numbers: Sequence[int], outputs: Sequence[Tensor], described_inputs: Mapping[Tensor, Input]) -> Network:
    """These calls, with an input for each tensor that they read from elsewhere: `described_inputs` describes it."""
    inside = set(numbers)
    read = list(dict.fromkeys(tensor for number in numbers for tensor in network.calls[number].reads if tensor.call not in inside))
    place = {number: rank for rank, number in enumerate(numbers)}

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(place[tensor.call], tensor.output) if tensor.call in place else Tensor(INPUT, read.index(tensor))

    calls = []
    for call in (network.calls[number] for number in numbers):
        args, kwargs = substitute((call.args, dict(call.kwargs)), Tensor, moved)
        calls.append(replace(call, args=args, kwargs=kwargs))
    return Network(tuple(calls), tuple(described_inputs[tensor] for tensor in read), tuple(map(moved, outputs)))
