"""`spark.read.format("neuron")`: a graph's tables as a data source of Spark, made by its tasks when they are asked for.

Filters are not pushed down: Spark, which reads one plan for several queries, would count wrongly. An option `layers` makes fewer rows instead.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from etl import schema
from etl.api import read
from etl.api_graph import Graph
from etl.errors import BadRequest, did_you_mean
from etl.graph.slices import Source, Span, neuron_batches, neuron_pieces, spans_of_size, traced, weight_batches, weight_pieces

ROWS = {"weights": 1 << 22, "neurons": 1 << 20}  # of a partition: some seconds' work
TABLES = (*ROWS, "layers", "outputs")
SQL = {pa.int64(): "bigint", pa.int32(): "int", pa.float32(): "float", pa.float64(): "double", pa.string(): "string", schema.NAMES: "string"}
SQL |= {pa.list_(pa.int32()): "array<int>", pa.list_(pa.string()): "array<string>"}
OPTIONS = {name for name in inspect.signature(read).parameters if name != "source"}


class NeuronSource(DataSource):
    """A model's graph. Options: `path`, the file; `table`, one of weights (the default), neurons, layers, outputs; and those of `etl.read`,
    each as JSON where it is JSON, `layers` also as on the command line: `conv_1..dense_0`.
    """

    @classmethod
    def name(cls) -> str:
        """What `format` takes."""
        return "neuron"

    def schema(self) -> str:
        """The columns of docs/graph.md; names are strings."""
        return ", ".join(f"`{field.name}` {SQL[field.type]}" for field in stream(self.graph(), self.table()).schema)

    def reader(self, schema: Any) -> NeuronReader:
        """What cuts the table into partitions and reads them."""
        return NeuronReader(self)

    def table(self) -> str:
        """Which table is asked for. Raises BadRequest for another than there are."""
        name = str(self.options.get("table", "weights"))
        if name not in TABLES:
            raise BadRequest(f"a graph has no table {name}: table is one of {', '.join(TABLES)}")
        return name

    def graph(self) -> Graph:
        """The graph that is asked for. Raises what `etl.read` raises, BadRequest for an option that it doesn't have."""
        options = {name: text for name, text in self.options.items() if name != "table"}
        if "path" not in options:
            raise BadRequest("no model is named: end with .load('model.h5')")
        return read(on_this_machine(Path(options.pop("path"))), **arguments(options))


class Cut(InputPartition):
    """A partition that is a part of a file's graph."""

    def __init__(self, source: Source, span: Span) -> None:
        super().__init__(span)
        self.source, self.span = source, span


class NeuronReader(DataSourceReader):
    """Reads what a data source is asked for."""

    def __init__(self, source: NeuronSource) -> None:
        self.source = source

    def partitions(self) -> Sequence[InputPartition]:
        """Parts of some millions of rows; one for all of what can't be cut."""
        table, graph = self.source.table(), self.source.graph()
        source = graph._source()
        if table not in ROWS or source is None:
            return [InputPartition(None)]
        pieces = (weight_pieces if table == "weights" else neuron_pieces)(graph._traced())
        return [Cut(source, span) for span in spans_of_size(pieces, ROWS[table])]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of one partition."""
        table = self.source.table()
        if isinstance(partition, Cut):
            graph = traced(replace(partition.source, path=on_this_machine(partition.source.path)))
            batches = (weight_batches if table == "weights" else neuron_batches)(graph, partition.span)
        else:
            batches = iter(stream(self.source.graph(), table))
        return (plain(batch) for batch in batches)


def stream(graph: Graph, table: str) -> pa.RecordBatchReader:
    """A whole table."""
    if table in ROWS:
        return graph.weights() if table == "weights" else graph.neurons()
    return (graph.layers if table == "layers" else graph.outputs).to_reader()


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with names as strings: Spark takes no dictionaries."""
    columns = [column.cast(pa.string()) if column.type == schema.NAMES else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """Options of Spark, which are texts, as `etl.read` takes them. Raises BadRequest for others than it has."""
    values = {}
    for name, text in options.items():
        if name not in OPTIONS:
            raise BadRequest(f"there is no option {name}{did_you_mean(name, OPTIONS)}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    if isinstance(layers := values.get("layers"), str):
        first, dots, last = layers.partition("..")
        if not dots:
            raise BadRequest(f"layers {layers!r} is no range: write it like conv_1..dense_0")
        values["layers"] = (first or None, last or None)
    elif layers is not None:
        values["layers"] = tuple(layers)
    return values


def on_this_machine(path: Path) -> Path:
    """The file of that path, or what `spark.sparkContext.addFile` brought here of its name."""
    brought = None if path.exists() else SparkFiles.get(path.name)
    return Path(brought) if brought and Path(brought).exists() else path
