"""A loaded graph read back as arrays and measured from the command line: compared with the graph that was loaded."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from etl.analysis.measures import MEASURES, WEIGHTED
from etl.cli.analysis import Measure
from etl.errors import BadRequest, Conflict, NotInStore
from etl.graph.traced import Graph
from etl.sinks.memory import collect
from etl.sinks.neo4j import live as neo4j
from etl.store import Store
from etl.store import stored_graph as stored
from etl.store.queries import queries
from tests.command import Run
from tests.small import convolutional


@pytest.fixture(scope="module")
def loaded(store: Store) -> Graph:
    """Two models: the second one's ids do not begin at 0."""
    graph = convolutional()
    neo4j.load(convolutional(1), store, "first", replace=True)
    neo4j.load(graph, store, "second", replace=True)
    return graph


def expected(graph: Graph) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    weights = collect(graph).weights
    return graph.neurons, *(weights[name].to_numpy() for name in ("source", "target", "weight"))


def test_measures_are_listed_for_the_command_line() -> None:
    assert {m.value for m in Measure} == {*MEASURES, "laplacian_spectrum"}


def test_a_model_is_read_back_as_it_was_sent(store: Store, loaded: Graph, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(stored, "READ", 1000)
    model = stored.span(store, "second")
    counts: list[int] = []
    n, source, target, weight = stored.edges(store, model, lambda what, done, total: counts.append(done))
    sent = expected(loaded)
    order, sent_order = np.lexsort((weight, target, source)), np.lexsort((sent[3], sent[2], sent[1]))
    assert n == loaded.neurons and model.base > 0 and len(counts) > 5 and counts[-1] == loaded.edges
    for found, column in zip((source, target, weight), sent[1:], strict=True):
        assert_array_equal(found[order], column[sent_order])

    for name in ("strength", "bipartite_clustering", "pagerank"):
        code, out, err = run("measure", "second", name, "--format", "json", "--write", f"m_{name}", "--quiet")
        rows = json.loads(out)
        assert code == 0 and not err and [row["id"] for row in rows] == list(range(model.base, model.base + n))
        values = MEASURES[name](*sent)
        assert_allclose([np.nan if row["value"] is None else row["value"] for row in rows], values, rtol=1e-9)
        kept = store.read("MATCH (n:Neuron {model: 'second'}) RETURN n[$key] AS value ORDER BY n.id", key=f"m_{name}")
        assert [row["value"] for row in kept] == [row["value"] for row in rows]
    assert not store.read("MATCH (n:Neuron {model: 'first'}) WHERE n.m_strength IS NOT NULL RETURN n")

    code, out, _ = run("measure", "second", "laplacian_spectrum", "--format", "csv")
    spectrum = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [int(row["number"]) for row in spectrum] == list(range(n)) and abs(float(spectrum[0]["value"])) < 1e-9


def test_values_are_taken_away_again(store: Store, loaded: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "WRITTEN", 100)
    model = stored.span(store, "second")
    values = np.arange(model.neurons, dtype=float)
    for given in (values, np.where(values % 3 == 0, np.nan, values)):
        stored.write(store, model, "x", given)
        rows = store.read("MATCH (n:Neuron {model: 'second'}) RETURN n.x AS x ORDER BY n.id")
        assert_array_equal([np.nan if row["x"] is None else row["x"] for row in rows], given)


@pytest.mark.parametrize("property", ["id", "bias", "", "a b", "x`] = 1 //", "1x", "ä"])
def test_a_property_has_a_name_that_is_free_and_plain(property: str) -> None:
    with pytest.raises(BadRequest):
        stored.check_property(property)


@pytest.mark.parametrize(
    ("property", "told"),
    [("value", "its activation for an example, written by `etl features --write`"), ("bias", "its bias"), ("layer", "the name of its layer")],
)
def test_a_name_that_is_taken_is_refused_by_what_it_is_for(property: str, told: str, run: Run) -> None:
    code, out, err = run("measure", "second", "strength", "--write", property)
    assert (code, out) == (1, "") and f"error: a neuron's {property} is {told}" in err


def test_every_property_that_has_a_meaning_is_known(store: Store, loaded: Graph) -> None:
    (row,) = store.read("MATCH (n:Neuron {model: 'first'}) UNWIND keys(n) AS key RETURN collect(DISTINCT key) AS keys")
    needed = {query.needs for query in queries().values() if query.needs}
    assert {*row["keys"], *needed} - {"m_strength", "m_bipartite_clustering", "m_pagerank", "x"} <= {*stored.MEANINGS}


def test_only_a_measure_that_leaves_weights_aside_can_follow_them(store: Store, loaded: Graph, run: Run) -> None:
    code, out, _ = run("measure", "second", "eigenvector", "--weighted", "--format", "json", "--quiet")
    assert code == 0
    assert_allclose([row["value"] for row in json.loads(out)], WEIGHTED["eigenvector"](*expected(loaded)), rtol=1e-9)
    for measure in ("strength", "laplacian_spectrum"):
        code, out, err = run("measure", "second", measure, "--weighted")
        assert (code, out) == (1, "") and "--weighted" in err


def test_what_can_not_be_measured_is_said(store: Store, loaded: Graph, run: Run) -> None:
    with pytest.raises(NotInStore, match="no model named third"):
        stored.span(store, "third")
    assert run("measure", "second", "strength", "--write", "bias")[0] == 1
    assert run("measure", "second", "laplacian_spectrum", "--write", "x")[0] == 1
    assert run("measure", "second", "beauty")[0] == 2
    with pytest.raises(Conflict, match="delete it and load it again"):
        stored.edges(store, replace(stored.span(store, "second"), edges=loaded.edges + 1))
    with pytest.raises(Conflict, match="delete it and load it again"):
        stored.edges(store, replace(stored.span(store, "second"), edges=loaded.edges - 1))
    store.write("CREATE (:Model {name: 'half', base: 10000000, neurons: 5, edges: 0, state: 'LOADING'})")
    with pytest.raises(Conflict, match="in part only"):
        stored.span(store, "half")
    store.write("MATCH (m:Model {name: 'half'}) DELETE m")
