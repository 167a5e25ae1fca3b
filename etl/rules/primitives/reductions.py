"""Sums, means, extremes, lengths, ranks and running sums along axes, which count from 0; a batch is an axis like any other."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.rules.ids import axis_names
from etl.rules.primitives.axes import edges_along, reduced_shape
from etl.rules.primitives.elementwise import affine, equal, function, greater, subtract
from etl.rules.scope import NOTHING, Edges, Ids, Scope, bounded


def axes_of(axes: Any, rank: int) -> tuple[int, ...]:
    """Axes as whole numbers from 0, in order; None means all. Raises IndexError where there is none of that number."""
    if axes is None:
        return tuple(range(rank))
    listed = [int(axis) for axis in np.ravel(axes)]
    if any(not -rank <= axis < rank for axis in listed):
        raise IndexError(f"axes {listed} of a tensor of {rank}")
    return tuple(sorted({axis % rank for axis in listed}))


def reduced(here: Scope, op: str, x: Ids, axes: Sequence[int], keepdims: bool = False, *, weight: float = 1.0, **options: Any) -> Ids:
    """One neuron for all places along some axes: op is `sum`, `max`, `min` or `product`."""
    names = tuple(name for axis, name in enumerate(axis_names(x)) if keepdims or axis not in axes)
    return here.neurons(op, [edges_along(x, axes, weight)], shape=reduced_shape(x, axes, keepdims), axes=names, **options)


def mean(here: Scope, x: Ids, axes: Sequence[int], keepdims: bool = False, **options: Any) -> Ids:
    """The mean along some axes: weights 1/n."""
    return reduced(here, "sum", x, axes, keepdims, weight=1 / max(prod(x.shape[k] for k in axes), 1), **options)


def length(here: Scope, x: Ids, axes: Sequence[int], keepdims: bool, p: float) -> Ids:
    """(sum of |x|^p)^(1/p) along some axes: absolute values in `abs`, squares in `square`."""
    if p == 1:
        return reduced(here, "sum", function(here, x, "abs", "abs"), axes, keepdims)
    if p == 2:
        return reduced(here, "sum", function(here, x, "square", "square"), axes, keepdims, activation="sqrt")
    from etl.activations import call

    powers = function(here, function(here, x, "abs", "abs"), call("power", exponent=float(p)), "power")
    return reduced(here, "sum", powers, axes, keepdims, activation=call("power", exponent=1 / p))


def softmax(here: Scope, x: Ids, axes: Sequence[int], *, part: str | None = None) -> Ids:
    """exp(x) over its sum along some axes: one neuron each along the last axis alone, written out along others."""
    if tuple(axes) == (x.ndim - 1,) and x.ndim > 1:
        return function(here, x, "softmax", part)
    within = here.part(part) if part else here
    top = reduced(within, "max", x, axes, True, part="max")
    shifted = subtract(within, x, top, part="exponential", activation="exponential")
    reciprocal = reduced(within, "sum", shifted, axes, True, part="sum", activation="reciprocal")
    return here.product(Edges(shifted, over=0), Edges(reciprocal, over=0), part=part)


def log_softmax(here: Scope, x: Ids, axes: Sequence[int]) -> Ids:
    """The logarithm of softmax: one neuron each along the last axis; x - max - log(sum(exp(x - max))) along others."""
    if tuple(axes) == (x.ndim - 1,) and x.ndim > 1:
        return function(here, x, "log_softmax")
    top = reduced(here, "max", x, axes, True, part="max")
    return here.sum(Edges(x, over=0), Edges(top, -1.0, over=0), Edges(log_of_exponentials(here, x, top, axes), -1.0, over=0))


def logsumexp(here: Scope, x: Ids, axes: Sequence[int], keepdims: bool) -> Ids:
    """log(sum(exp(x))) along some axes, as max + log(sum(exp(x - max)))."""
    top = reduced(here, "max", x, axes, True, part="max")
    return here.sum(Edges(top, over=0), Edges(log_of_exponentials(here, x, top, axes), over=0), shape=reduced_shape(x, axes, keepdims))


def log_of_exponentials(here: Scope, x: Ids, top: Ids, axes: Sequence[int]) -> Ids:
    """log(sum(exp(x - top)))."""
    shifted = subtract(here, x, top, part="exponential", activation="exponential")
    return reduced(here, "sum", shifted, axes, True, part="log_sum", activation="log")


def running(here: Scope, op: str, x: Ids, axis: int, *, exclusive: bool = False, reverse: bool = False) -> Ids:
    """The sum or product of all places up to each along an axis; without its own place where exclusive, from the other end where reverse."""
    size = x.shape[axis]
    bounded((*x.shape, size))
    before = np.tri(size, k=-1 if exclusive else 0, dtype=bool)
    prefixes = np.where(before.T if reverse else before, np.moveaxis(x, axis, -1)[..., None, :], NOTHING)
    return here.neurons(op, [Edges(np.moveaxis(prefixes, -2, axis))])


def places(here: Scope, x: Ids, axis: int, *, largest: bool, last: bool = False) -> Ids:
    """1 at the largest (or smallest) of an axis, the first (or last) of equals, 0 elsewhere: `extreme`, `reached`, `earlier` ones, then the first."""
    size = x.shape[axis]
    bounded((*x.shape, size))
    far = reduced(here, "max" if largest else "min", x, [axis], True, part="extreme")
    reached = np.where(np.asarray(x) == NOTHING, NOTHING, equal(here, x, far, "reached"))
    before = np.tri(size, k=-1, dtype=bool)
    prefixes = np.where(before.T if last else before, np.moveaxis(reached, axis, -1)[..., None, :], NOTHING)
    earlier = here.sum(Edges(np.moveaxis(prefixes, -2, axis)), part="earlier")
    first = here.sum(Edges(reached, over=0), Edges(earlier, -1.0, over=0), activation="relu", part="place")
    return np.where(np.asarray(x) == NOTHING, NOTHING, first)


def place_of(here: Scope, x: Ids, axis: int, keepdims: bool, *, largest: bool, last: bool = False) -> Ids:
    """The number of the largest (or smallest) place along an axis."""
    first = places(here, x, axis, largest=largest, last=last)
    numbers = np.arange(x.shape[axis], dtype=np.float64)
    return here.sum(edges_along(first, [axis])._replace(weight=numbers), shape=reduced_shape(x, [axis], keepdims))


def top(here: Scope, x: Ids, k: int, axis: int, *, largest: bool) -> tuple[Ids, Ids]:
    """The k largest (or smallest) of an axis in their order, and their places: each is compared with each.

    `ahead` counts who stands before it, `chosen` is 1 where that count is 0, 1, ..., k - 1
    """
    values = np.moveaxis(x, axis, -1)
    size = values.shape[-1]
    bounded((*values.shape, max(size, k)))
    mine, other = values[..., :, None], values[..., None, :]
    beyond = greater(here, other, mine, "beyond") if largest else greater(here, mine, other, "beyond")
    tied = equal(here, other, mine, "tied")
    earlier = np.where(np.tri(size, k=-1, dtype=bool), tied, NOTHING)
    ahead = here.sum(Edges(beyond), Edges(earlier), part="ahead")
    chosen = affine(here, ahead[..., None, :], 1.0, -np.arange(k, dtype=np.float64)[:, None], "is_zero", part="chosen")
    picked = here.product(Edges(chosen, over=0), Edges(values[..., None, :], over=0), part="picked")
    numbers = here.sum(Edges(chosen, np.arange(size, dtype=np.float64)), part="indices")
    return np.moveaxis(here.sum(Edges(picked), part="values"), -1, axis), np.moveaxis(numbers, -1, axis)
