"""Neo4j's classes kept for quick starts: Java takes them, and where they can't be kept Neo4j does without and says so once."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from etl.errors import FetchError
from etl.store.local import class_cache as warm
from etl.store.local import class_training as practice
from etl.store.local import configuration, training_process
from etl.store.local import server as local
from etl.store.local.class_training import train, trained
from etl.store.local.fetch import ADMIN_CLASS, DEFAULT, MAIN_CLASS, Runtime, fetch
from tests.conftest import QUICK

pytestmark = pytest.mark.slow


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """Java, and a folder without jars."""
    (tmp_path / "jars").mkdir()
    return Runtime(fetch().java, tmp_path / "jars", DEFAULT)


@pytest.mark.parametrize(("main_class", "own", "size"), [(MAIN_CLASS[DEFAULT], configuration.heap(), 1e8), (ADMIN_CLASS, (), 4e7)])
def test_java_takes_neo4js_classes_from_the_file(etl_home, main_class, own, size):
    runtime = fetch()
    assert runtime.kept(main_class).stat().st_size > size
    flags = ("-XX:AOTMode=on", "-Xlog:class+load=info:stdout")  # on: Java refuses to run where it can't take the file
    command = runtime.command(main_class, flags=(*flags, *own))
    command[-1:] = [ADMIN_CLASS, "--version"]  # with the server's file too: a server has nothing that it does and ends
    done = subprocess.run(command, env=local._environment(etl_home), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:]
    assert done.stdout.count("source: shared objects file") > 300  # this Java brings no such file of its own


def test_they_are_made_once(etl_home, monkeypatch):
    assert trained(fetch())
    monkeypatch.setattr(warm, "watch", fails)
    train()
    assert not [path for path in (etl_home / "cache" / "practice").iterdir() if path.suffix != ".lock"]


def fails(*_: object) -> None:
    raise FetchError("Neo4j did not start: its reason")


def records_nothing(_: tuple[str, ...]) -> None:
    """Java has nothing to go on."""


@pytest.mark.parametrize(("run", "said"), [(fails, "its reason"), (records_nothing, r"recorded")])
def test_without_them_neo4j_starts_at_its_usual_pace(etl_home, runtime, caplog, run, said):
    with caplog.at_level(logging.WARNING):
        warm.make(runtime, ADMIN_CLASS, run)
    (record,) = caplog.records
    assert "usual pace" in record.getMessage()
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()
    assert not any("AOTCache" in word for word in runtime.command(ADMIN_CLASS))
    caplog.clear()
    warm.make(runtime, ADMIN_CLASS, run)  # it isn't tried again at every start
    assert not caplog.records


def test_a_disk_without_room_is_left_alone(etl_home, runtime, caplog, monkeypatch):
    monkeypatch.setattr(warm, "ROOM", 10**18)
    with caplog.at_level(logging.WARNING):
        warm.make(runtime, ADMIN_CLASS, fails)
    assert "MB are free" in caplog.text


def test_another_javas_file_and_what_a_killed_maker_left_are_removed(etl_home, runtime):
    (runtime.jars / "AdminTool-1.2.3.aot").touch()
    (runtime.jars / "AdminTool.work").mkdir()
    (runtime.jars / "AdminTool.work" / "recorded").touch()
    warm.make(runtime, ADMIN_CLASS, fails)
    assert [path.name for path in runtime.jars.iterdir()] == [runtime.kept(ADMIN_CLASS).name]


def test_they_are_made_again_where_the_jars_are_others(etl_home, runtime):
    """As in a cache folder that was copied: Java refuses a file that was made with jars of another time, and says so at every start."""
    for name in ("neo4j-command-line", "neo4j-common", "picocli", "commons-lang3"):  # all that the tool needs for its first words
        (jar,) = fetch().jars.glob(f"{name}-[0-9]*.jar")
        shutil.copy(jar, runtime.jars)

    def says(flags: tuple[str, ...] = ()) -> str:
        return subprocess.run(
            runtime.command(ADMIN_CLASS, flags=flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        ).stdout

    for moment in (1e9, 1e9 + 1):
        for jar in runtime.jars.glob("*.jar"):
            os.utime(jar, (moment, moment))
        assert says() == "Required environment variable 'NEO4J_HOME' is not set\n"
        warm.make(runtime, ADMIN_CLASS, says)
        assert says(("-XX:AOTMode=on",)) == "Required environment variable 'NEO4J_HOME' is not set\n"  # else Java refuses to run without the file
        assert [path for path in runtime.jars.iterdir() if path.suffix != ".jar"] == [runtime.kept(ADMIN_CLASS)]


def test_what_a_killed_practice_left_is_ended_and_removed(etl_home, monkeypatch):
    runtime = fetch()
    left = etl_home / "cache" / "practice" / "neo4j"
    left.mkdir(parents=True)
    local.prepare(left)
    server = local.launch(left, runtime)
    monkeypatch.setattr(practice, "STATEMENTS", ())
    practice.serve(runtime, ())
    assert not left.exists()
    assert not local._is_ours(server.pid, left)


def test_an_import_that_is_practised_leaves_nothing(etl_home, monkeypatch):
    monkeypatch.setattr(practice, "SIDE", 10)
    practice.import_some(())
    assert not (etl_home / "cache" / "practice" / "beside").exists()


@pytest.fixture
def untrained(etl_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ETL_HOME of its own, with Neo4j's jars and nothing that was practised."""
    for file in fetch().jars.iterdir():
        if file.suffix in (".jar", "") and file.is_file():
            copy = tmp_path / "cache" / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    monkeypatch.setenv("ETL_HOME", str(tmp_path))
    assert not trained(fetch())
    yield tmp_path
    etl("neo4j", "stop")


def etl(*arguments: str) -> str:
    """A command in a process of its own: the background begins where it ends."""
    command, environment = [sys.executable, "-m", "etl", *arguments], os.environ | {"JAVA_TOOL_OPTIONS": QUICK}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=training_process.TOP).stdout


def records(process: psutil.Process) -> bool:
    """Whether it is Java that watches a program. False for one that has just ended."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "-XX:AOTMode=record" in process.cmdline()
    return False


def works(process: psutil.Process) -> bool:
    """False for what is gone, or has ended and was not fetched by its parent."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def first(search: Callable[[], Iterator[psutil.Process]]) -> psutil.Process:
    """The process that comes up."""
    while True:  # ended by the test's own time
        for process in search():
            return process


def test_programs_are_practised_behind_the_first_command(untrained):
    assert "is running" in etl("neo4j", "start")  # its output ends with it, though the practice goes on
    (trainer,) = training_process.running()
    java = first(lambda: (child for child in trainer.children(recursive=True) if records(child)))
    assert trainer.nice() == java.nice() == training_process.LEAST
    if os.access(training_process.AUTOGROUP, os.W_OK):
        assert {Path(f"/proc/{process.pid}/autogroup").read_text().split()[-1] for process in (trainer, java)} == {"19"}
    served = psutil.Process(local.status().pid)
    assert served.pid != java.pid
    assert "stopped" in etl("neo4j", "stop")
    assert not any(map(works, (trainer, java, served)))
    assert not (untrained / "cache" / "practice").exists()
    etl("neo4j", "start")
    assert any(training_process.running())
    etl("neo4j", "start")
    assert len(list(training_process.running())) == 1


def test_practice_begins_when_its_starter_has_ended(etl_home):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starter:
        command = [sys.executable, "-c", training_process.CODE, str(etl_home / "cache"), DEFAULT, str(starter.pid)]
        with subprocess.Popen(command, cwd=training_process.TOP, start_new_session=True) as trainer:
            with pytest.raises(subprocess.TimeoutExpired):
                trainer.wait(1)
            starter.kill()
            assert trainer.wait() == 0  # all was practised before
