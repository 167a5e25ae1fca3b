"""Measures on shortest paths: every neuron is a start once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etl.analysis.measures.matrices import Numbers, links
from etl.errors import BadRequest
from etl.extras import needed

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_VISITS = 300_000_000_000  # neurons times edges: about two hours
CHUNK = 1 << 24  # distances held together


def harmonic(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Sum of 1 / d over all others that can be reached, distance = weight, over positive weights, undirected. O(n (m + n log n)).

    Marchiori, Latora, "Harmony in the small-world", Physica A 285 (2000). Raises BadRequest past two hours' work.
    """
    from scipy.sparse.csgraph import dijkstra

    above_zero = weight > 0
    require_visits(n, 2 * int(above_zero.sum()))
    near = shortest(n, source[above_zero], target[above_zero], weight[above_zero].astype(np.float64))
    total = np.zeros(n)
    rows = max(1, CHUNK // max(n, 1))
    for first in range(0, n, rows):
        distance = dijkstra(near, indices=range(first, min(first + rows, n)))
        total[first : first + rows] = np.divide(1, distance, out=np.zeros_like(distance), where=distance > 0).sum(axis=1)
    return total


def shortest(n: int, source: Numbers, target: Numbers, length: Numbers) -> csr_array[Any]:
    """The undirected network of lengths as a sparse matrix; of parallel edges the shortest."""
    from scipy.sparse import coo_array

    low, high = np.minimum(source, target), np.maximum(source, target)
    order = np.lexsort((length, high, low))
    low, high, length = low[order], high[order], length[order]
    first = np.ones(len(low), bool)
    first[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    ends = np.concatenate([low[first], high[first]]), np.concatenate([high[first], low[first]])
    return coo_array((np.tile(length[first], 2), ends), shape=(n, n)).tocsr()


def betweenness(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Share of shortest directed paths (in edges, weights aside) that go through a neuron, of (n-1)(n-2) pairs. O(n m).

    Brandes, "A faster algorithm for betweenness centrality", Journal of Mathematical Sociology 25 (2001). Raises BadRequest past two hours' work.
    """
    needed("igraph")
    import igraph

    require_visits(n, len(source))
    if n < 3:
        return np.zeros(n)
    pairs = links(n, source, target).tocoo()
    graph = igraph.Graph(n=n, edges=np.column_stack([pairs.row, pairs.col]), directed=True)
    return np.array(graph.betweenness(directed=True)) / ((n - 1) * (n - 2))


def require_visits(n: int, edges: int) -> None:
    """Raises BadRequest where going through all edges from every neuron takes too long."""
    if n * edges > MOST_VISITS:
        raise BadRequest(
            f"this measure goes through all {edges:,} edges from each of {n:,} neurons, which would take hours: "
            "load fewer layers or a smaller --input-shape, or --granularity channel"
        )
