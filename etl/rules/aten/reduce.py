"""Sums, extremes, lengths and the like along plain axes: axis 0 is the first of the ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from etl.activations import call
from etl.rules.aten.values import Value, numbers
from etl.rules.aten.views import axis_of
from etl.rules.ids import NOTHING, axis_names, is_live
from etl.rules.primitives.axes import axes_last, edges_along, reduced_shape
from etl.rules.scope import Edges, Ids, Scope, bounded

NUMPY: dict[str, Callable[..., Any]] = {"sum": np.sum, "max": np.max, "min": np.min, "product": np.prod}


def axes_of(dim: Any, rank: int) -> tuple[int, ...]:
    """One axis, several, or all (None or none at all), counted from the end where negative. Raises Unsupported for one that there isn't."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return tuple(range(rank))
    listed = dim if isinstance(dim, list | tuple | np.ndarray) else [dim]
    axes = sorted({axis_of(axis, rank) for axis in np.ravel(listed)})
    return tuple(axes) if rank else ()


def reduced(here: Scope, op: str, x: Value, axes: Sequence[int], keepdim: bool = False, *, weight: float = 1.0, **options: Any) -> Value:
    """Everything along some axes in one: op `sum`, `max`, `min` or `product`, of operands times a weight."""
    if not is_live(x):
        x = np.asarray(x) * weight if weight != 1 else np.asarray(x)
        return np.asarray(NUMPY[op](x, axis=tuple(axes), keepdims=keepdim))
    names = None
    if len(axis_names(x)) == x.ndim:
        names = tuple(name for axis, name in enumerate(axis_names(x)) if keepdim or axis not in axes)
    return here.neurons(op, [edges_along(x, axes, weight)], shape=reduced_shape(x, axes, keepdim), axes=names, **options)


def mean(here: Scope, x: Value, axes: Sequence[int], keepdim: bool = False, **options: Any) -> Value:
    """The mean along some axes: weights 1/n."""
    return reduced(here, "sum", x, axes, keepdim, weight=1 / prod(x.shape[axis] for axis in axes), **options)


def variance(here: Scope, x: Value, axes: Sequence[int], keepdim: bool, correction: float, activation: str = "linear") -> Value:
    """The sum of square differences from the mean over n - correction: `mean`, `centring` (squared), the sum."""
    count = prod(x.shape[axis] for axis in axes) - correction
    if not is_live(x):
        spread = np.var(x, axis=tuple(axes), keepdims=keepdim) * (count + correction) / count
        return np.sqrt(spread) if activation == "sqrt" else spread
    middle = mean(here, x, axes, True, part="mean")
    square = here.sum(Edges(x, over=0), Edges(middle, -1.0, over=0), part="centring", activation="square")
    return reduced(here, "sum", square, axes, keepdim, weight=1 / count, activation=activation)


def norm(here: Scope, x: Value, order: float, axes: Sequence[int], keepdim: bool) -> Value:
    """The length of vectors: the order-th root of the sum of |x|^order; the largest for infinity, how many aren't 0 for 0."""
    if not is_live(x):
        flat = np.moveaxis(np.asarray(x, np.float64), axes, range(-len(axes), 0)).reshape(*reduced_shape(x, axes, False), -1)
        return np.asarray(np.linalg.norm(flat, order, axis=-1)).reshape(reduced_shape(x, axes, keepdim))
    if order == 2:
        square = here.sum(Edges(x, over=0), part="square", activation="square")
        return reduced(here, "sum", square, axes, keepdim, activation="sqrt")
    if order == 0:
        zero = here.sum(Edges(x, over=0), part="is_zero", activation="is_zero")
        count = float(prod(x.shape[axis] for axis in axes))
        return reduced(here, "sum", zero, axes, keepdim, weight=-1.0, bias=count)
    absolute = here.sum(Edges(x, over=0), part="abs", activation="abs")
    if order in (1, float("inf"), float("-inf")):
        return reduced(here, {1: "sum", float("inf"): "max"}.get(order, "min"), absolute, axes, keepdim)
    powered = here.sum(Edges(absolute, over=0), part="power", activation=call("power", exponent=float(order)))
    return reduced(here, "sum", powered, axes, keepdim, activation=call("power", exponent=1 / float(order)))


def softmax(here: Scope, x: Value, axis: int) -> Value:
    """exp(x) over its sum along one axis: one neuron each along the last axis, written out along others."""
    if not is_live(x):
        x = numbers(x)
        shifted = np.exp(x - x.max(axis, keepdims=True))
        return shifted / shifted.sum(axis, keepdims=True)
    if axis == x.ndim - 1 and x.shape != (1,):  # whose row has no axis left: a batch is none
        return here.sum(Edges(x, over=0), activation="softmax")
    top = here.max(edges_along(x, (axis,)), part="max")
    shifted = here.sum(Edges(x, over=0), Edges(top, -1.0, over=0), part="exponential", activation="exponential")
    reciprocal = here.sum(edges_along(shifted, (axis,)), part="sum", activation="reciprocal")
    return here.product(Edges(shifted, over=0), Edges(reciprocal, over=0))


def log_softmax(here: Scope, x: Value, axis: int) -> Value:
    """The logarithm of softmax; x - log(sum(exp(x))) along other axes than the last."""
    if not is_live(x):
        return np.log(softmax(here, x, axis))
    if axis == x.ndim - 1 and x.shape != (1,):
        return here.sum(Edges(x, over=0), activation="log_softmax")
    top, whole = logarithm(here, x, (axis,))
    return here.sum(Edges(x, over=0), Edges(top, -1.0, over=0), Edges(whole, -1.0, over=0))


def logsumexp(here: Scope, x: Value, axes: Sequence[int], keepdim: bool) -> Value:
    """log(sum(exp(x))) along some axes, as max + log(sum(exp(x - max)))."""
    if not is_live(x):
        return np.asarray(np.log(np.exp(x).sum(tuple(axes), keepdims=keepdim)))
    top, whole = logarithm(here, x, axes)
    return here.sum(Edges(top, over=0), Edges(whole, over=0), shape=reduced_shape(x, axes, keepdim))


def logarithm(here: Scope, x: Ids, axes: Sequence[int]) -> tuple[Ids, Ids]:
    """The largest along some axes, and log(sum(exp(x - largest))); both keep one place there."""
    top = here.max(edges_along(x, axes), part="max")
    shifted = here.sum(Edges(x, over=0), Edges(top, -1.0, over=0), part="exponential", activation="exponential")
    return top, here.sum(edges_along(shifted, axes), part="log_sum", activation="log")


def running(here: Scope, op: str, x: Value, axis: int) -> Value:
    """The sum, product, largest or smallest of all places up to each along an axis."""
    if not is_live(x):
        return {"sum": np.add, "product": np.multiply, "max": np.maximum, "min": np.minimum}[op].accumulate(x, axis)
    return here.neurons(op, [Edges(np.moveaxis(running_windows(x, axis), -2, axis))])


def running_windows(x: Ids, axis: int) -> Ids:
    """What each place along an axis sees of it, on a new last axis, the places themselves on the one before: (..., n) -> (..., n, n)."""
    bounded((*x.shape, x.shape[axis]))
    return np.where(np.tri(x.shape[axis], dtype=bool), np.moveaxis(x, axis, -1)[..., None, :], NOTHING)


def running_logsumexp(here: Scope, x: Value, axis: int) -> Value:
    """log(sum(exp)) of all places up to each along an axis, as max + log(sum(exp(x - max)))."""
    if not is_live(x):
        return np.logaddexp.accumulate(x, axis)
    prefixes = running_windows(x, axis)
    top = here.max(Edges(prefixes), part="max")
    gap = here.sum(Edges(prefixes, over=0), Edges(top[..., None], -1.0, over=0), part="exponential", activation="exponential")
    log_sum = here.sum(Edges(np.where(np.asarray(prefixes) == NOTHING, NOTHING, gap)), part="log_sum", activation="log")
    return np.moveaxis(here.sum(Edges(top, over=0), Edges(log_sum, over=0)), -1, axis)


def place_up_to(here: Scope, op: str, x: Value, best: Value, axis: int) -> Value:
    """The number of the largest (op `max`) or smallest place up to each along an axis, the last of equals: the largest number of those `reached`."""
    last, numbers = np.moveaxis(x, axis, -1), np.arange(x.shape[axis], dtype=np.float64)
    if not is_live(x):
        hit = (last[..., None, :] == np.moveaxis(best, axis, -1)[..., None]) & np.tri(len(numbers), dtype=bool)
        return np.moveaxis(np.where(hit, np.arange(len(numbers)), 0).max(-1), -1, axis)
    gap = here.sum(
        Edges(running_windows(x, axis), over=0), Edges(np.moveaxis(best, axis, -1)[..., None], -1.0, over=0), part="reached", activation="is_zero"
    )
    return np.moveaxis(here.max(Edges(np.where(np.tri(len(numbers), dtype=bool), gap, NOTHING), numbers)), -1, axis)


def place_of(here: Scope, op: str, x: Value, axis: int, keepdim: bool) -> Value:
    """The number of the largest (op `max`) or smallest place along an axis, the first of equals.

    `largest` of all, which places are `beyond` it or not (`reached`), how many `earlier` ones are reached, the `first`, its number.
    """
    if not is_live(x):
        return np.asarray((np.argmax if op == "max" else np.argmin)(x, axis, keepdims=keepdim))
    n, sign = x.shape[axis], 1.0 if op == "max" else -1.0
    bounded((*x.shape, n))
    far = here.neurons(op, [edges_along(x, (axis,))], part="largest" if op == "max" else "smallest")
    beyond = here.sum(Edges(far, sign, over=0), Edges(x, -sign, over=0), part="beyond", activation="step")
    reached = here.sum(Edges(beyond, -1.0, over=0), bias=1.0, part="reached")
    before = np.where(np.tri(n, k=-1, dtype=bool), np.moveaxis(reached, axis, -1)[..., None, :], NOTHING)
    earlier = here.sum(Edges(np.moveaxis(before, -2, axis)), part="earlier")
    first = here.sum(Edges(reached, over=0), Edges(earlier, -1.0, over=0), part="first", activation="relu")
    return here.sum(Edges(axes_last(first, (axis,)), np.arange(n, dtype=np.float64)), shape=reduced_shape(x, (axis,), keepdim))
