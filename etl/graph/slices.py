"""A graph in slices: independent parts, in any order or at the same time, whose rows, put in order, are the graph's own streams.

A slice is where it begins and ends, and which file it is of. Whoever works on it traces the file, once in a process, and runs the rules of the
layers that the slice touches, not of those before: what reaches each of them is known from the trace.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby, islice
from math import prod
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from etl import schema
from etl.graph import batches
from etl.graph.batches import Block, Box, boxes, step_blocks, term_block
from etl.graph.leaf import Extent, whole
from etl.graph.rows import ROWS, Row
from etl.graph.selection import Selection, graph_of
from etl.graph.trace import Graph
from etl.network import Array
from etl.rules.scope import Step, Weights


class Mark(NamedTuple):
    """A place in a stream: the row of neurons (counted among those that have any), the term of its sum, and the box of that."""

    row: int
    term: int
    box: int


class Span(NamedTuple):
    """What lies between two marks, the second one left out."""

    begin: Mark
    end: Mark


@dataclass(frozen=True)
class Slice:
    """One part of a graph's streams: a few hundred bytes, picklable.

    number            its place among all slices, from 0
    neurons, weights  what of each stream belongs to it
    """

    path: Path
    selection: Selection
    number: int
    neurons: Span
    weights: Span

    def neuron_batches(self) -> Iterator[pa.RecordBatch]:
        """Its neurons as batches of `schema.neurons`."""
        graph = traced(self.path, self.selection)
        yield from batches.joined_neurons(graph, neuron_places(graph, self.neurons))

    def weight_batches(self) -> Iterator[pa.RecordBatch]:
        """Its edges as batches of `schema.weights`."""
        graph = traced(self.path, self.selection)
        yield from batches.joined_weights(graph, weight_blocks(graph, self.weights))

    def table(self) -> pa.Table:
        """Its edges as one table."""
        return pa.Table.from_batches(self.weight_batches(), schema.weights(traced(self.path, self.selection).dtype))


@lru_cache(maxsize=2)
def traced(path: Path, selection: Selection) -> Graph:
    """The graph of a file, kept for the next slice of it."""
    return graph_of(path, selection)


def slices(graph: Graph, count: int, path: Path, selection: Selection) -> list[Slice]:
    """Cut a graph's streams into so many slices of about the same size, or fewer where it has fewer places to cut."""
    neurons = spans([(row, 0, extent.shape) for row, extent in enumerate(graph.extents)], count)
    weights = spans([(row, term, shape) for row, extent in enumerate(graph.extents) for term, shape in enumerate(terms_of(graph, extent))], count)
    return [Slice(path, selection, number, *both) for number, both in enumerate(zip(neurons, weights, strict=True))]


def terms_of(graph: Graph, extent: Extent) -> Sequence[tuple[int, ...]]:
    """The shapes that a step's edges are cut from; edges that are pruned are not cut."""
    return extent.terms if graph.pruning is None else [(1,)]


def spans(pieces: Sequence[tuple[int, int, tuple[int, ...]]], count: int) -> list[Span]:
    """So many spans of pieces (row, term, shape), cut between boxes, as equal as that goes."""
    sizes = [prod(shape) for _, _, shape in pieces]
    ends = list(accumulate(sizes))
    marks = [Mark(0, 0, 0)]
    for number in range(1, count):
        wanted = (ends[-1] if ends else 0) * number // count
        place = bisect_right(ends, wanted)
        if place == len(pieces):
            marks.append(marks[-1])
            continue
        row, term, shape = pieces[place]
        share = (wanted - ends[place] + sizes[place]) / sizes[place]
        marks.append(max(marks[-1], Mark(row, term, round(share * box_count(shape)))))
    last = Mark(pieces[-1][0] + 1, 0, 0) if pieces else Mark(0, 0, 0)
    return [Span(begin, end) for begin, end in zip(marks, [*marks[1:], last], strict=True)]


def box_count(shape: Sequence[int]) -> int:
    """How many boxes `batches.boxes` cuts a shape into."""
    axis = next((k for k in range(len(shape)) if prod(shape[k + 1 :]) <= ROWS), 0)
    step = max(1, ROWS // max(prod(shape[axis + 1 :]), 1))
    return prod(shape[:axis]) * -(-shape[axis] // step) if shape else 1


def touched(graph: Graph, span: Span) -> Iterator[tuple[int, Row, Step, Sequence[tuple[Array, Weights]]]]:
    """The rows of neurons that a span touches, by number, with their steps; each layer's rule runs once."""
    rows = [row for row in graph.rows if row.neurons]
    last = span.end.row + (span.end > Mark(span.end.row, 0, 0))
    numbers = range(span.begin.row, min(last, len(rows)))
    for leaf, group in groupby(numbers, key=lambda number: graph.extents[number].leaf):
        wanted = {graph.extents[number].place: number for number in group}
        steps = ((step, []) for step in graph.inputs) if leaf < 0 else graph.steps_of(graph.leaves[leaf])
        for place, (step, stored) in enumerate(pair for pair in steps if pair[0].ids.size):
            if place in wanted:
                yield wanted[place], rows[wanted[place]], step, stored


def neuron_places(graph: Graph, span: Span) -> Iterator[tuple[Step, Row, Box]]:
    """The neurons of a span, box by box."""
    for number, row, step, _ in touched(graph, span):
        for box in inside(span, number, 0, step.ids.shape):
            yield step, row, box


def weight_blocks(graph: Graph, span: Span) -> Iterator[Block]:
    """The edges of a span."""
    for number, row, step, stored in touched(graph, span):
        if graph.pruning is not None:
            if span.begin <= Mark(number, 0, 0) < span.end:
                yield from step_blocks(graph, step, stored, row)
            continue
        for term, edges in enumerate(step.edges):
            for box in inside(span, number, term, whole(step.ids.shape, edges)):
                yield term_block(row, step, edges, stored, graph.dtype, box)


def inside(span: Span, row: int, term: int, shape: Sequence[int]) -> Iterator[Box]:
    """The boxes of a shape that belong to a span."""
    first = span.begin.box if (row, term) == span.begin[:2] else 0
    if (row, term) < span.begin[:2] or (row, term) > span.end[:2]:
        return iter(())
    return islice(boxes(shape, ROWS), first, span.end.box if (row, term) == span.end[:2] else None)
