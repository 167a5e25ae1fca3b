"""Addresses of neurons: the same in every store, whatever the ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.errors import QueryError
from etl.graph.selection import graph_in
from etl.readers import read
from etl.sinks.neo4j import live as neo4j
from etl.store import Store, queries
from etl.store.addresses import address, address_of, neuron_id
from tests.conftest import clear

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
LAYERS = [
    {"name": "x", "type": "InputLayer", "begin": 100, "end": 124, "shape": [2, 3, 4]},
    {"name": "flat", "type": "Flatten", "begin": 124, "end": 124, "shape": [24]},
    {"name": "lstm/step_0/gate", "type": "sum", "begin": 124, "end": 127, "shape": [3]},
    {"name": "loss", "type": "Lambda", "begin": 127, "end": 128, "shape": []},
]


def test_an_address_is_the_place_in_c_order() -> None:
    ids = np.arange(100, 124).reshape(2, 3, 4)
    for index in np.ndindex(2, 3, 4):
        assert neuron_id(address("x", index), LAYERS, "m") == ids[index]
        assert address_of(int(ids[index]), LAYERS) == address("x", index)
    assert neuron_id("lstm/step_0/gate/2", LAYERS, "m") == 126
    assert address("loss", []) == "loss/0" and neuron_id("loss/0", LAYERS, "m") == 127
    assert (address_of(126, LAYERS), address_of(127, LAYERS)) == ("lstm/step_0/gate/2", "loss/0")
    assert address_of(5, [{"name": "flat", "begin": 4, "end": 6, "shape": [3]}]) == "5"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("lstm/step_0/gaet/2", "m has no layer lstm/step_0/gaet (did you mean lstm/step_0/gate?)"),
        ("flat/3", "flat (Flatten) has no neurons of its own"),
        ("x/1,2", "m has no neuron x/1,2: the last one of x is x/1,2,3"),
        ("x/1,2,4", "the last one of x is x/1,2,3"),
        ("x/-1,0,0", "the last one of x is x/1,2,3"),
        ("x/a", "what follows the layer is an index such as 1,2,3, not 'a'"),
    ],
)
def test_what_is_no_address_is_said(place: str, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        neuron_id(place, LAYERS, "m")
    assert message in str(raised.value)


@pytest.fixture(scope="module")
def twice(store: Store) -> Iterator[Store]:
    """The same model twice: the second one's ids are others."""
    clear(store)
    for name in ("first", "second"):
        neo4j.load(graph_in(read(DIGITS)), store, name)
    yield store
    clear(store)


@pytest.mark.slow
def test_an_address_names_the_same_neuron_in_every_load(twice: Store) -> None:
    def ask(query: str, model: str, **values: Any) -> list[dict[str, Any]]:
        return queries.run(twice, query, {"model": model, **values})

    base = {name: ask("layers", name)[0]["begin"] for name in ("first", "second")}
    assert base["first"] != base["second"]
    for model, begin in base.items():
        rows = ask("strongest_inputs", model, neuron="digit/4", limit=3)
        assert rows == ask("strongest_inputs", model, neuron=begin + 1300, limit=3)
        assert [(row["layer"], row["index"]) for row in rows] == [("pool", [2, 2, 15]), ("pool", [2, 2, 5]), ("pool", [2, 1, 5])]
    paths = [ask("strongest_paths", model, neuron="digit/4", limit=3) for model in base]
    assert [row["path"] for row in paths[0]] == [row["path"] for row in paths[1]]
    first = paths[0][0]
    places = [step.split(" -")[0] for step in first["path"].split("-> ")]
    table = ask("layers", "first")
    assert [neuron_id(place, table, "first") for place in places] == first["neurons"] and places[-1] == "digit/4"
    for query, values in NAMING.items():
        rows = [ask(query, model, **values) for model in base]
        assert rows[0] and [without_ids(row) for row in rows[0]] == [near(without_ids(row)) for row in rows[1]], query
        for row in rows[0]:
            for end in ("", "source_", "target_"):
                if f"{end}layer" in row:
                    number = row.get(end.removesuffix("_") or "id", row.get("source"))
                    assert neuron_id(address(row[f"{end}layer"], row[f"{end}index"]), table, "first") == number


NAMING: dict[str, dict[str, Any]] = {
    "combined_weights": {"first": "pool", "second": "digit", "limit": 5},
    "adjacency_block": {"source": "pool", "target": "digit", "limit": 5},
    "strength": {"limit": 5},
    "cliques": {"limit": 5},
    "average_neighbour_degree": {"layer": "digit"},
    "bipartite_clustering": {"layer": "digit"},
    "strongest_inputs": {"neuron": "digit/4", "limit": 5},
    "receptive_field": {"neuron": "shapes/0,0,0"},
}


def without_ids(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("id", "source", "target")}


def near(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with numbers as equal as sums in another order are."""
    return {name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()}
