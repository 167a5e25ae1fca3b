"""Graphs on a Spark cluster: written in parts by its executors, or as DataFrames.

Executors have the model's file (at the same path, or by `spark.sparkContext.addFile`) and this package, by `PYSPARK_PYTHON`. Of what it depends
on they import numpy, pyarrow and what reads the file (h5py, onnx ...), and no framework. A task is a slice of the graph: it traces the file once in a
process, and makes its rows from there. Tasks that fail, and those of executors that die, are run again by Spark; a part is there once, or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.api import is_tables, read
from etl.errors import EtlError
from etl.extras import needed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from etl.sinks.parquet_parts import Run, Task
    from etl.sinks.protocol import Written

__all__ = ["export", "layers", "neurons", "outputs", "register", "weights"]


def export(spark: SparkSession, model: str | PathLike[str], folder: str | PathLike[str], **options: Any) -> Written:
    """Write a graph to a folder `x.parquet` that the executors share, by their tasks: the very files that `etl export` writes.

    options  as for `etl.read`
    Raises what `Graph.save` raises. Where the driver was killed, the same call goes on with the parts that are finished.
    """
    return read(model, **options)._write(Path(folder), by_tasks(spark))


def by_tasks(spark: SparkSession) -> Run:
    """Tasks run by Spark's."""

    def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, int]]:
        if not tasks:
            return
        written = spark.sparkContext.parallelize(list(enumerate(tasks)), len(tasks)).map(write).collect()
        for number, rows in written:
            if isinstance(rows, str):
                raise EtlError(rows)
            yield tasks[number], rows

    return run


def write(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    """Write one part on an executor: its number, and its rows or what is wrong with the model, which another attempt would not mend."""
    from etl.spark.source import on_this_machine

    number, task = numbered
    try:
        return number, replace(task, source=replace(task.source, path=on_this_machine(task.source.path)))()
    except EtlError as error:
        return number, str(error)


def weights(spark: SparkSession, model: str | PathLike[str], **options: Any) -> DataFrame:
    """One row a weight: source, target, weight, parameter, layer. Made when they are asked for, by the executors; nothing is stored.

    model    a file, or a folder of tables `x.parquet`, which all executors see
    options  as for `etl.read`
    """
    return table(spark, model, "weights", options)


def neurons(spark: SparkSession, model: str | PathLike[str], **options: Any) -> DataFrame:
    """One row a neuron: id, layer, index, op, bias, activation. The rest as for `weights`."""
    return table(spark, model, "neurons", options)


def layers(spark: SparkSession, model: str | PathLike[str], **options: Any) -> DataFrame:
    """One row a layer: the layer table of docs/graph.md. The rest as for `weights`."""
    return table(spark, model, "layers", options)


def outputs(spark: SparkSession, model: str | PathLike[str], **options: Any) -> DataFrame:
    """What each output of the model returns: output, position, id. The rest as for `weights`."""
    return table(spark, model, "outputs", options)


def table(spark: SparkSession, model: str | PathLike[str], name: str, options: dict[str, Any]) -> DataFrame:
    """One table of a graph."""
    path = Path(model).absolute()
    if is_tables(path) and not options:
        return spark.read.parquet(str(path / name if name in ("weights", "neurons") else path / f"{name}.parquet"))
    register(spark)
    texts = {key: json.dumps(os.fspath(value) if isinstance(value, PathLike) else value) for key, value in options.items()}
    return spark.read.format("neuron").options(table=name, **texts).load(str(path))


def register(spark: SparkSession) -> None:
    """Make `spark.read.format("neuron")` known: see `etl.spark.source`. Raises Missing where PySpark isn't installed."""
    needed("pyspark")
    from etl.spark.source import NeuronSource

    spark.dataSource.register(NeuronSource)
