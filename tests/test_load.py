"""Loading over Bolt into a real Neo4j, read back row by row."""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from etl.errors import Conflict, NotInStore, StoreError
from etl.graph.batches import blocks
from etl.graph.traced import Graph
from etl.sinks.memory import collect
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j import write_batches
from etl.sinks.neo4j.live import load
from etl.sinks.neo4j.parameters import Packer, label
from etl.store import Store, transactions
from etl.store import models as catalogue
from tests import stored
from tests.small import branched, convolutional, given, graph

NASTY = ["x`) DETACH DELETE n //", "two\nlines", 'it\'s "quoted"', "naïve 🧠 层", "Neuron", "a/b%2F"]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j, "EDGES", 1500)
    monkeypatch.setattr(neo4j, "NEURONS", 400)


@pytest.mark.parametrize("make", [convolutional, branched])
def test_the_store_holds_the_graph(empty_store: Store, make: Any, small_batches: None) -> None:
    sent = make()
    told: list[tuple[str, int, int]] = []
    done = load(sent, empty_store, "small", progress=lambda *step: told.append(step))
    assert (done.outcome, done.neurons, done.edges) == ("loaded", sent.neurons, sent.edges)
    assert stored.check(empty_store, sent, "small") == done.base == 0
    assert {step for step in told if step[1] == step[2]} >= {("neurons", sent.neurons, sent.neurons), ("weights", sent.edges, sent.edges)}


def test_large_batches_and_float64(cleared_store: Store) -> None:
    sent = convolutional(dtype="float64")
    load(sent, cleared_store, "doubles")
    stored.check(cleared_store, sent, "doubles")


def test_lists_where_the_server_takes_no_vectors(cleared_store: Store, small_batches: None) -> None:
    sent = convolutional()
    load(sent, replace(cleared_store, bolt=(5, 8)), "lists")
    stored.check(cleared_store, sent, "lists")


def test_ids_of_models_never_clash(cleared_store: Store) -> None:
    cleared_store.write("CREATE (:Neuron {id: 7, mine: true})")
    bases = {}
    for number in range(3):
        bases[number] = load(convolutional(number), cleared_store, f"model {number}").base
    for number, base in bases.items():
        assert stored.check(cleared_store, convolutional(number), f"model {number}") == base
    assert sorted(bases.values()) == [8 + n * convolutional().neurons for n in range(3)]
    for number in bases:
        catalogue.delete(cleared_store, f"model {number}")
    assert stored.counts(cleared_store) == (1, 0)


@pytest.mark.parametrize("name", NASTY)
def test_names_are_never_code(cleared_store: Store, name: str) -> None:
    cleared_store.write("CREATE (:Bystander)")
    sent = convolutional(names={"conv_0": name, "dense_1": f"{name}/{name}"})
    load(sent, cleared_store, name)
    stored.check(cleared_store, sent, name)
    labels = cleared_store.read("MATCH (n:Neuron) RETURN DISTINCT n.layer AS layer, labels(n) AS labels")
    assert {row["layer"]: sorted(row["labels"]) for row in labels}[name] == sorted(["Neuron", label(name)])
    assert label("Neuron") == "Neuron_"
    catalogue.delete(cleared_store, name)
    assert stored.counts(cleared_store) == (1, 0)


def test_model_and_layer_names_with_slashes_make_different_keys(cleared_store: Store) -> None:
    load(convolutional(names={"conv_0": "b/c"}), cleared_store, "a")
    load(convolutional(names={"conv_0": "c"}), cleared_store, "a/b")
    stored.check(cleared_store, convolutional(names={"conv_0": "c"}), "a/b")


def test_the_same_file_again_changes_nothing(cleared_store: Store) -> None:
    sent = convolutional()
    load(sent, cleared_store, "again")
    before = cleared_store.read("MATCH (m:Model) RETURN properties(m) AS m")
    assert load(sent, cleared_store, "again").outcome == "unchanged"
    assert load(sent, cleared_store, "again", replace=True).outcome == "unchanged"
    assert cleared_store.read("MATCH (m:Model) RETURN properties(m) AS m") == before
    stored.check(cleared_store, sent, "again")


def test_another_file_under_the_name_needs_replace(cleared_store: Store, small_batches: None) -> None:
    load(convolutional(1), cleared_store, "mine")
    with pytest.raises(Conflict, match="--replace"):
        load(convolutional(2), cleared_store, "mine")
    stored.check(cleared_store, convolutional(1), "mine")
    seen = []

    def look(*_: object) -> None:
        seen.append(cleared_store.read("MATCH (m:Model {name: 'mine'}) RETURN m.state AS state, COUNT { (:Neuron {model: 'mine'}) } AS neurons"))

    assert load(convolutional(2), cleared_store, "mine", replace=True, progress=look).outcome == "replaced"
    assert all(rows == [{"state": "COMPLETE", "neurons": convolutional().neurons}] for rows in seen) and seen
    stored.check(cleared_store, convolutional(2), "mine")
    assert [row["name"] for row in catalogue.models(cleared_store)] == ["mine"]
    assert stored.counts(cleared_store)[1] == relationships(convolutional(2))


def test_replacing_more_than_one_transaction_renames(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j, "RENAMED", 100)
    load(convolutional(1), cleared_store, "mine")
    load(convolutional(2), cleared_store, "mine", replace=True)
    stored.check(cleared_store, convolutional(2), "mine")
    assert stored.counts(cleared_store)[1] == relationships(convolutional(2))


def relationships(sent: Graph) -> int:
    tables = collect(sent)
    feeds = sum(len(row["inputs"]) for row in tables.layers.to_pylist())
    return sent.edges + len(sent.rows) + feeds + sum(int((ids >= 0).sum()) for ids in sent.outputs)


def test_an_interrupted_replacement_goes_on(cleared_store: Store, small_batches: None) -> None:
    load(convolutional(1), cleared_store, "mine")
    with pytest.raises(StopIteration):
        load(convolutional(2), cleared_store, "mine", replace=True, progress=stop_at("weights", 5000))
    stored.check_weights(cleared_store, collect(convolutional(1)).weights, 0, convolutional(1).neurons)
    assert [row["state"] for row in catalogue.models(cleared_store)] == ["COMPLETE"]
    done, begun = catalogue.listed(cleared_store)
    assert (done["name"], done["state"], done["stored_edges"]) == ("mine", "COMPLETE", None)
    (weights,) = cleared_store.read("MATCH (n:Neuron)<-[w:WEIGHT]-() WHERE n.id >= $base RETURN count(w) AS n", base=convolutional(1).neurons)
    assert (begun["name"], begun["state"]) == ("mine", "LOADING") and begun["edges"] == convolutional(2).edges
    assert (begun["stored_neurons"], begun["stored_edges"]) == (convolutional(2).neurons, weights["n"]) and 0 < weights["n"] < begun["edges"]
    load(convolutional(2), cleared_store, "mine", replace=True)
    stored.check(cleared_store, convolutional(2), "mine")
    assert stored.counts(cleared_store)[1] == relationships(convolutional(2))


def stop_at(stage: str, rows: int) -> Any:
    """A progress that ends the load in the middle."""

    def progress(now: str, done: int, _: int) -> None:
        if now == stage and done >= rows:
            raise StopIteration

    return progress


def test_what_was_begun_goes_on_and_another_file_does_not(cleared_store: Store, small_batches: None) -> None:
    with pytest.raises(StopIteration):
        load(convolutional(1), cleared_store, "begun", progress=stop_at("weights", 5000))
    assert [row["state"] for row in catalogue.models(cleared_store)] == ["LOADING"]
    with pytest.raises(Conflict, match="--replace"):
        load(convolutional(2), cleared_store, "begun")
    before = stored.counts(cleared_store)[1]
    assert load(convolutional(1), cleared_store, "begun").outcome == "resumed"
    assert before >= 5000
    stored.check(cleared_store, convolutional(1), "begun")


def test_batches_cut_otherwise_begin_again(cleared_store: Store, small_batches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StopIteration):
        load(convolutional(), cleared_store, "begun", progress=stop_at("weights", 5000))
    monkeypatch.setattr(neo4j, "EDGES", 700)
    monkeypatch.setattr(neo4j, "PLAN", "another")
    assert load(convolutional(), cleared_store, "begun").outcome == "loaded"
    stored.check(cleared_store, convolutional(), "begun")


def test_a_missing_neuron_stops_the_load(cleared_store: Store, small_batches: None) -> None:
    def lose_one(stage: str, done: int, total: int) -> None:
        if stage == "neurons" and done == total:
            cleared_store.write("MATCH (n:Neuron {id: 250}) DETACH DELETE n")

    with pytest.raises(StoreError, match="rows were sent and"):
        load(convolutional(), cleared_store, "lossy", progress=lose_one)
    assert [row["state"] for row in catalogue.models(cleared_store)] == ["LOADING"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("MATCH (:Neuron)-[w:WEIGHT {layer: 'conv_0'}]->() WITH w LIMIT 1 DELETE w", r"conv_0: .*edges"),
        ("MATCH (a)-[w:WEIGHT {layer: 'conv_1'}]->(b) WITH a, w, b LIMIT 1 CREATE (a)-[c:WEIGHT]->(b) SET c = w", r"conv_1: .*edges"),
        ("MATCH ()-[w:WEIGHT {layer: 'dense_0'}]->() WITH w LIMIT 1 SET w.weight = w.weight + 1e-6", "dense_0: weights"),
        ("MATCH (n:Neuron {layer: 'conv_1'}) WITH n LIMIT 1 SET n.bias = n.bias * 1.0001", "conv_1: bias"),
        ("MATCH (n:Neuron {layer: 'dense_1'}) WITH n LIMIT 1 REMOVE n.bias", "dense_1: biases"),
        ("MATCH ()-[w:WEIGHT {layer: 'dense_1'}]->() WITH w LIMIT 1 SET w.parameter = w.parameter + 1", "dense_1: parameters"),
    ],
)
def test_nothing_is_complete_that_does_not_agree(cleared_store: Store, damage: str, told: str) -> None:
    def spoil(stage: str, done: int, total: int) -> None:
        if stage == "weights" and done == total:
            cleared_store.write(damage)

    with pytest.raises(StoreError, match=told):
        load(convolutional(), cleared_store, "spoilt", progress=spoil)
    assert [row["state"] for row in catalogue.models(cleared_store)] == ["LOADING"]


def test_two_loads_of_one_name_are_not_made_at_once(cleared_store: Store, monkeypatch: pytest.MonkeyPatch, small_batches: None) -> None:
    monkeypatch.setattr(transactions, "CLAIM_SECONDS", 1.0)
    begun, go_on = Event(), Event()

    def wait(*_: object) -> None:
        begun.set()
        assert go_on.wait(60)

    first = Thread(target=load, args=(convolutional(), cleared_store, "busy"), kwargs={"progress": wait})
    first.start()
    try:
        assert begun.wait(60)
        with pytest.raises(Conflict, match="busy is being loaded or deleted by another process"):
            load(convolutional(), cleared_store, "busy")
        with pytest.raises(Conflict, match="another process"):
            catalogue.delete(cleared_store, "busy")
        assert load(convolutional(1), cleared_store, "free").outcome == "loaded"
    finally:
        go_on.set()
        first.join()
    assert load(convolutional(), cleared_store, "busy").outcome == "unchanged"
    stored.check(cleared_store, convolutional(), "busy")
    stored.check(cleared_store, convolutional(1), "free")


def test_loads_at_once_get_different_ids(cleared_store: Store) -> None:
    threads = [Thread(target=load, args=(convolutional(n), cleared_store, f"at once {n}")) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(stored.check(cleared_store, convolutional(n), f"at once {n}") for n in range(3)) == [n * convolutional().neurons for n in range(3)]


def test_a_node_of_somebody_elses_is_left_alone(cleared_store: Store) -> None:
    cleared_store.write("CREATE (:Model {name: 'theirs', year: 1999})")
    for call in (lambda: load(convolutional(), cleared_store, "theirs"), lambda: catalogue.delete(cleared_store, "theirs")):
        with pytest.raises(Conflict, match="did not make"):
            call()
    assert catalogue.models(cleared_store) == []
    assert stored.counts(cleared_store) == (1, 0)


def test_delete_takes_only_its_own(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "DELETED", 700)
    load(convolutional(1), cleared_store, "stays")
    load(convolutional(2), cleared_store, "goes")
    cleared_store.write("MATCH (n:Neuron {model: 'goes', layer: 'dense_1'}) CREATE (:Note)-[:ABOUT]->(n)")
    before = stored.counts(cleared_store)
    catalogue.delete(cleared_store, "goes")
    gone = before[0] - stored.counts(cleared_store)[0]
    assert gone == convolutional(2).neurons + len(convolutional(2).rows) + 1
    stored.check(cleared_store, convolutional(1), "stays")
    with pytest.raises(NotInStore, match="stays"):
        catalogue.delete(cleared_store, "goes")


def test_an_interrupted_deletion_goes_on(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load(convolutional(), cleared_store, "goes")
    monkeypatch.setattr(catalogue, "DELETED", 2000)
    transact, turns = Store.transact, iter(range(5))

    def fail_after_some(store: Store, work: Any, *, writes: bool = True, stopping: Any = None) -> Any:
        if writes:
            next(turns)  # StopIteration after five writing transactions
        return transact(store, work, writes=writes, stopping=stopping)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "transact", fail_after_some)
        with pytest.raises(StopIteration):
            catalogue.delete(cleared_store, "goes")
    assert [row["state"] for row in catalogue.models(cleared_store)] == ["LOADING"]
    catalogue.delete(cleared_store, "goes")
    assert stored.counts(cleared_store) == (0, 0)


def test_what_is_left_of_a_deletion_is_loaded_anew(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    load(convolutional(), cleared_store, "mended")
    cleared_store.write("MATCH (m:Model) SET m.state = 'LOADING'")
    cleared_store.write("MATCH (n:Neuron {layer: 'dense_1'}) DETACH DELETE n")
    assert load(convolutional(), cleared_store, "mended").outcome == "loaded"
    stored.check(cleared_store, convolutional(), "mended")


def test_batches_hold_every_edge_once_and_sessions_keep_apart() -> None:
    random = np.random.default_rng(3)
    wide = graph([given("input", 300), ("dense", "Dense", {}, {"kernel": random.normal(size=(300, 200)).astype("float32")}, ["input"])], ["dense"])
    for sent, rows in ((wide, 900), (convolutional(), 300), (branched(), 10)):
        table = collect(sent).weights
        found, turn = [], [set[int](), set[int]()]
        for batch in write_batches.batches(blocks(sent), 2, rows):
            if batch is None:
                turn = [set(), set()]
                continue
            assert sum(block.edges for block in batch.blocks) <= rows
            for block in batch.blocks:
                source, target, weight, parameter = block.columns()
                found.append(np.stack([source, target, weight, np.full(len(source), -1) if parameter is None else parameter], 1))
                turn[batch.session] |= set(target.tolist()) | (set(source.tolist()) if sent is wide else set())
                assert not turn[0] & turn[1]
        sent_rows = [table[key].to_numpy().astype(float) for key in ("source", "target", "weight")] + [table["parameter"].fill_null(-1).to_numpy()]
        rows_found, rows_sent = np.concatenate(found), np.stack(sent_rows, 1)
        np.testing.assert_array_equal(rows_found[np.lexsort(rows_found.T)], rows_sent[np.lexsort(rows_sent.T)])


def test_vectors_only_where_they_are_known(store: Store) -> None:
    assert Packer(store, 0, np.float32).vectors == (store.version >= (2025, 10))
    assert not Packer(replace(store, version=(5, 26, 30)), 0, np.float32).vectors
