"""The library's face, continued: a graph, its plan and its tables."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import networkx
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from etl.graph.estimate import Offer
    from etl.graph.protocol import Graph as NeuronGraph
    from etl.graph.selection import Selection
    from etl.graph.slices import Slice, Source
    from etl.graph.traced import Graph as TracedGraph
    from etl.sinks.neo4j.import_files import ForImport
    from etl.sinks.parquet_parts import Run
    from etl.sinks.protocol import Written

Progress = Callable[[str, int, int], None]  # what is counted (`neurons`, `weights` ...), how many are done, and how many there are


def silent(*_: Any) -> None:
    """Progress that nobody watches."""


class Tables(NamedTuple):
    """Neurons and weights, one row each: the columns of docs/graph.md."""

    neurons: pd.DataFrame
    weights: pd.DataFrame


@dataclass(frozen=True)
class Plan:
    """What a load would create, and what it would cost.

    density        edges of all that could be: m / (n (n - 1))
    layers         one dict a layer: name, type, shape, neurons, edges, parameters, density
    store_bytes    on Neo4j's disk, estimated; free_bytes are free there
    load_seconds   estimated, into a server that was just started: by how long the last loads on this machine took
    fetch_bytes    to be downloaded before the first load on this machine; 0 where the local Neo4j is there, or another one is to be used (NEO4J_URI)
    fitting_edges  how many edges such a graph may have, so that it can be loaded and queries over the whole of it answer
    lacking        what a load of this one would lack, for which it is refused; None where nothing
    smaller        smaller graphs of the same model that fit, where this one doesn't: option, neurons, edges
    """

    name: str
    neurons: int
    edges: int
    parameters: int
    density: float
    layers: list[dict[str, Any]]
    store_bytes: int
    load_seconds: float
    fetch_bytes: int
    free_bytes: int
    fitting_edges: int
    lacking: str | None
    smaller: list[Offer]


class Graph:
    """The graph of a model, made by `read`: counted already, its rows created when they are asked for."""

    def __init__(self, rows: NeuronGraph, selection: Selection, path: Path | None = None) -> None:
        self._counted, self._selection, self._path = rows, selection, path

    @cached_property
    def _graph(self) -> NeuronGraph:
        """The graph whose rows can be created: where large layers were only counted, it is traced once more when they are asked for."""
        from etl.graph.selection import graph_in
        from etl.graph.traced import Graph as TracedGraph

        counted = self._counted
        return graph_in(counted.model, self._selection) if isinstance(counted, TracedGraph) and counted.counts_alone else counted

    def __repr__(self) -> str:
        graph = self._counted
        return f"<etl.Graph {self.name!r}: {graph.neurons:,} neurons, {graph.edges:,} edges, {len(graph.rows):,} layers>"

    @property
    def name(self) -> str:
        """The model's name: the file's stem."""
        return self._counted.model.name

    @property
    def layers(self) -> pa.Table:
        """The layer table of docs/graph.md."""
        from etl.graph.batches import layer_table

        return layer_table(self._counted)

    @property
    def outputs(self) -> pa.Table:
        """What each output of the model returns: output, position, id (null: a padded zero)."""
        from etl.graph.batches import output_table

        return output_table(self._graph)

    def slices(self, count: int) -> list[Slice]:
        """Independent parts of the graph, picklable: their `neuron_batches` and `weight_batches`, put in order, are the whole graph's rows.

        Whoever works on one reads the file again, once in a process. Raises BadRequest for graphs that are of no file, or of channels or layers.
        """
        from etl.errors import BadRequest
        from etl.graph import slices

        source = self._source()
        if source is None:
            raise BadRequest(f"{self.name} can't be cut into slices: only graphs of the neurons of a model file can")
        return slices.slices(self._traced(), count, source)

    def neurons(self) -> pa.RecordBatchReader:
        """One row a neuron, in the order of ids, streamed: id, layer, index, op, bias, activation."""
        import pyarrow as pa

        from etl import schema

        return pa.RecordBatchReader.from_batches(schema.neurons(self._graph.dtype), self._graph.neuron_batches())

    def weights(self) -> pa.RecordBatchReader:
        """One row a weight, layer by layer, streamed: source, target, weight, parameter, layer."""
        import pyarrow as pa

        from etl import schema

        return pa.RecordBatchReader.from_batches(schema.weights(self._graph.dtype), self._graph.weight_batches())

    def plan(self) -> Plan:
        """What a load would create; creates nothing."""
        from etl.graph import estimate
        from etl.sinks.neo4j import capacity, pace
        from etl.store.local.fetch import to_fetch

        graph, densities = self._counted, estimate.density(self._counted)
        columns = ("name", "type", "shape", "neurons", "edges", "parameters")
        layers = [{name: getattr(row, name) for name in columns} | {"density": densities[row.name]} for row in graph.rows]
        measured_pace = pace.known()
        cost, free, bulk = estimate.cost(graph, measured_pace), capacity.free(), estimate.quicker(graph, measured_pace)
        fitting, lack = estimate.most_edges(graph, free, bulk=bulk), estimate.lacking(graph, free, bulk=bulk)
        smaller = []
        if self._path and graph.edges > fitting:
            smaller = list(estimate.offers(self._path, self._selection, self._traced(graph), fitting))
        size = (self.name, graph.neurons, graph.edges, graph.parameters, graph.density)
        fetched = 0 if os.environ.get("NEO4J_URI") else to_fetch()
        return Plan(*size, layers, cost.store_bytes, cost.seconds, fetched, free.disk, fitting, lack, smaller)

    def to_pandas(self) -> Tables:
        """All neurons and weights as data frames. Raises Missing where pandas isn't installed."""
        from etl.extras import needed

        needed("pandas")
        return Tables(self.neurons().read_pandas(), self.weights().read_pandas())

    def to_scipy(self) -> csr_array[Any]:
        """All weights as a sparse matrix (neurons, neurons), a row a source; parallel edges add up. Raises BadRequest where memory doesn't do."""
        from etl.sinks.npz import adjacency

        return adjacency(self._graph)

    def to_networkx(self) -> networkx.DiGraph[int]:
        """Neurons by id and weights with all their columns; a MultiDiGraph where two edges join the same pair.

        Raises BadRequest past 5 million edges, Missing where NetworkX isn't installed.
        """
        from etl.sinks.networkx import to_networkx

        return to_networkx(self._graph)

    def save(self, path: str | PathLike[str], *, jobs: int | None = 1, executor: Executor | None = None, progress: Progress = silent) -> Written:
        """Write the graph: a folder `x.parquet`, a file `x.graphml`, or scipy's sparse adjacency `x.npz`. All but the last in flat memory.

        jobs      processes that write parts of a `.parquet` folder at the same time; None: one a core where the graph is large.
                  A script that asks for more than one begins with `if __name__ == "__main__":`, as for all of multiprocessing
        executor  who writes the parts instead: any of concurrent.futures, whose workers have the model's file and the folder
        The files are the same for any of them. A graph that is of no file, or of channels, is written by this process alone.
        Killed or interrupted, the same call goes on with what is finished; a KeyboardInterrupt has a note that says so.
        Raises BadRequest where it can't be written, BadFile where a weight is NaN or infinite.
        """
        from etl.sinks.parquet_parts import run_by
        from etl.sinks.processes import in_processes, jobs_for

        if jobs is None:
            jobs = jobs_for(self._graph.edges) if Path(path).suffix == ".parquet" else 1
        return self._write(Path(path), run_by(executor) if executor else in_processes(jobs) if jobs > 1 else None, progress)

    def _write(self, path: Path, run: Run | None, progress: Progress = silent) -> Written:
        """Write the graph, its parts made by whoever runs them."""
        from etl.sinks.atomic_folder import has_unfinished
        from etl.sinks.files import sink_for

        sink = sink_for(path, self._source(), run)
        self._check_finite()
        try:
            return sink.write(self._graph, progress)
        except KeyboardInterrupt as interrupt:
            if has_unfinished(path):
                interrupt.add_note("interrupted: the same command goes on with what is finished, which is in a hidden folder beside OUT until then")
            raise

    def save_for_import(self, folder: str | PathLike[str], *, progress: Progress = silent) -> ForImport:
        """Write files for Neo4j's import tool into a new folder, in flat memory; `command` of what is returned imports them."""
        from etl.sinks.neo4j.import_files import ImportFiles

        self._check_finite()
        return ImportFiles(Path(folder), self.name).write(self._graph, progress)

    def forward(self, *inputs: Any) -> list[NDArray[np.float64]]:
        """What the graph computes, edge by edge: one array a model output, (examples, *shape).

        inputs  one array a model input, (examples, *shape), or one example without the first axis
        Raises BadRequest where they don't fit, or where the graph is not the whole network.
        """
        import numpy as np

        from etl.analysis.verify import checked_examples, require_whole
        from etl.graph.forward import forward, outputs

        require_whole(self._selection)
        graph = self._traced()
        examples = checked_examples(graph, [np.asarray(values) for values in inputs])
        return outputs(graph, forward(graph, examples))

    def cut_points(self) -> list[str]:
        """The layers after which `split` cuts without branches: what separates the model's inputs from its outputs, in order."""
        from etl.network.cut_points import cut_points

        return cut_points(self._traced(self._counted).model.network)

    def _source(self) -> Source | None:
        """The file that others can make parts of this graph from; None where there is none, or the graph isn't one of neurons."""
        from etl.graph.slices import Source

        if self._path is None or self._selection.granularity != "neuron":
            return None
        selection = self._selection
        if selection.architecture is not None and Path(selection.architecture).exists():  # who works on it may be in another folder
            selection = replace(selection, architecture=str(Path(selection.architecture).absolute()))
        return Source(self._path.absolute(), selection, self._graph.model.sha256)

    def _traced(self, graph: NeuronGraph | None = None) -> TracedGraph:
        """The graph, whole or as it was counted, where it is that of a model's file. Raises BadRequest for one out of tables."""
        from etl.errors import BadRequest
        from etl.graph.traced import Graph as TracedGraph

        graph = graph or self._graph
        if not isinstance(graph, TracedGraph):
            raise BadRequest(f"{self.name} comes from tables, which do not say how it is computed: read the model's own file for that")
        return graph

    def _check_finite(self) -> None:
        from etl.network import Model
        from etl.readers import check_finite

        if isinstance(self._graph.model, Model):  # tables are checked when they are read
            check_finite(self._graph.model)
