"""Which file a graph is written to, by its suffix."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from etl.errors import BadRequest
from etl.graph.slices import Source
from etl.sinks.protocol import Sink


def sink_for(path: Path, source: Source | None = None, jobs: int = 1, executor: Executor | None = None) -> Sink:
    """What writes files of that suffix. Raises BadRequest for another.

    source          the file that the graph is of, where parts of it can be made elsewhere
    jobs, executor  how many processes, or who else, may write parts at the same time
    """
    if path.suffix == ".parquet":
        from etl.sinks.parquet import Parquet
        from etl.sinks.parquet_parts import by
        from etl.sinks.processes import in_processes

        return Parquet(path, source, by(executor) if executor else in_processes(jobs) if jobs > 1 else None)
    if jobs > 1 or executor:
        raise BadRequest(f"{path} is one file, which one process writes: only a folder X.parquet/ is written in parts")
    if path.suffix == ".graphml":
        from etl.sinks.graphml import GraphML

        return GraphML(path)
    if path.suffix == ".npz":
        from etl.sinks.npz import Npz

        return Npz(path)
    raise BadRequest(f"{path}: its suffix says nothing that can be written: call it .parquet, .graphml or .npz")
