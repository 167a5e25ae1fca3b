"""Neurons and weights of a store, read back as tables for the import tool: to the last property, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cypher import text
from etl import schema
from etl.sinks.neo4j.import_tables import Tables, column
from etl.sinks.neo4j.store_contents import Contents, NotReadableError, Span
from etl.sinks.parquet_parts import writer
from etl.sinks.protocol import Progress
from etl.store.local.import_tool import LISTED
from etl.streams import in_turn

if TYPE_CHECKING:
    from etl.store.transactions import Store

NEURONS, EDGES, PROPERTIES = 20_000, 200_000, 200_000  # read in one go
SESSIONS = 2  # that read at the same time
OWN = {  # what a load writes on neurons
    "id": "long",
    "name": "string",
    "model": "string",
    "layer": "string",
    "index": "long[]",
    "channel": "long",
    "op": "string",
    "bias": "double",
    "activation": "string",
}
TYPES = {  # of properties that other commands and people write, as the import tool calls them
    "BOOLEAN": "boolean",
    "INTEGER": "long",
    "FLOAT": "double",
    "STRING": "string",
    "LIST<BOOLEAN NOT NULL>": "boolean[]",
    "LIST<INTEGER NOT NULL>": "long[]",
    "LIST<FLOAT NOT NULL>": "double[]",
    "LIST<STRING NOT NULL>": "string[]",
}
PYTHON = {"boolean": bool, "long": int, "double": float, "string": str}


def add_neurons(store: Store, held: Contents, tables: Tables, progress: Progress) -> NDArray[np.int64]:
    """Add the neurons of all models: their ids, in the order of their records. Raises NotReadableError where some belong to no layer."""
    ids = np.empty(0, np.int64)
    for layers in held.models:
        before = len(ids)
        parts = add_model(store, layers, tables, lambda done, before=before: progress("neurons read back", before + done, held.neurons))  # type: ignore[misc]
        ids = np.concatenate([ids, *parts])
    if len(ids) != held.neurons or (np.diff(ids) <= 0).any():
        raise NotReadableError("neurons that belong to no layer")
    return ids


def add_model(store: Store, layers: tuple[Span, ...], tables: Tables, tell: Callable[[int], None]) -> list[NDArray[np.int64]]:
    """Add the neurons of one model: their ids, part by part."""
    kinds, ids = OWN | more_properties(store, layers), list[NDArray[np.int64]]()
    more, first, statement = list(kinds)[len(OWN) :], tables.nodes, text("carry", "neurons")

    def read(part: tuple[int, int]) -> list[list[Any]]:
        return list(store.read(statement, begin=part[0], end=part[1], more=more)[0]["neurons"])

    def rows() -> Iterator[pa.Table]:
        done = 0
        with ThreadPoolExecutor(SESSIONS) as sessions:
            for neurons in in_turn(sessions, read, windows(layers, NEURONS), SESSIONS):
                yield neuron_table(neurons, first + done, kinds)
                ids.append(np.array([neuron[0] for neuron in neurons], np.int64))
                done += len(neurons)
                tell(done)

    tables.add_nodes("kept_neurons", rows())
    return ids


def more_properties(store: Store, layers: tuple[Span, ...]) -> dict[str, str]:
    """Properties of a model's neurons that a load doesn't write, with the import tool's names of their types."""
    kinds = dict[str, str]()
    for begin, end in windows(layers, PROPERTIES):
        for row in store.read(text("carry", "properties"), begin=begin, end=end, own=list(OWN)):
            name, kind = row["property"], TYPES.get(row["type"].removesuffix(" NOT NULL"))
            if kind is None or kinds.setdefault(name, kind) != kind or not re.fullmatch(r"\w+", name):
                raise NotReadableError(f"neurons with a property {name} of a rare type, of several types, or of a name beyond letters and digits")
    return kinds


def neuron_table(neurons: list[list[Any]], record: int, kinds: dict[str, str]) -> pa.Table:
    """Neurons, each a list of its properties and, last, its labels, as rows of the table."""
    values = list(zip(*neurons, strict=True)) or [()] * (len(kinds) + 1)
    columns = {":ID": pa.array(range(record, record + len(neurons)), pa.int64())}
    for (name, kind), items in zip(kinds.items(), values, strict=False):
        columns[f"{name}:{kind}"] = property_column(name, kind, items)
    return pa.table(columns | {":LABEL": pa.array([LISTED.join(labels) for labels in values[-1]], pa.string())})


def property_column(name: str, kind: str, values: Sequence[Any]) -> pa.Array:
    """One property. Raises NotReadableError where somebody gave it another type than the others have, or a value that can't be written."""
    single = kind.removesuffix("[]")
    items = values if single == kind else list(chain.from_iterable(value or () for value in values))
    if not set(map(type, items)) <= {PYTHON[single], type(None)} or (single != kind and not set(map(type, values)) <= {list, type(None)}):
        raise NotReadableError(f"neurons whose {name} is of another type than a load gives it")
    try:
        return column(kind, values)
    except TypeError as error:
        raise NotReadableError(f"neurons whose {name} is {error}") from error


def add_weights(store: Store, held: Contents, ids: NDArray[np.int64], first: int, tables: Tables, progress: Progress) -> None:
    """Add the weights of all models, between the records of those neurons. Raises NotReadableError where some can't be found or kept.

    ids    of all neurons that are kept, sorted; `first`: the record of the first of them
    Numbers that are floats are kept as such, in half the room, the others as doubles: in a file of their own.
    """
    done, statement = 0, text("carry", "weights")
    parts = (window for layers in held.models for window in windows(layers, EDGES, by_edges=True))

    def read(part: tuple[int, int]) -> pa.Table:
        rows = store.transact(lambda transaction: [row.values() for row in transaction.run(statement, begin=part[0], end=part[1])], writes=False)
        return weight_table(rows, ids, first)

    files = {dtype: tables.folder / f"kept_weights_{dtype}.parquet" for dtype in map(np.dtype, (np.float32, np.float64))}
    with ExitStack() as opened, ThreadPoolExecutor(SESSIONS) as sessions:
        writers = {schema.weights(dtype): opened.enter_context(writer(file, schema.weights(dtype))) for dtype, file in files.items()}
        for table in in_turn(sessions, read, parts, SESSIONS):
            writers[table.schema].write_table(table)
            done += len(table)
            progress("weights read back", done, held.weights)
    if done != held.weights:
        raise NotReadableError("weights that belong to no layer")
    for dtype, file in files.items():
        tables.add_weights([file], dtype)


def weight_table(rows: list[list[Any]], ids: NDArray[np.int64], first: int) -> pa.Table:
    """Weights as rows of the table. Each of `rows` is what leads into one neuron."""
    lengths = [len(row[1]) for row in rows]
    for _, sources, weights, _, stored, layers, told, properties in rows:
        if len(weights) != len(sources) or told != len(sources) or len(layers) > 1 or properties != 2 * len(sources) + stored:
            raise NotReadableError("weights with other properties than a load gives them")
    columns = [list(chain.from_iterable(row[n] for row in rows)) for n in (1, 2, 3)]
    for numbers, kind in zip(columns, (int, float, int), strict=True):
        if not set(map(type, numbers)) <= {kind}:
            raise NotReadableError("a weight whose value or parameter is a number of another type than a load gives it")
    source, weight, parameter = (np.array(column, dtype) for column, dtype in zip(columns, (np.int64, np.float64, np.int64), strict=True))
    target = np.repeat(np.array([row[0] for row in rows], np.int64), lengths)
    ends = [np.searchsorted(ids, end) for end in (source, target)]
    if (ids[np.minimum(ends[0], len(ids) - 1)] != source).any() or (parameter >= 0).sum() != sum(row[4] for row in rows):
        raise NotReadableError("weights from neurons of another model, or of no parameter")
    dtype = np.dtype(np.float32 if np.array_equal(weight.astype(np.float32), weight, equal_nan=True) else np.float64)
    names = pa.array([row[5][0] for row in rows], pa.string()).take(np.repeat(np.arange(len(rows)), lengths)).cast(schema.NAMES)
    arrays = [first + ends[0], first + ends[1], weight.astype(dtype), pa.array(parameter, mask=parameter < 0), names]
    return pa.table(arrays, schema=schema.weights(dtype))


def windows(layers: tuple[Span, ...], most: int, *, by_edges: bool = False) -> Iterator[tuple[int, int]]:
    """Ranges of ids with a bounded number of neurons, or of weights into them, each within a layer."""
    for layer in layers:
        neurons = layer.end - layer.begin
        step = max(1, most * neurons // max(layer.edges, 1)) if by_edges else most
        for begin in range(layer.begin, layer.end, min(step, neurons)):
            yield begin, min(begin + step, layer.end)
