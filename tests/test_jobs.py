"""An export in parts: the same files whoever writes them, and after whatever kill."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import etl
from etl.cli import main
from etl.errors import BadFile, BadRequest, EtlError
from etl.graph.slices import Source, traced
from etl.sinks import parquet_parts, processes
from etl.sinks.parquet_parts import PartFile, Task, run_by
from tests.parts import hashes, network, network_file, small_parts

pytestmark = pytest.mark.slow
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_file(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_parts():
        yield


def saved(path: Path, folder: Path, **how: Any) -> dict[str, str]:
    """The hashes of an export."""
    options = how.pop("options", {})
    etl.read(path, **options).save(folder, **how)
    return hashes(folder)


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every export of the model is to give."""
    return saved(model, tmp_path_factory.mktemp("whole") / "x.parquet")


@pytest.mark.parametrize("options", [{}, {"fold": True}, {"top_k": 3}, {"layers": ("pool", None)}], ids=str)
def test_the_files_are_the_same_whoever_writes_them(model: Path, options: dict[str, Any], pool: Executor, tmp_path: Path) -> None:
    alone = saved(model, tmp_path / "1.parquet", options=options)
    assert len(alone) > 6, "several parts"
    assert saved(model, tmp_path / "2.parquet", options=options, jobs=2) == alone
    assert saved(model, tmp_path / "3.parquet", options=options, executor=pool) == alone


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.keras", "digits_cnn.onnx", "digits_torch.pt2"])
def test_small_models_too(name: str, pool: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "FILE_ROWS", 5000)  # several parts, some of them empty
    alone = saved(DATA / name, tmp_path / "1.parquet")
    assert saved(DATA / name, tmp_path / "2.parquet", executor=pool) == alone
    with ThreadPoolExecutor(2) as threads:
        assert saved(DATA / name, tmp_path / "3.parquet", executor=threads) == alone
    plain = {row["id"] for row in etl.read(tmp_path / "1.parquet").neurons().read_all().to_pylist()}
    assert len(plain) == etl.read(DATA / name).plan().neurons


def test_the_parts_in_order_are_the_streams(model: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    graph = etl.read(model)
    graph.save(tmp_path / "x.parquet")
    files = sorted((tmp_path / "x.parquet" / "weights").iterdir())
    sizes = [pq.read_metadata(file).num_rows for file in files]
    assert len(files) == 7 and max(sizes) <= 2 * (1 << 18), "of about the same size"
    parts = [pq.read_table(file) for file in files]
    stream = graph.weights().read_all()
    for column in ("source", "target", "weight", "parameter"):
        assert np.array_equal(np.concatenate([part[column].to_numpy() for part in parts]), stream[column].to_numpy(), equal_nan=True)


def test_a_model_in_memory_makes_the_same_parts(whole: dict[str, str], tmp_path: Path) -> None:
    etl.read(network()).save(tmp_path / "x.parquet", jobs=2)
    found = hashes(tmp_path / "x.parquet")
    assert {name: text for name, text in found.items() if name != "model.json"} == {
        name: text for name, text in whole.items() if name != "model.json"
    }


def test_what_isnt_cut_is_written_by_one(model: Path, tmp_path: Path) -> None:
    """Channels; files of one piece are refused."""
    assert saved(model, tmp_path / "1.parquet", options={"granularity": "channel"}) == saved(
        model, tmp_path / "2.parquet", options={"granularity": "channel"}, jobs=2
    )
    with pytest.raises(BadRequest, match="is one file, which one process writes"):
        etl.read(model).save(tmp_path / "x.graphml", jobs=2)
    etl.read(DATA / "digits_cnn.h5").save(tmp_path / "x.npz", jobs=None)


def test_the_command(model: Path, tmp_path: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["etl", "export", str(model), *arguments])
        return main()

    assert run(str(tmp_path / "x.parquet"), "--jobs", "2") == 0
    assert hashes(tmp_path / "x.parquet") == whole
    assert run(str(tmp_path / "csv"), "--for-import", "--jobs", "2") == 1
    assert capsys.readouterr().err.endswith("error: --jobs is for OUT.parquet/ alone: files for the import tool are written by one process\n")


def workers() -> list[int]:
    """The processes that this one started by multiprocessing."""
    return [process.pid for process in multiprocessing.active_children() if process.pid is not None]


def test_a_killed_worker_changes_nothing(model: Path, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    others, killed = set(workers()), list[int]()
    pools: list[Executor] = []

    def opened(*arguments: Any, **keywords: Any) -> ProcessPoolExecutor:
        pools.append(ProcessPoolExecutor(*arguments, **keywords))
        return pools[-1]

    def kill(*_: Any) -> None:
        if not killed:
            killed.append(next(pid for pid in workers() if pid not in others))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(processes, "ProcessPoolExecutor", opened)
    assert saved(model, tmp_path / "x.parquet", jobs=2, progress=kill) == whole
    assert killed and len(pools) == 2, "another pool went on"
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_workers_that_always_die_are_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EtlError, match="take --jobs 1"):
        list(processes.in_processes(2)([Die(), Die()]))  # type: ignore[list-item]


class Die:
    """A task that ends its process."""

    def __call__(self) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


KILLED = """
import os, signal, sys
import etl
from etl.sinks import parquet_parts
parquet_parts.FILE_ROWS, parquet_parts.NEURON_ROWS, parquet_parts.GROUP_ROWS = 1 << 18, 1 << 14, 100_000
files = set()
def progress(what, done, total):
    if what == "weights" and done > total // 3:
        import multiprocessing
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    etl.read(sys.argv[1]).save(sys.argv[2], jobs=int(sys.argv[3]), progress=progress)
"""


@pytest.fixture
def killed(model: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The place of an export that was killed at a third of its weights; what it finished is beside it."""
    script = tmp_path / "export.py"
    script.write_text(KILLED, "utf-8")
    folder = tmp_path / "out" / "x.parquet"
    command = [sys.executable, str(script), str(model), str(folder), str(getattr(request, "param", 1))]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(Path(etl.__file__).parents[1])}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in map(int, done.stdout.split()) if psutil.pid_exists(pid)], 60)
    assert not alive, "workers end with their parent"
    return folder


def unfinished(folder: Path) -> Path:
    (partial,) = folder.parent.iterdir()
    assert partial.name.startswith(".x.parquet.")
    return partial


@pytest.mark.parametrize("killed", [1, 2], indirect=True)
def test_a_killed_export_goes_on(model: Path, killed: Path, whole: dict[str, str]) -> None:
    finished = {path.name: path.stat().st_ino for path in (unfinished(killed) / "weights").glob("*.parquet")}
    assert len(finished) >= 2
    told: list[tuple[str, int, int]] = []
    assert saved(model, killed, jobs=2, progress=lambda *said: told.append(said)) == whole
    assert [path.name for path in killed.parent.iterdir()] == ["x.parquet"]
    after = {path.name: path.stat().st_ino for path in (killed / "weights").iterdir()}
    assert finished.items() <= after.items(), "what was finished stays"
    total = etl.read(model).plan().edges
    assert told[-1][0] != "weights" or told[-1] == ("weights", total, total)
    assert ("weights", total, total) in told and min(done for what, done, _ in told if what == "weights") > total // 3


def test_a_part_that_isnt_whole_is_written_again(model: Path, killed: Path, whole: dict[str, str]) -> None:
    first = unfinished(killed) / "weights" / "000000.parquet"
    first.write_bytes(first.read_bytes()[:-100])
    (unfinished(killed) / "weights" / ".000005.parquet.half").write_bytes(b"half")
    assert saved(model, killed) == whole


@pytest.mark.parametrize("other", [{"options": {"fold": True}}, {"path": DATA / "digits_cnn.h5"}], ids=["selection", "model"])
def test_another_graph_begins_anew(model: Path, killed: Path, other: dict[str, Any], tmp_path: Path) -> None:
    asked = {"path": model, **other}
    expected = saved(**asked, folder=tmp_path / "expected.parquet")
    assert saved(**asked, folder=killed) == expected
    assert [path.name for path in killed.parent.iterdir()] == ["x.parquet"]


def test_an_interrupted_export_goes_on_in_the_same_process(model: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "weights" and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        saved(model, tmp_path / "x.parquet", progress=interrupt)
    assert len(list((unfinished(tmp_path / "x.parquet") / "weights").glob("[0-9]*.parquet"))) >= 2
    assert saved(model, tmp_path / "x.parquet") == whole


def test_a_file_that_changed_is_refused(model: Path) -> None:
    graph = etl.read(model)
    source = Source(model, graph.slices(1)[0].source.selection, "0" * 64)
    with pytest.raises(BadFile, match="is not the file that the slices were cut from"):
        traced(source)


def test_parts_with_other_rows_are_refused(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a part lacks are missed, and nothing of the export stays."""
    whole = PartFile.batches

    def fewer(part: PartFile, graph: Any) -> Any:
        batches = whole(part, graph)
        return batches if part.number != 3 or part.table != "weights" else (batch.slice(1) for batch in batches)

    monkeypatch.setattr(PartFile, "batches", fewer)
    with pytest.raises(BadFile, match="has 1,573,376 weights, its files 1,573,375"):
        etl.read(model).save(tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_a_task_is_small(model: Path, tmp_path: Path) -> None:
    import pickle

    task = Task(parquet_parts.parts_of(etl.read(model)._traced())[0], etl.read(model).slices(1)[0].source, tmp_path, 1000)
    assert len(pickle.dumps(task)) < 1500
    with ThreadPoolExecutor(1) as executor, pytest.raises(FileNotFoundError):  # nobody made the folder
        list(run_by(executor)([task]))
