"""The graph as a folder of Parquet files: model.json, layers, outputs, and neurons and weights in numbered files whose names sort into order.

The folder appears when it is complete: it is written beside its place and then moved there.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etl import schema
from etl.errors import BadRequest
from etl.graph import batches as extract
from etl.graph.trace import Graph
from etl.version import VERSION

FORMAT = "neuron-etl"  # how a folder says that it is ours
GROUP_ROWS = 1 << 20  # of a row group: 32 MB of weights
FILE_ROWS = 1 << 24  # of a file
Progress = Callable[[str, int, int], None]


def export(graph: Graph, folder: Path, progress: Progress = lambda *_: None) -> None:
    """Write the graph into `folder`, in place of an earlier export.

    progress  is told what is written (`neurons`, `weights`), how many are done and how many there are

    Memory stays flat whatever the number of weights. Raises BadRequest where the folder is something else or can't be written.
    """
    folder = folder.absolute()
    if os.path.lexists(folder) and not is_ours(folder):
        raise BadRequest(f"{folder} is there already and is no earlier export: choose another name, or move it away")
    try:
        with in_place(folder) as partial:
            write(graph, partial, progress)
    except OSError as error:
        raise BadRequest(f"{folder} can't be written ({error.strerror or error}): choose another place for it") from error


def write(graph: Graph, folder: Path, progress: Progress) -> None:
    """All files of the folder."""
    (folder / "model.json").write_text(json.dumps(description(graph), indent=2) + "\n", "utf-8")
    pq.write_table(extract.layer_table(graph), folder / "layers.parquet")
    pq.write_table(extract.output_table(graph), folder / "outputs.parquet")
    write_files(extract.neuron_batches(graph), schema.neurons(graph.dtype), folder / "neurons", lambda done: progress("neurons", done, graph.neurons))
    write_files(extract.weight_batches(graph), schema.weights(graph.dtype), folder / "weights", lambda done: progress("weights", done, graph.edges))


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
        "neurons": graph.neurons,
        "edges": graph.edges,
        "parameters": graph.parameters,
        "inputs": [{"name": step.name, "shape": list(step.shape)} for step in graph.inputs],
        "outputs": [{"shape": list(ids.shape)} for ids in graph.outputs],
    }


def write_files(batches: Iterable[pa.RecordBatch], fields: pa.Schema, folder: Path, progress: Callable[[int], None]) -> None:
    """One table in files of bounded size; an empty table is one empty file."""
    folder.mkdir()
    groups = row_groups(batches)
    number, done, group = 0, 0, next(groups, None)
    while True:
        with writer(folder / f"{number:06d}.parquet", fields) as file:
            rows = 0
            while group is not None and (not rows or rows + group.num_rows <= FILE_ROWS):
                file.write_table(group, GROUP_ROWS)
                rows += group.num_rows
                done += group.num_rows
                progress(done)
                group = next(groups, None)
        number += 1
        if group is None:
            return


def row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together, up to a row group each."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if held and rows + batch.num_rows > GROUP_ROWS:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
        held.append(batch)
        rows += batch.num_rows
    if held:
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
