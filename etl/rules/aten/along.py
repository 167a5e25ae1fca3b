"""Operators that work along axes: sums, extremes, softmax, lengths, distances, losses. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import logic, reduce
from etl.rules.aten import values as place
from etl.rules.aten.reduce import axes_of
from etl.rules.aten.values import Operand, Sizes, Value
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]


def total(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None) -> Value:
    """The sum along some axes."""
    return reduce.reduced(here, "sum", self, axes_of(dim, self.ndim), keepdim)


def trace(here: Scope, self: Value) -> Value:
    """The sum of a matrix's diagonal."""
    return reduce.reduced(here, "sum", np.diagonal(self), (0,))


def mean(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None) -> Value:
    """The mean along some axes: weights 1/n."""
    return reduce.mean(here, self, axes_of(dim, self.ndim), keepdim)


def product(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None) -> Value:
    """The product along some axes."""
    return reduce.reduced(here, "product", self, axes_of(dim, self.ndim), keepdim)


def largest(op: str) -> Rule:
    """A rule for amax and amin."""

    def rule(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False) -> Value:
        """The largest or smallest along some axes."""
        return reduce.reduced(here, op, self, axes_of(dim, self.ndim), keepdim)

    return rule


def extreme(op: str) -> Rule:
    """A rule for max and min: of all, along one axis, or of two tensors."""

    def rule(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False, other: Operand | None = None, indices: bool = False) -> Any:
        """The largest or smallest of all, or along an axis with its place where somebody reads that, or of two tensors."""
        if other is not None:
            return place.extreme(here, op, self, other)
        axes = axes_of(dim, self.ndim)
        value = reduce.reduced(here, op, self, axes, keepdim)
        if dim is None:
            return value
        return value, reduce.place_of(here.part("place"), op, self, axes[0], keepdim) if indices else np.zeros(0)

    return rule


def aminmax(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False) -> tuple[Value, Value]:
    """The smallest and the largest."""
    axes = axes_of(dim, self.ndim)
    named: dict[str, dict[str, Any]] = {op: {"part": op} if is_live(self) else {} for op in ("min", "max")}
    least, most = (reduce.reduced(here, op, self, axes, keepdim, **options) for op, options in named.items())
    return least, most


def place_of(op: str) -> Rule:
    """A rule for argmax and argmin."""

    def rule(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False) -> Value:
        """The number of the largest or smallest place along an axis, the first of equals."""
        if dim is None:
            return reduce.place_of(here, op, np.reshape(self, (-1,)), 0, False)
        return reduce.place_of(here, op, self, axes_of(dim, self.ndim)[0], keepdim)

    return rule


def truth_along(op: str) -> Rule:
    """A rule for any and all."""

    def rule(here: Scope, self: Value, dim: Sizes | None = None, keepdim: bool = False) -> Value:
        """1 where one (any) or each (all) along some axes isn't 0."""
        axes = axes_of(dim, self.ndim)
        if not is_live(self):
            return (np.any if op == "max" else np.all)(self, axis=axes, keepdims=keepdim)
        return reduce.reduced(here, op, logic.truth(here, self, "truth"), axes, keepdim)

    return rule


def count_nonzero(here: Scope, self: Value, dim: Sizes | None = None) -> Value:
    """How many along some axes aren't 0."""
    axes = axes_of(dim, self.ndim)
    return reduce.norm(here, self, 0, axes, False) if is_live(self) else np.count_nonzero(self, axis=axes)


def correction_of(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return float(correction)
    return 1.0 if unbiased is None or unbiased else 0.0


def variance(activation: str) -> Rule:
    """A rule for var and std."""

    def rule(
        here: Scope, self: Value, dim: Sizes | None = None, unbiased: bool | None = None, keepdim: bool = False, correction: float | None = None
    ) -> Value:
        """The square differences from the mean over n - 1 (or n), or their root."""
        return reduce.variance(here, self, axes_of(dim, self.ndim), keepdim, correction_of(unbiased, correction), activation)

    return rule


def variance_and_mean(activation: str) -> Rule:
    """A rule for var_mean and std_mean."""

    def rule(
        here: Scope, self: Value, dim: Sizes | None = None, unbiased: bool | None = None, keepdim: bool = False, correction: float | None = None
    ) -> tuple[Value, Value]:
        """The square differences from the mean over n - 1 (or n), or their root, and the mean."""
        axes = axes_of(dim, self.ndim)
        spread = reduce.variance(here.part("variance"), self, axes, keepdim, correction_of(unbiased, correction), activation)
        return spread, reduce.mean(here, self, axes, keepdim)

    return rule


def softmax(here: Scope, self: Value, dim: int, dtype: str | None = None, half_to_float: bool = False) -> Value:
    """exp(x) over its sum along an axis."""
    return reduce.softmax(here, self, axes_of(dim, self.ndim)[0])


def log_softmax(here: Scope, self: Value, dim: int, dtype: str | None = None, half_to_float: bool = False) -> Value:
    """The logarithm of softmax along an axis."""
    return reduce.log_softmax(here, self, axes_of(dim, self.ndim)[0])


def logsumexp(here: Scope, self: Value, dim: Sizes, keepdim: bool = False) -> Value:
    """log(sum(exp(x))) along some axes."""
    return reduce.logsumexp(here, self, axes_of(dim, self.ndim), keepdim)


def running(op: str) -> Rule:
    """A rule for cumsum and cumprod."""

    def rule(here: Scope, self: Value, dim: int, dtype: str | None = None) -> Value:
        """The sum or product of all places up to each along an axis."""
        return reduce.running(here, op, self, axes_of(dim, self.ndim)[0])

    return rule


def diff(here: Scope, self: Value, n: int = 1, dim: int = -1, prepend: Value | None = None, append: Value | None = None) -> Value:
    """Differences of neighbours along an axis, n times."""
    joined = [tensor for tensor in (prepend, self, append) if tensor is not None]
    if len(joined) > 1:
        self = np.concatenate(place.all_live(here, joined), axis=dim)
    n = min(n, self.shape[dim])  # then nothing is left
    for time in range(n):
        last = np.moveaxis(self, dim, -1)
        named: dict[str, Any] = {"part": f"difference_{time}"} if is_live(self) and time < n - 1 else {}
        differences = place.subtract(here, last[..., 1:], last[..., :-1], **named)
        self = np.moveaxis(differences, -1, dim)
    return self


def logcumsumexp(here: Scope, self: Value, dim: int) -> Value:
    """log(sum(exp(x))) of all places up to each along an axis."""
    return reduce.running_logsumexp(here, self, axes_of(dim, self.ndim)[0])


def extreme_so_far(op: str) -> Rule:
    """A rule for cummax and cummin."""

    def rule(here: Scope, self: Value, dim: int, indices: bool = False) -> tuple[Value, Value]:
        """The largest or smallest of all places up to each along an axis, and its place where somebody reads that."""
        axis = axes_of(dim, self.ndim)[0]
        best = reduce.running(here, op, self, axis)
        return best, reduce.place_up_to(here.part("place"), op, self, best, axis) if indices else np.zeros(0)

    return rule


def trapezoid(here: Scope, y: Value, x: Value | None = None, dx: Operand = 1, dim: int = -1) -> Value:
    """The area below a line through values: each with half of the distances to its neighbours."""
    axis = axes_of(dim, y.ndim)[0]
    gaps = distances(y, x, dx, axis)
    shares = (np.pad(gaps, [(0, 0)] * (gaps.ndim - 1) + [(0, 1)]) + np.pad(gaps, [(0, 0)] * (gaps.ndim - 1) + [(1, 0)])) / 2
    last = np.moveaxis(y, axis, -1)
    return here.sum(Edges(last, shares)) if is_live(y) else (last * shares).sum(-1)


def cumulative_trapezoid(here: Scope, y: Value, x: Value | None = None, dx: Operand = 1, dim: int = -1) -> Value:
    """The area below a line through values, up to each of them but the first."""
    axis = axes_of(dim, y.ndim)[0]
    last, gaps = np.moveaxis(y, axis, -1), distances(y, x, dx, axis)
    pairs = place.add(here, last[..., 1:], last[..., :-1], part="pairs")
    areas = place.multiply(here, pairs, gaps / 2, part="areas")
    return np.moveaxis(reduce.running(here, "sum", areas, areas.ndim - 1), -1, axis)


def gradient(
    here: Scope, self: Value, spacing: Operand | Sequence[Operand] | None = None, dim: Sizes | None = None, edge_order: int = 1
) -> list[Value]:
    """The slope at each place along an axis: between both neighbours inside, to the one neighbour at the ends."""
    given, axes = spacing if isinstance(spacing, Sequence) else [1 if spacing is None else spacing], axes_of(dim, self.ndim)
    if edge_order != 1 or len(given) not in (1, len(axes)) or any(is_live(step) or np.ndim(step) for step in given):
        raise Unsupported("has a rule for edge_order=1 and one distance for each axis")
    steps = [float(step) for step in given]
    slopes = []
    for axis, step in zip(axes, steps * (len(axes) if len(steps) == 1 else 1), strict=True):
        last = np.moveaxis(self, axis, -1)
        before, after = np.maximum(np.arange(last.shape[-1]) - 1, 0), np.minimum(np.arange(last.shape[-1]) + 1, last.shape[-1] - 1)
        rise = place.subtract(here, last[..., after], last[..., before], part=f"rise_{axis}")
        slopes.append(np.moveaxis(place.multiply(here, rise, 1 / (step * (after - before)), part=f"slope_{axis}"), -1, axis))
    return slopes


def distances(y: Value, x: Value | None, dx: Operand, axis: int) -> Any:
    """How far a value's place is from the next along an axis, which is the last one here."""
    if is_live(x) or is_live(dx):
        raise Unsupported("has distances that depend on the example")
    if x is None:
        return np.full(y.shape[axis] - 1, float(np.asarray(dx).reshape(())))
    places = np.asarray(x, np.float64)
    return np.diff(places if places.ndim == 1 else np.moveaxis(places, axis, -1))
