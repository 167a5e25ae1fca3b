"""The graph in NetworkX, for graphs that fit into a Python process: attribute by attribute the one that `export` writes as GraphML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etl.errors import BadRequest
from etl.extras import needed
from etl.graph.protocol import Graph
from etl.sinks.atomic_file import require_neurons
from etl.sinks.protocol import Progress, Written, neuron_batches, silent, weight_batches

if TYPE_CHECKING:
    import networkx

MOST_EDGES = 5_000_000  # about half a kilobyte each


class NetworkX:
    """Makes `graph`, a networkx.DiGraph, or a MultiDiGraph where two edges join the same pair; None before."""

    graph: networkx.DiGraph[int] | None = None

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Make it. Raises BadRequest past 5 million edges, or where the graph has layers only."""
        self.graph = to_networkx(graph, progress)
        return Written(graph.neurons, graph.edges)


def to_networkx(graph: Graph, progress: Progress = silent) -> networkx.DiGraph[int]:
    """Neurons by id with layer, index, op, bias, activation; edges with weight, parameter, layer. What is null is left out.

    `index` is JSON, `[0,3,2]`: lists would keep NetworkX from writing the graph as GraphML or GEXF.
    A DiGraph, or a MultiDiGraph where two edges join the same pair. Raises BadRequest past 5 million edges.
    """
    needed("networkx")
    import networkx

    require_neurons(graph)
    if graph.edges > MOST_EDGES:
        raise BadRequest(
            f"{graph.model.name} has {graph.edges:,} edges and NetworkX holds at most {MOST_EDGES:,} here: select less of it (layers, input_shapes, "
            "granularity, top_k), or export it to .npz or .parquet"
        )
    simple: networkx.DiGraph[int] = filled(networkx.DiGraph(), graph, progress)
    return simple if simple.number_of_edges() == graph.edges else filled(networkx.MultiDiGraph(), graph, silent)


def filled(nx_graph: networkx.DiGraph[int], graph: Graph, progress: Progress) -> networkx.DiGraph[int]:
    """All neurons and weights put into a NetworkX graph."""
    nx_graph.graph |= {"name": graph.model.name, "sha256": graph.model.sha256, "format": graph.model.format}
    for batch in neuron_batches(graph, progress):
        ids, layer, index, *columns = (column.to_pylist() for column in batch.columns)
        columns = [layer, [json.dumps(place, separators=(",", ":")) for place in index], *columns]
        nx_graph.add_nodes_from(zip(ids, properties(batch.schema.names[1:], columns), strict=True))
    for batch in weight_batches(graph, progress):
        source, target, *columns = (column.to_pylist() for column in batch.columns)
        nx_graph.add_edges_from(zip(source, target, properties(batch.schema.names[2:], columns), strict=True))
    return nx_graph


def properties(names: list[str], columns: list[list[Any]]) -> Iterator[dict[str, Any]]:
    """One dict a row, without what is null."""
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}
