"""The graph's adjacency matrix as one .npz file that `scipy.sparse.load_npz` opens, with the layer table beside the matrix.

A row a source, a column a target, both by id; parallel edges add up. The layer table: `numpy.load(path)["layer_name"]`, `layer_begin` and so on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etl import schema
from etl.errors import BadRequest
from etl.graph.protocol import Graph
from etl.sinks.atomic_file import in_place, require_neurons
from etl.sinks.protocol import Progress, Written, silent, weight_batches

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EDGE_BYTES = 24  # source, target and weight, then the same sorted


@dataclass(frozen=True)
class Npz:
    """A file for a graph's matrix, which appears when it is complete."""

    path: Path

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Write the file. Raises BadRequest where memory or place don't do, or where the graph has layers only."""
        matrix = adjacency(graph, progress)
        shape, is_array = np.array(matrix.shape), np.array(True)
        parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "shape": shape, "_is_array": is_array}
        with in_place(self.path) as file:
            np.savez_compressed(file, format=np.array(b"csr"), **parts, **layer_arrays(graph))  # type: ignore[arg-type]
        return Written(graph.neurons, graph.edges)


def adjacency(graph: Graph, progress: Progress = silent) -> csr_array[Any]:
    """All weights as a sparse matrix (neurons, neurons), a row a source; parallel edges add up. Raises BadRequest where memory doesn't do."""
    import psutil
    from scipy.sparse import coo_array

    require_neurons(graph)
    need, free = graph.edges * (EDGE_BYTES + graph.dtype.itemsize), psutil.virtual_memory().available
    if need > free:
        raise BadRequest(
            f"a sparse matrix of {graph.edges:,} edges needs {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free: export to .parquet, "
            "or make the graph smaller (`etl plan` says how)"
        )
    source, target = np.empty(graph.edges, np.int32), np.empty(graph.edges, np.int32)
    weight = np.empty(graph.edges, graph.dtype)
    begin = 0
    for batch in weight_batches(graph, progress):
        span = slice(begin, begin + batch.num_rows)
        source[span], target[span], weight[span] = (batch.column(number).to_numpy() for number in range(3))
        begin = span.stop
    return coo_array((weight, (source, target)), shape=(graph.neurons, graph.neurons)).tocsr()


def layer_arrays(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    """The layer table as arrays, `layer_` and the column's name; lists are written as JSON."""
    columns = {name: [getattr(row, name) for row in graph.rows] for name in schema.LAYERS.names}
    return {
        f"layer_{name}": np.array([json.dumps(v) if isinstance(v, tuple) else "" if v is None else v for v in column])
        for name, column in columns.items()
    }
