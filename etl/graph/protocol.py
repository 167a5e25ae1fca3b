"""What a graph is to those that take it: its layer table, its outputs, where it comes from, and streams of its neurons and edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.graph.blocks import Block, NeuronBlock
from etl.graph.rows import Row


class Origin(Protocol):
    """Where a graph comes from: see `etl.network.Model`."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def version(self) -> str | None: ...


class GraphInput(Protocol):
    """One input of the model. shape: of its neurons."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Graph(Protocol):
    """A graph of neurons, counted already; ids are positions, 0..neurons-1.

    rows     the layer table, in order; its spans tile the ids
    selection  the options that made it smaller or other than the network, as on the command line; None for the whole network
    outputs  the ids that each output of the model returns, in its own shape; below zero where it returns a padded zero
    dtype    of weights and biases: float32 or float64
    Streams are in the order of the rows, and the same every time.
    """

    @property
    def model(self) -> Origin: ...
    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def inputs(self) -> Sequence[GraphInput]: ...
    @property
    def outputs(self) -> Sequence[NDArray[np.int64]]: ...
    @property
    def selection(self) -> str | None: ...
    @property
    def output_names(self) -> Sequence[str]: ...
    @property
    def neurons(self) -> int: ...
    @property
    def edges(self) -> int: ...
    @property
    def parameters(self) -> int: ...
    @property
    def density(self) -> float: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

    def neuron_blocks(self, rows: int = ...) -> Iterator[NeuronBlock]:
        """Neurons of one row each, at most so many."""

    def blocks(self, rows: int = ...) -> Iterator[Block]:
        """Edges into one row each, at most so many, as columns that broadcast."""

    def neuron_batches(self, rows: int = ...) -> Iterator[pa.RecordBatch]:
        """All neurons as batches of `schema.neurons`."""

    def weight_batches(self, rows: int = ...) -> Iterator[pa.RecordBatch]:
        """All edges as batches of `schema.weights`."""
