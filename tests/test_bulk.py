"""Bulk loads: the same graph as a live load makes, or the store as it was."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from etl.errors import Conflict, StoreError
from etl.graph.selection import graph_of
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Layer, Model, Network, Tensor
from etl.sinks.neo4j import bulk
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j.import_files import stage
from etl.store import models as catalogue
from etl.store.local import server as local
from etl.store.local.import_tool import build
from tests import small

if TYPE_CHECKING:
    from etl.store import Store

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
    seen: list[str] = []
    done = bulk.load(digits, "m", lambda what, count, of: seen.append(what))
    assert (done.outcome, done.neurons, done.edges) == ("loaded", digits.neurons, digits.edges)
    assert set(seen) == {"neurons", "weights", "steps of the import", "checks"}
    by_bulk = contents(empty_store)
    texts = empty_store.read("MATCH ()-[w:WEIGHT]->() RETURN DISTINCT w.weight AS weight, toString(w.weight) AS text")
    assert all(len(row["text"]) <= len("-1.2345678E-10") for row in texts)  # kept as float32, in less room
    assert all(np.float32(row["text"]) == row["weight"] for row in texts)
    assert bulk.load(digits, "m").outcome == "unchanged"
    assert neo4j.load(digits, empty_store, "m").outcome == "unchanged"
    with pytest.raises(Conflict, match="--mode live"):
        bulk.load(digits, "another")
    catalogue.delete(empty_store, "m")
    neo4j.load(digits, empty_store, "m")
    assert contents(empty_store) == by_bulk


def test_doubles_stay_doubles(empty_store: Store) -> None:
    kernel, bias = np.array([[0.1, 1 / 3], [-2 / 7, 1e-9]]), np.array([0.7, 1 / 9])
    graph = small.graph([small.given("x", 2), ("y", "Dense", {"units": 2}, {"kernel": kernel, "bias": bias}, ["x"])], ["y"])
    bulk.load(graph, "m")
    found = empty_store.read("MATCH (a)-[w:WEIGHT]->(b:Neuron) RETURN w.weight AS weight, b.bias AS bias ORDER BY b.id, a.id")
    assert [row["weight"] for row in found] == kernel.T.ravel().tolist()
    assert [row["bias"] for row in found[::2]] == bias.tolist()


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


LOAD = """
from pathlib import Path
from etl.graph.selection import graph_of
from etl.sinks.neo4j import bulk
bulk.load(graph_of(Path({file!r})), "m")
"""
KILLS = (  # what has just been written, and whether the import tool is killed too: the next load begins with what the last one left
    ("import/weights.csv", True),
    ("data/databases/neo4j/neostore.nodestore.db", True),
    ("data/databases/neo4j/neostore.relationshipstore.db", False),
)


def test_a_killed_bulk_load_leaves_the_store_as_it_was(empty_store: Store, etl_home: Path, digits: Graph) -> None:
    """Killed while staging, and at two places of the import, with the tool or without it: the served store still answers, and the same command
    then loads, undisturbed by a tool that works on."""
    tools = []
    for wait_for, with_tool in KILLS:
        tools += kill_at(etl_home / "neo4j/beside" / wait_for, with_tool)
        assert empty_store.read("MATCH (n) RETURN count(n) AS n") == [{"n": 0}]
    assert bulk.load(digits, "m").outcome == "loaded"
    assert not any(tool.is_running() and tool.status() != psutil.STATUS_ZOMBIE for tool in tools)
    assert empty_store.read("MATCH (:Neuron)-[w:WEIGHT]->(:Neuron) RETURN count(w) AS n") == [{"n": digits.edges}]


def kill_at(path: Path, with_tool: bool) -> list[psutil.Process]:
    """Begin a bulk load in another process and kill it when it has begun to write that file. The import tool that it had started."""
    began = time.time()
    loader = subprocess.Popen([sys.executable, "-c", LOAD.format(file=str(DIGITS))], start_new_session=True)
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


def test_the_first_password_is_set_once(tmp_path: Path) -> None:
    """Beside an import, ahead of the first start, which then leaves it as it is."""
    home = tmp_path / "neo4j"
    home.mkdir()
    local.set_up(home)
    first = [(home / name).read_text() for name in ("password", "data/dbms/auth.ini")]
    local.set_up(home)
    assert [(home / name).read_text() for name in ("password", "data/dbms/auth.ini")] == first
    (home / "data/dbms/auth.ini").unlink()  # as if it had been killed in between
    local.set_up(home)
    assert (home / "password").read_text() != first[0]
    assert (home / "data/dbms/auth.ini").is_file()


def test_two_bulk_loads_at_once(empty_store: Store, digits: Graph) -> None:
    def second(*_: object) -> None:
        with pytest.raises(Conflict, match=r"another bulk load .* wait until it has ended"):
            bulk.load(digits, "m")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.load(digits, "m", second)


def test_what_is_being_checked_is_nobody_elses(empty_store: Store, digits: Graph) -> None:
    def other(what: str, *_: object) -> None:
        if what == "checks":
            with pytest.raises(Conflict, match="m is being loaded or deleted by another process"):
                catalogue.delete(empty_store, "m")

    assert bulk.load(digits, "m", other).outcome == "loaded"


def test_what_was_loaded_meanwhile_is_kept(empty_store: Store, digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "build", lambda *_: empty_store.write("CREATE (:Meanwhile)"))
    with pytest.raises(Conflict, match="holds something"):
        bulk.load(digits, "m")
    assert empty_store.read("MATCH (n:Meanwhile) RETURN count(n) AS n") == [{"n": 1}]


def test_an_import_that_makes_something_else_is_refused(empty_store: Store, tmp_path: Path, digits: Graph) -> None:
    """A weights file that lost its last rows: the tool is content, we are not."""
    staged = stage(digits, "m", tmp_path)
    rows = (tmp_path / "weights.csv").read_text().splitlines(keepends=True)
    assert len(rows) == digits.edges
    (tmp_path / "weights.csv").write_text("".join(rows[:-3]))
    with pytest.raises(StoreError, match="the store is as it was"):
        build(staged, tmp_path / "store", lambda *_: None)
    assert empty_store.read("MATCH (n) RETURN count(n) AS n") == [{"n": 0}]
