"""Lengths of vectors and of differences, and angles. Arguments as ATen names them."""

from __future__ import annotations

import numpy as np

from etl.rules.aten import reduce
from etl.rules.aten import values as place
from etl.rules.aten.reduce import axes_of
from etl.rules.aten.values import Sizes, Value
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope, bounded


def norm(here: Scope, self: Value, p: float | str | None = 2, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None) -> Value:
    """The length of vectors."""
    return reduce.norm(here, self, order_of(p), axes_of(dim, self.ndim), keepdim)


def linalg_vector_norm(
    here: Scope, self: Value, ord: float | str | None = 2, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None
) -> Value:
    """The length of vectors."""
    return reduce.norm(here, self, order_of(ord), axes_of(dim, self.ndim), keepdim)


def order_of(written: float | str | None) -> float:
    if written in (None, "fro"):
        return 2.0
    return float(written)


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


def cdist(here: Scope, x1: Value, x2: Value, p: float = 2, compute_mode: int | None = None) -> Value:
    """The length of every difference of two rows: (..., n, d), (..., m, d) -> (..., n, m)."""
    gap = place.subtract(here, x1[..., :, None, :], x2[..., None, :, :], part="difference")
    return reduce.norm(here, gap, float(p), (gap.ndim - 1,), False)


def dist(here: Scope, self: Value, other: Value, p: float = 2) -> Value:
    """The length of a difference."""
    gap = place.subtract(here, self, other, part="difference")
    return reduce.norm(here, gap, float(p), tuple(range(gap.ndim)), False)


def pdist(here: Scope, self: Value, p: float = 2) -> Value:
    """The length of every difference of two rows, each pair once: (n, d) -> (n (n - 1) / 2)."""
    bounded((self.shape[0], *self.shape))
    first, second = np.triu_indices(self.shape[0], 1)
    gap = place.subtract(here, self[first], self[second], part="difference")
    return reduce.norm(here, gap, float(p), (1,), False)


def renorm(here: Scope, self: Value, p: float, dim: int, maxnorm: float) -> Value:
    """Each slice along an axis, scaled to at most that length: times min(1, maxnorm / (length + 1e-7))."""
    axis = axes_of(dim, self.ndim)[0]
    size = reduce.norm(here.part("length"), self, float(p), tuple(k for k in range(self.ndim) if k != axis), True)
    share = place.divide(here, float(maxnorm), place.add(here, size, 1e-7, part="raised"), part="share")
    return place.multiply(here, self, place.extreme(here, "min", share, 1.0, part="scale"))
