"""Measures beside their published values, beside NetworkX, and beside sums written out."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from etl.analysis.measures import MEASURES, laplacian_spectrum, matrices, measure_of, paths
from etl.errors import BadRequest

SHARED = Path(os.environ.get("ETL_SHARED") or Path(__file__).parents[2] / "shared")
PUBLISHED = {
    "strength": 0, "average_neighbour_degree": 1, "current_flow_closeness": 2, "bipartite_clustering": 3,
    "subgraph": 4, "harmonic": 5, "second_order": 6, "cliques": 7,
}  # fmt: skip
ROUGH = ("current_flow_closeness", "subgraph", "second_order")

Edges = tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]


@pytest.fixture(scope="module")
def perceptron() -> Edges:
    """The 784-200-100-10 network, from the file by h5py alone."""
    path = SHARED / "data" / "mlpcn_network1.h5"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    import h5py

    with h5py.File(path) as file:
        kernels = [file[f"model_weights/dense_{k}/dense_{k}/kernel:0"][()] for k in (1, 2, 3)]
    return edges_of(kernels)


def edges_of(kernels: list[NDArray[Any]]) -> Edges:
    """A perceptron's edges: kernels (inputs, units) one after the other."""
    begins = np.concatenate([[0], np.cumsum([k.shape[0] for k in kernels])])
    source = np.concatenate([np.repeat(np.arange(k.shape[0]), k.shape[1]) + b for k, b in zip(kernels, begins, strict=False)])
    target = np.concatenate([np.tile(np.arange(k.shape[1]), k.shape[0]) + b for k, b in zip(kernels, begins[1:], strict=True)])
    return int(begins[-1] + kernels[-1].shape[1]), source, target, np.concatenate([k.reshape(-1) for k in kernels])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(perceptron: Edges, name: str) -> None:
    from scipy.io import loadmat

    told = loadmat(SHARED / "data" / "mlpcn_network1_9measures.mat")
    values = MEASURES[name](*perceptron)
    column, tolerance = PUBLISHED[name], 1e-6 if name in ROUGH else 1e-9
    assert_allclose(values[784:984], told["fmap_h1"][30, :, column], rtol=tolerance)
    assert_allclose(values[984:1084], told["fmap_h2"][30, :, column], rtol=tolerance)


def random_network(seed: int, sizes: tuple[int, ...] = (7, 6, 5, 3), density: float = 1.0) -> Edges:
    generator = np.random.default_rng(seed)
    n, source, target, weight = edges_of([generator.normal(size=(a, b)).astype(np.float32) for a, b in pairwise(sizes)])
    kept = generator.random(len(weight)) < density
    return n, source[kept], target[kept], weight[kept]


def as_networkx(edges: Edges, made: Any, keep: Any = lambda w: True) -> Any:
    n, source, target, weight = edges
    made.add_nodes_from(range(n))
    made.add_weighted_edges_from((int(s), int(t), float(w)) for s, t, w in zip(source, target, weight, strict=True) if keep(w))
    return made


def in_order(values: dict[int, float]) -> list[float]:
    return [values[node] for node in range(len(values))]


def above_zero(weight: float) -> bool:
    return weight > 0


@pytest.mark.parametrize("seed", range(3))
def test_signed_measures_are_networkx(seed: int) -> None:
    edges = random_network(seed)
    graph = as_networkx(edges, nx.Graph())
    assert_allclose(MEASURES["strength"](*edges), in_order(dict(graph.degree(weight="weight"))), rtol=1e-9)
    assert_allclose(MEASURES["average_neighbour_degree"](*edges), in_order(nx.average_neighbor_degree(graph, weight="weight")), rtol=1e-9)
    assert_allclose(MEASURES["current_flow_closeness"](*edges), in_order(nx.current_flow_closeness_centrality(graph, weight="weight")), rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_positive_measures_are_networkx(seed: int) -> None:
    edges = random_network(seed, (9, 8, 7, 6))
    graph = as_networkx(edges, nx.Graph(), above_zero)
    assert nx.is_connected(graph)
    assert_allclose(MEASURES["cliques"](*edges), in_order(nx.number_of_cliques(graph)))
    assert_allclose(MEASURES["bipartite_clustering"](*edges), in_order(nx.bipartite.clustering(graph, mode="max")), rtol=1e-9)
    assert_allclose(MEASURES["harmonic"](*edges), in_order(nx.harmonic_centrality(graph, distance="weight")), rtol=1e-9)
    assert_allclose(MEASURES["subgraph"](*edges), in_order(nx.subgraph_centrality(graph)), rtol=1e-6)
    assert_allclose(MEASURES["second_order"](*edges), in_order(nx.second_order_centrality(graph)), rtol=1e-6)


@pytest.mark.parametrize("density", [1.0, 0.4])
def test_directed_measures_are_networkx(density: float) -> None:
    edges = random_network(4, (20, 15, 10, 5), density)
    graph = as_networkx(edges, nx.DiGraph())
    sizes = as_networkx((edges[0], edges[1], edges[2], np.abs(edges[3])), nx.DiGraph())
    assert_allclose(MEASURES["eigenvector"](*edges), in_order(nx.eigenvector_centrality(graph, max_iter=10_000)), rtol=1e-9)
    theirs = in_order(nx.eigenvector_centrality(graph, max_iter=10_000, weight="weight"))
    assert_allclose(measure_of("eigenvector", weighted=True)(*edges), theirs, rtol=1e-9)
    assert (edges[3] < 0).any() and min(theirs) < 0
    assert_allclose(MEASURES["betweenness"](*edges), in_order(nx.betweenness_centrality(graph)), rtol=1e-9)
    assert_allclose(MEASURES["pagerank"](*edges), in_order(nx.pagerank(sizes, tol=1e-14, max_iter=1000)), rtol=1e-9)
    theirs = np.linalg.eigvalsh(nx.directed_laplacian_matrix(sizes))
    assert_allclose(laplacian_spectrum(*edges), theirs, atol=1e-9)


def test_disconnected_parts_stand_by_themselves() -> None:
    """Two copies of one network beside each other, and a neuron alone: every copy has the values that it has by itself."""
    n, source, target, weight = random_network(5)
    double = (2 * n + 1, np.concatenate([source, source + n]), np.concatenate([target, target + n]), np.tile(weight, 2))
    for name in ("current_flow_closeness", "second_order", "subgraph", "harmonic", "bipartite_clustering", "strength"):
        one, two = MEASURES[name](n, source, target, weight), MEASURES[name](*double)
        assert_allclose(two[: 2 * n], np.tile(one, 2), rtol=1e-9, err_msg=name)
    alone = {name: measure(*double)[-1] for name, measure in MEASURES.items()}
    assert {name for name, value in alone.items() if np.isnan(value)} == {
        "average_neighbour_degree", "current_flow_closeness", "second_order", "bipartite_clustering",
    }  # fmt: skip
    assert alone["strength"] == alone["cliques"] == alone["harmonic"] == alone["betweenness"] == 0
    assert alone["subgraph"] == 1


def test_parallel_edges() -> None:
    """0 reads into 1 twice (weights 2 and 3), 1 into 2 once (weight 4)."""
    edges = (3, np.array([0, 0, 1]), np.array([1, 1, 2]), np.array([2.0, 3.0, 4.0]))
    assert MEASURES["strength"](*edges).tolist() == [5, 9, 4]
    assert MEASURES["cliques"](*edges).tolist() == [1, 2, 1]
    assert_allclose(MEASURES["harmonic"](*edges), [1 / 2 + 1 / 6, 1 / 2 + 1 / 4, 1 / 4 + 1 / 6])  # by the shorter of the two
    assert_allclose(MEASURES["current_flow_closeness"](*edges), [1 / (1 / 5 + 9 / 20), 1 / (1 / 5 + 1 / 4), 1 / (1 / 4 + 9 / 20)])
    assert MEASURES["betweenness"](*edges).tolist() == [0, 0.5, 0]


def test_no_edges() -> None:
    nothing = np.empty(0, np.int64)
    for name, measure in MEASURES.items():
        for n in (0, 1, 4):
            assert measure(n, nothing, nothing, np.empty(0, np.float32)).shape == (n,), name


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.analysis.measures import local

    edges = random_network(6)
    whole = {name: MEASURES[name](*edges) for name in ("bipartite_clustering", "harmonic")}
    monkeypatch.setattr(local, "CHUNK", 10)
    monkeypatch.setattr(paths, "CHUNK", 50)
    for name, values in whole.items():
        assert_allclose(MEASURES[name](*edges), values, rtol=1e-12)


def test_too_large_is_refused_before_anything_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    n = matrices.MOST_DENSE + 1
    chain = (n, np.arange(n - 1), np.arange(1, n), np.ones(n - 1))
    for name in ("current_flow_closeness", "subgraph", "second_order"):
        with pytest.raises(BadRequest, match="at most 20,000 connected neurons, here are 20,001"):
            MEASURES[name](*chain)
    monkeypatch.setattr(paths, "MOST_VISITS", n * (n - 1) - 1)
    for name in ("harmonic", "betweenness"):
        with pytest.raises(BadRequest, match="would take hours"):
            MEASURES[name](*chain)
