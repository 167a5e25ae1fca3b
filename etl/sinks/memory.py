"""The graph as Arrow tables in memory: for small graphs, notebooks and tests."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from etl import schema
from etl.graph import batches as extract
from etl.graph.trace import Graph


@dataclass(frozen=True)
class Tables:
    """The four tables of docs/graph.md; ids are positions."""

    layers: pa.Table
    neurons: pa.Table
    weights: pa.Table
    outputs: pa.Table


def collect(graph: Graph) -> Tables:
    """The whole graph: about 40 bytes a weight."""
    return Tables(
        layers=extract.layer_table(graph),
        neurons=pa.Table.from_batches(extract.neuron_batches(graph), schema.neurons(graph.dtype)),
        weights=pa.Table.from_batches(extract.weight_batches(graph), schema.weights(graph.dtype)),
        outputs=extract.output_table(graph),
    )
