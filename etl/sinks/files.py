"""Which file a graph is written to, by its suffix."""

from __future__ import annotations

from pathlib import Path

from etl.errors import BadRequest
from etl.sinks.protocol import Sink


def sink_for(path: Path) -> Sink:
    """What writes files of that suffix. Raises BadRequest for another."""
    if path.suffix == ".parquet":
        from etl.sinks.parquet import Parquet

        return Parquet(path)
    if path.suffix == ".graphml":
        from etl.sinks.graphml import GraphML

        return GraphML(path)
    if path.suffix == ".npz":
        from etl.sinks.npz import Npz

        return Npz(path)
    raise BadRequest(f"{path}: its suffix says nothing that can be written: call it .parquet, .graphml or .npz")
