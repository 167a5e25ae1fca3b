"""The graph as Arrow tables in memory: for small graphs, notebooks and tests."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from etl import schema
from etl.graph import batches as extract
from etl.graph.protocol import Graph
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches


@dataclass(frozen=True)
class Tables:
    """The four tables of docs/graph.md; ids are positions."""

    layers: pa.Table
    neurons: pa.Table
    weights: pa.Table
    outputs: pa.Table


class Memory:
    """Keeps a graph as `tables`; None before it is written. About 40 bytes a weight."""

    tables: Tables | None = None

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        self.tables = collect(graph, progress)
        return Written(graph.neurons, graph.edges)


def collect(graph: Graph, progress: Progress = silent) -> Tables:
    """The whole graph: about 40 bytes a weight."""
    return Tables(
        layers=extract.layer_table(graph),
        neurons=pa.Table.from_batches(neuron_batches(graph, progress), schema.neurons(graph.dtype)),
        weights=pa.Table.from_batches(weight_batches(graph, progress), schema.weights(graph.dtype)),
        outputs=extract.output_table(graph),
    )
