"""Estimates of how long a load takes come from this machine's own last loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import etl
from etl.graph import estimate
from etl.sinks.neo4j import pace
from etl.store import Store, home
from etl.store.local import fetch

DIGITS = Path(__file__).parent / "data/digits_cnn.h5"


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEO4J_URI", raising=False)
    return tmp_path / "home"


def test_the_middle_one_of_the_last_loads_counts(new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = etl.read(DIGITS)
    before = graph.plan().load_seconds  # 2 s to start and 48,666 neurons and weights at 100,000 a second
    assert before == pytest.approx(2 + 0.48666)
    monkeypatch.setattr(pace, "FROM", 1000)
    for seconds in (1.0, 9.0, 9.0, 50.0, 9.0, 50.0):  # the first of six is forgotten
        pace.remember("live", graph._graph, seconds)
    assert pace.known() == estimate.Pace(live=pytest.approx(9 / before, abs=1e-3), bulk=1.0)
    assert graph.plan().load_seconds == pytest.approx(9, abs=0.01)
    pace.remember("bulk", graph._graph, 2.0)  # which makes the import tool the quicker one
    assert graph.plan().load_seconds == pytest.approx(2, abs=0.01) and estimate.quicker(graph._graph, pace.known())


def test_small_loads_say_nothing_of_large_ones(new_home: Path) -> None:
    pace.remember("live", etl.read(DIGITS)._graph, 100.0)
    assert not new_home.exists() and pace.known() == estimate.MEASURED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"live": 3, "bulk": []}', '{"live": ["x"], "bulk": []}', "\0"])
def test_a_record_that_is_none_is_not_used(text: str, new_home: Path) -> None:
    new_home.mkdir()
    (new_home / "pace.json").write_text(text)
    assert pace.known() == estimate.MEASURED


def test_loads_are_remembered(cleared_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "FROM", 1000)
    graph = etl.read(DIGITS)
    with etl.connect() as store:
        first, again = store.load(graph, "paced", mode="live"), store.load(graph, "paced", mode="live")
        store.delete("paced")
    assert (first.outcome, again.outcome) == ("loaded", "unchanged")
    record = home.place() / "pace.json"
    kept = json.loads(record.read_text())
    assert kept["live"][-1] == pytest.approx(first.seconds / (2 + 0.48666), abs=1e-3) and kept["bulk"] == []
    record.unlink()


def test_what_is_to_be_fetched_is_said(new_home: Path) -> None:
    whole = sum(jar.size for jar in fetch.locked(fetch.DEFAULT))
    assert etl.read(DIGITS).plan().fetch_bytes == whole > 100_000_000
    folder, jar = new_home / "cache" / f"neo4j-{fetch.DEFAULT}", fetch.locked(fetch.DEFAULT)[0]
    folder.mkdir(parents=True)
    (folder / jar.name).write_bytes(b"")  # there already
    assert etl.read(DIGITS).plan().fetch_bytes == whole - jar.size
