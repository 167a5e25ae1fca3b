"""Where batches are cut: steps become Arrow record batches of bounded size, in the order of their ids, never a layer's edges at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl import schema
from etl.graph.blocks import Block, Box, Columns, NeuronBlock, laid_out
from etl.graph.leaf import edges_shape
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
        yield from cut(row, step, edges, stored, graph.dtype, rows)


def neuron_steps(graph: Graph) -> Iterator[tuple[Step, Sequence[tuple[Array, Weights]], Row]]:
    """The steps that make neurons, each with the arrays it reads and its row of the layer table."""
    steps = ((step, stored) for step, stored in graph.steps() if step.ids.size)
    for (step, stored), row in zip(steps, (row for row in graph.rows if row.neurons), strict=True):
        yield step, stored, row


def cut(row: Row, step: Step, edges: Edges, stored: Sequence[tuple[Array, Weights]], dtype: np.dtype[Any], rows: int) -> Iterator[Block]:
    """One term of a step in blocks."""
    for box in boxes(edges_shape(step.ids.shape, edges), rows):
        yield term_block(row, step, edges, stored, dtype, box)


def term_block(row: Row, step: Step, edges: Edges, stored: Sequence[tuple[Array, Weights]], dtype: np.dtype[Any], box: Box) -> Block:
    """One box of one term; a box without axes of operands takes all of them."""
    rank, weight = len(step.ids.shape) + edges.over, np.asarray(edges.weight)
    box = (*box, *(slice(0, n) for n in edges.shape[len(edges.shape) - rank + len(box) :])) if len(box) < rank else box
    place = Place.of(weight, stored, rank)
    source = laid_out(take(lift(edges.source, rank), box))
    target = take(step.ids[(..., *(None,) * edges.over)], box)
    factor = take(lift(weight, rank), box).astype(dtype, copy=False)
    size = tuple(cut.stop - cut.start for cut in box)
    if np.broadcast_shapes(source.shape, target.shape, factor.shape) != size:  # a source that is read several times, as `expand` repeats it
        source = np.broadcast_to(source, size)
    parameter = None if place is None else place.take(box)
    gaps = bool(source.size) and int(source.min()) < 0
    return Block(row, source, target, factor, parameter, gaps, edges.over)


@dataclass(frozen=True)
class Place:
    """Where a view of a stored array lies in it: `parameter` = start + sum of index * stride, one stride an axis."""

    start: int
    strides: tuple[int, ...]
    shape: tuple[int, ...]

    @staticmethod
    def of(view: Weights, stored: Sequence[tuple[Array, Weights]], rank: int) -> Place | None:
        """The place of a view; None where the weights are no view of a stored array but computed from it."""
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
    """A box of an array that broadcasts: axes that repeat stay one long, whether by length or by stride."""
    return array[tuple(slice(0, 1) if size == 1 or not stride else cut for cut, size, stride in zip(box, array.shape, array.strides, strict=True))]


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
    cut = ((block.row.position, block.columns()) for block in blocks)
    filled = ((position, columns) for position, columns in cut if len(columns[0]))
    for group in batched_by_size(filled, lambda pair: len(pair[1][0]), rows):
        yield weight_batch(group, names, fields)


def weight_batch(blocks: Sequence[tuple[int, Columns]], names: pa.StringArray, fields: pa.Schema) -> pa.RecordBatch:
    """Columns of some rows of the layer table as one record batch."""
    sizes = [len(columns[0]) for _, columns in blocks]
    layer = alike(blocks[0][0], sizes[0]) if len(blocks) == 1 else np.repeat([np.int32(position) for position, _ in blocks], sizes)
    source, target, weight = (together([columns[n] for _, columns in blocks]) for n in range(3))
    parameters = [columns[3] for _, columns in blocks]
    if all(parameter is None for parameter in parameters):
        places = pa.nulls(len(layer), pa.int64())
    else:
        flat = together([np.full(size, -1) if parameter is None else parameter for parameter, size in zip(parameters, sizes, strict=True)])
        places = pa.array(flat, mask=flat < 0) if any(parameter is None for parameter in parameters) else pa.array(flat)
    columns = [pa.array(source), pa.array(target), pa.array(weight), places, pa.DictionaryArray.from_arrays(layer, names, safe=False)]
    return pa.RecordBatch.from_arrays(columns, schema=fields)


@lru_cache(maxsize=1)
def alike(position: int, size: int) -> NDArray[np.int32]:
    """One number many times: most batches of a layer are of the same size, and share it."""
    return np.full(size, position, np.int32)


def together(columns: Sequence[Any]) -> NDArray[Any]:
    """Flat arrays one after the other; one alone as it is."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


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
