"""Parquet files, one a part of a graph: each is written under another name and renamed, so that one that is there is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from etl import schema
from etl.errors import EtlError
from etl.graph.slices import Source, Span, neuron_batches, neuron_pieces, spans_of_size, traced, weight_batches, weight_pieces
from etl.graph.traced import Graph
from etl.streams import batched_by_size

GROUP_ROWS = 1 << 20  # of a row group: 32 MB of weights
FILE_ROWS = 1 << 24  # of a file of weights
NEURON_ROWS = 1 << 22  # of a file of neurons, which take longer


@dataclass(frozen=True)
class PartFile:
    """One file of a table.

    table  `neurons` or `weights`
    span   what of the graph's stream is in it
    """

    table: str
    number: int
    span: Span

    @property
    def file(self) -> str:
        """Its place in the folder; names sort into the order of rows."""
        return f"{self.table}/{self.number:06d}.parquet"

    def batches(self, graph: Graph) -> Iterator[pa.RecordBatch]:
        """Its rows."""
        return (neuron_batches if self.table == "neurons" else weight_batches)(graph, self.span)

    def write(self, graph: Graph, folder: Path, rows: int, batches: Iterable[pa.RecordBatch]) -> int:
        """Write the file in row groups of so many rows; how many rows it has."""
        fields = (schema.neurons if self.table == "neurons" else schema.weights)(graph.dtype)
        return write_file(batches, fields, folder / self.file, rows)


@dataclass(frozen=True)
class Task:
    """A part to be written by somebody else, who has the model's file and the folder: a few hundred bytes, picklable."""

    part: PartFile
    source: Source
    folder: Path
    rows: int

    def __call__(self) -> int:
        """Write it; how many rows it has."""
        graph = traced(self.source)
        return self.part.write(graph, self.folder, self.rows, self.part.batches(graph))


Run = Callable[[Sequence[Task]], Iterator[tuple[Task, int]]]  # runs tasks somewhere: each when it is done, with its rows, in any order


def parts_of(graph: Graph) -> list[PartFile]:
    """The files of a graph: the same ones, whoever writes them. Weights about FILE_ROWS each."""
    parts = []
    for table, pieces, rows in (("neurons", neuron_pieces(graph), NEURON_ROWS), ("weights", weight_pieces(graph), FILE_ROWS)):
        parts += [PartFile(table, number, span) for number, span in enumerate(spans_of_size(pieces, rows))]
    return parts


def write_file(batches: Iterable[pa.RecordBatch], fields: pa.Schema, path: Path, rows: int) -> int:
    """One file in row groups of at most so many rows; how many rows it has. Raises EtlError where it has not those that were given."""
    partial, row_count = path.with_name(f".{path.name}.{uuid4().hex}"), 0
    try:
        with writer(partial, fields) as file:
            for group in row_groups(batches, rows):
                file.write_table(group, rows)
                row_count += group.num_rows
        if (written := rows_in(partial)) != row_count:
            raise EtlError(f"{path} has {written} rows and not {row_count:,}: the disk does not keep what is written")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return row_count


def rows_in(path: Path) -> int | None:
    """How many rows a file has; None where it is no whole Parquet file."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return None


def row_groups(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Batches put together, up to a row group each."""
    for group in batched_by_size(batches, lambda batch: batch.num_rows, rows):
        yield pa.Table.from_batches(group)


def writer(path: Path, fields: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file: ids as differences, names as dictionaries, which is smaller and faster than the defaults; weights as they are."""
    names = [field.name for field in fields if pa.types.is_dictionary(field.type)]
    ids = {field.name: "DELTA_BINARY_PACKED" for field in fields if pa.types.is_int64(field.type)}
    return pq.ParquetWriter(path, fields, compression="zstd", use_dictionary=names, column_encoding=ids)


def run_by(executor: Executor) -> Run:
    """Tasks run by an executor: processes, threads, Dask's workers."""

    def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, int]]:
        futures: dict[Future[int], Task] = {executor.submit(task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()

    return run
