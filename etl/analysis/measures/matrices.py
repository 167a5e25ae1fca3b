"""Edges as sparse matrices, and what can be afforded on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadRequest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Numbers = NDArray[Any]

MOST_DENSE = 20_000  # neurons of a dense matrix: 3.2 GB in float64, minutes to hours to decompose
COPIES = 4  # of that matrix, while it is decomposed


def both_ways(n: int, source: Numbers, target: Numbers, weight: Numbers) -> csr_array[Any]:
    """The undirected network, (n, n) and symmetric; parallel edges add up."""
    from scipy.sparse import coo_array

    ends = np.concatenate([source, target]), np.concatenate([target, source])
    return coo_array((np.concatenate([weight, weight]).astype(np.float64), ends), shape=(n, n)).tocsr()


def positive(n: int, source: Numbers, target: Numbers, weight: Numbers) -> csr_array[Any]:
    """The undirected network of the edges with a weight above zero; parallel ones add up."""
    above_zero = weight > 0
    return both_ways(n, source[above_zero], target[above_zero], weight[above_zero])


def links(n: int, source: Numbers, target: Numbers) -> csr_array[Any]:
    """Who feeds whom, (n, n) of ones, a row a source; parallel edges are one."""
    return binary(directed(n, source, target, np.ones(len(source))))


def directed(n: int, source: Numbers, target: Numbers, weight: Numbers) -> csr_array[Any]:
    """The weights, (n, n), a row a source; parallel edges add up."""
    from scipy.sparse import coo_array

    return coo_array((weight.astype(np.float64), (source, target)), shape=(n, n)).tocsr()


def binary(matrix: csr_array[Any]) -> csr_array[Any]:
    """The same entries, each 1."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def by_component(matrix: csr_array[Any], measure: Callable[[Numbers], Numbers], alone: float) -> Numbers:
    """A measure of dense symmetric matrices, each connected part of the network by itself.

    alone  the value of a node without neighbours
    Raises BadRequest where a part is too large for a dense matrix.
    """
    from scipy.sparse.csgraph import connected_components

    matrix.eliminate_zeros()
    count, part = connected_components(matrix, directed=False)
    sizes = np.bincount(part, minlength=count)
    require_dense(int(sizes.max(initial=0)))
    values = np.full(matrix.shape[0], alone)
    members = np.split(np.argsort(part, kind="stable"), np.cumsum(sizes)[:-1])
    for nodes in members:
        if len(nodes) > 1:
            values[nodes] = measure(matrix[nodes][:, nodes].toarray())
    return values


def require_dense(n: int) -> None:
    """Raises BadRequest where a dense matrix of n neurons can't be had."""
    import psutil

    need, free = COPIES * 8 * n * n, psutil.virtual_memory().available
    if n > MOST_DENSE:
        raise BadRequest(
            f"this measure needs a dense matrix and takes at most {MOST_DENSE:,} connected neurons, here are {n:,}: "
            "load fewer layers or a smaller --input-shape, or --granularity channel"
        )
    if need > free:
        raise BadRequest(f"this measure needs {need / 1e9:.1f} GB of memory for {n:,} neurons, {free / 1e9:.1f} GB are free: load fewer layers")
