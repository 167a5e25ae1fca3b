"""Products of matrices and tensors. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from etl.rules.aten.values import Sizes, Value, add, all_constant, check_size, given, live_or_constant_sum, multiply, numbers
from etl.rules.aten.views import sizes
from etl.rules.ids import axis_names, is_live
from etl.rules.primitives.einsum import contract, spelled
from etl.rules.scope import Edges, Scope


def linear(here: Scope, input: Value, weight: Value, bias: Value | None = None) -> Value:
    """Every neuron reads the last axis through one row of the weight: (..., n), (units, n) -> (..., units)."""
    if all_constant(input, weight):
        check_size((*input.shape[:-1], *weight.shape[:-1]))
        product = input @ weight.T
        return product if bias is None else add(here, product, bias)
    if not is_live(weight):
        if input.shape[-1] != weight.shape[-1]:
            raise ValueError(f"{input.shape[-1]} values meet a weight for {weight.shape[-1]}")
        names = (*axis_names(input)[:-1], "channel") if weight.ndim > 1 else axis_names(input)[:-1]
        source = input[..., None, :] if weight.ndim > 1 else input
        return live_or_constant_sum(here, Edges(source, weight), bias=bias, axes=names)
    if weight.ndim == 1:
        return einsum_of(here, "...k,k->...", input, weight)
    product = einsum_of(here, "...nk,mk->...nm" if input.ndim > 1 else "k,mk->m", input, weight, part=None if bias is None else "product")
    return product if bias is None else add(here, product, bias)


def einsum_of(here: Scope, equation: str, *operands: Value, part: str | None = None, scale: float = 1.0) -> Value:
    """Einstein's sum of live values and constants; broadcast axes of one place meet any other.

    Raises ValueError where sizes along a letter differ.
    """
    terms, out = spelled(equation, [np.ndim(array) for array in operands])
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
    pairs = [(array if is_live(array) else numbers(array), letters) for array, letters in zip(operands, terms, strict=True)]
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
    return matmul(here, self, given(tensor, other))


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
    return einsum_of(here, "n,m->nm", self, given(vec2, other))


def einsum(here: Scope, equation: str, tensors: Sequence[Value], path: Sequence[int] | None = None) -> Value:
    """Einstein's sum: `bij,bkj->bik`."""
    return einsum_of(here, equation, *tensors)


def tensordot(here: Scope, self: Value, other: Value, dims_self: Sizes, dims_other: Sizes) -> Value:
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
    shape = np.broadcast_shapes(self.shape, other.shape)
    x, y = (np.moveaxis(np.broadcast_to(operand, shape), dim, -1) for operand in (self, other))
    first = multiply(here, x[..., [1, 2, 0]], y[..., [2, 0, 1]], part="first")
    second = multiply(here, x[..., [2, 0, 1]], y[..., [1, 2, 0]], part="second")
    return np.moveaxis(add(here, first, second, -1.0), -1, dim)


def bilinear(here: Scope, input1: Value, input2: Value, weight: Value, bias: Value | None = None) -> Value:
    """x1 W x2 + b for each output: products of both inputs' values, and their sum through the weights."""
    pairs = multiply(here, input1[..., :, None], input2[..., None, :], part="products")
    return live_or_constant_sum(here, Edges(pairs[..., None, :, :], weight, over=2), bias=bias)
