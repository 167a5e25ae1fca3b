"""The graph's adjacency matrix as one .npz file that `scipy.sparse.load_npz` opens, with the layer table beside the matrix.

A row a source, a column a target, both by id; parallel edges add up. The layer table: `numpy.load(path)["layer_name"]`, `layer_begin` and so on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etl import schema
from etl.errors import BadRequest
from etl.graph import batches as extract
from etl.graph.trace import Graph
from etl.sinks.atomic_file import in_place, require_neurons

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EDGE_BYTES = 24  # source, target and weight, then the same sorted
Progress = Callable[[str, int, int], None]


def export(graph: Graph, path: Path, progress: Progress = lambda *_: None) -> None:
    """Write the matrix to `path`, which appears when it is complete. Raises BadRequest where memory or place don't do."""
    found = adjacency(graph, progress)
    parts = {"data": found.data, "indices": found.indices, "indptr": found.indptr, "shape": np.array(found.shape), "_is_array": np.array(True)}
    with in_place(path) as file:
        np.savez_compressed(file, format=np.array(b"csr"), **parts, **layer_arrays(graph))  # type: ignore[arg-type]


def adjacency(graph: Graph, progress: Progress = lambda *_: None) -> csr_array[Any]:
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
    done = 0
    for block in extract.blocks(graph):
        columns = block.columns()
        here = slice(done, done + len(columns[0]))
        source[here], target[here], weight[here] = columns[:3]
        done = here.stop
        progress("weights", done, graph.edges)
    return coo_array((weight[:done], (source[:done], target[:done])), shape=(graph.neurons, graph.neurons)).tocsr()


def layer_arrays(graph: Graph) -> dict[str, np.ndarray[Any, Any]]:
    """The layer table as arrays, `layer_` and the column's name; lists are written as JSON."""
    columns = {name: [getattr(row, name) for row in graph.rows] for name in schema.LAYERS.names}
    return {
        f"layer_{name}": np.array([json.dumps(v) if isinstance(v, tuple) else "" if v is None else v for v in column])
        for name, column in columns.items()
    }
