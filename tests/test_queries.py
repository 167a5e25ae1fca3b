"""Stored queries: their headers, and their answers against NetworkX, NumPy and a forward pass of its own."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest

from etl.activations import FUNCTIONS
from etl.errors import NotInStore, QueryError
from etl.graph.traced import Graph
from etl.rules.keras import OWN
from etl.rules.scope import Edges
from etl.sinks.memory import collect
from etl.sinks.neo4j.live import load
from etl.store import Store, queries
from etl.store.queries import parse, run
from tests import stored
from tests.conftest import clear
from tests.forward import run_graph
from tests.small import Spec, branched, convolutional, given, graph, long

HEADER = "// A title\n// What it says.\n// $model STRING   model\n// $limit INTEGER = 20   rows\n// -> id INTEGER   neuron\n"


def test_a_header_says_what_goes_in_and_comes_out() -> None:
    query = parse("some", f"{HEADER}\nMATCH (n:Neuron {{model: $model}}) RETURN n.id AS id LIMIT $limit // $nothing")
    assert (query.title, query.description, query.writes) == ("A title", "What it says.", None)
    assert [(p.name, p.type, p.meaning) for p in query.parameters] == [("model", "STRING", "model"), ("limit", "INTEGER", "rows")]
    assert query.bind({"model": "x"}) == {"model": "x", "limit": 20}
    assert [(c.name, c.type) for c in query.columns] == [("id", "INTEGER")]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (f"{HEADER}RETURN $model", r"header declares \['model', 'limit'\], body uses \['model'\]"),
        (f"{HEADER}RETURN $model, $limit, $name", r"body uses \['limit', 'model', 'name'\]"),
        ("// T\n// $model TEXT42 what\n// -> id INTEGER  x\nRETURN $model", "says nothing known"),
        ("// T\n// $model STRING  what\nRETURN $model", "names no column"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(body: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        parse("some", body)


@pytest.fixture(scope="module")
def filled(store: Store) -> Store:
    """A store with a model in it: how much there is of what decides where a plan begins."""
    clear(store)
    load(convolutional(), store, "m")
    return store


def open_ranges(plan: dict[str, Any]) -> Iterator[str]:
    """Ranges of ids with one end only. A range written as `l.begin <= n.id` has no beginning for the planner, who looks at what is on the left:
    it would look at the neurons of all layers before, and of all models before."""
    told = plan["args"].get("Details", "")
    if "SeekByRange" in plan["operatorType"] and not re.search(r"id >=? .* AND id < ", told):
        yield told
    for child in plan.get("children", ()):
        yield from open_ranges(child)


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """Steps that go over all neurons of a store, from each of which a walk may begin. One model's are found by their ids."""
    if "LabelScan" in plan["operatorType"] and ":Neuron" in plan["args"].get("Details", ""):
        yield plan["args"]["Details"]
    for child in plan.get("children", ()):
        yield from scans(child)


@pytest.mark.parametrize("name", queries.queries())
def test_every_query_fits_its_header(filled: Store, name: str) -> None:
    query = queries.find(name)
    values = {p.name: None if p.type != "LIST OF FLOAT" else [] for p in query.parameters}
    with filled.driver.session(database=filled.database) as session:
        result = session.run(f"CYPHER replan=force EXPLAIN {query.text}", values)
        assert list(result.keys()) == [column.name for column in query.columns]
        summary = result.consume()
        assert summary.query_type == "r" and not query.writes  # two at once don't meet, and a broken one leaves nothing
        assert not list(open_ranges(summary.plan)) and not list(scans(summary.plan))
    assert query.title and query.description and all(p.meaning for p in query.parameters) and all(c.meaning for c in query.columns)
    assert any(p.name == "model" for p in query.parameters)
    names, rows = re.fullmatch(r":param \[\{(.*)\}\] => \{RETURN (.*)\}", query.browser).groups()
    assert names.split(", ") == re.findall(r" AS (\w+)", rows) == [p.name for p in query.parameters]


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(QueryError, match="did you mean summary"):
        queries.find("sumary")


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("summary", {"modell": "x"}, r"no parameter modell \(did you mean model\?\): it takes model STRING"),
        ("strongest_inputs", {"model": "x"}, "needs neuron: it takes model STRING, neuron NEURON, limit INTEGER = 20"),
        ("strongest_inputs", {"neuron": "one"}, 'neuron is a neuron\'s address \\(layer/index, such as digit/4\\) or its id, not "one"'),
        ("strongest_inputs", {"neuron": 1.5}, "neuron is a neuron's address \\(layer/index, such as digit/4\\) or its id, not 1.5"),
        ("strongest_inputs", {"neuron": True}, "neuron is a neuron's address \\(layer/index, such as digit/4\\) or its id, not true"),
        ("forward", {"input": [1, "x"]}, 'input: each value is a FLOAT, not "x"'),
        ("forward", {"input": 1}, "input is a LIST OF FLOAT, not 1"),
        ("dead_sources", {"limit": None}, "limit is an INTEGER, not null"),
    ],
)
def test_wrong_parameters_are_named(name: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(QueryError, match=told):
        queries.find(name).bind(values)


def test_values_become_what_is_declared() -> None:
    assert queries.find("summary").bind({"model": 7}) == {"model": "7"}
    assert queries.find("forward").bind({"input": [1, 2.5]}) == {"input": [1.0, 2.5]}
    assert queries.find("shortest_path").bind({"source": 3.0, "target": None}) == {"source": 3, "target": None}


@pytest.mark.parametrize(
    ("folder", "name"),
    [("load", "stored"), ("load", "rename"), ("load", "rename_many"), ("load", "delete_neurons"), ("measure", "edges"), ("measure", "write")],
)
def test_layers_and_models_are_ranges_of_ids(filled: Store, folder: str, name: str) -> None:
    with filled.driver.session(database=filled.database) as session:
        values = dict.fromkeys(re.findall(r"\$(\w+)", text := queries.text(folder, name)))
        assert not list(open_ranges(session.run(f"CYPHER replan=force EXPLAIN {text}", values).consume().plan))


def networkx(sent: Graph) -> nx.MultiDiGraph:
    tables = collect(sent)
    made = nx.MultiDiGraph()
    for row in tables.neurons.to_pylist():
        made.add_node(row["id"], op=row["op"], layer=row["layer"])
    for source, target, weight in zip(*(tables.weights[c].to_pylist() for c in ("source", "target", "weight")), strict=True):
        made.add_edge(source, target, weight=weight)
    return made


@pytest.mark.parametrize("make", [convolutional, branched, long])
def test_answers_agree_with_networkx(cleared_store: Store, make: Any) -> None:
    load(convolutional(9), cleared_store, "before")  # so that ids are not positions
    sent = make()
    base = load(sent, cleared_store, "asked").base
    known, row = networkx(sent), {"model": "asked"}
    outputs = {int(i) for ids in sent.outputs for i in ids.reshape(-1) if i >= 0}
    assert run(cleared_store, "summary", row) == [
        {"model": "asked", "neurons": sent.neurons, "edges": sent.edges, "parameters": sent.parameters, "density": pytest.approx(sent.density)}
    ]
    layers = run(cleared_store, "layers", row)
    assert [(r["name"], r["begin"] - base, r["end"] - base, r["edges"]) for r in layers] == [(r.name, r.begin, r.end, r.edges) for r in sent.rows]
    dead = [n for n in known if not known.out_degree(n) and n not in outputs]
    assert [r["id"] - base for r in run(cleared_store, "dead_sources", row)] == dead
    check_degrees(run(cleared_store, "degrees", row), known, sent)
    check_paths(cleared_store, known, outputs, base)
    check_around(cleared_store, known, base, max(known, key=known.in_degree))


def test_many_rows_of_a_large_model_take_no_more_memory_each(cleared_store: Store) -> None:
    """A value for every neuron is carried along in a list, which is not to be in every row of an answer too."""
    calls: list[Spec] = [
        given("x", 30_000, 1),
        ("crop", "Cropping1D", {"cropping": (29_000, 0)}, {}, ["x"]),
        ("pool", "AveragePooling1D", {"pool_size": 100}, {}, ["crop"]),
        ("flat", "Flatten", {}, {}, ["pool"]),
        ("y", "Dense", {"units": 1500}, {"kernel": np.ones((10, 1500), np.float32), "bias": np.zeros(1500, np.float32)}, ["flat"]),
    ]
    base = load(graph(calls, ["y"]), cleared_store, "asked").base
    assert run(cleared_store, "path_count", {"model": "asked"}) == [{"paths": 1000 * 1500}]
    assert [row["id"] - base for row in run(cleared_store, "unused_neurons", {"model": "asked"})] == list(range(29_000))
    assert len(run(cleared_store, "unused_neurons", {"model": "asked", "limit": 7})) == 7
    for query in ("strongest_paths", "widest_path"):
        rows = run(cleared_store, query, {"model": "asked", "limit": 1000})
        assert [row["neurons"][0] - base for row in rows] == list(range(29_000, 30_000))


def check_degrees(rows: list[dict[str, Any]], known: nx.MultiDiGraph, sent: Graph) -> None:
    for row in rows:
        span = next(r for r in sent.rows if r.name == row["layer"])
        nodes = range(span.begin, span.end)
        for prefix, degree in (("in", known.in_degree), ("out", known.out_degree)):
            for column, weight in ((prefix, None), (f"{prefix}_strength", "weight")):
                values = [degree(n, weight=weight) for n in nodes]
                found = [row[f"{column}_{what}"] for what in ("min", "mean", "max")]
                assert found == pytest.approx([min(values), np.mean(values), max(values)], abs=1e-6)


def check_paths(store: Store, known: nx.MultiDiGraph, outputs: set[int], base: int) -> None:
    paths, hops = {}, {}
    for node in nx.topological_sort(known):
        into = [a for a, _ in known.in_edges(node)]
        is_input = known.nodes[node]["op"] == "input"
        paths[node] = 1 if is_input else sum(paths[a] for a in into)
        hops[node] = 0 if is_input else max(hops[a] for a in into) + 1
    before = store.read("MATCH (n:Neuron) RETURN sum(size(keys(n))) AS keys")
    assert run(store, "path_count", {"model": "asked"}) == [{"paths": sum(paths[n] for n in outputs)}]
    assert run(store, "longest_path", {"model": "asked"}) == [{"hops": max(hops[n] for n in outputs)}]
    assert store.read("MATCH (n:Neuron) RETURN sum(size(keys(n))) AS keys") == before
    check_heaviest(store, known, base)
    target = max(hops, key=hops.__getitem__)
    source = next(n for n in nx.ancestors(known, target) if known.nodes[n]["op"] == "input")
    found = run(store, "shortest_path", {"model": "asked", "source": source + base, "target": target + base})[0]
    assert found["hops"] == nx.shortest_path_length(known, source, target) == len(found["weights"])
    assert nx.is_path(known, [n - base for n in found["neurons"]])
    assert found["layers"] == [known.nodes[n - base]["layer"] for n in found["neurons"]]


def check_heaviest(store: Store, known: nx.MultiDiGraph, base: int) -> None:
    """NetworkX on the largest of the weights between the same two neurons."""
    simple = nx.DiGraph((a, b) for a, b, _ in known.edges)
    for a, b in simple.edges:
        simple[a][b]["weight"] = max(weight for _, c, weight in known.out_edges(a, data="weight") if c == b)
    theirs = nx.dag_longest_path(simple, weight="weight")
    (found,) = run(store, "heaviest_path", {"model": "asked"})
    path = [n - base for n in found["neurons"]]
    assert found["sum"] == pytest.approx(nx.path_weight(simple, theirs, "weight"), rel=1e-12) == pytest.approx(sum(found["weights"]), rel=1e-12)
    assert found["weights"] == [simple[a][b]["weight"] for a, b in pairwise(path)]


def check_around(store: Store, known: nx.MultiDiGraph, base: int, node: int) -> None:
    into = sorted((abs(w) for _, _, w in known.in_edges(node, data="weight")), reverse=True)
    found = run(store, "strongest_inputs", {"model": "asked", "neuron": node + base, "limit": 5})
    assert [abs(r["weight"]) for r in found] == pytest.approx(into[:5])
    around = run(store, "neighbourhood", {"model": "asked", "neuron": node + base, "limit": 6})
    assert all(base + node in (r["source"]["id"], r["target"]["id"]) for r in around)
    assert len(around) == min(3, len(into)) + min(3, known.out_degree(node))
    assert run(store, "neighbourhood", {"model": "asked"})


@pytest.mark.parametrize("make", [convolutional, branched, long])
def test_forward_computes_what_the_graph_says(cleared_store: Store, make: Any) -> None:
    sent = make()
    load(sent, cleared_store, "forward")
    check_forward(cleared_store, sent, np.random.default_rng(5).normal(size=inputs(sent)))


def check_forward(store: Store, sent: Graph, values: np.ndarray) -> None:
    before = store.read("MATCH (n:Neuron) RETURN sum(size(keys(n))) AS keys")
    rows = run(store, "forward", {"input": values.tolist()})
    assert store.read("MATCH (n:Neuron) RETURN sum(size(keys(n))) AS keys") == before
    parts = np.split(values, np.cumsum([row.neurons for row in sent.rows if row.type == "InputLayer"])[:-1])
    for number, sent_values in enumerate(run_graph(sent, parts)):
        mine = [row for row in rows if row["output"] == number]
        assert [row["position"] for row in mine] == list(range(len(sent_values)))
        np.testing.assert_allclose([row["value"] for row in mine], sent_values, rtol=1e-6, atol=1e-9)  # Keras keeps constants like 0.2 in float32


def inputs(sent: Graph) -> int:
    return sum(row.neurons for row in sent.rows if row.type == "InputLayer")


WRITTEN = [
    *(name for name in FUNCTIONS if name not in ("threshold", "power")),
    "power(exponent=3.0)",
    "threshold(threshold=0.3, default_value=-2.0)",
    "relu(max_value=1.5)",
    "relu(negative_slope=0.3, max_value=1.0, threshold=0.5)",
    "relu(threshold=-0.5)",
    "relu(max_value=2.0, threshold=-0.5)",
    "leaky_relu(negative_slope=0.07)",
    "elu(alpha=0.4)",
    "celu(alpha=0.7)",
    "gelu(approximate=True)",
    "soft_shrink(threshold=0.2)",
    "hard_shrink(threshold=0.2)",
    "squareplus(b=2.0)",
]


def test_forward_knows_every_activation_and_operation(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OWN, "Written", lambda here, inputs, *, written: here.sum(Edges(inputs, over=0), bias=0.1, activation=written))
    specs: list[Spec] = [given("signed", 5, 4), given("positive", 5, 4), given("share", 5, 4)]
    for written in WRITTEN:
        domains = {**dict.fromkeys(("sqrt", "rsqrt", "log", "reciprocal"), "positive"), **dict.fromkeys(("arcsin", "arccos"), "share")}
        specs.append((f"{written} layer", "Written", {"written": written}, {}, [domains.get(written, "signed")]))
    specs += [(kind, kind, {}, {}, ["linear layer", "square layer", "linear layer"]) for kind in ("Maximum", "Minimum", "Multiply")]
    specs.append(("padded", "MaxPooling1D", {"pool_size": 2, "padding": "same"}, {}, ["zeros"]))
    specs.insert(-1, ("zeros", "ZeroPadding1D", {"padding": 2}, {}, ["negative layer"]))
    sent = graph(specs, [spec[0] for spec in specs[3:]])
    load(sent, cleared_store, "activations")
    random = np.random.default_rng(7)
    spread = np.array([-9, -3, -2, -1, -0.5, -0.3, -0.1, 0, 0.05, 0.2, 0.4, 0.9, 1.4, 2.5, 3.1, 5.9, 6.1, 7.5, 12, 0.7]) + random.uniform(0, 1e-3, 20)
    check_forward(cleared_store, sent, np.concatenate([spread, random.uniform(0.1, 3.0, 20), random.uniform(-1.1, 0.9, 20)]))


def test_forward_wants_a_value_for_each_input(cleared_store: Store) -> None:
    load(branched(), cleared_store, "forward")
    with pytest.raises(QueryError, match=r"takes 10 input values .* not 3"):
        run(cleared_store, "forward", {"input": [1, 2, 3]})


def test_the_model_may_be_left_out_where_there_is_one(cleared_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotInStore, match="no model yet"):
        run(cleared_store, "summary")
    load(branched(), cleared_store, "first")
    assert run(cleared_store, "summary")[0]["model"] == "first"
    with pytest.raises(NotInStore, match=r"no model named frist \(did you mean first\?\)"):
        run(cleared_store, "summary", {"model": "frist"})
    load(convolutional(), cleared_store, "second")
    with pytest.raises(QueryError, match="several models: say model= one of first, second"):
        run(cleared_store, "summary")
    cleared_store.write("MATCH (m:Model {name: 'first'}) SET m.state = 'LOADING'")
    with caplog.at_level(logging.WARNING):
        run(cleared_store, "summary", {"model": "first"})
    assert "first is not complete" in caplog.text
    assert stored.counts(cleared_store)[0] > 0
