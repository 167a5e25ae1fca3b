"""Bulk loads: the same graph as a live load makes, or the store as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from etl.analysis.model_measures import measured
from etl.errors import Conflict, StoreError
from etl.graph.selection import graph_of
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Layer, Model, Network, Tensor
from etl.sinks.neo4j import bulk
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j.bulk import Bulk
from etl.sinks.neo4j.import_files import stage
from etl.sinks.neo4j.store_contents import NotReadableError
from etl.store import connect, stored_graph
from etl.store import models as catalogue
from etl.store.local import server as local
from etl.store.local.import_tool import build
from tests import small, stored
from tests.conftest import QUICK

if TYPE_CHECKING:
    from etl.store import Store

pytestmark = pytest.mark.slow
DIGITS = Path(__file__).parent / "data/digits_cnn.h5"


def contents(store: Store) -> dict[str, Any]:
    """Everything in a store, in an order of its own."""
    nodes = "MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties ORDER BY n.id, n.key"
    edges = (
        "MATCH (a)-[r]->(b) RETURN type(r) AS type, coalesce(a.id, a.key, a.name) AS source, coalesce(b.id, b.key, b.name) AS target, "
        "properties(r) AS properties ORDER BY type, toString(source), toString(target), r.position, r.parameter"
    )
    found = {"nodes": store.read(nodes), "edges": store.read(edges)}
    for row in found["nodes"]:
        row["labels"].sort()
        row["properties"].pop("loadedAt", None)
    return found


@pytest.fixture
def digits() -> Graph:
    return graph_of(DIGITS)


@pytest.fixture(autouse=True)
def connected_again(empty_store: Store) -> Iterator[None]:
    """A bulk load restarts the server: connections of the pool that died with it are replaced at their next use."""
    yield
    empty_store.driver.verify_connectivity()


def odd_names() -> Graph:
    """Layers whose names are hard on a CSV file, and a model that returns a padded zero."""
    names = ['x`) DETACH DELETE n //"', "a,b;c\nd", "emoji 🧠 'q' \\", "Neuron"]
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("MaxPooling2D", {"pool_size": 2, "padding": "same"}),
        ("Activation", {"activation": "relu"}),
        ("ZeroPadding2D", {"padding": 1}),
    ]
    calls = [Call(Layer(name, *kind), (Tensor(n - 1) if n else Tensor(INPUT),)) for n, (name, kind) in enumerate(zip(names[1:], kinds, strict=True))]
    return trace(Model("odd", Network(tuple(calls), (Input(names[0], (2, 3, 1)),), (Tensor(2),)), "1" * 64, "memory"))


def test_bulk_makes_what_live_makes(empty_store: Store, digits: Graph) -> None:
    """And while it is being checked it is nobody else's."""
    seen: list[str] = []

    def progress(what: str, *_: object) -> None:
        seen.append(what)
        if what == "checks":
            with pytest.raises(Conflict, match="m is being loaded or deleted by another process"):
                catalogue.delete(empty_store, "m")

    done = bulk.load(digits, "m", progress, stage=seen.append)
    assert (done.outcome, done.neurons, done.edges) == ("loaded", digits.neurons, digits.edges)
    begun = list(dict.fromkeys(seen))
    assert begun[:3] + begun[4:] == ["neurons", "weights", "steps of the import", "checks"] and begun[3].startswith("starting Neo4j ")
    by_bulk = contents(empty_store)
    texts = empty_store.read("MATCH ()-[w:WEIGHT]->() RETURN DISTINCT w.weight AS weight, toString(w.weight) AS text")
    assert all(len(row["text"]) <= len("-1.2345678E-10") for row in texts)  # kept as float32, in less room
    assert all(np.float32(row["text"]) == row["weight"] for row in texts)
    assert bulk.load(digits, "m").outcome == "unchanged"
    assert neo4j.load(digits, empty_store, "m").outcome == "unchanged"
    with pytest.raises(Conflict, match="--replace"):
        bulk.load(small.convolutional(), "m")
    catalogue.delete(empty_store, "m")
    neo4j.load(digits, empty_store, "m")
    assert contents(empty_store) == by_bulk


def test_doubles_stay_doubles_and_what_is_empty_stays(empty_store: Store) -> None:
    """A neuron and a layer of no axes have an empty list for their index and their shape, as after a live load."""
    first, second = np.array([[0.1, 1 / 3], [-2 / 7, 1e-9]]), np.array([[1 / 7], [-1e-3]])
    bias = np.array([0.7, 1 / 9])
    calls: list[small.Spec] = [
        small.given("x", 2),
        ("y", "Dense", {"units": 2}, {"kernel": first, "bias": bias}, ["x"]),
        ("sum", "Dense", {"units": 1}, {"kernel": second}, ["y"]),
        ("z", "Reshape", {"target_shape": ()}, {}, ["sum"]),
        ("w", "Rescaling", {"scale": 2.0, "offset": 0.0}, {}, ["z"]),
    ]
    graph = small.graph(calls, ["w"])
    bulk.load(graph, "m")
    found = empty_store.read("MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.layer <> 'w' RETURN w.weight AS weight, b.bias AS bias ORDER BY b.id, a.id")
    assert [row["weight"] for row in found] == [*first.T.ravel().tolist(), *second.ravel().tolist()]
    assert [row["bias"] for row in found[:4:2]] == bias.tolist()
    assert {"i": [], "s": []} in empty_store.read("MATCH (l:Layer {name: 'w'}), (n:Neuron {layer: 'w'}) RETURN n.index AS i, l.shape AS s")
    stored.check(empty_store, graph, "m")


def test_bulk_takes_any_name_and_goes_on_where_it_was_killed(empty_store: Store) -> None:
    graph, name = odd_names(), 'm"od,el\n'
    bulk.load(graph, name)
    by_bulk = contents(empty_store)
    assert {row["properties"].get("layer") for row in by_bulk["nodes"]} >= {'x`) DETACH DELETE n //"', "a,b;c\nd", "emoji 🧠 'q' \\"}
    # as if the process had died between the swap and the last check
    empty_store.write("MATCH (m:Model) SET m.state = 'LOADING' CREATE (m)-[:LEDGER]->(:Ledger {lane: 0, done: 0, plan: 'import'})")
    assert bulk.load(graph, name).outcome == "resumed"
    assert contents(empty_store) == by_bulk
    catalogue.delete(empty_store, name)
    neo4j.load(graph, empty_store, name)
    assert contents(empty_store) == by_bulk


def of(store: Store, model: str) -> dict[str, Any]:
    """Everything that belongs to one model, to the last property."""
    nodes = """
        MATCH (m:Model {name: $model})
        CALL (m) { RETURN m AS n UNION MATCH (m)-[:HAS_LAYER]->(n) RETURN n UNION MATCH (n:Neuron {model: $model}) RETURN n }
        RETURN labels(n) AS labels, properties(n) AS properties ORDER BY n.id, n.key
    """
    edges = """
        MATCH (a {model: $model})-[r]->(b {model: $model}) RETURN a.id AS source, b.id AS target, a.key AS of, b.key AS to, type(r) AS type,
               properties(r) AS properties ORDER BY type, source, target, of, to, r.parameter, r.weight
    """
    outputs = "MATCH (:Model {name: $model})-[o:OUTPUT]->(n) RETURN properties(o) AS o, n.id ORDER BY o.output, o.position"
    found = {"nodes": store.read(nodes, model=model), "edges": store.read(edges, model=model), "outputs": store.read(outputs, model=model)}
    for row in found["nodes"]:
        row["labels"].sort()
    return found


def worked_on(store: Store, graph: Graph, name: str) -> None:
    """A model on which other commands and people have written."""
    neo4j.load(graph, store, name)
    measured(store, name, "strength", write="strength")
    stored_graph.write(store, stored_graph.span(store, name), "value", np.sin(np.arange(graph.neurons)))
    store.write("MATCH (n:Neuron {model: $name}) SET n.pageRank = 1.0 / (1 + n.id), n.degree = COUNT { (n)--() }", name=name)
    store.write(
        "MATCH (l:Layer {model: $name}) WHERE l.begin < l.end SET l.part = 3, l.seen = true, l.notes = $texts", name=name, texts=['a, "b"\n', "c"]
    )
    more = {"note": "two\nlines", "seen": True, "marks": [1, 2], "far": [0.1, -1e300], "both": [True, False], "two": ["", "a"]}
    store.write("MATCH (n:Neuron {model: $name}) WITH n LIMIT 3 SET n:Odd, n += $more", name=name, more=more)
    store.write("MATCH (:Neuron {model: $name})-[w:WEIGHT]->() WITH w LIMIT 2 SET w.weight = 0.1", name=name)  # which is no float32


def test_a_model_is_built_beside_those_that_are_there(empty_store: Store, digits: Graph) -> None:
    """The first as it was, to the last property; the second exact; then the first replaced, and the second as it was."""
    neo4j.load(small.convolutional(5), empty_store, "gone")
    worked_on(empty_store, digits, 'a "first"')
    catalogue.delete(empty_store, "gone")  # so that ids don't begin at 0
    first = of(empty_store, 'a "first"')
    assert len(first["edges"]) > digits.edges and len(first["nodes"]) > digits.neurons
    seen = set[str]()
    done = bulk.load(small.convolutional(), "second", lambda what, *_: seen.add(what))
    assert done.outcome == "loaded" and done.base > 0 and {"neurons read back", "weights read back", "checks"} <= seen
    assert of(empty_store, 'a "first"') == first
    assert stored.check(empty_store, small.convolutional(), "second") == done.base
    second = of(empty_store, "second")
    assert bulk.load(small.branched(), 'a "first"', replace=True).outcome == "replaced"
    assert of(empty_store, "second") == second
    stored.check(empty_store, small.branched(), 'a "first"')
    assert {row["name"] for row in empty_store.read("SHOW CONSTRAINTS YIELD name")} == {"neuron_id", "layer_key", "model_name"}
    assert [row["name"] for row in catalogue.models(empty_store)] == ['a "first"', "second"]


FOREIGN = (
    ("CREATE (:Other)", "MATCH (o:Other) DELETE o", "nodes or relationships that belong to no model"),
    ("CREATE INDEX mine FOR (n:Neuron) ON (n.value)", "DROP INDEX mine", "an index of somebody's own"),
    ("MATCH (n:Neuron {id: 1}) SET n.day = date()", "MATCH (n:Neuron {id: 1}) REMOVE n.day", "a property day"),
    ("MATCH (n:Neuron {id: 1}) SET n.none = ''", "MATCH (n:Neuron {id: 1}) REMOVE n.none", "an empty text"),
    ("MATCH ()-[h:HAS_LAYER]->() WITH h LIMIT 1 SET h.kept = 1", "MATCH ()-[h:HAS_LAYER]->() REMOVE h.kept", "a relationship with properties"),
    ("MATCH (l:Layer) WITH l LIMIT 1 SET l.at = point({x: 1, y: 2})", "MATCH (l:Layer) REMOVE l.at", "a property of the type CartesianPoint"),
    ("MATCH ()-[w:WEIGHT]->() WITH w LIMIT 1 SET w.kept = true", "MATCH ()-[w:WEIGHT]->() REMOVE w.kept", "weights with other properties"),
    ("MATCH ()-[w:WEIGHT]->() WITH w LIMIT 1 SET w.weight = 1", None, "a weight whose value or parameter"),
)


def test_what_cannot_be_built_again_stays_and_what_is_new_comes_beside_it(empty_store: Store, digits: Graph) -> None:
    neo4j.load(small.convolutional(), empty_store, "first")
    for statement, undo, told in FOREIGN:
        empty_store.write(statement)
        before = contents(empty_store)
        with pytest.raises(StoreError, match=f"{told}.* add to it with --mode live"):
            bulk.load(digits, "second")
        assert contents(empty_store) == before
        if undo:
            empty_store.write(undo)
    assert Bulk("second", or_live=True).write(digits).outcome == "loaded"
    assert {"type": "INTEGER NOT NULL"} in empty_store.read("MATCH ()-[w:WEIGHT]->() RETURN DISTINCT valueType(w.weight) AS type")
    stored.check(empty_store, digits, "second")


def test_what_is_not_what_was_sent_does_not_stay(empty_store: Store, digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store that was served before is put back, with all that it held; and what is written while it is built again is not lost."""
    worked_on(empty_store, small.convolutional(), "first")
    before = contents(empty_store)

    def wrong(*_: object) -> None:
        raise StoreError("second is not in the store as it was sent")

    with monkeypatch.context() as patch:
        patch.setattr(bulk.neo4j, "finish", wrong)
        with pytest.raises(StoreError, match="as it was sent"):
            bulk.load(digits, "second")
    assert contents(empty_store) == before
    builds: list[Any] = []

    def written_meanwhile(*arguments: Any) -> None:
        build(*arguments)
        if not builds:
            empty_store.write("MATCH (n:Neuron {model: 'first'}) SET n.value = 0.5")
        builds.append(arguments)

    monkeypatch.setattr(bulk, "build", written_meanwhile)
    assert bulk.load(digits, "second").outcome == "loaded"
    assert len(builds) == 2
    assert empty_store.read("MATCH (n:Neuron {model: 'first'}) RETURN DISTINCT n.value AS value") == [{"value": 0.5}]
    stored.check(empty_store, digits, "second")


LOAD = """
from pathlib import Path
from etl.graph.selection import graph_of
from etl.sinks.neo4j import bulk
bulk.load(graph_of(Path({file!r})), "m")
"""
KILLS = (  # what has just been written, and whether the import tool is killed too: the next load begins with what the last one left
    ("beside/import/weights/000000.parquet", True),
    ("beside/import/kept_neurons.parquet", True),
    ("beside/data/databases/neo4j/neostore.nodestore.db", True),
    ("beside/data/databases/neo4j/neostore.relationshipstore.db", False),
)


def test_a_killed_bulk_load_leaves_the_store_as_it_was(empty_store: Store, etl_home: Path, digits: Graph) -> None:
    """Killed while staging, while what is there is read back, and at two places of the import, with the tool or without it: the served store still
    answers, and the same command then loads, undisturbed by a tool that works on."""
    worked_on(empty_store, small.convolutional(), "first")
    before, tools = contents(empty_store), []
    for wait_for, with_tool in KILLS:
        tools += kill_at(etl_home / "neo4j" / wait_for, with_tool)
        assert contents(empty_store) == before
    first = of(empty_store, "first")
    assert bulk.load(digits, "m").outcome == "loaded"
    assert not any(tool.is_running() and tool.status() != psutil.STATUS_ZOMBIE for tool in tools)
    assert of(empty_store, "first") == first
    stored.check(empty_store, digits, "m")


def test_killed_while_the_new_store_takes_its_place(empty_store: Store, etl_home: Path, digits: Graph) -> None:
    """Client and server die when what is new is about to be served: the first model answers, and the same command only checks."""
    worked_on(empty_store, small.convolutional(), "first")
    first = of(empty_store, "first")
    kill_at(etl_home / "neo4j/server.json", False)  # written when the new server has begun
    server = local.status()
    assert server.running and local.before(etl_home / "neo4j").exists()
    psutil.Process(server.pid).kill()
    with connect() as store:
        assert of(store, "first") == first
        assert bulk.load(digits, "m").outcome in ("resumed", "unchanged")
        assert of(store, "first") == first
        stored.check(store, digits, "m")
    assert not local.before(etl_home / "neo4j").exists()


def test_a_server_that_dies_while_it_is_read_is_started_again(empty_store: Store, digits: Graph) -> None:
    worked_on(empty_store, small.convolutional(), "first")
    first, killed = of(empty_store, "first"), set[str]()

    def kill(stage: str, *_: int) -> None:
        if stage in ("neurons read back", "weights read back") and stage not in killed:
            killed.add(stage)
            os.kill(local.status().pid or 0, signal.SIGKILL)

    assert bulk.load(digits, "m", kill).outcome == "loaded" and len(killed) == 2
    assert of(empty_store, "first") == first
    stored.check(empty_store, digits, "m")


def kill_at(path: Path, with_tool: bool) -> list[psutil.Process]:
    """Begin a bulk load in another process and kill it when it has begun to write that file. The import tool that it had started."""
    began = time.time()
    environment = os.environ | {"JAVA_TOOL_OPTIONS": QUICK}
    loader = subprocess.Popen([sys.executable, "-c", LOAD.format(file=str(DIGITS))], env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not any(written_since(began, file) for file in (path, path.with_suffix(".id"))):
            assert loader.poll() is None, "the load ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        tools = psutil.Process(loader.pid).children(recursive=True)
        for process in [*(tools if with_tool else []), psutil.Process(loader.pid)]:
            process.kill()
        loader.wait()
    return tools


def written_since(moment: float, path: Path) -> bool:
    """False for what an earlier load left."""
    try:
        return path.stat().st_mtime >= moment
    except FileNotFoundError:
        return False


def test_an_import_tool_that_is_killed_is_told(etl_home: Path, digits: Graph, tmp_path: Path) -> None:
    def kill(*_: object) -> None:
        for process in psutil.process_iter(["cmdline"]):
            if any(str(tmp_path / "import") in argument for argument in process.info["cmdline"] or ()):
                process.kill()

    (tmp_path / "import").mkdir()
    with pytest.raises(StoreError, match=r"made nothing \(another program ended it\): the store is as it was"):
        build(stage(digits, "m", tmp_path / "import"), tmp_path, kill)


def test_a_store_that_waits_to_be_taken_over_is_not_new(tmp_path: Path) -> None:
    """Killed after the import into a store that was never started: what is there is half moved, and the next start moves the rest."""
    assert local.is_new(tmp_path)
    local.beside(tmp_path).mkdir()
    assert local.is_new(tmp_path)
    (local.beside(tmp_path) / local.READY).touch()
    assert not local.is_new(tmp_path)


def test_two_bulk_loads_at_once(empty_store: Store, digits: Graph) -> None:
    def second(*_: object) -> None:
        with pytest.raises(Conflict, match=r"another bulk load .* wait until it has ended"):
            bulk.load(digits, "m")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.load(digits, "m", second)


def test_what_was_loaded_meanwhile_is_kept(empty_store: Store, digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "build", lambda *_: empty_store.write("CREATE (:Meanwhile)"))
    with pytest.raises(NotReadableError, match="nodes or relationships that belong to no model"):
        bulk.load(digits, "m")
    assert empty_store.read("MATCH (n:Meanwhile) RETURN count(n) AS n") == [{"n": 1}]


def test_an_import_that_makes_something_else_is_refused(empty_store: Store, tmp_path: Path, digits: Graph) -> None:
    """A weights file that lost its last rows: the tool is content, we are not."""
    staged = stage(digits, "m", tmp_path)
    file = tmp_path / "weights/000000.parquet"
    rows = pq.read_table(file)
    assert len(rows) == digits.edges
    pq.write_table(rows[:-3], file)
    with pytest.raises(StoreError, match="the store is as it was"):
        build(staged, tmp_path / "store", lambda *_: None)
    assert empty_store.read("MATCH (n) RETURN count(n) AS n") == [{"n": 0}]
