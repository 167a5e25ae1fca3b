"""The graph as a folder of Parquet files: model.json, layers, outputs, and neurons and weights in numbered files whose names sort into order.

The folder appears when it is complete: it is written beside its place and then moved there.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etl import schema
from etl.errors import BadRequest
from etl.graph import batches as extract
from etl.graph.protocol import Graph
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches
from etl.streams import batched_by_size
from etl.version import VERSION

FORMAT = "neuron-etl"  # how a folder says that it is ours
GROUP_ROWS = 1 << 20  # of a row group: 32 MB of weights
FILE_ROWS = 1 << 24  # of a file


@dataclass(frozen=True)
class Parquet:
    """A folder for a graph, in place of an earlier export. Memory stays flat whatever the number of weights."""

    folder: Path

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Write all files. Raises BadRequest where the folder is something else or can't be written."""
        folder = self.folder.absolute()
        if os.path.lexists(folder) and not is_ours(folder):
            raise BadRequest(f"{folder} is there already and is no earlier export: choose another name, or move it away")
        try:
            with in_place(folder) as partial:
                write_all(graph, partial, progress)
        except OSError as error:
            raise BadRequest(f"{folder} can't be written ({error.strerror or error}): choose another place for it") from error
        return Written(graph.neurons, graph.edges)


def write_all(graph: Graph, folder: Path, progress: Progress) -> None:
    """All files of the folder."""
    (folder / "model.json").write_text(json.dumps(description(graph), indent=2) + "\n", "utf-8")
    pq.write_table(extract.layer_table(graph), folder / "layers.parquet")
    pq.write_table(extract.output_table(graph), folder / "outputs.parquet")
    write_files(neuron_batches(graph, progress), schema.neurons(graph.dtype), folder / "neurons")
    write_files(weight_batches(graph, progress), schema.weights(graph.dtype), folder / "weights")


def description(graph: Graph) -> dict[str, Any]:
    """What model.json says: where the graph comes from and how much of it there is."""
    model = graph.model
    return {
        "format": FORMAT,
        "etlVersion": VERSION,
        "name": model.name,
        "sha256": model.sha256,
        "modelFormat": model.format,
        "keras": model.version,
        "selection": graph.selection,
        "neurons": graph.neurons,
        "edges": graph.edges,
        "parameters": graph.parameters,
        "inputs": [{"name": step.name, "shape": list(step.shape)} for step in graph.inputs],
        "outputs": [
            {"name": name, "shape": None if ids is None else list(ids.shape)}  # a graph of layers alone returns no neurons
            for name, ids in zip_longest(graph.output_names, graph.outputs)
        ],
        "labels": {row.name: row.label for row in graph.rows if row.label != row.name},
    }


def write_files(batches: Iterable[pa.RecordBatch], fields: pa.Schema, folder: Path) -> None:
    """One table in files of bounded size; an empty table is one empty file."""
    folder.mkdir()
    groups = row_groups(batches)
    number, group = 0, next(groups, None)
    while True:
        with writer(folder / f"{number:06d}.parquet", fields) as file:
            rows = 0
            while group is not None and (not rows or rows + group.num_rows <= FILE_ROWS):
                file.write_table(group, GROUP_ROWS)
                rows += group.num_rows
                group = next(groups, None)
        number += 1
        if group is None:
            return


def row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together, up to a row group each."""
    for held in batched_by_size(batches, lambda batch: batch.num_rows, GROUP_ROWS):
        yield pa.Table.from_batches(held)


def writer(path: Path, fields: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file: ids as differences, names as dictionaries, which is smaller and faster than the defaults; weights as they are."""
    names = [field.name for field in fields if pa.types.is_dictionary(field.type)]
    ids = {field.name: "DELTA_BINARY_PACKED" for field in fields if pa.types.is_int64(field.type)}
    return pq.ParquetWriter(path, fields, compression="zstd", use_dictionary=names, column_encoding=ids)


def is_ours(folder: Path) -> bool:
    """True for a folder that an export wrote, with nothing else in it."""
    try:
        said = json.loads((folder / "model.json").read_text("utf-8"))
        names = {path.name for path in folder.iterdir()}
    except (OSError, ValueError):
        return False
    return (
        isinstance(said, dict) and said.get("format") == FORMAT and names <= {"model.json", "layers.parquet", "outputs.parquet", "neurons", "weights"}
    )


@contextmanager
def in_place(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when it is complete, and goes when it isn't."""
    sweep(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = partial.with_suffix(".old")
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what an export into `folder` left behind that was killed."""
    import psutil

    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*.partial"):
        killed = re.fullmatch(r"\.(\d+)\.partial", path.name.removeprefix(f".{folder.name}"))
        if killed and not psutil.pid_exists(int(killed[1])):
            shutil.rmtree(path, ignore_errors=True)
