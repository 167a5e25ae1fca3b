"""Determinants and inverses of small matrices, written out as sums of products."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from etl.errors import Unsupported
from etl.rules.primitives.elementwise import function
from etl.rules.scope import Edges, Ids, Scope

LARGEST = 5  # rows: 120 products each


def determinant(here: Scope, x: Ids) -> Ids:
    """The sum over all permutations of the rows of the products along them, each with its sign: for matrices of up to 5."""
    size = x.shape[-1]
    if size != x.shape[-2] or size > LARGEST:
        raise Unsupported(f"has a rule for square matrices of up to {LARGEST} x {LARGEST}, not {x.shape[-2]} x {size}")
    orders = list(permutations(range(size)))
    signs = np.array([np.linalg.det(np.eye(size)[list(order)]) for order in orders]).round()
    products = here.product(Edges(np.stack([x[..., np.arange(size), order] for order in orders], -2)), part="products")
    return here.sum(Edges(products, signs))


def inverse(here: Scope, x: Ids) -> Ids:
    """Each entry the signed determinant of what is left without its row and column (`minor`), over the determinant of all (`determinant`)."""
    size = x.shape[-1]
    total = determinant(here.part("determinant"), x)
    share = function(here, total, "reciprocal", "reciprocal")[..., None, None]
    if size == 1:
        return here.sum(Edges(share, over=0))
    keep = [[k for k in range(size) if k != removed] for removed in range(size)]
    left = np.stack([np.stack([x[..., keep[row], :][..., keep[column]] for row in range(size)], -3) for column in range(size)], -4)
    minors = determinant(here.part("minor"), left)
    signs = (-1.0) ** np.add.outer(np.arange(size), np.arange(size))
    return here.product(Edges(minors, signs, over=0), Edges(share, over=0))
