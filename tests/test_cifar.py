"""The published network in a Neo4j of its own: every number of its notebook that counts something, and the stored queries' answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.sinks.neo4j import bulk
from etl.store import Store, connect, stop
from etl.store.local import fetch
from etl.store.local.configuration import heap
from etl.store.queries import run
from tests.conftest import QUICK
from tests.forward import run_graph

PATH = Path(os.environ.get("ETL_SHARED") or Path(__file__).parents[2] / "shared") / "data" / "CIFAR-10_CNN5.h5"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PATH.exists(), reason=f"{PATH} is not here")]


@pytest.fixture(scope="module")
def cifar() -> Graph:
    from etl import readers

    return trace(readers.read(PATH))


@pytest.fixture(scope="module")
def loaded(etl_home: Path, tmp_path_factory: pytest.TempPathFactory, cifar: Graph) -> Iterator[tuple[Store, int]]:
    """A store with nothing but the network in it, which is thrown away, and the network's base: deleting 4.6 million weights takes minutes."""
    home = tmp_path_factory.mktemp("cifar")
    (home / "cache").symlink_to((etl_home / "cache").resolve(), target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETL_HOME", str(home))
        patch.setattr("etl.store.local.server.heap", heap)  # the user's, and no QUICK: queries over all weights are five times as fast
        patch.setattr(fetch, "FLAGS", tuple(flag for flag in fetch.FLAGS if flag != QUICK))
        done = bulk.load(cifar, "cifar")
        assert (done.neurons, done.edges) == (53_290, 4_586_624)
        try:
            with connect() as store:
                yield store, done.base
        finally:
            stop()


def test_edges_sums_and_parameters_by_layer(loaded: tuple[Store, int]) -> None:
    store, base = loaded
    rows = store.read(
        "MATCH (:Neuron)-[w:WEIGHT]->(b:Neuron) WHERE $base <= b.id < $base + 53290 "
        "RETURN w.layer AS layer, count(*) AS edges, sum(w.weight) AS sum, count(DISTINCT w.parameter) AS parameters",
        base=base,
    )
    found = {row["layer"]: row for row in rows}
    edges = {
        "conv_0": 777_600,
        "max_pooling2d": 28_800,
        "conv_1": 3_115_008,
        "max_pooling2d_1": 9_216,
        "conv_2": 589_824,
        "dense_0": 65_536,
        "dense_1": 640,
    }
    assert {name: row["edges"] for name, row in found.items()} == edges
    sums = {"conv_0": -3798.34, "conv_1": -76792.6, "conv_2": -10265.9, "dense_0": -326.919, "dense_1": -20.6739}
    assert {name: found[name]["sum"] for name in sums} == pytest.approx(sums, rel=1e-5)
    assert found["conv_1"]["parameters"] == 18_432


def test_labels_and_positions_by_layer(loaded: tuple[Store, int]) -> None:
    store, base = loaded
    rows = store.read(
        "MATCH (n:Neuron) WHERE $base <= n.id < $base + 53290 "
        "UNWIND [l IN labels(n) WHERE l <> 'Neuron'] AS label RETURN label, min(n.id) - $base AS begin, count(*) AS neurons",
        base=base,
    )
    begins = {
        "input": 0,
        "conv_0": 3072,
        "max_pooling2d": 31872,
        "conv_1": 39072,
        "max_pooling2d_1": 49888,
        "conv_2": 52192,
        "dense_0": 53216,
        "dense_1": 53280,
    }
    assert {row["label"]: row["begin"] for row in rows} == begins
    assert sum(row["neurons"] for row in rows) == 53_290


def test_queries_give_the_published_answers(loaded: tuple[Store, int], cifar: Graph) -> None:
    store, _ = loaded
    asked = {"model": "cifar"}
    assert run(store, "summary", asked)[0]["density"] == pytest.approx(0.0016151387935422858, rel=1e-14)
    degrees = {row["layer"]: (row["in_min"], row["in_max"]) for row in run(store, "degrees", asked)}
    fans = {"input": 0, "conv_0": 27, "max_pooling2d": 4, "conv_1": 288, "max_pooling2d_1": 4, "conv_2": 576, "dense_0": 1024, "dense_1": 64}
    assert degrees == {name: (fan, fan) for name, fan in fans.items()}
    assert len(run(store, "dead_sources", asked)) == 1_600
    assert run(store, "longest_path", asked) == [{"hops": 7}]
    assert run(store, "path_count", asked) == [{"paths": 46_965_467_381_760}]
    values = np.random.default_rng(0).uniform(size=3072)
    forward = [row["value"] for row in run(store, "forward", {"input": values.tolist(), **asked})]
    np.testing.assert_allclose(forward, run_graph(cifar, [values])[0], rtol=1e-9)
