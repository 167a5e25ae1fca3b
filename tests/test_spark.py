"""Spark writes the files that this machine writes, once, whatever dies; its tables are the graph's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import etl
import etl.spark
from etl.errors import BadFile, BadRequest
from etl.graph.slices import traced
from etl.sinks.parquet_parts import Task
from tests import spark as sparks
from tests.parts import hashes, network_file, small_parts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
MOST = 4  # attempts at a task
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_parts():
        yield


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with sparks.session(tmp_path_factory.mktemp("spark"), f"local[2,{MOST}]") as session:
        yield session


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_file(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every export of the model is to give."""
    folder = tmp_path_factory.mktemp("whole") / "x.parquet"
    etl.read(model).save(folder)
    return hashes(folder)


@pytest.mark.parametrize("options", [{}, {"fold": True, "top_k": 5}], ids=str)
def test_an_export_is_that_of_one_process(spark: SparkSession, model: Path, options: dict[str, Any], tmp_path: Path) -> None:
    written = etl.spark.export(spark, model, tmp_path / "spark.parquet", **options)
    graph = etl.read(model, **options)
    graph.save(tmp_path / "alone.parquet")
    assert (written.neurons, written.edges) == (graph.plan().neurons, graph.plan().edges)
    assert hashes(tmp_path / "spark.parquet") == hashes(tmp_path / "alone.parquet")


def first_time(task: Task) -> bool:
    """Whether this is the first attempt at the fourth part of the weights."""
    if (task.part.table, task.part.number) != ("weights", 3):
        return False
    try:
        (task.folder.parent / "tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def dying(numbered: tuple[int, Task], how: Any) -> tuple[int, int | str]:
    """Write a part; at the first attempt at one of them, die in the middle of the file."""
    number, task = numbered
    if not first_time(task):
        return number, task()
    graph = traced(task.source)

    def batches() -> Iterator[Any]:
        for batch in task.part.batches(graph):
            yield batch
            how()

    return number, task.part.write(graph, task.folder, 1000, batches())


def raises(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    def how() -> None:
        raise OSError("the disk is away")

    return dying(numbered, how)


def killed(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    return dying(numbered, lambda: os.kill(os.getpid(), signal.SIGKILL))


@pytest.mark.parametrize("write", [raises, killed])
def test_a_task_that_dies_is_done_once(
    spark: SparkSession, model: Path, write: Any, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etl.spark, "write", write)
    etl.spark.export(spark, model, tmp_path / "x.parquet")
    assert (tmp_path / "tried").exists()
    assert hashes(tmp_path / "x.parquet") == whole


def fails(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    number, task = numbered
    if number > 2:
        raise OSError("the disk is away")
    return number, task()


def test_an_export_that_broke_goes_on(
    spark: SparkSession, model: Path, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(etl.spark, "write", fails)
        with pytest.raises(Exception, match="the disk is away"):
            etl.spark.export(spark, model, tmp_path / "x.parquet")
    (partial,) = tmp_path.iterdir()
    finished = {path.name: path.stat().st_ino for path in (partial / "neurons").glob("[0-9]*.parquet")}
    assert finished
    etl.spark.export(spark, model, tmp_path / "x.parquet")
    assert hashes(tmp_path / "x.parquet") == whole
    assert finished.items() <= {path.name: path.stat().st_ino for path in (tmp_path / "x.parquet" / "neurons").iterdir()}.items()


def test_the_model_may_be_brought_by_spark(spark: SparkSession, model: Path, tmp_path: Path, whole: dict[str, str]) -> None:
    """Executors that don't see its path."""
    spark.sparkContext.addFile(str(model))
    parts: list[tuple[Task, int]] = []

    def elsewhere(tasks: list[Task]) -> Iterator[tuple[Task, int]]:
        lost = [replace(task, source=replace(task.source, path=Path("/nowhere") / model.name)) for task in tasks]
        for task, (_, rows) in zip(tasks, etl.spark.by_tasks(spark)(lost), strict=True):
            parts.append((task, rows))
            yield task, rows

    etl.read(model)._write(tmp_path / "x.parquet", elsewhere)
    assert parts and hashes(tmp_path / "x.parquet") == whole


def test_another_file_on_an_executor_is_told(spark: SparkSession, model: Path, tmp_path: Path) -> None:
    def changed(tasks: list[Task]) -> Iterator[tuple[Task, int]]:
        yield from etl.spark.by_tasks(spark)([replace(task, source=replace(task.source, sha256="0" * 64)) for task in tasks])

    with pytest.raises(etl.EtlError, match="is not the file that the slices were cut from"):
        etl.read(model)._write(tmp_path / "x.parquet", changed)


def test_data_frames_are_the_tables(spark: SparkSession, model: Path) -> None:
    graph = etl.read(model)
    expected = graph.weights().read_all().to_pandas()
    found = etl.spark.weights(spark, model)
    assert found.columns == list(expected.columns) and found.rdd.getNumPartitions() == 1
    (row,) = found.selectExpr("count(*)", "sum(source)", "sum(target)", "sum(cast(weight as double))", "sum(parameter)").collect()
    sums = [len(expected), expected.source.sum(), expected.target.sum(), expected.weight.astype(float).sum(), expected.parameter.sum()]
    assert list(row) == pytest.approx(sums, rel=1e-9)
    by_layer = {row["layer"]: row["count"] for row in found.groupBy("layer").count().collect()}
    assert by_layer == {row["name"]: row["edges"] for row in graph.layers.to_pylist() if row["edges"]}


def test_all_tables_of_a_small_graph(spark: SparkSession) -> None:
    graph = etl.read(DIGITS)
    frames = (etl.spark.neurons(spark, DIGITS), etl.spark.layers(spark, DIGITS), etl.spark.outputs(spark, DIGITS), etl.spark.weights(spark, DIGITS))
    for frame, table in zip(frames, (graph.neurons().read_all(), graph.layers, graph.outputs, graph.weights().read_all()), strict=True):
        assert [row.asDict() for row in frame.collect()] == table.to_pylist()


def test_several_partitions(spark: SparkSession, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.spark import source

    reader = source.NeuronReader(source.NeuronSource({"path": str(model)}))
    monkeypatch.setitem(source.ROWS, "weights", 1 << 18)
    cuts = reader.partitions()
    assert len(cuts) == 7
    rows = [row for cut in cuts for batch in reader.read(cut) for row in batch.column("target").to_pylist()]
    assert rows == etl.read(model).weights().read_all()["target"].to_pylist()


def test_sql(spark: SparkSession) -> None:
    """Options are texts; a frame that is filtered and read again counts what is there."""
    etl.spark.register(spark)
    frame = spark.read.format("neuron").option("table", "weights").option("layers", "shapes..digit").option("Top_K", 2).load(str(DIGITS))
    graph = etl.read(DIGITS, layers=("shapes", "digit"), top_k=2)
    weights = graph.weights().read_all().to_pandas()
    frame.createOrReplaceTempView("w")
    strong = spark.sql("SELECT count(*) AS n FROM w WHERE abs(weight) > 0.3 AND layer = 'digit'").collect()[0]["n"]
    assert strong == int(((weights.weight.abs() > 0.3) & (weights.layer == "digit")).sum())
    assert (frame.filter("layer = 'pool'").count(), frame.count()) == ((weights.layer == "pool").sum(), len(weights))


def test_graphs_that_are_not_cut(spark: SparkSession, tmp_path: Path) -> None:
    channels = etl.read(DIGITS, granularity="channel")
    found = etl.spark.weights(spark, DIGITS, granularity="channel").collect()
    assert [row["weight"] for row in found] == channels.weights().read_all()["weight"].to_pylist()
    channels.save(tmp_path / "x.parquet")
    assert etl.spark.weights(spark, tmp_path / "x.parquet").count() == len(found)
    assert [row["name"] for row in etl.spark.layers(spark, tmp_path / "x.parquet").collect()] == channels.layers["name"].to_pylist()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"topk": "3"}, r"no option topk \(did you mean top_k\?\)"),
        ({"table": "edges"}, "no table edges"),
        ({"layers": "pool"}, "write it like conv_1..dense_0"),
        ({}, "no model is named"),
    ],
)
def test_wrong_options_are_told(options: dict[str, str], fault: str) -> None:
    from etl.spark.source import NeuronSource

    with pytest.raises(BadRequest, match=fault):
        NeuronSource({"path": str(DIGITS), **options} if options else {}).schema()


def test_a_missing_file_is_told(spark: SparkSession) -> None:
    with pytest.raises(Exception, match=r"nothing\.h5"):
        etl.spark.weights(spark, "nothing.h5").count()
    with pytest.raises(BadFile):
        etl.spark.export(spark, "nothing.h5", "x.parquet")
