"""Measures of a neuron and its neighbours: strength, degree, clustering. They take graphs of any size."""

from __future__ import annotations

import numpy as np

from etl.analysis.measures.matrices import Numbers, binary, positive

CHUNK = 1 << 25  # two-step walks looked at together


def strength(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Sum of signed weights over in- and out-edges. O(m)."""
    wide = weight.astype(np.float64)
    return np.bincount(source, wide, n) + np.bincount(target, wide, n)


def average_neighbour_degree(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Mean degree of the neighbours, weighted: sum_j w_ij k_j / s_i. Undefined where the strength s_i is 0. O(m).

    Barrat et al., "The architecture of complex weighted networks", PNAS 101 (2004); here with signed weights.
    """
    wide = weight.astype(np.float64)
    degree = np.bincount(source, minlength=n) + np.bincount(target, minlength=n)
    total = np.bincount(source, wide * degree[target], n) + np.bincount(target, wide * degree[source], n)
    return divided(total, strength(n, source, target, weight))


def cliques(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Neighbours over positive weights: the maximal cliques that a neuron is in where nobody's neighbours are neighbours. O(m)."""
    return np.diff(positive(n, source, target, weight).indptr).astype(np.float64)


def bipartite_clustering(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Mean over the neighbours' neighbours u of (common neighbours) / max(k_u, k_v), over positive weights; undefined where there are none.

    Latapy, Magnien, Del Vecchio, "Basic notions for the analysis of large two-mode networks", Social Networks 30 (2008), "max".
    Time O(sum of squared degrees), memory flat.
    """
    near = binary(positive(n, source, target, weight))
    degree = np.diff(near.indptr)
    walks = np.concatenate([[0], np.cumsum(near @ degree.astype(np.float64))])
    total, count = np.zeros(n), np.zeros(n)
    first = 0
    while first < n:
        last = max(first + 1, int(np.searchsorted(walks, walks[first] + CHUNK, side="right")) - 1)
        common = (near[first:last] @ near).tocoo()
        row, second_neighbour = common.row + first, common.col
        share = np.where(row == second_neighbour, 0.0, common.data / np.maximum(degree[row], degree[second_neighbour]))
        total[first:last] = np.bincount(common.row, share, last - first)
        count[first:last] = np.bincount(common.row, row != second_neighbour, last - first)
        first = last
    return divided(total, count)


def divided(total: Numbers, by: Numbers) -> Numbers:
    """total / by, NaN where that is undefined."""
    return np.divide(total, by, out=np.full(len(total), np.nan), where=by != 0)
