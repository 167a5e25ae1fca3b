"""Where batches are cut: steps become Arrow record batches of bounded size, in the order of their ids, never a layer's edges at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import prod
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl import schema
from etl.graph.blocks import Block, Box, NeuronBlock, laid_out, room
from etl.graph.rows import ROWS, Row
from etl.network import Array
from etl.rules.scope import OPS, ZERO, Edges, Ids, Step, Weights
from etl.streams import batched_by_size


class Counted(Protocol):
    """The layer table and the ids that each output returns."""

    @property
    def rows(self) -> Sequence[Row]: ...
    @property
    def outputs(self) -> Sequence[NDArray[np.int64]]: ...


class Graph(Counted, Protocol):
    """What blocks are cut from: steps in the order of the rows. pruning: cuts a step where only some of its edges are wanted."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def pruning(self) -> Callable[..., Iterator[Block]] | None: ...
    def steps(self) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]: ...


def neuron_blocks(graph: Graph, rows: int = ROWS) -> Iterator[NeuronBlock]:
    """All neurons in blocks of at most `rows`, ids as positions, layer by layer."""
    for step, _, row in neuron_steps(graph):
        for box in boxes(step.ids.shape, rows):
            yield NeuronBlock(row, step.op, row.activation, step.ids[box].reshape(-1), biases(step, box))


def blocks(graph: Graph, rows: int = ROWS) -> Iterator[Block]:
    """All edges of a graph in blocks of at most `rows`, ids as positions, layer by layer."""
    for step, stored, row in neuron_steps(graph):
        yield from step_blocks(graph, step, stored, row, rows)


def step_blocks(graph: Graph, step: Step, stored: Sequence[tuple[Array, Weights]], row: Row, rows: int = ROWS) -> Iterator[Block]:
    """The edges of one step in blocks of at most `rows`."""
    if graph.pruning is not None:
        yield from graph.pruning(row, step, stored, graph.dtype, rows)
        return
    for edges in step.edges:
        yield from Term(row, step, edges, stored, graph.dtype).blocks(rows)


def neuron_steps(graph: Graph) -> Iterator[tuple[Step, Sequence[tuple[Array, Weights]], Row]]:
    """The steps that make neurons, each with the arrays it reads and its row of the layer table."""
    steps = ((step, stored) for step, stored in graph.steps() if step.ids.size)
    for (step, stored), row in zip(steps, (row for row in graph.rows if row.neurons), strict=True):
        yield step, stored, row


class Term:
    """One term of a step, from which boxes are cut. Weights that box after box reads are laid out once."""

    def __init__(self, row: Row, step: Step, edges: Edges, stored: Sequence[tuple[Array, Weights]], dtype: np.dtype[Any]) -> None:
        rank, weight = len(step.ids.shape) + edges.over, np.asarray(edges.weight)
        self.row, self.over, self.dtype = row, edges.over, dtype
        self.source, self.target, self.weight = lift(edges.source, rank), step.ids[(..., *(None,) * edges.over)], lift(weight, rank)
        self.shape = np.broadcast(self.source, self.target, self.weight).shape
        self.place = Place.of(weight, stored, rank)
        self.laid: tuple[Box, Weights, Ids | None] | None = None

    def blocks(self, rows: int, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """All of it in blocks of at most `rows`, or those from one up to the other alone."""
        return map(self.block, islice(boxes(self.shape, rows), first, last))

    def block(self, box: Box) -> Block:
        """One box of it; a box without axes of operands takes all of them."""
        box = (*box, *(slice(0, n) for n in self.shape[len(box) :]))
        size = tuple(cut.stop - cut.start for cut in box)
        source, target = laid_out(take(self.source, box)), take(self.target, box)
        factor, parameter = self.weights(box)
        if tuple(map(max, source.shape, target.shape, factor.shape)) != size:  # a source that is read several times, as `expand` repeats it
            source = np.broadcast_to(source, size)
        return Block(self.row, source, target, factor, parameter, bool(source.size) and int(source.min()) < 0, self.over)

    def weights(self, box: Box) -> tuple[Weights, Ids | None]:
        """The weights of a box and their parameters."""
        own = within(self.weight, box)
        if self.laid is None or self.laid[0] != own:
            factor = laid_out(self.weight[own].astype(self.dtype, copy=False))
            self.laid = own, factor, None if self.place is None else self.place.take(box)
        return self.laid[1:]


@dataclass(frozen=True)
class Place:
    """Where a view of a stored array lies in it: `parameter` = start + sum of index * stride, one stride an axis."""

    start: int
    strides: tuple[int, ...]
    shape: tuple[int, ...]

    @staticmethod
    def of(view: Weights, stored: Sequence[tuple[Array, Weights]], rank: int) -> Place | None:
        """The place of a view; None where the weights are no view of a stored array but computed from it."""
        if view.base is None and all(view is not base for _, base in stored):
            return None  # its memory is its own
        address = view.__array_interface__["data"][0]
        for array, base in stored:
            ahead = address - base.__array_interface__["data"][0]
            if 0 <= ahead < base.nbytes and view.size:
                lead = rank - view.ndim
                strides = (*(0,) * lead, *(s // view.itemsize if n > 1 else 0 for s, n in zip(view.strides, view.shape, strict=True)))
                return Place(array.begin + ahead // view.itemsize, strides, (*(1,) * lead, *view.shape))
        return None

    def take(self, box: Box) -> Ids:
        """Parameters of one box, as an array that broadcasts."""
        parameters = np.asarray(self.start, dtype=np.int64)
        for axis, (cut, stride, size) in enumerate(zip(box, self.strides, self.shape, strict=True)):
            if stride:
                steps = np.arange(*cut.indices(size), dtype=np.int64) * stride
                parameters = parameters + steps.reshape(-1, *(1,) * (len(box) - axis - 1))
        return parameters.reshape((1,) * (len(box) - parameters.ndim) + parameters.shape)


def lift(array: Any, rank: int) -> Any:
    """The same array with axes of length one in front."""
    return array[(*(None,) * (rank - array.ndim), ...)]


def take(array: Any, box: Box) -> Any:
    """A box of an array that broadcasts."""
    return array[within(array, box)]


def within(array: Any, box: Box) -> Box:
    """The box as an array that broadcasts has it: axes that repeat stay one long, whether by length or by stride."""
    return tuple(slice(0, 1) if size == 1 or not stride else cut for cut, size, stride in zip(box, array.shape, array.strides, strict=True))


def boxes(shape: Sequence[int], rows: int) -> Iterator[Box]:
    """Boxes of at most `rows` places that cut an array of that shape in C order."""
    if not prod(shape):
        return
    axis = next((k for k in range(len(shape)) if prod(shape[k + 1 :]) <= rows), 0)
    step = max(1, rows // prod(shape[axis + 1 :]))
    inner = tuple(slice(0, n) for n in shape[axis + 1 :])
    for outer in np.ndindex(*shape[:axis]):
        lead = tuple(slice(i, i + 1) for i in outer)
        if not shape:
            yield ()
        for start in range(0, shape[axis] if shape else 0, step):
            yield (*lead, slice(start, min(start + step, shape[axis])), *inner)


def weight_batches(graph: Graph, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """All edges as record batches of `schema.weights`, small ones joined up to `rows`."""
    return joined_weights(graph, blocks(graph, rows), rows)


def joined_weights(graph: Graph, blocks: Iterable[Block], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The edges of some blocks as record batches of `schema.weights`, small ones joined up to `rows`."""
    names = pa.array([row.name for row in graph.rows], pa.string())
    fields = schema.weights(graph.dtype)
    for group in batched_by_size((block for block in blocks if block.edges), lambda block: block.edges, rows):
        yield weight_batch(group, names, fields)


def weight_batch(blocks: Sequence[Block], names: pa.StringArray, fields: pa.Schema) -> pa.RecordBatch:
    """The edges of some blocks, one after the other."""
    positions, counts, numbered = zip(*((block.row.position, block.edges, block.parameter is not None) for block in blocks), strict=True)
    columns: Sequence[Any] = blocks[0].columns() if len(blocks) == 1 else joined_columns(blocks, fields.field("weight").type.to_pandas_dtype())
    source, target, weight, parameter = columns
    layer = alike(positions[0], sum(counts)) if positions[0] == positions[-1] else np.repeat(np.array(positions, np.int32), counts)
    places = pa.array(parameter, mask=None if all(numbered) else parameter < 0) if any(numbered) else pa.nulls(sum(counts), pa.int64())
    arrays = [*map(pa.array, (source, target, weight)), places, pa.DictionaryArray.from_arrays(layer, names, safe=False)]
    return pa.RecordBatch.from_arrays(arrays, schema=fields)


def joined_columns(blocks: Sequence[Block], dtype: Any) -> list[NDArray[Any]]:
    """The columns of several blocks, each written straight into its place, weights of that type; -1 where there is no parameter."""
    edges = sum(block.edges for block in blocks)
    columns = [room(edges, np.dtype(kind)) for kind in (np.int64, np.int64, dtype, np.int64)]
    begin = 0
    for block in blocks:
        *ends_and_weight, parameter = (column[begin : begin + block.edges] for column in columns)
        if block.parameter is None:
            block.write(ends_and_weight)
            parameter.fill(-1)
        else:
            block.write([*ends_and_weight, parameter])
        begin += block.edges
    return columns


@lru_cache(maxsize=1)
def alike(position: int, size: int) -> NDArray[np.int32]:
    """One number many times: most batches of a layer are of the same size, and share it."""
    return np.full(size, position, np.int32)


def neuron_batches(graph: Graph, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """All neurons as record batches of `schema.neurons`."""
    places = ((step, row, box) for step, _, row in neuron_steps(graph) for box in boxes(step.ids.shape, rows))
    return joined_neurons(graph, places, rows)


def joined_neurons(graph: Graph, places: Iterable[tuple[Step, Row, Box]], rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The neurons of some boxes of steps as record batches of `schema.neurons`, small ones joined up to `rows`."""
    names = pa.array([row.name for row in graph.rows], pa.string())
    activations = sorted({row.activation for row in graph.rows if row.activation is not None})
    fields = schema.neurons(graph.dtype)
    cut = (neuron_batch(step, row, box, names, activations, fields) for step, row, box in places)
    for group in batched_by_size((batch for batch in cut if batch.num_rows), lambda batch: batch.num_rows, rows):
        yield group[0] if len(group) == 1 else pa.concat_batches(group)


def neuron_batch(step: Step, row: Row, box: Box, names: pa.StringArray, activations: Sequence[str], fields: pa.Schema) -> pa.RecordBatch:
    """The neurons of one box of a step."""
    ids = step.ids[box].reshape(-1)
    index = np.stack(np.unravel_index(ids - row.begin, step.shape), -1).astype(np.int32) if step.shape else np.empty((len(ids), 0), np.int32)
    offsets = np.arange(0, index.size + 1, len(step.shape), dtype=np.int32) if step.shape else np.zeros(len(ids) + 1, np.int32)
    bias = biases(step, box).astype(fields.field("bias").type.to_pandas_dtype())

    def same(value: str, of: Sequence[str]) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(np.full(len(ids), list(of).index(value), np.int32), pa.array(of, pa.string()))

    layer = pa.DictionaryArray.from_arrays(np.full(len(ids), row.position, np.int32), names)
    columns = [
        pa.array(ids),
        layer,
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(index.reshape(-1))),
        same(step.op, OPS),
        pa.array(bias, mask=np.isnan(bias)),
        same(step.activation, activations),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=fields)


def biases(step: Step, box: Box) -> Weights:
    """The biases of one box of neurons, flat, NaN where there is none. A padded zero among the operands of a max, min or product is one."""
    rank = len(step.ids.shape)
    bias = np.full(step.ids[box].shape, np.nan)
    if step.bias is not None:
        bias[...] = take(lift(step.bias, rank), box)
    if step.op in ("max", "min", "product"):
        zero = np.zeros(bias.shape, dtype=bool)
        for edges in step.edges:
            full = (*box, *(slice(0, n) for n in edges.shape[len(edges.out) :]))
            axes = tuple(range(rank, rank + edges.over))
            zero |= (take(lift(edges.source, rank + edges.over), full) == ZERO).any(axis=axes)
        merged = {"max": np.fmax, "min": np.fmin, "product": np.multiply}[step.op](bias, 0.0)
        bias = np.where(zero, np.nan_to_num(merged), bias)
    return bias.reshape(-1)


def layer_table(graph: Counted) -> pa.Table:
    """The layer table, as `schema.LAYERS`."""
    return pa.Table.from_pylist([{name: getattr(row, name) for name in schema.LAYERS.names} for row in graph.rows], schema=schema.LAYERS)


def output_table(graph: Counted) -> pa.Table:
    """What each output of the model returns, as `schema.OUTPUTS`: null for a padded zero."""
    ids = [o.reshape(-1) for o in graph.outputs]
    flat = np.concatenate(ids) if ids else np.empty(0, np.int64)
    number = np.concatenate([np.full(len(i), n, np.int32) for n, i in enumerate(ids)]) if ids else np.empty(0, np.int32)
    position = np.concatenate([np.arange(len(i)) for i in ids]) if ids else np.empty(0, np.int64)
    return pa.table([pa.array(number), pa.array(position), pa.array(flat, mask=flat < 0)], schema=schema.OUTPUTS)
