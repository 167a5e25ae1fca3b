"""Measures that decompose a dense matrix: time O(n^3), memory O(n^2), so for some thousands of neurons. See MOST_DENSE."""

from __future__ import annotations

import numpy as np

from etl.analysis.measures.matrices import Numbers, binary, both_ways, by_component, directed, positive, require_dense

TELEPORT = 0.05  # NetworkX's alpha = 0.95


def current_flow_closeness(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """1 / sum_j R_ij, R the resistance between two neurons where each edge conducts its signed weight. Undefined for a neuron by itself.

    Each connected part by itself. Brandes, Fleischer, "Centrality measures based on current flow", STACS (2005).
    """
    return by_component(both_ways(n, source, target, weight), closeness, np.nan)


def closeness(weights: Numbers) -> Numbers:
    """1 / sum_j R_ij, from the inverse of the Laplacian with its null space filled: R_ij = G_ii + G_jj - 2 G_ij, and G's rows add up to 1."""
    size = len(weights)
    try:
        diagonal = np.linalg.inv(laplacian(weights) + 1 / size).diagonal()
    except np.linalg.LinAlgError:  # signed weights may balance out
        return np.full(size, np.nan)
    return 1 / (size * diagonal + diagonal.sum() - 2)


def laplacian(weights: Numbers) -> Numbers:
    """Strengths on the diagonal, less the weights."""
    return np.diag(weights.sum(axis=1)) - weights


def second_order(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Standard deviation of a random walk's return times, over positive weights, with self-loops that lift every strength to the largest.

    Each connected part by itself; undefined for a neuron without positive weights.
    Kermarrec et al., "Second order centrality: distributed assessment of nodes criticity in complex networks", Computer Communications 34 (2011).
    """
    return by_component(positive(n, source, target, weight), return_deviation, np.nan)


def return_deviation(weights: Numbers) -> Numbers:
    """The walk is symmetric, so Z = (1 - P + J/n)^-1 tells all passage times (Kemeny and Snell): sum_i M_ij = n^2 Z_jj."""
    size, lifted = len(weights), laplacian(weights)
    lifted /= lifted.diagonal().max()
    diagonal = np.linalg.inv(lifted + 1 / size).diagonal()
    return np.sqrt(np.maximum(2 * size**2 * diagonal - size * (size + 1), 0))


def subgraph(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Closed walks from a neuron, each divided by the factorial of its length, over positive weights as links: sum_m v_im^2 exp(lambda_m).

    Infinite where it is above float64's 1.8e308: lambda_m > 709. Estrada, Rodriguez-Velazquez, "Subgraph centrality", Physical Review E 71 (2005).
    """
    return by_component(binary(positive(n, source, target, weight)), closed_walks, 1.0)


def closed_walks(near: Numbers) -> Numbers:
    """The diagonal of the matrix exponential."""
    values, vectors = np.linalg.eigh(near)
    with np.errstate(over="ignore"):
        return vectors**2 @ np.exp(values)


def laplacian_spectrum(n: int, source: Numbers, target: Numbers, weight: Numbers) -> Numbers:
    """Eigenvalues of the directed Laplacian, ascending, of a walk that goes on along |weight| and starts anew anywhere with 1 of 20 steps.

    Chung, "Laplacians and the Cheeger inequality for directed graphs", Annals of Combinatorics 9 (2005); NetworkX's `directed_laplacian_matrix`.
    """
    require_dense(n)
    steps = directed(n, source, target, np.abs(weight)).toarray()
    leaving = steps.sum(axis=1, keepdims=True)
    steps = np.divide(steps, leaving, out=np.full_like(steps, 1 / n), where=leaving > 0)
    steps = (1 - TELEPORT) * steps + TELEPORT / n
    root = np.sqrt(stationary(steps))
    flow = root[:, None] * steps / root
    return np.linalg.eigvalsh(np.eye(n) - (flow + flow.T) / 2)


def stationary(steps: Numbers) -> Numbers:
    """Where a walk that may start anew stays: its steps forget a part of the past each time, so iterating settles."""
    x = np.full(len(steps), 1 / len(steps))
    while True:
        x, last = x @ steps, x
        x /= x.sum()
        if np.abs(x - last).sum() < 1e-14:
            return x
