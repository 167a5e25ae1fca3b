"""Operators of layers with weights: products of matrices, convolutions, pools, norms, tables, attention. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import windows
from etl.rules.aten.attend import attention
from etl.rules.aten.normalize import normalized, shift_and_scale
from etl.rules.aten.values import Value, add, all_constant, check_size, live_or_constant_sum, multiply, numbers
from etl.rules.aten.views import sizes, whole
from etl.rules.aten.windows import Pads, axes_names, for_each
from etl.rules.ids import Ids, axis_names, is_live
from etl.rules.primitives.einsum import contract, spelled
from etl.rules.primitives.windows import span
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]
TRAINING = "was exported in training mode; call model.eval() before the export"


def linear(here: Scope, input: Value, weight: Value, bias: Value | None = None) -> Value:
    """Every neuron reads the last axis through one row of the weight: (..., n), (units, n) -> (..., units)."""
    if all_constant(input, weight):
        check_size((*input.shape[:-1], *weight.shape[:-1]))
        made = input @ weight.T
        return made if bias is None else add(here, made, bias)
    if not is_live(weight):
        if input.shape[-1] != weight.shape[-1]:
            raise ValueError(f"{input.shape[-1]} values meet a weight for {weight.shape[-1]}")
        names = (*axis_names(input)[:-1], "channel") if weight.ndim > 1 else axis_names(input)[:-1]
        source = input[..., None, :] if weight.ndim > 1 else input
        return live_or_constant_sum(here, Edges(source, weight), bias=bias, axes=names)
    if weight.ndim == 1:
        return einsum_of(here, "...k,k->...", input, weight)
    made = einsum_of(here, "...nk,mk->...nm" if input.ndim > 1 else "k,mk->m", input, weight, part=None if bias is None else "product")
    return made if bias is None else add(here, made, bias)


def einsum_of(here: Scope, equation: str, *operands: Value, part: str | None = None, scale: float = 1.0) -> Value:
    """Einstein's sum of live values and constants; broadcast axes of one place meet any other."""
    terms, out = spelled(equation, [np.ndim(one) for one in operands])
    sized: dict[str, int] = {}
    for letters, operand in zip(terms, operands, strict=True):
        for letter, size in zip(letters, operand.shape, strict=True):
            if sized.setdefault(letter, size) != size and 1 not in (size, sized[letter]):
                raise ValueError(f"{sized[letter]} values meet {size} along {letter} of {equation}")
            sized[letter] = max(sized[letter], size)
    if all_constant(*operands):
        check_size([sized[letter] for letter in out])
        total = np.einsum(equation, *operands)
        return total * scale if scale != 1 else total
    pairs = [(one if is_live(one) else numbers(one), letters) for one, letters in zip(operands, terms, strict=True)]
    if scale != 1:
        pairs.append((np.asarray(scale, np.float64), ""))
    return contract(here, pairs, out, part=part)


def matmul(here: Scope, self: Value, other: Value) -> Value:
    """The product of matrices, the last two axes of each; vectors stand for one row or column."""
    left = "k" if self.ndim == 1 else "...nk"
    right = "k" if other.ndim == 1 else "...km"
    return einsum_of(here, f"{left},{right}->...{'n' * (self.ndim > 1)}{'m' * (other.ndim > 1)}", self, other)


def mm(here: Scope, self: Value, mat2: Value) -> Value:
    """The product of matrices."""
    return matmul(here, self, mat2)


def mv(here: Scope, self: Value, vec: Value) -> Value:
    """A matrix times a vector."""
    return matmul(here, self, vec)


def dot(here: Scope, self: Value, tensor: Value | None = None, other: Value | None = None) -> Value:
    """The sum of products of two vectors."""
    return matmul(here, self, tensor if tensor is not None else other)


def addmm(here: Scope, self: Value, mat1: Value, mat2: Value, beta: float = 1, alpha: float = 1) -> Value:
    """beta self + alpha mat1 mat2."""
    if beta == 1 and alpha == 1 and is_live(mat1) and not is_live(mat2) and mat2.ndim == 2 and mat1.ndim == 2:
        return linear(here, mat1, mat2.T, self)
    product = matmul(here.part("product"), mat1, mat2)
    return add(here, multiply(here, self, beta, part="scaled") if beta != 1 else self, product, alpha)


def baddbmm(here: Scope, self: Value, batch1: Value, batch2: Value, beta: float = 1, alpha: float = 1) -> Value:
    """beta self + alpha batch1 batch2, matrix by matrix."""
    return addmm(here, self, batch1, batch2, beta, alpha)


def addmv(here: Scope, self: Value, mat: Value, vec: Value, beta: float = 1, alpha: float = 1) -> Value:
    """beta self + alpha mat vec."""
    return addmm(here, self, mat, vec, beta, alpha)


def addr(here: Scope, self: Value, vec1: Value, vec2: Value, beta: float = 1, alpha: float = 1) -> Value:
    """beta self + alpha times every product of two vectors' values."""
    product = outer(here.part("product"), vec1, vec2)
    return add(here, multiply(here, self, beta, part="scaled") if beta != 1 else self, product, alpha)


def inner(here: Scope, self: Value, other: Value) -> Value:
    """The sum of products along the last axes of both: (..., n), (---, n) -> (..., ---)."""
    return tensordot(here, self, other, self.ndim - 1, other.ndim - 1) if self.ndim and other.ndim else multiply(here, self, other)


def addbmm(here: Scope, self: Value, batch1: Value, batch2: Value, beta: float = 1, alpha: float = 1) -> Value:
    """beta self + alpha times the sum of the products of a batch of matrices."""
    product = einsum_of(here, "bnk,bkm->nm", batch1, batch2, part="product", scale=alpha)
    return add(here, multiply(here, self, beta, part="scaled") if beta != 1 else self, product)


def outer(here: Scope, self: Value, vec2: Value | None = None, other: Value | None = None) -> Value:
    """Every product of two vectors' values."""
    return einsum_of(here, "n,m->nm", self, vec2 if vec2 is not None else other)


def einsum(here: Scope, equation: str, tensors: Sequence[Value], path: Any = None) -> Value:
    """Einstein's sum: `bij,bkj->bik`."""
    return einsum_of(here, equation, *tensors)


def tensordot(here: Scope, self: Value, other: Value, dims_self: Any, dims_other: Any) -> Value:
    """The sum of products along pairs of axes."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    left, right = list(letters[: self.ndim]), list(letters[self.ndim : self.ndim + other.ndim])
    for i, j in zip(sizes(dims_self), sizes(dims_other), strict=True):
        right[j] = left[i]
    out = [c for c in left + right if (c in left) != (c in right)]
    return einsum_of(here, f"{''.join(left)},{''.join(right)}->{''.join(out)}", self, other)


def kron(here: Scope, self: Value, other: Value) -> Value:
    """Every product of two values, matrix by matrix: (n, m), (k, l) -> (n k, m l)."""
    rank = max(self.ndim, other.ndim)
    left, right = (np.reshape(x, (1,) * (rank - x.ndim) + x.shape) for x in (self, other))
    shape = [n * m for n, m in zip(left.shape, right.shape, strict=True)]
    left = np.expand_dims(left, tuple(range(1, 2 * rank, 2)))
    right = np.expand_dims(right, tuple(range(0, 2 * rank, 2)))
    return np.reshape(multiply(here, left, right), shape)


def cross(here: Scope, self: Value, other: Value, dim: int = -1) -> Value:
    """The vector product along an axis of three."""
    x, y = (np.moveaxis(part, dim, -1) for part in np.broadcast_arrays(self, other, subok=True))
    first = multiply(here, x[..., [1, 2, 0]], y[..., [2, 0, 1]], part="first")
    second = multiply(here, x[..., [2, 0, 1]], y[..., [1, 2, 0]], part="second")
    return np.moveaxis(add(here, first, second, -1.0), -1, dim)


def bilinear(here: Scope, input1: Value, input2: Value, weight: Value, bias: Value | None = None) -> Value:
    """x1 W x2 + b for each output: products of both inputs' values, and their sum through the weights."""
    pairs = multiply(here, input1[..., :, None], input2[..., None, :], part="products")
    return live_or_constant_sum(here, Edges(pairs[..., None, :, :], weight, over=2), bias=bias)


def batched(x: Ids, rank: int) -> tuple[Ids, bool]:
    """A tensor with its batch axis: (channels, *places) is one example without."""
    return (x, True) if x.ndim == rank + 2 else (x[None], False)


def convolution(
    here: Scope, input: Ids, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Ids:
    """Every neuron reads one window through its filter: (n, c, *places), weight (o, c / groups, *size) -> (n, o, *windows)."""
    rank = weight.ndim - 2
    x, whole_batch = batched(input, rank)
    apart = for_each(dilation, rank)
    made = windows.convolution(here, x, weight, bias, for_each(stride, rank), pads_of(padding, weight.shape[2:], apart), apart, groups)
    return made if whole_batch else made[0]


def pads_of(padding: Any, size: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Padding as numbers, or as a word: `same` puts the odd place behind."""
    if padding == "valid":
        return [(0, 0)] * len(size)
    if padding == "same":
        reach = [span(k, d) - 1 for k, d in zip(size, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in reach]
    return [(p, p) for p in for_each(padding, len(size))]


def transposed_convolution(
    here: Scope,
    input: Ids,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Ids:
    """Every input adds its filter to a window: (n, c, *places), weight (c, o / groups, *size) -> (n, o, *places)."""
    rank = weight.ndim - 2
    x, whole_batch = batched(input, rank)
    steps, cut, more, apart = (for_each(option, rank) for option in (stride, padding, output_padding, dilation))
    shape = [(n - 1) * s - 2 * p + span(k, d) + o for n, s, p, k, d, o in zip(x.shape[2:], steps, cut, weight.shape[2:], apart, more, strict=True)]
    made = windows.transposed_convolution(here, x, weight, bias, steps, cut, shape, apart, groups)
    return made if whole_batch else made[0]


def conv_any(
    here: Scope,
    input: Ids,
    weight: Value,
    bias: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Ids:
    """A convolution or a transposed one (`aten.convolution`)."""
    if transposed:
        return transposed_convolution(here, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return convolution(here, input, weight, bias, stride, padding, dilation, groups)


def max_pool(rank: int) -> Rule:
    """A rule for max_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False) -> Ids:
        """The largest of each window."""
        x, seen = pooled(here, self, rank, kernel_size, stride, padding, dilation, ceil_mode)
        return windows.max_pool(here, seen, rank, axes=axis_names(x))

    return rule


def average_pool(rank: int) -> Rule:
    """A rule for avg_pool1d, 2d, 3d."""

    def rule(
        here: Scope,
        self: Ids,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Ids:
        """The mean of each window; padding counts as zeros, or not."""
        x, seen = pooled(here, self, rank, kernel_size, stride, padding, 1, ceil_mode, counted=count_include_pad)
        return windows.average_pool(here, seen, rank, divisor_override, axes=axis_names(x))

    return rule


def pooled(
    here: Scope, x: Ids, rank: int, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, counted: bool = False
) -> tuple[Ids, Ids]:
    """The input under the names of its axes, and what each window sees."""
    if x.ndim > rank:
        x = here.expect(x, axes_names(rank)[rank + 2 - x.ndim :])
    steps = for_each(stride if stride not in ((), [], None) else size, rank)
    pads = [(p, p) for p in for_each(padding, rank)]
    return x, windows.pool_windows(x, for_each(size, rank), steps, pads, for_each(dilation, rank), ceil_mode, counted)


def adaptive_average_pool(rank: int) -> Rule:
    """A rule for adaptive_avg_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, output_size: Any) -> Ids:
        """The mean of each of `output_size` windows, which overlap where they don't divide the image; a view where they are single places."""
        size = adapted_size(self, output_size, rank)
        if size == self.shape[self.ndim - rank :]:
            return self
        return windows.average_pool(here, windows.adaptive_windows(self, size), rank, axes=axis_names(self))

    return rule


def adaptive_max_pool(rank: int) -> Rule:
    """A rule for adaptive_max_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, output_size: Any, indices: bool = False) -> Any:
        """The largest of each of `output_size` windows, which overlap where they don't divide the image."""
        no_indices(indices)
        return windows.max_pool(here, windows.adaptive_windows(self, adapted_size(self, output_size, rank)), rank, axes=axis_names(self)), np.zeros(0)

    return rule


def max_pool_with_indices(rank: int) -> Rule:
    """A rule for max_pool2d_with_indices and the like, where nobody reads the places."""

    def rule(
        here: Scope,
        self: Ids,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        indices: bool = False,
    ) -> Any:
        """The largest of each window; where it was is refused."""
        no_indices(indices)
        return max_pool(rank)(here, self, kernel_size, stride, padding, dilation, ceil_mode), np.zeros(0)

    return rule


def no_indices(read: bool) -> None:
    if read:
        raise Unsupported("returns where in each window the largest value was, which depends on the example")


def adapted_size(x: Ids, output_size: Any, rank: int) -> tuple[int, ...]:
    places = x.shape[x.ndim - rank :]
    listed = output_size if isinstance(output_size, list | tuple) else [output_size] * rank
    return tuple(n if size is None else whole(size) for n, size in zip(places, listed, strict=True))


def batch_norm(
    here: Scope,
    input: Ids,
    weight: Value | None = None,
    bias: Value | None = None,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> Value:
    """gamma (x - mean) / sqrt(variance + eps) + beta with stored moments: one edge each. A constant, such as a kernel, may be taken by its own."""
    if all_constant(input, weight, bias):
        return normalized_constant(input, weight, bias, None if training else (running_mean, running_var), eps)
    if training or running_mean is None or running_var is None:
        raise Unsupported(f"takes the moments of the batch: it {TRAINING}")
    x = here.expect(input, axes_names(input.ndim - 2)) if input.ndim > 2 else input
    return shift_and_scale(here, x, running_mean, running_var, weight, bias, eps, axis=1)


def normalized_constant(x: Value, weight: Value | None, bias: Value | None, moments: tuple[Value, Value] | None, eps: float) -> Value:
    """The same of constants (batch, channels, *places); without stored moments, with those of each channel."""
    across, shape = (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))
    mean, variance = (x.mean(across), x.var(across)) if moments is None else moments
    gamma, beta = (np.ones_like(mean) if weight is None else weight), (np.zeros_like(mean) if bias is None else bias)
    return (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps) * gamma.reshape(shape) + beta.reshape(shape)


def layer_norm(
    here: Scope,
    input: Ids,
    normalized_shape: Any,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = False,
) -> Ids:
    """gamma (x - mean) / sqrt(variance + eps) + beta over the last axes."""
    axes = range(input.ndim - len(sizes(normalized_shape)), input.ndim)
    return normalized(here, input, tuple(axes), eps, weight, bias)


def rms_norm(here: Scope, input: Ids, normalized_shape: Any, weight: Value | None = None, eps: float | None = None) -> Ids:
    """gamma x / sqrt(mean(x^2) + eps) over the last axes."""
    axes = range(input.ndim - len(sizes(normalized_shape)), input.ndim)
    return normalized(here, input, tuple(axes), float(np.finfo(np.float32).eps) if eps is None else eps, weight, centre=False)


def group_norm(
    here: Scope, input: Ids, num_groups: int, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5, cudnn_enabled: bool = False
) -> Ids:
    """Normalisation over each group of channels and all places together."""
    grouped = input.reshape(input.shape[0], num_groups, -1, *input.shape[2:])
    shape = (num_groups, -1, *(1,) * (input.ndim - 2))
    gamma, beta = (None if array is None else array.reshape(shape) for array in (weight, bias))
    made = normalized(here, grouped, tuple(range(2, grouped.ndim)), eps, gamma, beta, input.shape)
    return here.expect(made, axes_names(input.ndim - 2)) if input.ndim > 2 else made


def instance_norm(
    here: Scope,
    input: Ids,
    weight: Value | None = None,
    bias: Value | None = None,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> Ids:
    """Normalisation over the places of each channel, or with stored moments."""
    if not use_input_stats:
        return batch_norm(here, input, weight, bias, running_mean, running_var, False, momentum, eps)
    shape = (-1, *(1,) * (input.ndim - 2))
    gamma, beta = (None if array is None else array.reshape(shape) for array in (weight, bias))
    return normalized(here, input, tuple(range(2, input.ndim)), eps, gamma, beta)


def embedding(here: Scope, weight: Value, indices: Value, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False) -> Value:
    """Each position of an integer input, one-hot, times the table: (...) -> (..., d); edges (..., d, n)."""
    if not is_live(indices):
        return weight[np.asarray(indices)]
    if is_live(weight):
        raise Unsupported("looks up a table that depends on the example")
    return here.sum(Edges(here.onehot(indices, len(weight))[..., None, :], weight.T), axes=(*axis_names(indices), "channel"))


def embedding_bag(
    here: Scope,
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> Any:
    """Sums, means or maxima of bags of table rows: `rows` of all positions, then one neuron for each bag and column."""
    if is_live(offsets) or not is_live(indices) or (padding_idx is not None and padding_idx >= 0):
        raise Unsupported("has bags that depend on the example, or padding")
    begins = [int(begin) for begin in np.asarray(offsets)] + ([] if include_last_offset else [indices.size])
    rows = here.sum(Edges(here.part("rows").onehot(indices, len(weight))[..., None, :], weight.T), part="rows")
    if per_sample_weights is not None:
        rows = multiply(here, rows, per_sample_weights[:, None], part="weighted")
    bags = [rows[begin:end] for begin, end in pairwise(begins)]
    longest = max(len(bag) for bag in bags)
    ids = np.stack([np.pad(bag, ((0, longest - len(bag)), (0, 0)), constant_values=-2) for bag in bags])
    turned = np.swapaxes(ids, 1, 2)
    if mode == 2:
        return here.max(Edges(turned)), *(np.zeros(0),) * 3
    share = 1 / np.array([max(len(bag), 1) for bag in bags], dtype=np.float64)[:, None, None] if mode == 1 else 1.0
    return here.sum(Edges(turned, share)), *(np.zeros(0),) * 3


def scaled_dot_product_attention(
    here: Scope,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Attention over the last two axes (positions, depth), the other axes being examples and heads."""
    if dropout_p:
        raise Unsupported(f"drops values at random: it {TRAINING}")
    if enable_gqa:
        key, value = (np.repeat(part, query.shape[-3] // part.shape[-3], axis=-3) for part in (key, value))
    if is_causal:
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    return attention(here, query, key, value, 1 / sqrt(query.shape[-1]) if scale is None else scale, attn_mask)


def weight_norm(here: Scope, v: Value, g: Value, dim: int = 0) -> Value:
    """g v / |v|, the length taken along all axes but one."""
    if is_live(v) or is_live(g):
        raise Unsupported("normalises a weight that depends on the example")
    axes = tuple(axis for axis in range(v.ndim) if axis != dim)
    with np.errstate(divide="ignore", invalid="ignore"):
        return v * (g / np.sqrt(np.sum(np.square(v), axis=axes, keepdims=True)))
