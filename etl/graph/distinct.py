"""The places of a view, each looked at once: windows overlap, a broadcast axis repeats all of it, and a view may be many times what is in memory."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

SMALL = 1 << 12  # ids that are looked at sooner than their axes
LOOKED_AT = 1 << 24  # ids at once


class Runs(NamedTuple):
    """Windows along an axis: how many, each so many places after the one before, and their length."""

    number: int
    step: int
    length: int

    def often(self) -> NDArray[np.int32]:
        """How many windows have each place."""
        change = np.zeros(self.step * (self.number - 1) + self.length + 1, np.int32)
        change[: self.step * self.number : self.step] += 1
        change[self.length :: self.step][: self.number] -= 1
        return np.cumsum(change[:-1], dtype=np.int32)


class Axis(NamedTuple):
    """An axis of a view in memory: so many places, a stride of bytes apart; `runs` where it is windows that overlap."""

    size: int
    stride: int
    runs: Runs | None = None


class Distinct(NamedTuple):
    """The places of a view, each once as far as its axes tell; the view has it `times` times the number of windows that have it along each axis."""

    ids: NDArray[np.int64]
    runs: tuple[Runs | None, ...]
    times: int


def distinct(array: Any) -> Distinct:
    """The distinct places of a view, or all of a small one: axes that repeat go, axes that continue or overlap each other become one."""
    ids = np.asarray(array)
    if ids.size <= SMALL:
        return Distinct(ids.reshape(-1), (None,), 1)
    ids = ids[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in ids.strides)]
    times = prod(size for size, stride in zip(ids.shape, ids.strides, strict=True) if stride == 0)
    merged: list[Axis] = []
    for size, stride in sorted(((n, s) for n, s in zip(ids.shape, ids.strides, strict=True) if n > 1 and s), key=lambda axis: axis[1]):
        place = next(
            (k for k, axis in enumerate(merged) if axis.runs is None and stride % axis.stride == 0 and stride <= axis.stride * axis.size), None
        )
        if place is None:
            merged.append(Axis(size, stride))
        else:
            merged[place] = together(size, stride // merged[place].stride, merged[place])
    merged.sort(key=lambda axis: -axis.stride)
    view = as_strided(ids, [axis.size for axis in merged] or [1], [axis.stride for axis in merged] or [ids.itemsize], writeable=False)
    return Distinct(view, tuple(axis.runs for axis in merged) or (None,), times)


def together(size: int, step: int, axis: Axis) -> Axis:
    """One axis of `size` runs of another one, each beginning `step` places after the one before."""
    return Axis(step * (size - 1) + axis.size, axis.stride, None if step == axis.size else Runs(size, step, axis.size))


def neurons_among(array: Any) -> int:
    """How many places of a view hold a neuron, as often as it has them."""
    ids, runs, times = distinct(array)
    if not ids.size or int(ids.min()) >= 0:
        return np.asarray(array).size
    return times * count_places(ids, tuple(run and run.often() for run in runs))


def count_places(ids: NDArray[np.int64], often: tuple[NDArray[np.int32] | None, ...]) -> int:
    """The sum over all places that hold a neuron of how often they are there: the product along the axes."""
    if ids.size > LOOKED_AT and ids.ndim > 1:
        first = [1] * len(ids) if often[0] is None else often[0].tolist()
        return sum(weight * count_places(block, often[1:]) for block, weight in zip(ids, first, strict=True))
    real: Any = ids >= 0
    if all(weights is None for weights in often):
        return int(np.count_nonzero(real))
    for weights in reversed(often):
        real = real.sum(-1, dtype=np.int64) if weights is None else np.einsum("...i,i->...", real, weights, dtype=np.int64, casting="unsafe")
    return int(real)
