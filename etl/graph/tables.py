"""A graph out of tables: a folder that `export` wrote, or anybody's tables of that schema (docs/graph.md).

Everything is checked before the first row leaves: types, spans, order, ends; each fault is named. Memory stays flat: neurons and weights are streamed
from their files, once for the checks and again for whoever takes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from etl import schema
from etl.errors import BadFile
from etl.graph.blocks import Block, NeuronBlock
from etl.graph.rows import ROWS, Row, Totals
from etl.rules.scope import OPS

UNKNOWN = "tables"  # the format of tables whose model.json doesn't name another


@dataclass(frozen=True)
class Origin:
    """Where the tables come from."""

    name: str
    sha256: str
    format: str
    version: str | None = None


@dataclass(frozen=True)
class TableInput:
    """One input of the model."""

    name: str
    shape: tuple[int, ...]


@dataclass
class TableGraph(Totals):
    """A graph whose rows lie in files; made by `read_tables`, which checks them."""

    folder: Path
    model: Origin
    rows: list[Row]
    inputs: list[TableInput]
    outputs: list[NDArray[np.int64]]
    output_names: list[str]
    selection: str | None = None
    names: pa.StringArray = field(init=False)

    def __post_init__(self) -> None:
        self.names = pa.array([row.name for row in self.rows], pa.string())

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """float64 where the weights are doubles, else float32."""
        return np.dtype("float64" if pa.types.is_float64(dataset(self.folder, "weights").schema.field("weight").type) else "float32")

    def neuron_batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        activations = pa.array(sorted({row.activation for row in self.rows if row.activation is not None}), pa.string())
        dictionaries = {"layer": self.names, "op": pa.array(OPS, pa.string()), "activation": activations}
        return stream(self.folder, "neurons", schema.neurons(self.dtype), dictionaries, rows)

    def weight_batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        return stream(self.folder, "weights", schema.weights(self.dtype), {"layer": self.names}, rows)

    def neuron_blocks(self, rows: int = ROWS) -> Iterator[NeuronBlock]:
        for row in self.rows:  # of the columns that say the same of every neuron of a layer, the first neuron's is taken
            for begin in range(row.begin, row.end, rows):
                yield self.neuron_block(row, begin, min(begin + rows, row.end))

    def neuron_block(self, row: Row, begin: int, end: int) -> NeuronBlock:
        """Neurons of one row, from their files."""
        files = dataset(self.folder, "neurons")
        present = [name for name in ("op", "bias") if name in files.schema.names]
        neurons = files.to_table(["id", *present], filter=(ds.field("id") >= begin) & (ds.field("id") < end))
        bias = neurons["bias"].cast(pa.float64()).fill_null(np.nan).to_numpy() if "bias" in present else np.full(end - begin, np.nan)
        op = pc.cast(neurons["op"], pa.string())[0].as_py() if "op" in present and neurons.num_rows else None
        return NeuronBlock(row, op, row.activation, np.arange(begin, end), bias)

    def blocks(self, rows: int = ROWS) -> Iterator[Block]:
        for batch in self.weight_batches(rows):
            layer = batch.column("layer").indices.to_numpy()
            source, target, weight = (batch.column(number).to_numpy() for number in range(3))
            has_parameter = batch.column("parameter").is_valid().to_numpy(zero_copy_only=False)
            parameter = batch.column("parameter").fill_null(-1).to_numpy()
            for start, stop in runs(layer):
                run = slice(start, stop)
                for stored in (True, False):
                    chosen = np.flatnonzero(has_parameter[run] == stored) + start
                    if chosen.size:
                        columns = (source[chosen], target[chosen], weight[chosen])
                        yield Block(self.rows[layer[start]], *columns, parameter[chosen] if stored else None, False)


def runs(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Where stretches of equal values begin and end."""
    borders = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    yield from pairwise(borders) if len(values) else ()


def read_tables(folder: Path) -> TableGraph:
    """The graph in a folder, checked. Raises BadFile naming every kind of fault that was found."""
    try:
        layers = table(folder / "layers.parquet", schema.LAYERS, optional=("axes", "activation"))
        returned = table(folder / "outputs.parquet", schema.OUTPUTS)
        model_json = description(folder)
        rows = layer_rows(folder, layers, model_json.get("labels", {}))
        outputs = output_ids(folder, returned, model_json.get("outputs", []))
        name = str(model_json.get("name") or folder.absolute().name.removesuffix(".parquet"))
        origin = Origin(name, str(model_json.get("sha256") or digest(folder)), str(model_json.get("modelFormat") or UNKNOWN), model_json.get("keras"))
        names = [output.get("name") or f"output {n}" for n, output in enumerate(model_json.get("outputs", []))] or [
            f"output {n}" for n in range(len(outputs))
        ]
        graph = TableGraph(folder, origin, rows, input_rows(rows, model_json), outputs, names, model_json.get("selection"))
        check(graph)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise BadFile(f"{folder}: {' '.join(str(error).split())}; tables have the columns of docs/graph.md") from error
    return graph


def dataset(folder: Path, name: str) -> ds.Dataset:
    """The files of one table, in the order of their names. Raises BadFile where there are none."""
    files = sorted((folder / name).glob("*.parquet"))
    if not files:
        raise BadFile(f"{folder} has no {name}/*.parquet: tables have the columns of docs/graph.md")
    return ds.dataset([str(file) for file in files], format="parquet")


def table(path: Path, fields: pa.Schema, optional: Sequence[str] = ()) -> pa.Table:
    """A small table with those columns and types; optional ones are null where they are missing. Raises BadFile where another one is missing."""
    import pyarrow.parquet as pq

    rows = pq.read_table(path)
    for name in fields.names:
        if name not in rows.column_names and name in optional:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, fields.field(name).type))
    if missing := [name for name in fields.names if name not in rows.column_names]:
        raise BadFile(f"{path} has no column {', '.join(missing)}: tables have the columns of docs/graph.md")
    return rows.select(fields.names).cast(fields)


def stream(folder: Path, name: str, fields: pa.Schema, dictionaries: dict[str, pa.Array], rows: int) -> Iterator[pa.RecordBatch]:
    """One large table in batches. dictionaries: what columns of names are counted in; a name that is not among them becomes null.

    Raises BadFile where a column is missing that may not be.
    """
    source = dataset(folder, name)
    nullable = {"op", "bias", "activation", "parameter"}
    if missing := [column for column in fields.names if column not in source.schema.names and column not in nullable]:
        raise BadFile(f"{folder}/{name} has no column {', '.join(missing)}: tables have the columns of docs/graph.md")
    present = [column for column in fields.names if column in source.schema.names]
    for batch in source.to_batches(columns=present, batch_size=rows, use_threads=False):
        if batch.num_rows:
            columns = [cast(batch, column.name, column.type, dictionaries.get(column.name)) for column in fields]
            yield pa.RecordBatch.from_arrays(columns, schema=fields)


def cast(batch: pa.RecordBatch, name: str, kind: pa.DataType, dictionary: pa.Array | None) -> pa.Array:
    """One column in its type; a column of names as places among `dictionary`."""
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows, kind)
    column = batch.column(name)
    if dictionary is None:
        return column.cast(kind)
    return pa.DictionaryArray.from_arrays(pc.index_in(column.cast(pa.string()), dictionary), dictionary)


def description(folder: Path) -> dict[str, Any]:
    """What model.json says; nothing where there is none. Raises BadFile where it is no JSON object."""
    path = folder / "model.json"
    contents = json.loads(path.read_text("utf-8")) if path.exists() else {}
    if not isinstance(contents, dict):
        raise BadFile(f"{path} is no JSON object")
    return contents


def digest(folder: Path) -> str:
    """The sha256 of all tables, where nobody says what they come from."""
    hashed = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        with path.open("rb") as file:
            hashed.update(hashlib.file_digest(file, "sha256").digest())
    return hashed.hexdigest()


def layer_rows(folder: Path, layers: pa.Table, labels: dict[str, str]) -> list[Row]:
    """The layer table, its spans and names checked. labels: layers of the file that rows of another name belong to.

    Raises BadFile with the faults of the first row that has any.
    """
    rows, faults, names = list[Row](), list[str](), set[str]()
    for number, values in enumerate(layers.to_pylist()):
        name, begin, end = values["name"], values["begin"], values["end"]
        expected = rows[-1].end if rows else 0
        if name is None or name in names:
            faults.append(f"row {number} has {'no name' if name is None else f'the name {name} again'}")
        if values["position"] != number:
            faults.append(f"{name} has position {values['position']}, not {number}")
        if begin != expected or end is None or end < begin:
            faults.append(f"{name} has ids {begin} to {end}, which do not follow on {expected}")
        shape = tuple(values["shape"] or ())
        if end != begin and int(np.prod(shape, dtype=np.int64)) != (end or 0) - (begin or 0):
            faults.append(f"{name} has {(end or 0) - (begin or 0)} neurons, its shape {list(shape)} another number")
        if unknown := [source for source in values["inputs"] or () if source not in names]:
            faults.append(f"{name} reads {', '.join(unknown)}, which no row before it is")
        if faults:
            raise BadFile(f"{folder}/layers.parquet: {'; '.join(faults[:10])}")
        names.add(name)
        counts = (values["parameters"] or 0, values["edges"] or 0)
        inputs = tuple(values["inputs"] or ())
        axes, activation = values["axes"], values["activation"]
        kind = values["type"] or "layer"
        rows.append(Row(name, kind, number, begin, end, shape, axes, activation, *counts, inputs, str(labels.get(name, name))))
    return rows


def output_ids(folder: Path, returned: pa.Table, described_outputs: Sequence[dict[str, Any]]) -> list[NDArray[np.int64]]:
    """The ids that each output returns, in the shape that model.json gives it; -1 for a padded zero. Raises BadFile where they are out of order."""
    number = returned.column("output").to_numpy()
    position, ids = returned.column("position").to_numpy(), returned.column("id").fill_null(-1).to_numpy()
    outputs = list[NDArray[np.int64]]()
    for place, (start, stop) in enumerate(runs(number)):
        if number[start] != place or not np.array_equal(position[start:stop], np.arange(stop - start)):
            raise BadFile(
                f"{folder}/outputs.parquet: output {number[start]} is out of order: outputs follow each other, each by its positions from 0"
            )
        shape = described_outputs[place].get("shape") if place < len(described_outputs) else None
        outputs.append(ids[start:stop].reshape(shape or -1))
    return outputs


def input_rows(rows: Sequence[Row], model_json: dict[str, Any]) -> list[TableInput]:
    """The model's inputs: as model.json has them, else the rows of neurons that read nothing."""
    if "inputs" in model_json:
        return [TableInput(declared["name"], tuple(declared["shape"])) for declared in model_json["inputs"]]
    return [TableInput(row.name, row.shape) for row in rows if row.neurons and not row.inputs]


def check(graph: TableGraph) -> None:
    """Look at every neuron and every weight once. Raises BadFile naming what is wrong and where it was first met."""
    check_neurons(graph)
    check_weights(graph)
    for number, ids in enumerate(graph.outputs):
        if ids.size and (int(ids.max()) >= graph.neurons or int(ids.min()) < -1):
            raise BadFile(f"{graph.folder}/outputs.parquet: output {number} returns neuron {int(ids.max())}, there are {graph.neurons}")


def check_neurons(graph: TableGraph) -> None:
    """Ids in order without gaps, each in its layer's span and at its index, biases that are numbers, one op and one activation a layer.

    Raises BadFile where that is not so.
    """
    begins = np.array([row.begin for row in graph.rows if row.neurons])
    spans = [row for row in graph.rows if row.neurons]
    count, ops = 0, dict[int, Any]()
    for batch in graph.neuron_batches():
        ids = batch.column("id")
        first_wrong(
            graph,
            "neurons",
            ids,
            ids.is_valid().to_numpy(False) & (ids.fill_null(-1).to_numpy() == np.arange(count, count + len(ids))),
            "is out of order",
        )
        place = np.searchsorted(begins, ids.to_numpy(), side="right") - 1
        expected = np.array([row.position for row in spans], dtype=np.int64)[place]
        layer = batch.column("layer").indices.fill_null(-1).to_numpy()
        within = (layer == expected) & (ids.to_numpy() < graph.neurons)
        first_wrong(graph, "neurons", ids, within, "is not in the layer whose span it is in")
        bias = batch.column("bias").cast(pa.float64())
        first_wrong(graph, "neurons", ids, np.isfinite(bias.fill_null(0.0).to_numpy()), "has a bias that is no finite number")
        op, activation = (batch.column(name).indices.fill_null(-1).to_numpy() for name in ("op", "activation"))
        for start, stop in runs(layer):
            row = graph.rows[layer[start]]
            check_index(graph, row, batch.slice(start, stop - start))
            first = ops.setdefault(int(layer[start]), (op[start], activation[start]))
            first_wrong(
                graph,
                "neurons",
                ids[start:stop],
                (op[start:stop] == first[0]) & (activation[start:stop] == first[1]),
                f"differs from others of {row.name} in op or activation",
            )
        count += len(ids)
    if count != graph.neurons:
        raise BadFile(f"{graph.folder}/neurons: {count:,} rows, the layers have {graph.neurons:,} neurons")


def check_index(graph: TableGraph, row: Row, neurons: pa.RecordBatch) -> None:
    """Indices are places in the row's shape, in C order. Raises BadFile where they are not."""
    ids = neurons.column("id").to_numpy()
    expected = np.stack(np.unravel_index(ids - row.begin, row.shape), -1) if row.shape else np.empty((len(ids), 0))
    index = neurons.column("index")
    flat = index.flatten().to_numpy(False)
    if flat.size != expected.size or not np.array_equal(flat, expected.reshape(-1)):
        raise BadFile(f"{graph.folder}/neurons: indices of {row.name} are not the places of its shape {list(row.shape)} in C order")


def check_weights(graph: TableGraph) -> None:
    """Every end exists, sources lie in layers before the target's, rows come in the order of the targets' layers; weights are numbers.

    Raises BadFile where that is not so.
    """
    begins, counts = np.array([row.begin for row in graph.rows]), np.zeros(len(graph.rows), np.int64)
    ends, last = np.array([row.end for row in graph.rows]), -1
    for batch in graph.weight_batches():
        source, target, weight = (batch.column(name) for name in ("source", "target", "weight"))
        complete = source.is_valid().to_numpy(False) & target.is_valid().to_numpy(False) & weight.is_valid().to_numpy(False)
        number = pa.array(np.arange(int(counts.sum()), int(counts.sum()) + len(batch)))
        first_wrong(graph, "weights", number, complete, "(counted from 0) lacks an end or a weight")
        layer = batch.column("layer").indices.fill_null(-1).to_numpy()
        first_wrong(graph, "weights", number, layer >= 0, "is of a layer that is not in layers.parquet")
        s, t = source.to_numpy(), target.to_numpy()
        first_wrong(graph, "weights", number, (s >= 0) & (s < graph.neurons) & (t >= 0) & (t < graph.neurons), "has an end that is no neuron")
        first_wrong(graph, "weights", number, (t >= begins[layer]) & (t < ends[layer]), "has a target that is not in its layer")
        first_wrong(graph, "weights", number, s < begins[layer], "comes from its own layer or a later one")
        first_wrong(graph, "weights", number, np.diff(layer, prepend=last) >= 0, "is out of order: weights come layer by layer")
        first_wrong(graph, "weights", number, np.isfinite(weight.to_numpy()), "is no finite number")
        first_wrong(graph, "weights", number, batch.column("parameter").fill_null(0).to_numpy() >= 0, "has a parameter below zero")
        counts += np.bincount(layer, minlength=len(counts))
        last = int(layer[-1])
    for row, count in zip(graph.rows, counts.tolist(), strict=True):
        if row.edges != count:
            raise BadFile(f"{graph.folder}: {row.name} has {count:,} weights, layers.parquet says {row.edges:,}")


def first_wrong(graph: TableGraph, name: str, ids: pa.Array, right: NDArray[np.bool_], fault: str) -> None:
    """Raises BadFile for the first row that isn't right, with how many of the batch aren't."""
    if not right.all():
        place = int(np.argmin(right))
        more = int(np.count_nonzero(~right)) - 1
        more_faults = f", and {more:,} more" if more else ""
        raise BadFile(f"{graph.folder}/{name}: {name.removesuffix('s')} {ids[place]} {fault}{more_faults}")
