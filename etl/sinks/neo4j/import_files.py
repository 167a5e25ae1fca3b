"""A graph as files for Neo4j's import tool: the same one that a live load makes, alone or beside what a store holds, staged in flat memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import join

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl import schema
from etl.errors import BadRequest
from etl.graph.protocol import Graph
from etl.sinks.neo4j import read_back
from etl.sinks.neo4j.import_tables import Tables, repeated
from etl.sinks.neo4j.live import IMPORTED, fingerprint, key, layer_properties, model_properties
from etl.sinks.neo4j.parameters import label
from etl.sinks.neo4j.store_contents import Contents, add_entries
from etl.sinks.parquet import write_files
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches
from etl.store.local.import_tool import LISTED, Staged
from etl.store.transactions import Store

ROWS = 1 << 17


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


def stage(graph: Graph, name: str, folder: Path, progress: Progress = silent, beside: tuple[Store, Contents] | None = None) -> Staged:
    """Write a graph's files: neurons, the model LOADING, its layers and all that joins them.

    beside  a store and what it holds, to be read back and built along with the graph, which then gets the first free ids; None: ids from 0
    Raises NotReadableError where the store can't be read back exactly.
    """
    tables = Tables(folder)
    add_graph(graph, name, beside[1].base if beside else 0, tables, progress)
    if beside is not None:
        first = tables.nodes
        ids = read_back.add_neurons(*beside, tables, progress)
        read_back.add_weights(*beside, ids, first, tables, progress)
        add_entries(beside[1], ids, first, tables)
    return tables.staged()


def add_graph(graph: Graph, name: str, base: int, tables: Tables, progress: Progress) -> None:
    """Add a graph whose neurons have ids from `base`, before all else: their records are their positions, as the ends of its weights are."""
    tables.add_nodes("neurons", neurons(graph, name, base, progress))
    write_files(weight_batches(graph, progress), schema.weights(graph.dtype), tables.folder / "weights")
    tables.add_weights(sorted((tables.folder / "weights").iterdir()), graph.dtype)
    rows = [layer_properties(row, name, base) for row in graph.rows]
    entries = [("Model", model_properties(graph, name, fingerprint(graph), base)), ("Ledger", {"lane": 0, "done": 0, "plan": IMPORTED})]
    model, ledger, *layers = tables.add_entries([((kind,), properties) for kind, properties in (*entries, *(("Layer", row) for row in rows))])
    at = dict(zip((row["key"] for row in rows), layers, strict=True))
    tables.add_pairs("HAS_LAYER", [(model, layer) for layer in layers])
    tables.add_pairs("LEDGER", [(model, ledger)])
    tables.add_pairs("FEEDS", [(at[key(name, source)], at[key(name, row.name)]) for row in graph.rows for source in row.inputs])
    tables.add_relationships("OUTPUT", "outputs", outputs(graph, model))


def neurons(graph: Graph, model: str, base: int, progress: Progress) -> Iterator[pa.Table]:
    """Neurons as rows of the table."""
    axis = np.array([-1 if row.channel_axis is None else row.channel_axis for row in graph.rows])
    labels = pa.array([f"Neuron{LISTED}{label(row.label)}" for row in graph.rows], pa.string())
    for batch in neuron_batches(graph, progress, rows=ROWS):
        columns = {
            ":ID": batch.column("id"),
            "id:long": pc.add(batch.column("id"), base),
            "name:string": addresses(batch),
            "model:string": repeated(model, len(batch)),
            "layer:string": batch.column("layer").cast(pa.string()),
            "index:long[]": batch.column("index"),
            "channel:long": channels(batch, axis),
            "op:string": batch.column("op").cast(pa.string()),
            f"bias:{'float' if graph.dtype == np.float32 else 'double'}": batch.column("bias"),
            "activation:string": batch.column("activation").cast(pa.string()),
            ":LABEL": labels.take(batch.column("layer").indices),
        }
        yield pa.table(columns)


def addresses(batch: pa.RecordBatch) -> pa.Array:
    """Each neuron's address, as `etl.store.addresses.address` writes it."""
    numbers = pc.binary_join(batch.column("index").cast(pa.list_(pa.string())), ",")
    return pc.binary_join_element_wise(batch.column("layer").cast(pa.string()), pc.if_else(pc.equal(numbers, ""), "0", numbers), "/")


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
        ends = {":START_ID": np.full(len(places), model), ":END_ID": flat[places]}
        yield pa.table(ends | {"output:long": np.full(len(places), number), "position:long": places})
