"""Diagonals and triangles of matrices. Arguments as ATen names them."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.aten.values import Value
from etl.rules.ids import ZERO, is_live, live
from etl.rules.scope import Scope, bounded


def diagonal(here: Scope, self: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """A diagonal of two axes, on a new last one."""
    return np.diagonal(self, offset, dim1, dim2)


def diag(here: Scope, self: Value, diagonal: int = 0) -> Value:
    """The diagonal of a matrix, or a matrix with that diagonal."""
    if self.ndim == 2:
        return np.diagonal(self, diagonal)
    return diag_embed(here, self, diagonal)


def diagflat(here: Scope, self: Value, offset: int = 0) -> Value:
    """A matrix with all values on its diagonal, zero elsewhere."""
    return diag_embed(here, np.reshape(self, (-1,)), offset)


def diag_embed(here: Scope, self: Value, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """Matrices with these diagonals, zero elsewhere."""
    n = self.shape[-1] + abs(offset)
    matrix = np.full(bounded((*self.shape[:-1], n, n)), ZERO) if is_live(self) else np.zeros(bounded((*self.shape[:-1], n, n)), self.dtype)
    matrix = live(matrix) if is_live(self) else matrix
    place = np.arange(self.shape[-1])
    matrix[..., place + max(-offset, 0), place + max(offset, 0)] = self
    return np.moveaxis(matrix, (-2, -1), (dim1, dim2))


def triangle(lower: bool) -> Any:
    """A rule for tril and triu."""

    def rule(here: Scope, self: Value, diagonal: int = 0) -> Value:
        """What is on one side of a diagonal; zero on the other."""
        rows, columns = self.shape[-2:]
        kept = np.tri(rows, columns, diagonal, dtype=bool) if lower else ~np.tri(rows, columns, diagonal - 1, dtype=bool)
        return np.where(kept, self, ZERO) if is_live(self) else np.where(kept, self, np.zeros((), self.dtype))

    return rule
