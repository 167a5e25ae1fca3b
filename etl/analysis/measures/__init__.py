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
from etl.analysis.measures.walks import eigenvector, pagerank

__all__ = ["MEASURES", "laplacian_spectrum"]

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
