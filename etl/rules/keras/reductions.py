"""Operations that work along axes: sums, means, extremes, moments, lengths, and products of matrices. Axes count the batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import SomeAxes
from etl.rules.ids import is_live
from etl.rules.keras.activation import log_softmax, logsumexp, softmax
from etl.rules.keras.activation_names import glu, sparsemax
from etl.rules.keras.arithmetic import constant, operand
from etl.rules.keras.normalization import EPSILON, centring, layer_normalization, rms_normalization, unit
from etl.rules.primitives.axes import edges_along, inner, inner_axes, reduced_shape
from etl.rules.primitives.einsum import contract, spelled, without_batch
from etl.rules.scope import NOTHING, Edges, Ids, Scope, bounded

__all__ = ["log_softmax", "logsumexp", "softmax"]  # rules that are operations too

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def total(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The sum along some axes."""
    axes = inner_axes(axis, x.ndim)
    return here.sum(edges_along(x, axes), shape=reduced_shape(x, axes, keepdims))


def mean(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The mean along some axes: weights 1/n."""
    axes = inner_axes(axis, x.ndim)
    return here.sum(edges_along(x, axes, share(x, axes)), shape=reduced_shape(x, axes, keepdims))


def share(ids: Ids, axes: Sequence[int]) -> float:
    return 1 / prod(ids.shape[k] for k in axes)


def largest(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False, initial: float | None = None) -> Ids:
    """The largest along some axes, at least `initial`."""
    axes = inner_axes(axis, x.ndim)
    return here.max(edges_along(x, axes), bias=initial, shape=reduced_shape(x, axes, keepdims))


def smallest(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False, initial: float | None = None) -> Ids:
    """The smallest along some axes, at most `initial`."""
    axes = inner_axes(axis, x.ndim)
    return here.min(edges_along(x, axes), bias=initial, shape=reduced_shape(x, axes, keepdims))


def product(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The product along some axes."""
    axes = inner_axes(axis, x.ndim)
    return here.product(edges_along(x, axes), shape=reduced_shape(x, axes, keepdims))


def variance(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The mean square difference from the mean along some axes: `mean`, `centring`, `square`, mean."""
    return spread(here, x, axis, keepdims, "linear")


def deviation(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The standard deviation along some axes: the square root of the variance."""
    return spread(here, x, axis, keepdims, "sqrt")


def spread(here: Scope, x: Ids, axis: SomeAxes | None, keepdims: bool, activation: str) -> Ids:
    axes = inner_axes(axis, x.ndim)
    square = here.sum(Edges(centring(here, x, axes), over=0), part="square", activation="square")
    return here.sum(edges_along(square, axes, share(x, axes)), activation=activation, shape=reduced_shape(x, axes, keepdims))


def moments(here: Scope, x: Ids, *, axes: SomeAxes | None, keepdims: bool = False) -> tuple[Ids, Ids]:
    """Mean and variance along some axes."""
    along = inner_axes(axes, x.ndim)
    middle = here.sum(edges_along(x, along, share(x, along)), part="mean")
    centred = here.sum(Edges(x, over=0), Edges(middle, -1.0, over=0), part="centring")
    square = here.sum(Edges(centred, over=0), part="square", activation="square")
    shape = reduced_shape(x, along, keepdims)
    return middle.reshape(shape), here.sum(edges_along(square, along, share(x, along)), part="variance", shape=shape)


def norm(here: Scope, x: Ids, *, ord: float | str | None = None, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """The length of vectors: Euclid's (`square`, then the root of the sum), the sum or the largest of absolute values."""
    axes, shape = inner_axes(axis, x.ndim), reduced_shape(x, inner_axes(axis, x.ndim), keepdims)
    if ord in (None, "euclidean", "fro") or (ord == 2 and len(axes) == 1):
        square = here.sum(Edges(x, over=0), part="square", activation="square")
        return here.sum(edges_along(square, axes), activation="sqrt", shape=shape)
    if len(axes) > 1 or ord not in (1, float("inf"), "inf"):
        raise Unsupported(f"has no rule for ord={ord!r}")
    absolute = here.sum(Edges(x, over=0), part="abs", activation="abs")
    return here.neurons("sum" if ord == 1 else "max", [edges_along(absolute, axes)], shape=shape)


def normalize(here: Scope, x: Ids, *, axis: SomeAxes = -1, order: int = 2, epsilon: float | None = None) -> Ids:
    """x over its length along some axes, at least epsilon."""
    if order != 2:
        raise Unsupported(f"has no rule for order={order!r}")
    return unit(here, x, inner_axes(axis, x.ndim), (EPSILON if epsilon is None else epsilon) ** 2)


def l2_normalize(here: Scope, x: Ids, *, axis: SomeAxes | None = None, epsilon: float = 1e-12) -> Ids:
    """x over its length along some axes; epsilon is the least square of the length (TensorFlow)."""
    return unit(here, x, inner_axes(axis, x.ndim), epsilon)


def layer_norm(
    here: Scope, x: Ids, gamma: Any = None, beta: Any = None, *, axis: SomeAxes = -1, epsilon: float | None = None, rms_scaling: bool = False
) -> Ids:
    """The layer LayerNormalization with constants gamma and beta."""
    gamma, beta = (None if array is None else constant(array, "gamma or beta") for array in (gamma, beta))
    return layer_normalization(here, x, gamma=gamma, beta=beta, axis=axis, epsilon=epsilon, rms_scaling=rms_scaling)


def rms_norm(here: Scope, x: Ids, scale: Any = None, *, axis: SomeAxes = -1, epsilon: float | None = None) -> Ids:
    """The layer RMSNormalization with a constant scale."""
    return rms_normalization(here, x, scale=None if scale is None else constant(scale, "scale"), axis=axis, epsilon=epsilon)


def running_sum(here: Scope, x: Ids, *, axis: int | None = None) -> Ids:
    """The sum of all places up to each along an axis."""
    at = inner(axis, x.ndim) if axis is not None else inner_axes(None, x.ndim)[0]
    bounded((*x.shape, x.shape[at]))
    running = np.where(np.tri(x.shape[at], dtype=bool), np.moveaxis(x, at, -1)[..., None, :], NOTHING)
    return here.sum(Edges(np.moveaxis(running, -2, at)))


def glu_along(here: Scope, x: Ids, *, axis: int = -1) -> Ids:
    """The first half of an axis times the sigmoid of its second half."""
    return glu(here, x, axis=inner(axis, x.ndim))


def sparsemax_along(here: Scope, x: Ids, *, axis: int = -1) -> Ids:
    """The activation sparsemax along an axis."""
    return sparsemax(here, x, axis=inner(axis, x.ndim))


def matmul(here: Scope, a: Any, b: Any, *, transpose_a: bool = False, transpose_b: bool = False) -> Ids:
    """The product of matrices, the last two axes of each operand; a constant is a kernel."""
    a, b = operand(a), operand(b)
    ranks = [matrix.ndim + is_live(matrix) for matrix in (a, b)]
    left = "k" if ranks[0] == 1 else "...kn" if transpose_a else "...nk"
    right = "k" if ranks[1] == 1 else "...mk" if transpose_b else "...km"
    return einsum(here, a, b, subscripts=f"{left},{right}->...{'n' * (ranks[0] > 1)}{'m' * (ranks[1] > 1)}")


def dot(here: Scope, x: Any, y: Any) -> Ids:
    """numpy's dot of a tensor and a constant of one or two axes: the product of matrices."""
    if not any(not is_live(factor) and operand(factor).ndim <= 2 for factor in (x, y)):
        raise Unsupported("has a rule only for a constant of one or two axes on one side")
    return matmul(here, x, y)


def tensordot(here: Scope, a: Any, b: Any, *, axes: int | Sequence[int | Sequence[int]] = 2) -> Ids:
    """The sum of products along pairs of axes."""
    a, b = operand(a), operand(b)
    ranks = [tensor.ndim + is_live(tensor) for tensor in (a, b)]
    if isinstance(axes, int) and not 0 <= axes <= min(ranks):
        raise Unsupported(f"sums over {axes} axes of tensors that have {ranks[0]} and {ranks[1]}")
    first, second = (range(ranks[0] - axes, ranks[0]), range(axes)) if isinstance(axes, int) else axes
    left, right = list(LETTERS[: ranks[0]]), list(LETTERS[ranks[0] : sum(ranks)])
    summed = np.atleast_1d(np.asarray(first, int)), np.atleast_1d(np.asarray(second, int))
    for i, j in zip(*summed, strict=True):
        right[j] = left[i]
    out = [c for c in left + right if (c in left) != (c in right)]
    return einsum(here, a, b, subscripts=f"{''.join(left)},{''.join(right)}->{''.join(out)}")


def einsum(here: Scope, *operands: Any, subscripts: str) -> Ids:
    """Einstein's sum: `bij,bkj->bik`."""
    arrays = [operand(array) for array in operands]
    terms, out = spelled(subscripts, [array.ndim + is_live(array) for array in arrays])
    pairs, out = without_batch(list(zip(arrays, terms, strict=True)), out)
    return contract(here, pairs, out)
