"""Measures by repeated steps along the edges: each step is one product with a sparse matrix, O(m)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etl.analysis.measures.matrices import Numbers, directed, links
from etl.errors import BadRequest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TOLERANCE = 1e-6  # a neuron, of the sum of changes: NetworkX's default, and part of the definition here
MOST_STEPS = 1_000_000
DAMPING = 0.85


def eigenvector(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Eigenvector centrality by in-edges, weights aside, as NetworkX's `eigenvector_centrality(G, max_iter=...)` defines and stops it.

    A network without loops has no eigenvector but one at its outputs: what is told is where power iteration with A + 1, from equal
    values, changes by less than 1e-6 a neuron. Bonacich, "Power and centrality", American Journal of Sociology 92 (1987).
    """
    return settled(links(n, source, target))


def weighted_eigenvector(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """The same along the signed weights, which may make values negative: NetworkX's `eigenvector_centrality(G, max_iter=..., weight="weight")`."""
    return settled(directed(n, source, target, weight))


def settled(out: csr_array[Any]) -> Numbers:
    """Where power iteration with A + 1 stops, A (n, n) with a row a source. Raises BadRequest where it doesn't within MOST_STEPS."""
    into, n = out.T.tocsr(), out.shape[0]
    x = np.full(n, 1 / max(n, 1))
    for _ in range(MOST_STEPS):
        last, x = x, x + into @ x
        x /= np.linalg.norm(x) or 1.0
        if np.abs(x - last).sum() <= n * TOLERANCE:
            return x
    raise BadRequest(f"eigenvector does not settle within {MOST_STEPS:,} steps on this graph")


def pagerank(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Where a walk is that goes on along |weight| with 17 of 20 steps, else starts anew anywhere, as also where no edge goes on. Adds up to 1.

    NetworkX's `pagerank` where the weights are |weight|, run until it settles. Page et al., "The PageRank citation ranking" (1999).
    Raises BadRequest where it does not settle.
    """
    out = directed(n, source, target, np.abs(weight))
    leaving = out.sum(axis=1)
    into = out.T.tocsr()
    share = np.divide(1, leaving, out=np.zeros(n), where=leaving > 0)
    x = np.full(n, 1 / max(n, 1))
    for _ in range(MOST_STEPS):
        lost = x[leaving == 0].sum() / max(n, 1)
        last, x = x, DAMPING * (into @ (x * share) + lost) + (1 - DAMPING) / max(n, 1)
        if np.abs(x - last).sum() < 1e-14:
            return x
    raise BadRequest(f"pagerank does not settle within {MOST_STEPS:,} steps on this graph")
