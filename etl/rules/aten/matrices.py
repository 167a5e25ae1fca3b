"""Linear algebra of matrices: determinants and inverses of small live ones, anything of constants. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce as folded
from typing import Any

import numpy as np

from etl.errors import TooLarge, Unsupported
from etl.rules.aten import reduce
from etl.rules.aten import values as place
from etl.rules.aten.products import einsum_of, matmul
from etl.rules.aten.reduce import axes_of
from etl.rules.aten.values import Sizes, Value, all_constant, function, given, numbers
from etl.rules.aten.views import axis_of, sizes
from etl.rules.ids import is_live
from etl.rules.primitives import determinants
from etl.rules.scope import Scope

Rule = Callable[..., Any]
MOST_FACTORS = 1024  # of a live matrix, each a product of its own
MOST_ROWS = 8192  # of a constant matrix that is computed with: more would take minutes


def det(here: Scope, self: Value) -> Value:
    """The determinant of each matrix, of up to 5 x 5 where it is live: the signed products along all permutations."""
    return determinants.determinant(here, self) if is_live(self) else np.asarray(np.linalg.det(numbers(self)))


def linalg_det(here: Scope, A: Value) -> Value:  # noqa: N803 - ATen's own name
    """The determinant of each matrix, of up to 5 x 5 where it is live: the signed products along all permutations."""
    return det(here, A)


def slogdet(here: Scope, self: Value | None = None, A: Value | None = None) -> tuple[Value, Value]:  # noqa: N803
    """The determinant's sign, and the logarithm of its size."""
    whole = det(here.part("determinant"), given(A, self))
    sign = function(here, "sign", np.sign, whole, part="sign")
    return sign, function(here, "log", np.log, function(here, "abs", np.abs, whole, part="abs"))


def linalg_inv(here: Scope, A: Value) -> Value:  # noqa: N803
    """The inverse of each matrix, of up to 5 x 5 where it is live: signed minors over the determinant."""
    return determinants.inverse(here, A) if is_live(A) else np.linalg.inv(numbers(A))


def inverse(here: Scope, self: Value) -> Value:
    """The inverse of each matrix, of up to 5 x 5 where it is live: signed minors over the determinant."""
    return linalg_inv(here, self)


def linalg_solve(here: Scope, A: Value, B: Value, left: bool = True) -> Value:  # noqa: N803
    """What A has to be multiplied with for B: the inverse times B."""
    if not left:
        raise Unsupported("has a rule for left=True only")
    if all_constant(A, B):
        return np.linalg.solve(numbers(A), numbers(B)[..., None])[..., 0] if np.ndim(B) == 1 else np.linalg.solve(numbers(A), numbers(B))
    return matmul(here, linalg_inv(here.part("inverse"), A), B)


def matrix_power(here: Scope, self: Value, n: int) -> Value:
    """A matrix times itself, n times; below 0 its inverse."""
    if not is_live(self):
        return np.linalg.matrix_power(numbers(self), n)
    if abs(n) > MOST_FACTORS:
        raise Unsupported(f"has the exponent {n:,}; there is a rule for up to {MOST_FACTORS}")
    if n == 0:
        return np.broadcast_to(np.eye(self.shape[-1]), self.shape)
    base = linalg_inv(here.part("inverse") if n < -1 else here, self) if n < 0 else self
    power = base
    for time in range(2, abs(n) + 1):
        power = matmul(here if time == abs(n) else here.part(f"power_{time}"), power, base)
    return power


def multi_dot(here: Scope, tensors: Sequence[Value]) -> Value:
    """The product of several matrices, from the left."""
    *first, last = tensors
    left = folded(lambda product, item: matmul(here.part(f"product_{item[0]}"), product, item[1]), enumerate(first[1:]), first[0])
    return matmul(here, left, last)


def chain_matmul(here: Scope, matrices: Sequence[Value]) -> Value:
    """The product of several matrices, from the left."""
    return multi_dot(here, matrices)


def vecdot(here: Scope, x: Value, y: Value, dim: int = -1) -> Value:
    """The sum of products along an axis."""
    rank = max(np.ndim(x), np.ndim(y))
    axis = axes_of(dim, rank)
    return reduce.reduced(here, "sum", place.multiply(here, x, y, part="products"), axis)


def matrix_norm(here: Scope, self: Value, ord: float | str = "fro", dim: Sizes = (-2, -1), keepdim: bool = False, dtype: str | None = None) -> Value:
    """The root of all squares (`fro`), or the largest (smallest, where negative) sum of sizes of a column (1) or of a row (infinity)."""
    rows, columns = (axis_of(axis, self.ndim) for axis in sizes(dim))
    if ord == "fro":
        return reduce.norm(here, self, 2.0, (rows, columns), keepdim)
    if ord == "nuc" or abs(float(ord)) not in (1, float("inf")):
        if is_live(self):
            raise Unsupported(f"has no rule for the matrix norm ord={ord!r}, which needs singular values")
        return np.asarray(np.linalg.norm(numbers(self), "nuc" if ord == "nuc" else float(ord), axis=(rows, columns), keepdims=keepdim))
    inner, outer = (rows, columns) if abs(float(ord)) == 1 else (columns, rows)
    size = function(here, "abs", np.abs, self, part="abs")
    total = reduce.reduced(here, "sum", size, (inner,), True, part="sum")
    best = reduce.reduced(here, "max" if float(ord) > 0 else "min", total, (outer,), True)
    return best if keepdim else np.squeeze(best, (rows, columns))


def linalg_norm(
    here: Scope, self: Value, ord: float | str | None = None, dim: Sizes | None = None, keepdim: bool = False, dtype: str | None = None
) -> Value:
    """The length of vectors; of matrices the root of all squares, or the norm that is named."""
    axes = axes_of(dim, self.ndim)
    if ord is not None and len(axes) == 2:
        return matrix_norm(here, self, ord, axes, keepdim)
    return reduce.norm(here, self, 2.0 if ord is None else float(ord), axes, keepdim)


def covariance(here: Scope, self: Value, correction: float = 1, fweights: Value | None = None, aweights: Value | None = None) -> Value:
    """The mean product of two variables' differences from their means, over n - correction: (variables, examples) -> (variables, variables)."""
    if fweights is not None or aweights is not None:
        raise Unsupported("has no rule for weights of the examples")
    rows = np.reshape(self, (1, -1)) if np.ndim(self) < 2 else self
    middle = reduce.mean(here, rows, (1,), True, part="mean")
    apart = place.subtract(here, rows, middle, part="centring")
    products = einsum_of(here, "ik,jk->ij", apart, apart, scale=1 / (rows.shape[1] - correction))
    return products if np.ndim(self) == 2 else np.reshape(products, ())


def on_constants(compute: Callable[..., Any], doc: str, count: int = 1) -> Rule:
    """A rule for what has a meaning of constants only, such as a weight that is made orthogonal."""

    def rule(
        here: Scope,
        self: Value | None = None,
        A: Value | None = None,  # noqa: N803
        upper: bool = False,
        input: Value | None = None,
        tau: Value | None = None,
    ) -> Any:
        operands = [operand for operand in (self, A, input, tau) if operand is not None]
        if len(operands) != count:
            raise ValueError(f"takes {'one matrix' if count == 1 else f'{count} matrices'}, and is given {len(operands)}")
        if any(size > MOST_ROWS for operand in operands for size in np.shape(operand)[-2:]):
            raise TooLarge(f"a matrix of more than {MOST_ROWS:,} rows or columns")
        if any(map(is_live, operands)):
            raise Unsupported("has a rule for constants only, and reads values that depend on the example")
        result = compute(*map(numbers, operands))
        return np.swapaxes(result, -1, -2) if upper else result

    rule.__doc__ = doc
    return rule


def exponential(matrix: Any) -> Any:
    from scipy import linalg

    return linalg.expm(matrix)


def reflected(vectors: Any, scales: Any) -> Any:
    """The product of the reflections 1 - tau v v^T, v being 1 at its own place and 0 above it (LAPACK's `orgqr`)."""
    rows, columns = vectors.shape[-2:]
    product = np.broadcast_to(np.eye(rows), (*vectors.shape[:-2], rows, rows))
    for k in range(scales.shape[-1]):
        v = np.where(np.arange(rows) < k, 0.0, np.where(np.arange(rows) == k, 1.0, vectors[..., :, k]))
        product = product - scales[..., k, None, None] * (product @ v[..., :, None]) * v[..., None, :]
    return product[..., :columns]


MATRICES: dict[str, Rule] = {
    "det": det,
    "linalg_det": linalg_det,
    "slogdet": slogdet,
    "linalg_slogdet": slogdet,
    "inverse": inverse,
    "linalg_inv": linalg_inv,
    "linalg_solve": linalg_solve,
    **dict.fromkeys(("matrix_power", "linalg_matrix_power"), matrix_power),
    "linalg_multi_dot": multi_dot,
    "chain_matmul": chain_matmul,
    "linalg_vecdot": vecdot,
    "linalg_matrix_norm": matrix_norm,
    "linalg_norm": linalg_norm,
    "cov": covariance,
    **dict.fromkeys(("matrix_exp", "linalg_matrix_exp"), on_constants(exponential, "The exponential of a constant matrix.")),
    **dict.fromkeys(("cholesky", "linalg_cholesky"), on_constants(np.linalg.cholesky, "The triangle whose square a constant matrix is.")),
    "linalg_svdvals": on_constants(lambda matrix: np.linalg.svd(matrix, compute_uv=False), "The singular values of a constant matrix."),
    "linalg_pinv": on_constants(np.linalg.pinv, "The pseudo-inverse of a constant matrix."),
    "linalg_householder_product": on_constants(reflected, "The product of constant reflections.", 2),
}
