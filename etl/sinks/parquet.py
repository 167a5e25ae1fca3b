"""The graph as a folder of Parquet files: model.json, layers, outputs, and neurons and weights in numbered files whose names sort into order.

The folder appears when it is complete: it is written beside its place and then moved there. The graph of a network's neurons is written part by part,
by several processes if so wanted, and always the same files; what a killed export finished is kept, and the next one goes on from there.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etl import schema
from etl.errors import BadFile, BadRequest
from etl.graph import batches as extract
from etl.graph.protocol import Graph
from etl.graph.slices import Source
from etl.graph.traced import Graph as TracedGraph
from etl.sinks import parquet_parts
from etl.sinks.atomic_folder import has_unfinished, in_place
from etl.sinks.parquet_parts import PartFile, Run, Task, parts_of, row_groups, rows_in, writer
from etl.sinks.protocol import Progress, Written, counted, neuron_batches, silent, weight_batches
from etl.version import VERSION

FORMAT = "neuron-etl"  # how a folder says that it is ours
TABLES = ("neurons", "weights")
BEGUN = "parts.json"  # in an unfinished folder: what it will be


@dataclass(frozen=True)
class Parquet:
    """A folder for a graph, in place of an earlier export. Memory stays flat whatever the number of weights.

    source  the file that the graph is of, where there is one: others can make parts of it
    run     runs tasks elsewhere; None: here, one after the other
    """

    folder: Path
    source: Source | None = None
    run: Run | None = None

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Write all files. Raises BadRequest where the folder is something else or can't be written."""
        folder = self.folder.absolute()
        if os.path.lexists(folder) and not is_ours(folder):
            raise BadRequest(f"{folder} is there already and is no earlier export: choose another name, or move it away")
        try:
            if isinstance(graph, TracedGraph) and is_cut(graph):
                self.write_parts(graph, folder, progress)
            else:
                with in_place(folder) as partial:
                    write_heads(partial, heads(graph))
                    write_files(neuron_batches(graph, progress), schema.neurons(graph.dtype), partial / "neurons")
                    write_files(weight_batches(graph, progress), schema.weights(graph.dtype), partial / "weights")
        except OSError as error:
            advice = "make room, and the same command goes on with what is finished" if has_unfinished(folder) else "choose another place for it"
            raise BadRequest(f"{folder} can't be written ({error.strerror or error}): {advice}") from error
        return Written(graph.neurons, graph.edges)

    def write_parts(self, graph: TracedGraph, folder: Path, progress: Progress) -> None:
        """A graph in parts, those that an earlier export of the same graph finished left as they are."""
        parts = parts_of(graph)
        small_files = heads(graph) | {
            BEGUN: as_json({"parts": len(parts), "selection": repr(self.source.selection) if self.source else graph.selection})
        }

        def resumable(partial: Path) -> bool:
            return (
                len(parts) > len(TABLES)
                and any(finished_parts(partial, parts))
                and all(has_text(partial / name, text) for name, text in small_files.items())
            )

        with in_place(folder, resumable) as partial:
            write_heads(partial, small_files)
            for table in TABLES:
                (partial / table).mkdir(exist_ok=True)
            rows = finished_parts(partial, parts)
            self.write_missing(graph, [part for part in parts if part not in rows], partial, Tally(graph, rows, progress))
            finish(graph, partial, parts)

    def write_missing(self, graph: TracedGraph, parts: list[PartFile], folder: Path, tally: Tally) -> None:
        """Write parts, here or elsewhere."""
        if self.run is None or self.source is None:
            for part in parts:
                part.write(graph, folder, parquet_parts.GROUP_ROWS, counted(part.batches(graph), tally.batches_of(part)))
            return
        for task, rows in self.run([Task(part, self.source, folder, parquet_parts.GROUP_ROWS) for part in parts]):
            tally.batches_of(task.part)(rows)


class Tally:
    """How many rows of each table are written, those of earlier parts included."""

    def __init__(self, graph: Graph, rows: Mapping[PartFile, int], progress: Progress) -> None:
        self.totals = {"neurons": graph.neurons, "weights": graph.edges}
        self.rows = {table: sum(count for part, count in rows.items() if part.table == table) for table in TABLES}
        self.progress = progress

    def batches_of(self, part: PartFile) -> Callable[[int], None]:
        """What is told how many rows of a part are written by now."""
        table, before = part.table, self.rows[part.table]

        def tell(rows: int) -> None:
            self.rows[table] = before + rows
            self.progress(table, before + rows, self.totals[table])

        return tell


def is_cut(graph: TracedGraph) -> bool:
    """Whether a graph can be cut into parts: of neurons, not of channels."""
    return len(graph.extents) == sum(1 for row in graph.rows if row.neurons)


def finished_parts(folder: Path, parts: Sequence[PartFile]) -> dict[PartFile, int]:
    """The parts that are in a folder, with their rows."""
    present = ((part, rows_in(folder / part.file)) for part in parts if (folder / part.file).exists())
    return {part: rows for part, rows in present if rows is not None}


def finish(graph: Graph, folder: Path, parts: Sequence[PartFile]) -> None:
    """Nothing but the parts stays in a folder. Raises BadFile unless they have all rows of the graph, and no more."""
    (folder / BEGUN).unlink()
    rows, files = finished_parts(folder, parts), {folder / part.file for part in parts}
    for table, total in (("neurons", graph.neurons), ("weights", graph.edges)):
        if (written := sum(count for part, count in rows.items() if part.table == table)) != total:
            raise BadFile(f"{graph.model.name} has {total:,} {table}, its files {written:,}: was another file put into its place? Export it again")
        for path in (folder / table).iterdir():
            if path not in files:  # of a process that was killed
                path.unlink()


def heads(graph: Graph) -> dict[str, bytes]:
    """The small files: by name, what is in them."""
    tables = {"layers.parquet": extract.layer_table(graph), "outputs.parquet": extract.output_table(graph)}
    written = {}
    for name, table in tables.items():
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        written[name] = buffer.getvalue()
    return {"model.json": as_json(description(graph), indent=2)} | written


def as_json(value: Any, indent: int | None = None) -> bytes:
    """A value as a text file."""
    return (json.dumps(value, indent=indent) + "\n").encode()


def write_heads(folder: Path, small_files: Mapping[str, bytes]) -> None:
    """Write the small files."""
    for name, text in small_files.items():
        (folder / name).write_bytes(text)


def has_text(path: Path, text: bytes) -> bool:
    """Whether a file is there and has that text."""
    return path.is_file() and path.read_bytes() == text


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
    """One table as it streams, in files of bounded size; an empty table is one empty file."""
    folder.mkdir()
    groups = row_groups(batches, parquet_parts.GROUP_ROWS)
    number, group = 0, next(groups, None)
    while True:
        with writer(folder / f"{number:06d}.parquet", fields) as file:
            rows = 0
            while group is not None and (not rows or rows + group.num_rows <= parquet_parts.FILE_ROWS):
                file.write_table(group, parquet_parts.GROUP_ROWS)
                rows += group.num_rows
                group = next(groups, None)
        number += 1
        if group is None:
            return


def is_ours(folder: Path) -> bool:
    """True for a folder that an export wrote, with nothing else in it."""
    try:
        description = json.loads((folder / "model.json").read_text("utf-8"))
        names = {path.name for path in folder.iterdir()}
    except (OSError, ValueError):
        return False
    return (
        isinstance(description, dict)
        and description.get("format") == FORMAT
        and names <= {"model.json", "layers.parquet", "outputs.parquet", "neurons", "weights"}
    )
