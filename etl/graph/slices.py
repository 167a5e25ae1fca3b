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
from etl.errors import BadFile
from etl.graph import batches
from etl.graph.batches import Term, boxes
from etl.graph.blocks import Block, Box
from etl.graph.pruning import neurons_at_once
from etl.graph.rows import ROWS, Row
from etl.graph.selection import Selection, graph_of
from etl.graph.traced import Graph
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


class Piece(NamedTuple):
    """What a stream is cut from: one term of one row.

    shape  that is cut into boxes of at most `rows` places
    size   how many rows come of it, or a few more: gaps count too
    """

    row: int
    term: int
    shape: tuple[int, ...]
    rows: int
    size: int

    @property
    def boxes(self) -> int:
        """How many boxes `batches.boxes` cuts it into."""
        shape = self.shape
        axis = next((k for k in range(len(shape)) if prod(shape[k + 1 :]) <= self.rows), 0)
        step = max(1, self.rows // max(prod(shape[axis + 1 :]), 1))
        return prod(shape[:axis]) * -(-shape[axis] // step) if shape else 1


@dataclass(frozen=True)
class Source:
    """The file that slices are of.

    sha256  of the file that was cut: another one in its place, here or on another machine, is refused
    """

    path: Path
    selection: Selection
    sha256: str


@dataclass(frozen=True)
class Slice:
    """One part of a graph's streams: a few hundred bytes, picklable.

    number            its place among all slices, from 0
    neurons, weights  what of each stream belongs to it
    """

    source: Source
    number: int
    neurons: Span
    weights: Span

    def neuron_batches(self) -> Iterator[pa.RecordBatch]:
        """Its neurons as batches of `schema.neurons`."""
        return neuron_batches(traced(self.source), self.neurons)

    def weight_batches(self) -> Iterator[pa.RecordBatch]:
        """Its edges as batches of `schema.weights`."""
        return weight_batches(traced(self.source), self.weights)

    def table(self) -> pa.Table:
        """Its edges as one table."""
        return pa.Table.from_batches(self.weight_batches(), schema.weights(traced(self.source).dtype))


@lru_cache(maxsize=2)
def traced(source: Source) -> Graph:
    """The graph of a file, kept for the next slice of it. Raises BadFile where it is not the file that was cut."""
    graph = graph_of(source.path, source.selection)
    if graph.model.sha256 != source.sha256:
        raise BadFile(f"{source.path} is not the file that the slices were cut from: it has changed since, or is another one on this machine")
    return graph


def slices(graph: Graph, count: int, source: Source) -> list[Slice]:
    """Cut a graph's streams into so many slices of about the same size; some are empty where it has fewer places to cut."""
    pairs = zip(spans(neuron_pieces(graph), count), spans(weight_pieces(graph), count), strict=True)
    return [Slice(source, number, neurons, weights) for number, (neurons, weights) in enumerate(pairs)]


def neuron_pieces(graph: Graph) -> list[Piece]:
    """What the stream of neurons is cut from."""
    return [Piece(row, 0, extent.shape, ROWS, prod(extent.shape)) for row, extent in enumerate(graph.extents)]


def weight_pieces(graph: Graph) -> list[Piece]:
    """What the stream of edges is cut from; edges that are pruned are cut between neurons, taken as having the same number each."""
    if graph.pruning is None:
        return [Piece(row, n, shape, ROWS, prod(shape)) for row, extent in enumerate(graph.extents) for n, shape in enumerate(extent.terms)]
    pieces = []
    for number, (row, extent) in enumerate(zip((row for row in graph.rows if row.neurons), graph.extents, strict=True)):
        fan = sum(prod(shape) for shape in extent.terms) // prod(extent.shape)
        pieces.append(Piece(number, 0, extent.shape, neurons_at_once(ROWS, fan), row.edges))
    return pieces


def spans(pieces: Sequence[Piece], count: int) -> list[Span]:
    """So many spans of pieces, cut between boxes, as equal as that goes."""
    ends = list(accumulate(piece.size for piece in pieces))
    marks = [Mark(0, 0, 0)]
    for number in range(1, count):
        target = (ends[-1] if ends else 0) * number // count
        place = bisect_right(ends, target)
        if place == len(pieces):
            marks.append(marks[-1])
            continue
        piece = pieces[place]
        share = (target - ends[place] + piece.size) / piece.size
        marks.append(max(marks[-1], Mark(piece.row, piece.term, round(share * piece.boxes))))
    last = Mark(pieces[-1].row + 1, 0, 0) if pieces else Mark(0, 0, 0)
    return [Span(begin, end) for begin, end in zip(marks, [*marks[1:], last], strict=True)]


def spans_of_size(pieces: Sequence[Piece], rows: int) -> list[Span]:
    """Spans of pieces of about so many rows each, at least one."""
    return spans(pieces, max(-(-sum(piece.size for piece in pieces) // rows), 1))


def neuron_batches(graph: Graph, span: Span) -> Iterator[pa.RecordBatch]:
    """The neurons of a span as batches of `schema.neurons`."""
    return batches.joined_neurons(graph, neuron_places(graph, span))


def weight_batches(graph: Graph, span: Span) -> Iterator[pa.RecordBatch]:
    """The edges of a span as batches of `schema.weights`."""
    return batches.joined_weights(graph, weight_blocks(graph, span))


def touched_rows(graph: Graph, span: Span) -> Iterator[tuple[int, Row, Step, Sequence[tuple[Array, Weights]]]]:
    """The rows of neurons that a span touches, by number, with their steps; each layer's rule runs once."""
    rows = [row for row in graph.rows if row.neurons]
    last = span.end.row + (span.end > Mark(span.end.row, 0, 0))
    numbers = range(span.begin.row, min(last, len(rows)))
    for leaf, group in groupby(numbers, key=lambda number: graph.extents[number].leaf):
        numbers_by_place = {graph.extents[number].place: number for number in group}
        steps = ((step, []) for step in graph.inputs) if leaf < 0 else graph.steps_of(graph.leaves[leaf])
        for place, (step, stored) in enumerate(pair for pair in steps if pair[0].ids.size):
            if place in numbers_by_place:
                yield numbers_by_place[place], rows[numbers_by_place[place]], step, stored


def neuron_places(graph: Graph, span: Span) -> Iterator[tuple[Step, Row, Box]]:
    """The neurons of a span, box by box."""
    for number, row, step, _ in touched_rows(graph, span):
        for box in islice(boxes(step.ids.shape, ROWS), *boxes_in_span(span, number, 0)):
            yield step, row, box


def weight_blocks(graph: Graph, span: Span) -> Iterator[Block]:
    """The edges of a span."""
    for number, row, step, stored in touched_rows(graph, span):
        if graph.pruning is not None:
            yield from graph.pruning(row, step, stored, graph.dtype, ROWS, *boxes_in_span(span, number, 0))
            continue
        for term, edges in enumerate(step.edges):
            yield from Term(row, step, edges, stored, graph.dtype).blocks(ROWS, *boxes_in_span(span, number, term))


def boxes_in_span(span: Span, row: int, term: int) -> tuple[int, int | None]:
    """From which of a piece's boxes, and up to which, it belongs to a span; None: up to its end."""
    if not span.begin[:2] <= (row, term) <= span.end[:2]:
        return 0, 0
    return span.begin.box if (row, term) == span.begin[:2] else 0, span.end.box if (row, term) == span.end[:2] else None
