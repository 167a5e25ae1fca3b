"""What exports into one file share: it is at its place when it is complete, and not before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from etl.errors import BadRequest
from etl.graph.protocol import Graph


@contextmanager
def in_place(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place when it is complete, and goes when it isn't. Raises BadRequest where it can't be written."""
    path = path.absolute()
    if path.is_dir():
        raise BadRequest(f"{path} is a folder: choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise BadRequest(f"{path} can't be written ({error.strerror or error}): choose another place for it") from error


def require_neurons(graph: Graph) -> None:
    """Raises BadRequest for a graph of layers only, of which nothing but an empty file would become."""
    if graph.rows and not graph.neurons:
        raise BadRequest(
            f"{graph.model.name} has no neurons at --granularity layer: take channel, or export to .parquet, which has the layers' table"
        )
