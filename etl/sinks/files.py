"""Which file a graph is written to, by its suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import BadRequest
from etl.sinks.protocol import Sink

if TYPE_CHECKING:
    from etl.graph.slices import Source
    from etl.sinks.parquet_parts import Run


def sink_for(path: Path, source: Source | None = None, run: Run | None = None) -> Sink:
    """What writes files of that suffix. Raises BadRequest for another.

    source  the file that the graph is of, where parts of it can be made elsewhere
    run     who makes them there; None: all is written here
    """
    if path.suffix == ".parquet":
        from etl.sinks.parquet import Parquet

        return Parquet(path, source, run)
    if run is not None:
        raise BadRequest(f"{path} is one file, which one process writes: only a folder X.parquet/ is written in parts")
    if path.suffix == ".graphml":
        from etl.sinks.graphml import GraphML

        return GraphML(path)
    if path.suffix == ".npz":
        from etl.sinks.npz import Npz

        return Npz(path)
    raise BadRequest(f"{path}: its suffix says nothing that can be written: call it .parquet, .graphml or .npz")
