"""What a store holds, compared with a graph's own tables: row by row, not by sums."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.graph.traced import Graph
from etl.sinks.memory import collect
from etl.store import Store


def check(store: Store, graph: Graph, name: str) -> int:
    """Assert that the store's model `name` is this graph, in every property, once. Returns its base."""
    tables = collect(graph)
    model = one(store, "MATCH (m:Model {name: $name}) RETURN properties(m) AS m", name=name)["m"]
    base = model["base"]
    assert model["state"] == "COMPLETE" and model["sha256"] == graph.model.sha256
    assert (model["neurons"], model["edges"], model["parameters"]) == (graph.neurons, graph.edges, graph.parameters)
    check_layers(store, tables.layers.to_pylist(), name, base)
    found = store.read("MATCH (n:Neuron) WHERE $begin <= n.id < $end RETURN properties(n) AS n ORDER BY n.id", begin=base, end=base + graph.neurons)
    for row, sent in zip(found, tables.neurons.to_pylist(), strict=True):
        address = f"{sent['layer']}/{','.join(map(str, sent['index'])) or 0}"
        shown = {"name": address, "model": name, "channel": sent["index"][-1] if sent["index"] else None, **sent, "id": sent["id"] + base}
        assert row["n"] == {key: value for key, value in shown.items() if value is not None}
    check_weights(store, tables.weights, base, base + graph.neurons)
    outputs = store.read(
        "MATCH (:Model {name: $name})-[o:OUTPUT]->(n) RETURN o.output AS output, o.position AS position, n.id - $base AS id", name=name, base=base
    )
    assert sorted(map(tuple, (r.values() for r in outputs))) == sorted(tuple(r.values()) for r in tables.outputs.to_pylist() if r["id"] is not None)
    assert not store.read("MATCH (l:Ledger) RETURN l") and not store.read("MATCH (m:Model) WHERE m.name STARTS WITH '\\u0000' RETURN m")
    return int(base)


def check_layers(store: Store, rows: list[dict[str, Any]], name: str, base: int) -> None:
    found = store.read(
        "MATCH (:Model {name: $name})-[:HAS_LAYER]->(l) RETURN properties(l) AS l, [(k)-[:FEEDS]->(l) | k.name] AS inputs ORDER BY l.position",
        name=name,
    )
    for row, sent in zip(found, rows, strict=True):
        assert sorted(row["inputs"]) == sorted(sent.pop("inputs"))
        key = row["l"].pop("key")
        assert key.endswith(f"/{sent['name']}")
        shown = {**sent, "model": name, "begin": sent["begin"] + base, "end": sent["end"] + base}
        assert row["l"] == {key: value for key, value in shown.items() if value is not None}


def check_weights(store: Store, sent: Any, begin: int, end: int) -> None:
    """Every edge as often as it was sent, with its weight to the last bit."""
    query = """
        MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE $begin <= b.id < $end
        RETURN collect([a.id - $begin, b.id - $begin, coalesce(w.parameter, -1)]) AS ids, collect(w.weight) AS weights, collect(w.layer) AS layers
    """
    found = one(store, query, begin=begin, end=end)
    ids = np.array(found["ids"], dtype=np.int64).reshape(-1, 3)
    names, sent_names = np.array(found["layers"], dtype=object), np.array(sent["layer"].to_pylist(), dtype=object)
    columns = [sent[key].to_numpy() for key in ("source", "target")] + [sent["parameter"].fill_null(-1).to_numpy()]
    weights, sent_weights = np.array(found["weights"], dtype=np.float64), sent["weight"].to_numpy().astype(np.float64)
    order, sent_order = np.lexsort((weights, *ids.T)), np.lexsort((sent_weights, *columns))
    assert len(order) == len(sent_order)
    for number, column in enumerate(columns):
        np.testing.assert_array_equal(ids[order, number], column[sent_order])
    np.testing.assert_array_equal(weights[order], sent_weights[sent_order])
    assert (names[order] == sent_names[sent_order]).all()


def one(store: Store, query: str, **parameters: Any) -> dict[str, Any]:
    rows = store.read(query, **parameters)
    assert len(rows) == 1
    return rows[0]


def counts(store: Store) -> tuple[int, int]:
    """All nodes and all relationships."""
    return one(store, "MATCH (n) RETURN count(n) AS n")["n"], one(store, "MATCH ()-[r]->() RETURN count(r) AS n")["n"]
