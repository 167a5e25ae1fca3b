"""Operators that work along axes: sums, extremes, softmax, lengths, distances, losses. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import logic, reduce
from etl.rules.aten import values as place
from etl.rules.aten.reduce import axes_of
from etl.rules.aten.values import Value, function
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]


def total(here: Scope, self: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The sum along some axes."""
    return reduce.reduced(here, "sum", self, axes_of(dim, self.ndim), keepdim)


def trace(here: Scope, self: Value) -> Value:
    """The sum of a matrix's diagonal."""
    return reduce.reduced(here, "sum", np.diagonal(self), (0,))


def mean(here: Scope, self: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The mean along some axes: weights 1/n."""
    return reduce.mean(here, self, axes_of(dim, self.ndim), keepdim)


def product(here: Scope, self: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The product along some axes."""
    return reduce.reduced(here, "product", self, axes_of(dim, self.ndim), keepdim)


def largest(op: str) -> Rule:
    """A rule for amax and amin."""

    def rule(here: Scope, self: Value, dim: Any = None, keepdim: bool = False) -> Value:
        """The largest or smallest along some axes."""
        return reduce.reduced(here, op, self, axes_of(dim, self.ndim), keepdim)

    return rule


def extreme(op: str) -> Rule:
    """A rule for max and min: of all, along one axis, or of two tensors."""

    def rule(here: Scope, self: Value, dim: Any = None, keepdim: bool = False, other: Any = None, indices: bool = False) -> Any:
        """The largest or smallest of all, or along an axis with its place where somebody reads that, or of two tensors."""
        if other is not None:
            return place.extreme(here, op, self, other)
        axes = axes_of(dim, self.ndim)
        value = reduce.reduced(here, op, self, axes, keepdim)
        if dim is None:
            return value
        return value, reduce.place_of(here.part("place"), op, self, axes[0], keepdim) if indices else np.zeros(0)

    return rule


def aminmax(here: Scope, self: Value, dim: Any = None, keepdim: bool = False) -> tuple[Value, Value]:
    """The smallest and the largest."""
    axes = axes_of(dim, self.ndim)
    return tuple(
        reduce.reduced(here, op, self, axes, keepdim, part=op) if is_live(self) else reduce.reduced(here, op, self, axes, keepdim)
        for op in ("min", "max")
    )


def place_of(op: str) -> Rule:
    """A rule for argmax and argmin."""

    def rule(here: Scope, self: Value, dim: Any = None, keepdim: bool = False) -> Value:
        """The number of the largest or smallest place along an axis, the first of equals."""
        if dim is None:
            return reduce.place_of(here, op, np.reshape(self, (-1,)), 0, False)
        return reduce.place_of(here, op, self, axes_of(dim, self.ndim)[0], keepdim)

    return rule


def truth_along(op: str) -> Rule:
    """A rule for any and all."""

    def rule(here: Scope, self: Value, dim: Any = None, keepdim: bool = False) -> Value:
        """1 where one (any) or each (all) along some axes isn't 0."""
        axes = axes_of(dim, self.ndim)
        if not is_live(self):
            return (np.any if op == "max" else np.all)(self, axis=axes, keepdims=keepdim)
        return reduce.reduced(here, op, logic.truth(here, self, "truth"), axes, keepdim)

    return rule


def count_nonzero(here: Scope, self: Value, dim: Any = None) -> Value:
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
        here: Scope, self: Value, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: float | None = None
    ) -> Value:
        """The square differences from the mean over n - 1 (or n), or their root."""
        return reduce.variance(here, self, axes_of(dim, self.ndim), keepdim, correction_of(unbiased, correction), activation)

    return rule


def variance_and_mean(activation: str) -> Rule:
    """A rule for var_mean and std_mean."""

    def rule(
        here: Scope, self: Value, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, correction: float | None = None
    ) -> tuple[Value, Value]:
        """The square differences from the mean over n - 1 (or n), or their root, and the mean."""
        axes = axes_of(dim, self.ndim)
        spread = reduce.variance(here.part("variance"), self, axes, keepdim, correction_of(unbiased, correction), activation)
        return spread, reduce.mean(here, self, axes, keepdim)

    return rule


def norm(here: Scope, self: Value, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The length of vectors."""
    return reduce.norm(here, self, order_of(p), axes_of(dim, self.ndim), keepdim)


def linalg_vector_norm(here: Scope, self: Value, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The length of vectors."""
    return reduce.norm(here, self, order_of(ord), axes_of(dim, self.ndim), keepdim)


def linalg_norm(here: Scope, self: Value, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
    """The length of vectors; of matrices the root of all squares."""
    axes = axes_of(dim, self.ndim)
    if ord is not None and len(axes) > 1:
        raise Unsupported(f"has no rule for the matrix norm ord={ord!r}")
    return reduce.norm(here, self, order_of(ord), axes, keepdim)


def order_of(written: Any) -> float:
    if written in (None, "fro"):
        return 2.0
    return float(written)


def softmax(here: Scope, self: Value, dim: int, dtype: Any = None, half_to_float: bool = False) -> Value:
    """exp(x) over its sum along an axis."""
    return reduce.softmax(here, self, axes_of(dim, self.ndim)[0])


def log_softmax(here: Scope, self: Value, dim: int, dtype: Any = None, half_to_float: bool = False) -> Value:
    """The logarithm of softmax along an axis."""
    return reduce.log_softmax(here, self, axes_of(dim, self.ndim)[0])


def logsumexp(here: Scope, self: Value, dim: Any, keepdim: bool = False) -> Value:
    """log(sum(exp(x))) along some axes."""
    return reduce.logsumexp(here, self, axes_of(dim, self.ndim), keepdim)


def running(op: str) -> Rule:
    """A rule for cumsum and cumprod."""

    def rule(here: Scope, self: Value, dim: int, dtype: Any = None) -> Value:
        """The sum or product of all places up to each along an axis."""
        return reduce.running(here, op, self, axes_of(dim, self.ndim)[0])

    return rule


def diff(here: Scope, self: Value, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Value:
    """Differences of neighbours along an axis, n times."""
    joined = [part for part in (prepend, self, append) if part is not None]
    if len(joined) > 1:
        self = np.concatenate(place.all_live(here, joined), axis=dim)
    for time in range(n):
        last = np.moveaxis(self, dim, -1)
        named: dict[str, Any] = {"part": f"difference_{time}"} if is_live(self) and time < n - 1 else {}
        made = place.subtract(here, last[..., 1:], last[..., :-1], **named)
        self = np.moveaxis(made, -1, dim)
    return self


def cosine_similarity(here: Scope, x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    """x1 x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis."""
    rank = max(x1.ndim, x2.ndim)
    x1, x2 = (np.broadcast_to(x, np.broadcast_shapes(x1.shape, x2.shape)) for x in (x1, x2))
    axes = axes_of(dim, rank)
    inverse = []
    for number, x in enumerate((x1, x2)):
        if is_live(x):
            square = here.sum(Edges(x, over=0), part=f"square_{number}", activation="square")
            whole = reduce.reduced(here, "sum", square, axes, part=f"sum_{number}")
            inverse.append(here.max(Edges(whole, over=0), bias=eps**2, activation="rsqrt", part=f"length_{number}"))
        else:
            inverse.append(1 / np.maximum(np.linalg.norm(x, axis=axes[0]), eps))
    dot = reduce.reduced(here, "sum", place.multiply(here, x1, x2, part="products"), axes, part="sum")
    return place.multiply(here, place.multiply(here, dot, inverse[0], part="scaled"), inverse[1])


def pairwise_distance(here: Scope, x1: Value, x2: Value, p: float = 2, eps: float = 1e-6, keepdim: bool = False) -> Value:
    """The length of x1 - x2 + eps along the last axis."""
    shifted = place.add(here, x2, -eps) if not is_live(x2) else None
    if shifted is not None:
        gap = place.subtract(here, x1, shifted, part="difference")
    elif is_live(x1):
        gap = here.sum(Edges(x1, over=0), Edges(x2, -1.0, over=0), bias=eps, part="difference")
    else:
        gap = place.subtract(here, place.add(here, x1, eps), x2, part="difference")
    return reduce.norm(here, gap, float(p), (gap.ndim - 1,), keepdim)


def cdist(here: Scope, x1: Value, x2: Value, p: float = 2, compute_mode: Any = None) -> Value:
    """The length of every difference of two rows: (..., n, d), (..., m, d) -> (..., n, m)."""
    gap = place.subtract(here, x1[..., :, None, :], x2[..., None, :, :], part="difference")
    return reduce.norm(here, gap, float(p), (gap.ndim - 1,), False)


def dist(here: Scope, self: Value, other: Value, p: float = 2) -> Value:
    """The length of a difference."""
    gap = place.subtract(here, self, other, part="difference")
    return reduce.norm(here, gap, float(p), tuple(range(gap.ndim)), False)


def mse_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """The square of each difference, their mean or sum."""
    return reduced(here, function(here, "square", np.square, place.subtract(here, self, target, part="difference"), part="square"), reduction)


def l1_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """The size of each difference, their mean or sum."""
    return reduced(here, function(here, "abs", np.abs, place.subtract(here, self, target, part="difference"), part="abs"), reduction)


def huber_loss(here: Scope, self: Value, target: Value, reduction: int = 1, delta: float = 1.0) -> Value:
    """x^2 / 2 of each difference within delta, delta (|x| - delta / 2) beyond; their mean or sum."""
    return reduced(here, huber(here, place.subtract(here, self, target, part="difference"), delta), reduction)


def smooth_l1_loss(here: Scope, self: Value, target: Value, reduction: int = 1, beta: float = 1.0) -> Value:
    """x^2 / (2 beta) of each difference within beta, |x| - beta / 2 beyond; their mean or sum."""
    if beta == 0:
        return l1_loss(here, self, target, reduction)
    return reduced(here, huber(here, place.subtract(here, self, target, part="difference"), beta, 1 / beta), reduction)


def kl_div(here: Scope, self: Value, target: Value, reduction: int = 1, log_target: bool = False) -> Value:
    """target (log(target) - self); exp(target) (target - self) where the target is a logarithm. A target of 0 counts nothing."""
    if not log_target:
        raise Unsupported("has a rule for log_target=True only")
    gap = place.subtract(here, target, self, part="difference")
    return reduced(here, place.multiply(here, function(here, "exponential", np.exp, target, part="exponential"), gap, part="loss"), reduction)


def reduced(here: Scope, x: Value, reduction: int) -> Value:
    """Nothing, the mean or the sum of all."""
    if reduction == 0:
        return x
    weight = 1 / prod(x.shape) if reduction == 1 else 1.0
    return reduce.reduced(here, "sum", x, tuple(range(x.ndim)), weight=weight)


def huber(here: Scope, gap: Value, delta: float = 1.0, scale: float = 1.0) -> Value:
    """scale times x^2 / 2 within delta, delta (|x| - delta / 2) beyond: m^2 / 2 + delta (|x| - m) with m = min(|x|, delta)."""
    size = here.sum(Edges(gap, over=0), activation="abs", part="abs")
    near = here.min(Edges(size, over=0), bias=delta, part="near")
    square = here.sum(Edges(near, over=0), activation="square", part="square")
    return here.sum(Edges(square, scale / 2, over=0), Edges(size, scale * delta, over=0), Edges(near, -scale * delta, over=0), part="loss")


LOSSES: dict[str, Rule] = {
    "mse_loss": mse_loss,
    "l1_loss": l1_loss,
    "huber_loss": huber_loss,
    "smooth_l1_loss": smooth_l1_loss,
    "kl_div": kl_div,
}
