"""Neo4j's classes kept for quick starts: Java takes them, and where they can't be kept Neo4j does without and says so once."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import pytest

from etl.errors import FetchError
from etl.store import local, warm
from etl.store.fetch import ADMIN_CLASS, DEFAULT, Runtime, fetch


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """Java, and a folder without jars."""
    (tmp_path / "jars").mkdir()
    return Runtime(fetch().java, tmp_path / "jars", DEFAULT)


def test_java_takes_neo4js_classes_from_the_file(etl_home):
    kept = local.ready(lambda _: None)
    assert kept.classes.stat().st_size > 1e8
    flags = ("-XX:AOTMode=on", "-Xlog:class+load=info:stdout")  # on: Java refuses to run where it can't take the file
    done = subprocess.run(kept.command(ADMIN_CLASS, "--version", flags=flags), env=local._environment(etl_home), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:]
    assert done.stdout.count("source: shared objects file") > 300  # this Java brings no such file of its own


def test_they_are_made_once(etl_home):
    local.ready(lambda _: None)
    said: list[str] = []
    local.ready(said.append)
    assert not said
    assert not (etl_home / "cache" / "practice" / "neo4j").exists()


def fails(_: tuple[str, ...]) -> None:
    raise FetchError("Neo4j did not start: its reason")


def records_nothing(_: tuple[str, ...]) -> None:
    """Java has nothing to go on."""


@pytest.mark.parametrize(("run", "said"), [(fails, "its reason"), (records_nothing, r"recorded")])
def test_without_them_neo4j_starts_at_its_usual_pace(etl_home, runtime, caplog, run, said):
    with caplog.at_level(logging.WARNING):
        warm.make(runtime, run)
    (record,) = caplog.records
    assert "usual pace" in record.getMessage()
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()
    assert not any("AOTCache" in word for word in runtime.command(ADMIN_CLASS))
    caplog.clear()
    warm.make(runtime, run)  # it isn't tried again at every start
    assert not caplog.records


def test_a_disk_without_room_is_left_alone(etl_home, runtime, caplog, monkeypatch):
    monkeypatch.setattr(warm, "ROOM", 10**18)
    with caplog.at_level(logging.WARNING):
        warm.make(runtime, fails)
    assert "MB are free" in caplog.text


def test_what_a_killed_practice_left_is_ended_and_removed(etl_home, monkeypatch):
    runtime = local.ready(lambda _: None)
    left = etl_home / "cache" / "practice" / "neo4j"
    left.mkdir(parents=True)
    local._prepare(left, runtime, lambda _: None)
    server = local._launch(left, runtime)
    monkeypatch.setattr(local, "PRACTICE", ())
    local._practise(runtime, (), lambda _: None)
    assert not left.exists()
    assert not local._is_ours(server.pid, left)
