"""Which way a load goes, what it needs, and what it says where there is no room: on disks that are really full."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from etl.errors import BadRequest
from etl.graph import estimate
from etl.graph.selection import graph_of
from etl.graph.traced import Graph
from etl.sinks.neo4j import live as neo4j
from etl.sinks.neo4j import mode as loading
from etl.sinks.neo4j.import_files import stage
from etl.store import Store, home, start, stop
from etl.store import models as catalogue
from etl.store.home import private
from etl.store.local import configuration
from tests import small
from tests.conftest import QUICK

pytestmark = pytest.mark.slow
DIGITS = Path(__file__).parent / "data/digits_cnn.h5"
CODE = """
import json, sys
from etl.errors import EtlError
from etl.sinks.neo4j import bulk, live as neo4j
from etl.store import connect, stop
from tests.small import graph, given
import numpy as np

kernel = np.random.default_rng(0).normal(size=(1000, int(sys.argv[2]))).astype("float32")
large = graph([given("x", 1000), ("y", "Dense", {"use_bias": False}, {"kernel": kernel}, ["x"])], ["y"])
try:
    if sys.argv[1] == "bulk":
        bulk.load(large, "large")
    else:
        try:
            with connect() as store:
                neo4j.load(large, store, "large")
        finally:
            stop()
except EtlError as error:
    print(error)
"""


@pytest.fixture
def digits() -> Graph:
    return graph_of(DIGITS)


def can_mount() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a small disk")
@pytest.mark.parametrize(
    ("mode", "units", "megabytes", "said"),
    [
        ("bulk", 1500, 3, "can't be staged for the import tool"),
        ("bulk", 1500, 90, "the import tool made nothing"),
        ("live", 3000, 420, "is loaded in part: the same command goes on with it"),
    ],
    ids=["staging", "import", "live"],
)
def test_a_disk_that_gets_full(etl_home: Path, tmp_path: Path, mode: str, units: int, megabytes: int, said: str) -> None:
    """Met in the middle of the work, by a load that was let through: one line, with a way out; nothing is called complete."""
    mount = f'mount -t tmpfs -o size={megabytes}m none "{tmp_path}" && ln -s "{(etl_home / "cache").resolve()}" "{tmp_path}/cache" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", CODE, mode, str(units)],
        env=os.environ | {"ETL_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1]), "JAVA_TOOL_OPTIONS": QUICK},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout and done.stdout.count("\n") == 1, done.stdout


@pytest.mark.parametrize(
    ("disk", "memory", "cache", "said"),
    [
        (100_000, 10**11, 10**10, r"needs about 0\.\d\d GB of disk, 0\.00 GB are free"),
        (10**12, 10**8, 10**10, r"needs about 0\.30 GB of memory for Neo4j, 0\.10 GB are free"),
        (10**12, 10**11, 10**5, r"1,306 neurons, which need a page cache of 0\.00 GB"),
    ],
    ids=["disk", "memory", "page cache"],
)
def test_what_does_not_fit_is_refused_with_the_numbers(
    digits: Graph, disk: int, memory: int, cache: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = namedtuple("available", "available total")(memory, memory)
    monkeypatch.setattr(home, "free_disk", lambda: disk)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    monkeypatch.setattr(configuration, "page_cache", lambda: cache)
    with pytest.raises(BadRequest, match=said):
        loading.require(digits, bulk=False)


@pytest.mark.parametrize("layer", ["dense_1", "encoder/expanded_block_12/projection", "encoder/expanded_block_12/attention/output_projection"])
def test_estimates_are_those_of_real_stores(layer: str, empty_store: Store, etl_home: Path, tmp_path: Path, digits: Graph) -> None:
    """Also where the name of a layer, which stands beside every weight, takes a record or a block of text more."""
    from etl.sinks.neo4j import bulk

    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def imported(graph: Graph, name: str) -> int:
        """Bytes of the store that holds the graph alone, and of the files for the import tool."""
        bulk.load(graph, name)
        return size(store) + size(stage(graph, name, private(tmp_path / name)).folder)

    kernel = np.random.default_rng(0).standard_normal((400, 400), np.float32)
    large = small.graph([small.given("input", 400), (layer, "Dense", {"use_bias": False}, {"kernel": kernel}, ["input"])], [layer])
    store = etl_home / "neo4j/data/databases/neo4j"
    with_digits, before = imported(digits, "small"), size(store)
    neo4j.load(large, empty_store, "large")
    stop()  # which writes all of it
    assert estimate.cost(large).store_bytes == pytest.approx(size(store) - before, rel=0.1)
    start()
    empty_store.driver.verify_connectivity()
    for name in ("small", "large"):
        catalogue.delete(empty_store, name)
    more = estimate.needs(large, bulk=True).disk - estimate.needs(digits, bulk=True).disk
    assert more == pytest.approx(imported(large, "large") - with_digits, rel=0.1)


def test_the_import_tool_is_taken_where_it_is_faster(cleared_store: Store, digits: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model goes over Bolt; a large one through the tool, where the store holds nothing but models that are quickly built again."""
    taken: list[str] = []

    def load(**options: Any) -> None:
        asked: dict[str, Any] = {"mode": "auto", "replace": False, "uri": None} | options
        sink = loading.sink(digits, "m", asked.pop("mode"), stage=lambda _: None, **asked)
        taken.append(type(sink).__name__.lower())
        if isinstance(sink, neo4j.Live):
            sink.store.close()

    load()
    load(mode="bulk")
    monkeypatch.setattr(estimate, "BULK_START", 0.0)
    monkeypatch.setattr(estimate, "BULK_RATE", estimate.LIVE_RATE)
    monkeypatch.setattr(estimate, "LIVE_START", 0.2)
    load()  # quicker, but the server runs, and others may be talking to it
    monkeypatch.setattr(estimate, "LIVE_START", 2.0)
    load()
    load(replace=True)
    cleared_store.write("CREATE (:Model {name: 'other', state: 'COMPLETE', base: 0, neurons: 1000, edges: 1000})")
    load()  # building the other model again takes longer
    monkeypatch.setattr(estimate, "AGAIN_START", 0.0)
    load()
    cleared_store.write("CREATE (:Other)")
    load()
    assert taken == ["live", "bulk", "live", "bulk", "bulk", "live", "bulk", "live"]
    with pytest.raises(BadRequest, match="leave out --uri"):
        load(mode="bulk", uri=cleared_store.uri)


def test_a_store_that_was_never_started_is_built_without_a_server(etl_home: Path, tmp_path: Path) -> None:
    """The whole command, from nothing but the downloads."""
    (tmp_path / "cache").symlink_to((etl_home / "cache").resolve(), target_is_directory=True)
    environment = os.environ | {"ETL_HOME": str(tmp_path), "JAVA_TOOL_OPTIONS": QUICK}

    def etl(*words: str) -> str:
        return subprocess.run([sys.executable, "-m", "etl", *words], env=environment, capture_output=True, text=True, check=True).stdout

    try:
        assert "Loaded digits_cnn: 1,306 neurons, 47,360 weights" in etl("load", str(DIGITS), "--mode", "bulk")
        (row,) = json.loads(etl("query", "summary", "--format", "json"))
        assert (row["neurons"], row["edges"]) == (1306, 47360)
        assert "Already there" in etl("load", str(DIGITS))
    finally:
        etl("neo4j", "stop")
