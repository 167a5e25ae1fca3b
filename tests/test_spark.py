"""Spark writes the files that this machine writes, once, whatever dies; its tables are the graph's, and docs/scale.md says true things of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import etl
import etl.spark
from etl.errors import BadFile, BadRequest
from etl.sinks.parquet_parts import Task
from tests import spark as sparks
from tests.dying import fails, killed, raises
from tests.parts import hashes, network_file, small_parts
from tests.test_docs import PAGES, blocks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HERE = Path(__file__).parent
DIGITS = HERE / "data" / "digits_cnn.h5"
PAGE = next(page for page in PAGES if page.name == "scale.md")
MOST = 2  # attempts at a task
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


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


@pytest.mark.parametrize("write", [raises, killed])
def test_a_task_that_dies_is_done_once(
    spark: SparkSession, model: Path, write: Any, tmp_path: Path, whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etl.spark, "write", write)
    etl.spark.export(spark, model, tmp_path / "x.parquet")
    assert (tmp_path / "tried").exists()
    assert hashes(tmp_path / "x.parquet") == whole


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
    from pyspark.sql import functions

    graph = etl.read(model)
    expected = graph.weights().read_all().to_pandas()
    found = etl.spark.weights(spark, model)
    assert found.columns == list(expected.columns) and found.rdd.getNumPartitions() == 1
    sums = ("count(*)", "sum(source)", "sum(target)", "sum(cast(weight as double))", "coalesce(sum(parameter), 0)")
    by_layer = {name: values for name, *values in found.groupBy("layer").agg(*map(functions.expr, sums)).collect()}
    assert {name: count for name, (count, *_) in by_layer.items()} == {row["name"]: row["edges"] for row in graph.layers.to_pylist() if row["edges"]}
    for name, part in expected.groupby("layer", observed=True):
        wanted = [len(part), part.source.sum(), part.target.sum(), part.weight.astype(float).sum(), part.parameter.sum()]
        assert by_layer[name] == pytest.approx(wanted, rel=1e-9), name


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


# docs/scale.md: what its SQL answers is what NumPy and NetworkX say


@pytest.fixture(scope="module")
def page(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the program of docs/scale.md leaves, run from its top to its end; `answers` are those of its SQL, in their order."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "tests").symlink_to(HERE, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names: dict[str, Any] = {"__name__": "__main__", "answers": []}
        for language, text in blocks(PAGE):
            if language == "python":
                exec(compile(text, PAGE.name, "exec"), names)
            elif language == "sql":
                names["answers"].append(spark.sql(text).toPandas())
        yield names


@pytest.fixture(scope="module")
def weights() -> pd.DataFrame:
    return etl.read(DIGITS).weights().read_pandas()


def test_weight_statistics(page: dict[str, Any]) -> None:
    import h5py

    found = page["answers"][0].set_index("layer")
    with h5py.File(DIGITS) as file:
        for layer in ("strokes", "shapes", "digit"):
            kernels: list[np.ndarray] = []
            file["model_weights"][layer].visititems(lambda name, item, kernels=kernels: kernels.append(item[()]) if "kernel" in name else None)
            (kernel,) = kernels
            expected = [kernel.size, kernel.mean(dtype=float), kernel.std(dtype=float, ddof=1), kernel.min(), kernel.max()]
            assert found.loc[layer].tolist() == pytest.approx(expected, rel=1e-5), layer
    assert set(found.index) == {"strokes", "shapes", "digit"}


def test_strength_and_degrees(page: dict[str, Any], weights: pd.DataFrame) -> None:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(1306))
    graph.add_weighted_edges_from(weights[["source", "target", "weight"]].astype({"weight": float}).itertuples(index=False))
    strength, degrees = page["answers"][1].set_index("id").sort_index(), page["answers"][2].set_index("degree")
    np.testing.assert_allclose(strength.incoming, [graph.in_degree(n, "weight") for n in range(1306)], atol=1e-5)
    np.testing.assert_allclose(strength.outgoing, [graph.out_degree(n, "weight") for n in range(1306)], atol=1e-5)
    for column, degree in (("into_them", graph.in_degree()), ("out_of_them", graph.out_degree())):
        counted = pd.Series([d for _, d in degree if d]).value_counts()
        assert degrees[column][degrees[column] > 0].to_dict() == counted.to_dict()


def test_thresholds(page: dict[str, Any], weights: pd.DataFrame) -> None:
    found = page["answers"][3].set_index("layer")
    assert found.weights.to_dict() == weights.layer.value_counts().loc[found.index].to_dict()
    assert found.kept.sum() == (weights.weight.abs() >= np.float32(0.1)).sum()


def test_dead_sources(page: dict[str, Any]) -> None:
    """The network has none; of its two strongest weights into each neuron it has."""
    assert page["answers"][4].empty
    pruned = etl.read(DIGITS, top_k=2)
    spark, text = page["spark"], [text for language, text in blocks(PAGE) if language == "sql"][4]
    etl.spark.weights(spark, DIGITS, top_k=2).createOrReplaceTempView("weights")
    read = set(pruned.weights().read_all()["source"].to_pylist())
    assert spark.sql(text).toPandas().id.tolist() == [n for n in range(1296) if n not in read]


def test_paths(page: dict[str, Any], weights: pd.DataFrame) -> None:
    ways = np.ones(1306)
    for target, sources in weights.groupby("target").source:
        ways[target] = ways[sources].sum()
    assert page["paths"] == ways[1296:].sum()


def test_forward(page: dict[str, Any]) -> None:
    pixels = np.array(json.loads((HERE / "data" / "four.json").read_text("utf-8")))
    (expected,) = etl.read(DIGITS).forward(pixels.reshape(8, 8, 1))
    np.testing.assert_allclose([row.value for row in page["answer"]], expected[0], rtol=1e-6, atol=1e-12)
