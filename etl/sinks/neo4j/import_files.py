"""Files for Neo4j's import tool: the same graph that a live load makes, as CSV with typed headers, staged in flat memory.

With --id-type=actual the tool takes ids as they are: node records are numbered 0..n-1 in the order of the files, neurons first.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from etl.errors import BadRequest
from etl.graph.protocol import Graph
from etl.sinks.neo4j.live import IMPORTED, fingerprint, key, layer_properties, model_properties
from etl.sinks.neo4j.parameters import label
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches
from etl.store.local.import_tool import LISTED, OPTIONS, Staged

ROWS = 1 << 17
WRITERS = 2  # threads that write lines: writing numbers as text takes most of the time
KINDS = {bool: "boolean", int: "long", float: "double", str: "string", list: "string[]"}


@dataclass(frozen=True)
class ForImport(Written):
    """Files that wait for the import tool. command: what imports them into an empty database."""

    command: str


@dataclass(frozen=True)
class ImportFiles:
    """A new folder of files for Neo4j's import tool, for a store of its own."""

    folder: Path
    name: str

    def write(self, graph: Graph, progress: Progress = silent) -> ForImport:
        """Write the files. Raises BadRequest where the folder is there already or can't be written; nothing of it is left then."""
        if self.folder.exists():
            raise BadRequest(f"{self.folder} is there already: choose another name, or move it away")
        try:
            self.folder.mkdir(parents=True)
            try:
                staged = stage(graph, self.name, self.folder.absolute(), progress)
            except BaseException:
                shutil.rmtree(self.folder)
                raise
        except OSError as error:
            raise BadRequest(f"{self.folder} can't be written ({error.strerror or error}): choose another place for it") from error
        return ForImport(graph.neurons, graph.edges, join(("neo4j-admin", "database", "import", "full", *staged.arguments, "neo4j")))


def stage(graph: Graph, name: str, folder: Path, progress: Progress = silent) -> Staged:
    """Write a graph's files for an empty store: neurons with ids from 0, the model LOADING, its layers and all that joins them."""
    model = model_properties(graph, name, fingerprint(graph), 0)
    layers = [layer_properties(row, name, 0) for row in graph.rows]
    at = {layer["key"]: graph.neurons + 2 + place for place, layer in enumerate(layers)}  # after the neurons, the model and its ledger
    ours, ledger = graph.neurons, graph.neurons + 1
    number = "float" if graph.dtype == np.float32 else "double"  # a float is kept as one, in half the room
    neuron_header = f":ID,id:long,name,model,layer,index:long[],channel:long,op,bias:{number},activation,:LABEL"
    nodes = [
        write(folder, "neurons", neuron_header, neurons(graph, name, progress)),
        entries(folder, "models", "Model", [ours], [model]),
        entries(folder, "ledger", "Ledger", [ledger], [{"lane": 0, "done": 0, "plan": IMPORTED}]),
        entries(folder, "layers", "Layer", list(at.values()), layers),
    ]
    feeds = [(at[key(name, source)], at[key(name, row.name)]) for row in graph.rows for source in row.inputs]
    ends = ":START_ID,:END_ID"
    relationships = {
        "WEIGHT": write(folder, "weights", f"{ends},weight:{number},parameter:long,layer", weights(graph, progress)),
        "HAS_LAYER": write(folder, "has_layer", ends, [pairs([(ours, layer) for layer in at.values()])]),
        "LEDGER": write(folder, "has_ledger", ends, [pairs([(ours, ledger)])]),
        "FEEDS": write(folder, "feeds", ends, [pairs(feeds)]),
        "OUTPUT": write(folder, "outputs", f"{ends},output:long,position:long", outputs(graph, ours)),
    }
    returned = sum(int((ids >= 0).sum()) for ids in graph.outputs)
    arguments = (
        *(f"--nodes={files}" for files in nodes),
        *(f"--relationships={kind}={files}" for kind, files in relationships.items()),
        *OPTIONS,
        "--multiline-fields=true" if any("\n" in row.name or "\r" in row.name for row in graph.rows) else "--multiline-fields=false",
    )
    return Staged(folder, arguments, graph.neurons + 2 + len(layers), graph.edges + len(layers) + 1 + len(feeds) + returned)


def write(folder: Path, name: str, header: str, tables: Any) -> str:
    """One header file and one file of rows; the two as the tool takes them."""
    head, body = folder / f"{name}.header.csv", folder / f"{name}.csv"
    head.write_text(header + "\n", "utf-8")
    with body.open("wb") as file, ThreadPoolExecutor(WRITERS) as pool:
        for lines in in_turn(pool, as_csv, tables):
            file.write(lines)
    return f"{head},{body}"


def as_csv(table: pa.Table | pa.RecordBatch) -> pa.Buffer:
    """Rows as lines of a file."""
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getvalue()


def in_turn(pool: ThreadPoolExecutor, work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """What `work` makes of each item, in their order, a few of them at the same time."""
    waiting = deque[Future[Any]]()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > WRITERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def neurons(graph: Graph, model: str, progress: Progress) -> Iterator[pa.Table]:
    """Neurons as rows of the file."""
    axis = np.array([-1 if row.channel_axis is None else row.channel_axis for row in graph.rows])
    labels = pa.array([f"Neuron{LISTED}{label(row.label)}" for row in graph.rows], pa.string())
    for batch in neuron_batches(graph, progress, rows=ROWS):
        index = batch.column("index")
        columns = [
            batch.column("id"),
            batch.column("id"),
            addresses(batch),
            repeated(model, len(batch)),
            batch.column("layer").cast(pa.string()),
            pc.binary_join(index.cast(pa.list_(pa.string())), LISTED),
            channels(batch, axis),
            batch.column("op").cast(pa.string()),
            batch.column("bias"),
            batch.column("activation").cast(pa.string()),
            labels.take(batch.column("layer").indices),
        ]
        yield pa.table(columns, names=[str(n) for n in range(len(columns))])


def addresses(batch: pa.RecordBatch) -> pa.Array:
    """Each neuron's address, as `etl.store.addresses.address` writes it."""
    numbers = pc.binary_join(batch.column("index").cast(pa.list_(pa.string())), ",")
    return pc.binary_join_element_wise(batch.column("layer").cast(pa.string()), pc.if_else(pc.equal(numbers, ""), "0", numbers), "/")


def repeated(value: str, count: int) -> pa.Array:
    """A column of one value."""
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([value], pa.string())).cast(pa.string())


def weights(graph: Graph, progress: Progress) -> Iterator[pa.RecordBatch]:
    """Weights as rows of the file, in decimals that are read back as the same number: the column has the type of the weights."""
    for batch in weight_batches(graph, progress, rows=ROWS):
        yield batch.set_column(4, "layer", batch.column("layer").cast(pa.string()))


def channels(batch: pa.RecordBatch, axis: NDArray[np.int64]) -> pa.Array:
    """Each neuron's place on its layer's axis of channels, `axis` by position of the layer; null where it has none."""
    index, chosen = batch.column("index"), axis[batch.column("layer").indices.to_numpy()]
    values, begins = index.values.to_numpy(), index.offsets.to_numpy()[:-1]
    if not (chosen >= 0).any():
        return pa.nulls(len(index), pa.int32())
    return pa.array(values[np.where(chosen >= 0, begins + chosen, 0)], pa.int32(), mask=chosen < 0)


def outputs(graph: Graph, model: int) -> Iterator[pa.Table]:
    """What the model returns; padded zeros have no neuron."""
    for number, ids in enumerate(graph.outputs):
        flat = ids.reshape(-1)
        places = np.flatnonzero(flat >= 0)
        ends = [np.full(len(places), model), flat[places], np.full(len(places), number), places]
        yield pa.table(ends, names=list("abcd"))


def pairs(found: Sequence[tuple[int, int]]) -> pa.Table:
    """Two columns of ids."""
    ends = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pa.table([ends[:, 0], ends[:, 1]], names=["start", "end"])


def entries(folder: Path, name: str, kind: str, ids: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> str:
    """A few nodes with properties of any kind."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    kinds = [next((kind_of(row[column]) for row in rows if row.get(column) is not None), "string") for column in columns]
    header = ",".join([":ID", *(f"{column}:{told}" for column, told in zip(columns, kinds, strict=True)), ":LABEL"])
    table = [pa.array(ids), *(pa.array([written(row.get(column)) for row in rows], pa.string()) for column in columns), repeated(kind, len(rows))]
    return write(folder, name, header, [pa.table(table, names=[str(n) for n in range(len(table))])])


def kind_of(value: Any) -> str:
    """The import tool's name of a property's type."""
    return "long[]" if isinstance(value, list) and value and isinstance(value[0], int) else KINDS[type(value)]


def written(value: Any) -> str | None:
    """A property as the file has it."""
    if value is None:
        return None
    return LISTED.join(map(str, value)) if isinstance(value, list) else str(value)
