"""Tensors put together, and cut into pieces. Arguments as ATen names them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import Size, Sizes, Value, all_live, given, power
from etl.rules.aten.views import at_least, axis_of, integer, select, sizes
from etl.rules.ids import is_live, zeros
from etl.rules.scope import Scope, bounded


def cat(here: Scope, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors one after the other along an axis; a constant among them is neurons that read nothing."""
    joined = [tensor for tensor in all_live(here, tensors) if tensor.shape != (0,)]
    return np.concatenate(joined, axis=integer(dim))


def stack(here: Scope, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors one after the other along a new axis."""
    return np.stack(all_live(here, tensors), axis=dim)


def joined_along(axis: int, rank: int) -> Any:
    """A rule for hstack, vstack and dstack: tensors of at least `rank` axes along one of them."""

    def rule(here: Scope, tensors: Sequence[Value]) -> Value:
        """Tensors one after the other."""
        raised = [np.reshape(tensor, at_least(tensor, rank)) for tensor in all_live(here, tensors)]
        return np.concatenate(raised, axis=0 if raised[0].ndim == 1 else axis)

    return rule


def column_stack(here: Scope, tensors: Sequence[Value]) -> Value:
    """Vectors as columns."""
    raised = [np.reshape(tensor, (-1, 1)) if tensor.ndim < 2 else tensor for tensor in all_live(here, tensors)]
    return np.concatenate(raised, axis=1)


def pieces(self: Value, ends: Sequence[int], dim: int) -> list[Value]:
    return list(np.split(self, list(ends), axis=axis_of(dim, self.ndim)))


def chunk(here: Scope, self: Value, chunks: int, dim: int = 0) -> list[Value]:
    """An axis cut into pieces of one size, the last one smaller."""
    return split(here, self, -(-self.shape[axis_of(dim, self.ndim)] // integer(chunks)), dim)


def split(here: Scope, self: Value, split_size: Sizes | None = None, dim: int = 0, split_sizes: Sizes | None = None) -> list[Value]:
    """An axis cut into pieces of one size, or of those listed."""
    size_or_sizes = given(split_size, split_sizes)
    if isinstance(size_or_sizes, Sequence):
        return pieces(self, np.cumsum(sizes(size_or_sizes))[:-1].tolist(), dim)
    n, step = self.shape[axis_of(dim, self.ndim)], integer(size_or_sizes)
    return pieces(self, range(step, n, step) if step else [], dim)


def tensor_split(
    here: Scope,
    self: Value,
    sections: Size | None = None,
    indices: Sizes | None = None,
    dim: int = 0,
    tensor_indices_or_sections: Size | None = None,
) -> list[Value]:
    """An axis cut into so many pieces, or at the places listed."""
    if tensor_indices_or_sections is not None:
        raise Unsupported("cuts where a tensor says")
    at = axis_of(dim, self.ndim)
    return list(np.array_split(self, integer(sections) if sections is not None else list(sizes(given(indices))), axis=at))


def split_along(axis: int) -> Any:
    """A rule for hsplit, vsplit and dsplit."""

    def rule(here: Scope, self: Value, sections: Size | None = None, indices: Sizes | None = None) -> list[Value]:
        """An axis cut into so many pieces, or at the places listed."""
        return tensor_split(here, self, sections, indices, axis if self.ndim > axis else 0)

    return rule


def unbind(here: Scope, self: Value, dim: int = 0) -> list[Value]:
    """The places of an axis, each by itself."""
    return [select(here, self, dim, index) for index in range(self.shape[axis_of(dim, self.ndim)])]


def block_diag(here: Scope, tensors: Sequence[Value]) -> Value:
    """Matrices along a diagonal, zero elsewhere."""
    matrices = [np.reshape(matrix, (1,) * (2 - matrix.ndim) + matrix.shape) for matrix in all_live(here, tensors)]
    rows, columns = sum(len(matrix) for matrix in matrices), sum(matrix.shape[1] for matrix in matrices)
    bounded((rows, columns))
    flowing = is_live(matrices[0])
    diagonal: Value = zeros((rows, columns)) if flowing else np.zeros((rows, columns), np.result_type(*matrices))
    row = column = 0
    for matrix in matrices:
        diagonal[row : row + len(matrix), column : column + matrix.shape[1]] = matrix
        row, column = row + len(matrix), column + matrix.shape[1]
    return diagonal


def cartesian_prod(here: Scope, tensors: Sequence[Value]) -> Value:
    """Every choice of one value of each vector: one vector as it is, of several a row for each choice."""
    vectors = all_live(here, tensors)
    if len(vectors) == 1:
        return vectors[0]
    counts = [vector.shape[0] for vector in vectors]
    bounded([*counts, len(vectors)])
    chosen = np.indices(counts).reshape(len(vectors), -1)
    return np.stack([vector[places] for vector, places in zip(vectors, chosen, strict=True)], axis=-1)


def combinations(here: Scope, self: Value, r: int = 2, with_replacement: bool = False) -> Value:
    """Every choice of r values of a vector, each a row."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    bounded((max(comb(self.shape[0] + (r - 1 if with_replacement else 0), r), 1), r))
    chosen = np.array(list(choose(range(self.shape[0]), r)), dtype=np.int64).reshape(-1, r)
    return self[chosen]


def decreasing_vander(here: Scope, x: Value, N: int | None = None, increasing: bool = False) -> Value:  # noqa: N803
    """The powers of each value on a new last axis, 0 last, or first where they increase."""
    powers = vander(here, x, N)
    return powers if increasing else np.flip(powers, -1)


def vander(here: Scope, x: Value, N: int | None = None) -> Value:  # noqa: N803 - ATen's own name
    """The powers of each value, from 0 on, on a new last axis."""
    count = x.shape[-1] if N is None else N
    bounded((*x.shape, count))
    powers = [power(here.part(f"power_{n}"), x, float(n)) for n in range(2, count)]
    return np.stack(all_live(here, [np.ones(x.shape), *([x] if count > 1 else []), *powers][:count]), axis=-1)
