"""A cluster in processes of their own: what an executor takes with it when it is killed is done again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import etl
import etl.spark
from etl.sinks.parquet_parts import Task
from tests import spark as sparks
from tests.parts import hashes, network_file, small_parts
from tests.test_spark import dying

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Two executors of one core and 1,024 MB."""
    with sparks.session(tmp_path_factory.mktemp("cluster"), "local-cluster[2,1,1024]") as session:
        yield session


def killed_with_its_executor(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    """Write a part; at the first attempt at one of them, end the executor's Java and this process."""

    def how() -> None:
        executor = next(process for process in psutil.Process().parents() if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()))
        executor.kill()
        os.kill(os.getpid(), signal.SIGKILL)

    return dying(numbered, how)


def test_a_killed_executor_changes_nothing(cluster: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network_file(tmp_path)
    folder = tmp_path / "out"
    with small_parts():
        etl.read(model).save(tmp_path / "alone.parquet")
        monkeypatch.setattr(etl.spark, "write", killed_with_its_executor)
        etl.spark.export(cluster, model, folder / "x.parquet")
    assert (folder / "tried").exists(), "the part was tried before"
    assert hashes(folder / "x.parquet") == hashes(tmp_path / "alone.parquet")
    assert etl.spark.weights(cluster, tmp_path / "network.onnx").count() == etl.read(tmp_path / "network.onnx").plan().edges
