"""A model as a graph of neurons: what the trace found, which counts, names and streams it.

To stream, each layer's rule runs again on the same ids with its arrays read, so that no more than one layer's weights are in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from etl.graph.fold import Folds, folded_step
from etl.graph.leaf import Extent, Leaf
from etl.graph.rows import ROWS, Row, Totals
from etl.network import Array, Model
from etl.rules.ids import Ids
from etl.rules.lookups import Lookups
from etl.rules.scope import Step, Weights

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.graph.blocks import Block, NeuronBlock


@dataclass
class Graph(Totals):
    """A model as a graph of neurons, counted but not created.

    model    with nested models taken apart
    rows     layers and sublayers in order; their spans tile 0..neurons-1
    outputs  the ids that each output of the model returns, in its own shape; ZERO where it returns a padded zero
    dtype    of weights and biases: float32, or float64 where the file holds float64
    folds    number of a step -> the steps folded into it, in their order
    extents  one for each row that has neurons
    values   the ids that each layer of the file returns, by row name: its first output
    selection  the options that made it smaller or other than the network, as on the command line; None for the whole network
    counts_alone  some neurons share their ids, so there are rows and counts, and nothing to stream
    pruning  cuts a step's edges into blocks, where only some of them are wanted: see etl/graph/pruning.py
    """

    model: Model
    rows: list[Row] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    outputs: list[Ids] = field(default_factory=list)
    inputs: list[Step] = field(default_factory=list)
    lookups: Lookups = field(default_factory=Lookups)
    folds: Folds = field(default_factory=dict)
    values: dict[str, Ids] = field(default_factory=dict)
    pruning: Callable[..., Iterator[Any]] | None = None
    selection: str | None = None
    counts_alone: bool = False
    extents: list[Extent] = field(default_factory=list)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("float64" if any(a.dtype == np.float64 for a in self.model.network.stored()) else "float32")

    def __repr__(self) -> str:
        return f"<Graph {self.model.name}: {len(self.rows):,} layers, {self.neurons:,} neurons, {self.edges:,} weights>"

    def steps(self) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]:
        """Every step in the order of its ids, with the stored arrays (as read) that its weights may be views of."""
        assert not self.counts_alone, "a graph that was only counted has no steps"
        yield from ((step, []) for step in self.inputs)
        for leaf in self.leaves:
            yield from self.steps_of(leaf)

    def steps_of(self, leaf: Leaf) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]:
        """The steps of one layer, its arrays read."""
        stored: list[tuple[Array, Weights]] = []

        def read(array: Array) -> Weights:
            values_read = next((values for earlier, values in stored if earlier is array), None)
            if values_read is None:  # TimeDistributed asks for the same array at each step
                values_read = array.read()
                stored.append((array, values_read))
            return values_read

        for step in leaf.run(read, self.lookups, self.folding).steps:
            for number, _ in self.folds.get(step.number, ()):
                step = folded_step(step, self.leaf_of(number).run(lambda array: array.read(), self.lookups, self.folding).folded[number])
            yield step, [(array, values) for array, values in stored if array.begin is not None]

    @property
    def output_names(self) -> list[str]:
        """What makes each output of the model: an input, or a call."""
        return [self.model.network.name_of(tensor) for tensor in self.model.network.outputs]

    def neuron_blocks(self, rows: int = ROWS) -> Iterator[NeuronBlock]:
        """All neurons, a layer after the other, at most `rows` together."""
        from etl.graph import batches  # Arrow takes a moment, and counting needs none of it

        return batches.neuron_blocks(self, rows)

    def blocks(self, rows: int = ROWS) -> Iterator[Block]:
        """All edges, a layer after the other, at most `rows` together, as columns that broadcast."""
        from etl.graph import batches

        return batches.blocks(self, rows)

    def neuron_batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """All neurons as record batches of `schema.neurons`."""
        from etl.graph import batches

        return batches.neuron_batches(self, rows)

    def weight_batches(self, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
        """All edges as record batches of `schema.weights`."""
        from etl.graph import batches

        return batches.weight_batches(self, rows)

    @property
    def folding(self) -> frozenset[int]:
        """Numbers of all steps that are folded into others."""
        return frozenset(number for folded in self.folds.values() for number, _ in folded)

    def leaf_of(self, number: int) -> Leaf:
        """The leaf that makes the step of that number."""
        return self.leaves[bisect_right(self.leaves, number, key=lambda leaf: leaf.number) - 1]
