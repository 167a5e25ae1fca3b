"""A cluster in processes of their own: what an executor takes with it when it is killed is done again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import etl
import etl.spark
from tests import spark as sparks
from tests.dying import killed_with_its_executor
from tests.parts import hashes, network_file, small_parts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Two executors of one core and 1,024 MB."""
    with sparks.session(tmp_path_factory.mktemp("cluster"), "local-cluster[2,1,1024]") as session:
        yield session


def test_a_killed_executor_changes_nothing(cluster: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network_file(tmp_path)
    folder = tmp_path / "out"
    with small_parts():
        etl.read(model).save(tmp_path / "alone.parquet")
        monkeypatch.setattr(etl.spark, "write", killed_with_its_executor)
        etl.spark.export(cluster, model, folder / "x.parquet")
    assert (folder / "tried").exists(), "the part was tried before"
    assert hashes(folder / "x.parquet") == hashes(tmp_path / "alone.parquet")
    assert etl.spark.weights(cluster, DIGITS).count() == etl.read(DIGITS).plan().edges
