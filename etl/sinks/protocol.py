"""What everything that takes a graph's batches has in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from etl.graph.protocol import Graph

Progress = Callable[[str, int, int], None]  # what is written (`neurons`, `weights` ...), how many of it so far, and of how many


def silent(unit: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Written:
    """How many rows a sink took: all of the graph's."""

    neurons: int
    edges: int


class Sink(Protocol):
    """A place for one graph. All of it is there when `write` returns, and nothing that passes for it where it raises."""

    def write(self, graph: Graph, progress: Progress = silent) -> Written:
        """Take the graph's neurons and weights in bounded memory (as far as the place itself is none). Raises EtlError where it can't."""


def neuron_batches(graph: Graph, progress: Progress, **rows: int) -> Iterator[pa.RecordBatch]:
    """The graph's neurons, each batch counted when whoever takes it comes back for the next."""
    return counted(graph.neuron_batches(**rows), lambda done: progress("neurons", done, graph.neurons))


def weight_batches(graph: Graph, progress: Progress, **rows: int) -> Iterator[pa.RecordBatch]:
    """The graph's weights, counted in the same way."""
    return counted(graph.weight_batches(**rows), lambda done: progress("weights", done, graph.edges))


def counted(stream: Iterator[Any], tell: Callable[[int], None]) -> Iterator[Any]:
    done = 0
    for batch in stream:
        yield batch
        done += batch.num_rows
        tell(done)
