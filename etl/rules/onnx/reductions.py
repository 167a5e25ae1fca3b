"""Along axes: sums and extremes, softmax, ranks, products of matrices, normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Value
from etl.rules.ids import is_live
from etl.rules.primitives import normalization as norm
from etl.rules.primitives import reductions as along
from etl.rules.primitives.determinants import determinant
from etl.rules.primitives.einsum import contract, spelled
from etl.rules.primitives.elementwise import add, affine, constant, function, multiply, operand
from etl.rules.primitives.reductions import axes_of
from etl.rules.scope import Edges, Ids, Scope, bounded

Rule = Callable[..., Any]


def reduction(compute: Callable[[Scope, Ids, tuple[int, ...], bool], Ids], doc: str) -> Rule:
    """A rule for an operator that works along axes, all of them where none are given."""

    def rule(here: Scope, data: Ids, axes: Value | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Ids:
        listed = None if axes is None or not np.size(axes) else axes_of(constant(axes, "axes"), data.ndim)
        chosen = (() if noop_with_empty_axes else axes_of(None, data.ndim)) if listed is None else listed
        return compute(here, data, chosen, bool(keepdims))

    rule.__doc__ = doc
    return rule


def reduced_through(op: str, activation: str = "linear", before: str | None = None) -> Callable[..., Ids]:
    """activation(op of all), each through a function first."""

    def compute(here: Scope, x: Ids, axes: tuple[int, ...], keepdims: bool) -> Ids:
        x = x if before is None else function(here, x, before, before)
        if not axes and op in ("max", "min"):
            return x
        return along.reduced(here, op, x, axes, keepdims, activation=activation)

    return compute


def softmax(here: Scope, x: Ids, *, axis: int = -1, trailing: int = 0) -> Ids:
    """exp(x) over its sum along an axis, before opset 13 along all from `axis` on."""
    return along.softmax(here, x, spanned(x, axis, trailing))


def log_softmax(here: Scope, x: Ids, *, axis: int = -1, trailing: int = 0) -> Ids:
    """The logarithm of softmax."""
    return along.log_softmax(here, x, spanned(x, axis, trailing))


def spanned(x: Ids, axis: int, trailing: int) -> tuple[int, ...]:
    (first,) = axes_of(axis, x.ndim) if axis < x.ndim else (x.ndim,)
    return tuple(range(first, x.ndim)) if trailing else (first,)


def hardmax(here: Scope, x: Ids, *, axis: int = -1, trailing: int = 0) -> Ids:
    """1 at the first largest of an axis, 0 elsewhere."""
    axes = spanned(x, axis, trailing)
    flat = x.reshape(*x.shape[: axes[0]], -1) if len(axes) > 1 else x
    return along.places(here, flat, axes[0], largest=True).reshape(x.shape)


def arg(largest: bool) -> Rule:
    """A rule for the place of the largest or smallest along an axis."""

    def rule(here: Scope, data: Ids, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Ids:
        (at,) = axes_of(axis, data.ndim)
        return along.place_of(here, data, at, bool(keepdims), largest=largest, last=bool(select_last_index))

    rule.__doc__ = f"The place of the {'largest' if largest else 'smallest'} along an axis, the first or the last of equals."
    return rule


def top_k(here: Scope, x: Ids, k: Value, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Ids, Ids]:
    """The k largest (or smallest) of an axis in their order, and their places."""
    (at,) = axes_of(axis, x.ndim)
    return along.top(here, x, int(np.ravel(constant(k, "k"))[0]), at, largest=bool(largest))


def running(op: str) -> Rule:
    """A rule for running sums or products."""

    def rule(here: Scope, x: Ids, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Ids:
        (at,) = axes_of(constant(axis, "axis"), x.ndim)
        return along.running(here, op, x, at, exclusive=bool(exclusive), reverse=bool(reverse))

    rule.__doc__ = f"The {op} of all places up to each along an axis."
    return rule


def matmul(here: Scope, a: Value, b: Value) -> Ids:
    """The product of matrices, the last two axes of each; a constant is a kernel."""
    a, b = operand(a), operand(b)
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matrices of {list(a.shape)} and {list(b.shape)}")
    batch = "ABCDEFGHIJ"
    left = batch[len(batch) - (a.ndim - 2) :] * (a.ndim > 2) + "nk"[a.ndim < 2 :]
    right = batch[len(batch) - (b.ndim - 2) :] * (b.ndim > 2) + ("km" if b.ndim > 1 else "k")
    longest = max(left[:-2] if a.ndim > 2 else "", right[:-2] if b.ndim > 2 else "", key=len)
    out = longest + "n" * (a.ndim > 1) + "m" * (b.ndim > 1)
    bounded((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2] if a.ndim > 1 else 1, b.shape[-1] if b.ndim > 1 else 1))
    return contract(here, [(a, left), (b, right)], out)


def gemm(here: Scope, a: Value, b: Value, c: Value | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0) -> Ids:  # noqa: N803
    """alpha A B + beta C, A and B turned round where the file says so."""
    a, b = operand(a), operand(b)
    if alpha != 1 and not is_live(b):
        b = b * alpha
    elif alpha != 1 and not is_live(a):
        a = a * alpha
    left, right = "kn" if transA else "nk", "mk" if transB else "km"
    if a.shape[left.index("k")] != b.shape[right.index("k")]:
        raise ValueError(f"matrices of {list(a.shape)} and {list(b.shape)}")
    scaled = alpha != 1 and is_live(a) and is_live(b)
    plain = c is None or is_live(c) or scaled
    bias = None if plain or c is None else operand(c) * beta if beta != 1 else operand(c)
    product = contract(here, [(a, left), (b, right)], "nm", bias=bias, part="product" if plain and (c is not None or scaled) else None)
    if scaled:
        product = affine(here, product, alpha, part="scaled" if c is not None else None)
    if c is None or not plain:
        return product
    return add(here, product, multiply(here, c, np.float64(beta), part="addend") if beta != 1 else c)


def einsum(here: Scope, *operands: Value, equation: str) -> Ids:
    """Einstein's sum: `bij,bkj->bik`."""
    arrays = [operand(value) for value in operands]
    terms, out = spelled(equation, [array.ndim for array in arrays])
    sizes: dict[str, int] = {}
    for array, term in zip(arrays, terms, strict=True):
        for letter, size in zip(term, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size and 1 not in (size, sizes[letter]):
                raise ValueError(f"axis {letter} is {sizes[letter]} long and {size}")
    bounded([sizes[letter] for letter in dict.fromkeys("".join(terms))])
    return contract(here, list(zip(arrays, terms, strict=True)), out)


def batch_normalization(
    here: Scope, x: Ids, scale: Value, b: Value, mean: Value, variance: Value, *, epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0
) -> Ids:
    """scale (x - mean) / sqrt(variance + epsilon) + b, channel by channel: one edge each."""
    if training_mode:
        raise Unsupported("normalizes by the examples of the batch: it was exported in training mode")
    gain, shift, middle, spread = (constant(*pair) for pair in ((scale, "scale"), (b, "B"), (mean, "mean"), (variance, "variance")))
    return norm.batch_normalization(here, x, gain, shift, middle, spread, epsilon, 1 if x.ndim > 1 else 0)


def layer_normalization(
    here: Scope, x: Ids, scale: Value, b: Value | None = None, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1, outputs: int = 1
) -> Ids | tuple[Ids, ...]:
    """scale (x - mean) / sqrt(variance + epsilon) + b over the axes from `axis` on; then the mean, and the inverse of the root."""
    axes, scale, b = spanned(x, axis, 1), operand(scale), None if b is None else operand(b)
    mean = along.mean(here, x, axes, True, part="mean")
    middle = here.sum(Edges(x, over=0), Edges(mean, -1.0, over=0), part="centring")
    factors = norm.inverse_deviation(here, middle, axes, epsilon)
    normalized = norm.scaled(here, middle, factors, scale, b)
    return normalized if outputs == 1 else (normalized, mean, factors)


def rms_normalization(here: Scope, x: Ids, scale: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Ids:
    """scale x / sqrt(mean(x^2) + epsilon) over the axes from `axis` on."""
    return norm.normalized(here, x, spanned(x, axis, 1), epsilon, operand(scale), center=False)


def instance_normalization(here: Scope, x: Ids, scale: Value, b: Value, *, epsilon: float = 1e-5) -> Ids:
    """Each channel by itself: scale (x - mean) / sqrt(variance + epsilon) + b."""
    return norm.group_normalization(here, x, x.shape[1], epsilon, operand(scale), operand(b))


def group_normalization(here: Scope, x: Ids, scale: Value, bias: Value, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1) -> Ids:
    """Groups of channels by themselves; before opset 21 scale and bias are one for each group."""
    scale, bias = operand(scale), operand(bias)
    if scale.size == num_groups != x.shape[1]:
        scale, bias = (np.repeat(value, x.shape[1] // num_groups) for value in (scale, bias))
    return norm.group_normalization(here, x, num_groups, epsilon, scale, bias)


def lp_normalization(here: Scope, x: Ids, *, axis: int = -1, p: int = 2) -> Ids:
    """x over its length along an axis: `length`, which is 1 where it would be 0."""
    axes = axes_of(axis, x.ndim)
    size = along.length(here.part("length"), x, axes, True, p)
    empty = function(here, size, "is_zero", "empty")
    inverse = add(here, size, empty, activation="reciprocal", part="inverse")
    return here.product(Edges(x, over=0), Edges(inverse, over=0))


def mean_variance_normalization(here: Scope, x: Ids, *, axes: Sequence[int] = (0, 2, 3)) -> Ids:
    """(x - mean) / (deviation + 1e-9) over some axes."""
    chosen = axes_of(list(axes), x.ndim)
    middle = norm.centred(here, x, chosen)
    square = here.product(Edges(middle, over=0), Edges(middle, over=0), part="square")
    deviation = along.mean(here, square, chosen, True, activation="sqrt", part="deviation")
    inverse = affine(here, deviation, 1.0, 1e-9, "reciprocal", "inverse")
    return here.product(Edges(middle, over=0), Edges(inverse, over=0))


def lrn(here: Scope, x: Ids, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Ids:
    """x / (bias + alpha / size * squares of the channels around)^beta."""
    return norm.local_response(here, x, size, alpha, beta, bias)


def length_of(p: float) -> Callable[..., Ids]:
    return lambda here, x, axes, keepdims: along.length(here, x, axes, keepdims, p)


REDUCTIONS: dict[str, Rule] = {
    "ArgMax": arg(True),
    "ArgMin": arg(False),
    "CumProd": running("product"),
    "CumSum": running("sum"),
    "Hardmax": hardmax,
    "LogSoftmax": log_softmax,
    "ReduceL1": reduction(length_of(1), "The sum of absolute values along axes."),
    "ReduceL2": reduction(length_of(2), "The root of the sum of squares along axes."),
    "ReduceLogSum": reduction(reduced_through("sum", "log"), "The logarithm of the sum along axes."),
    "ReduceLogSumExp": reduction(along.logsumexp, "The logarithm of the sum of exponentials along axes."),
    "ReduceMax": reduction(reduced_through("max"), "The largest along axes."),
    "ReduceMean": reduction(along.mean, "The mean along axes."),
    "ReduceMin": reduction(reduced_through("min"), "The smallest along axes."),
    "ReduceProd": reduction(reduced_through("product"), "The product along axes."),
    "ReduceSum": reduction(reduced_through("sum"), "The sum along axes."),
    "ReduceSumSquare": reduction(reduced_through("sum", before="square"), "The sum of squares along axes."),
    "Softmax": softmax,
    "TopK": top_k,
}
PRODUCTS: dict[str, Rule] = {"Det": determinant, "Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
NORMALIZATION: dict[str, Rule] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
}
