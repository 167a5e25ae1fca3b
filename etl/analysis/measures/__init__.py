"""Measures of complex networks: one number a neuron, as pure functions of a graph's edges.

Every function takes (n, source, target, weight): the number of neurons, and one entry an edge. It returns (n,) numbers, NaN where the
measure is undefined. Parallel edges are allowed. Complexity is told for n neurons and m edges.

`strength`, `average_neighbour_degree`, `current_flow_closeness`, `bipartite_clustering`, `subgraph`, `harmonic`, `second_order` and `cliques`
take the network as undirected, as in Scabini and Bruno, "Structure and performance of fully connected neural networks: emerging complex
network properties" (Physica A 615, 2023). `eigenvector`, `pagerank`, `betweenness` and `laplacian_spectrum` follow its directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from etl.analysis.measures.dense import current_flow_closeness, laplacian_spectrum, second_order, subgraph
from etl.analysis.measures.local import average_neighbour_degree, bipartite_clustering, cliques, strength
from etl.analysis.measures.paths import betweenness, harmonic
from etl.analysis.measures.walks import eigenvector, pagerank, weighted_eigenvector
from etl.errors import BadRequest, did_you_mean

__all__ = ["MEASURES", "SPECTRUM", "WEIGHTED", "laplacian_spectrum", "measure_of"]

Measure = Callable[[int, NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]

MEASURES: Mapping[str, Measure] = {
    "strength": strength,
    "average_neighbour_degree": average_neighbour_degree,
    "bipartite_clustering": bipartite_clustering,
    "cliques": cliques,
    "current_flow_closeness": current_flow_closeness,
    "subgraph": subgraph,
    "harmonic": harmonic,
    "second_order": second_order,
    "eigenvector": eigenvector,
    "pagerank": pagerank,
    "betweenness": betweenness,
}

WEIGHTED: Mapping[str, Measure] = {"eigenvector": weighted_eigenvector}  # the same along the weights, of those that leave them aside
SPECTRUM = "laplacian_spectrum"  # the one that belongs to no neurons


def measure_of(name: str, *, weighted: bool = False) -> Measure:
    """The measure of that name, the spectrum among them. Raises BadRequest where there is none, or it has no weighted form that is another."""
    all_measures = {**MEASURES, SPECTRUM: laplacian_spectrum}
    if name not in all_measures:
        raise BadRequest(f"there is no measure {name}{did_you_mean(name, MEASURES)}: choose one of {', '.join(all_measures)}")
    if not weighted:
        return all_measures[name]
    if name not in WEIGHTED:
        raise BadRequest(f"{name} has no other form with --weighted: leave it out ({', '.join(WEIGHTED)} has one)")
    return WEIGHTED[name]
