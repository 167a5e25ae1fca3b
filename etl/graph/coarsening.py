"""Coarser graphs of the same model: feature maps joined by the norms of their kernels, or layers alone.

In a channel graph a node stands for one channel of a layer, its place on the axis of that name (a unit, where a layer has no positions; a layer
without such an axis is one node), and an edge carries the L2 norm of the weights between two channels: each stored weight once; where weights
are computed or positions differ, the largest norm into one neuron.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from etl.graph.batches import boxes, lift, take
from etl.graph.rows import ROWS, Row, channels_of
from etl.graph.traced import Graph
from etl.network import Array
from etl.rules.scope import NOTHING, OPS, Edges, Ids, Step, Weights


@dataclass
class ChannelGraph(Graph):
    """A graph whose nodes are the channels of another one's layers; `fine` is that other one."""

    fine: Graph = field(kw_only=True)
    begins: Ids = field(kw_only=True)
    widths: Ids = field(kw_only=True)
    inner: Ids = field(kw_only=True)
    firsts: Ids = field(kw_only=True)

    def steps(self) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]:
        """The steps of the fine graph, each channel's neurons made one."""
        makers = iter(self.makers)
        for step, _ in self.fine.steps():
            if step.ids.size:
                yield self.coarse(step, next(makers)), []

    def channels(self, ids: Ids) -> Ids:
        """The channel nodes that stand for neurons; ZERO and NOTHING stay."""
        low = int(ids.max(initial=-1))
        if low < 0:
            return ids
        row = np.searchsorted(self.begins, ids, side="right") - 1
        nodes: Ids = self.firsts[row] + (ids - self.begins[row]) // self.inner[row] % self.widths[row]
        return np.where(ids < 0, ids, nodes)

    @property
    def makers(self) -> list[Row]:
        """The rows of the fine graph that have neurons."""
        return [row for row in self.fine.rows if row.neurons]

    def coarse(self, step: Step, row: Row) -> Step:
        """One step between channels."""
        width, inner = channels_of(row)
        first = int(self.channels(step.ids.reshape(-1)[:1])[0])
        nodes = np.arange(first, first + width)
        edges = tuple(self.norms(step, term, width, inner) for term in step.edges)
        return replace(step, ids=nodes, shape=(width,), edges=edges, bias=channel_bias(step, width, inner), axes=("channel",))

    def norms(self, step: Step, term: Edges, width: int, inner: int) -> Edges:
        """The norms of one term: source and weight (width, channels read)."""
        shape = np.broadcast_shapes(term.shape, (*step.ids.shape, *(1,) * term.over))
        rank, weight = len(shape), lift(np.asarray(term.weight), len(shape))
        channel = np.arange(step.ids.size).reshape(step.ids.shape) // inner % width
        places = [a for a in range(rank - term.over) if (channel == channel.take([0], axis=a)).all()]
        source = lift(term.source, rank)
        met = np.zeros(int(self.firsts[-1] + self.widths[-1]) + 1, dtype=bool)  # the last is what ids below zero find
        for box in boxes(source.shape, ROWS):
            met[np.maximum(self.channels(take(source, box)), -1)] = True
        read = np.flatnonzero(met[:-1])
        total = np.zeros((width, len(read)))
        connected = np.zeros(total.shape, dtype=bool)
        steady = self.steady(source, weight, places, shape)
        target = channel[(..., *(None,) * term.over)]
        if steady is not None:
            target = target[tuple(slice(0, 1) if a in places else slice(None) for a in range(rank))]
            shape_of_edges = np.broadcast_shapes(steady.shape, weight.shape, target.shape)
            for box in boxes(shape_of_edges, ROWS):
                sizes = [cut.stop - cut.start for cut in box]
                pairs, reading, size = (np.broadcast_to(take(a, box), sizes).reshape(-1) for a in (target, steady, weight))
                add(total, connected, pairs, reading, size, read)
        else:
            for box in boxes(shape, max(ROWS, prod(shape[rank - term.over :]))):
                sizes = [cut.stop - cut.start for cut in box]
                neurons = prod(sizes[: rank - term.over])
                parts = (take(target, box), self.channels(take(source, box)), take(weight, box))
                widest(total, connected, *(np.broadcast_to(a, sizes).reshape(neurons, -1) for a in parts), read=read)
        linked = np.where(connected, read[None, :], NOTHING)
        return Edges(read[None, :] if connected.all() else linked, np.sqrt(total))

    def steady(self, source: Ids, weight: Weights, places: list[int], shape: tuple[int, ...]) -> Ids | None:
        """The channels read, positions aside, where they and the weights are the same at all positions; else None."""
        if any(weight.shape[a] > 1 and weight.strides[a] for a in places):
            return None
        wide = tuple(a for a in places if source.shape[a] > 1)
        reduced_shape = tuple(1 if a in wide else n for a, n in enumerate(source.shape))
        low, high = np.full(reduced_shape, np.iinfo(np.int64).max), np.full(reduced_shape, NOTHING, dtype=np.int64)
        for box in boxes(source.shape, ROWS):
            channels_read = self.channels(take(source, box))
            at = tuple(slice(0, 1) if a in wide else cut for a, cut in enumerate(box))
            np.maximum(high[at], channels_read.max(axis=wide, keepdims=True), out=high[at])
            np.minimum(low[at], np.where(channels_read < 0, np.iinfo(np.int64).max, channels_read).min(axis=wide, keepdims=True), out=low[at])
        return high if ((high < 0) | (high == low)).all() else None


def add(total: Weights, connected: Weights, target: Ids, source: Ids, weight: Weights, read: Ids) -> None:
    """Add squared weights to the pairs of channels that they join."""
    real = source >= 0
    pair = target[real] * len(read) + np.searchsorted(read, source[real])
    total.reshape(-1)[:] += np.bincount(pair, weight[real].astype(np.float64) ** 2, total.size)
    connected.reshape(-1)[pair] = True


def widest(total: Weights, connected: Weights, target: Ids, source: Ids, weight: Weights, *, read: Ids) -> None:
    """Raise the squared norms of pairs of channels to the largest into one neuron; arrays (neurons, operands)."""
    neuron = np.broadcast_to(np.arange(len(target))[:, None], target.shape)
    real = source >= 0
    column = np.searchsorted(read, source[real])
    key, pair_of_edge = np.unique(neuron[real] * len(read) + column, return_inverse=True)
    norm = np.bincount(pair_of_edge, weight[real].astype(np.float64) ** 2, len(key))
    pair = target[key // max(len(read), 1), 0] * len(read) + key % max(len(read), 1)
    np.maximum.at(total.reshape(-1), pair, norm)
    connected.reshape(-1)[pair] = True


def channel_bias(step: Step, width: int, inner: int) -> Weights | None:
    """The biases of channels; none where a channel's neurons have different ones."""
    if step.bias is None:
        return None
    biases = np.moveaxis(np.broadcast_to(step.bias, step.ids.shape).reshape(-1, width, inner), 1, -1).reshape(-1, width)
    same = (biases == biases[:1]).all(axis=0)
    return np.where(same, biases[0], np.nan)


def channel_graph(fine: Graph) -> ChannelGraph:
    """Feature maps joined by the norms of their kernels."""
    makers = [row for row in fine.rows if row.neurons]
    sizes = np.array([channels_of(row) for row in makers], dtype=np.int64).reshape(-1, 2)
    widths, inner = sizes[:, 0], sizes[:, 1]
    firsts = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    begins = np.array([row.begin for row in makers], dtype=np.int64)
    coarse = ChannelGraph(fine.model, fine=fine, begins=begins, widths=widths, inner=inner, firsts=firsts[:-1])
    steps = iter(coarse.steps())
    begin = 0
    for row in fine.rows:
        edges = 0
        if row.neurons:
            step, _ = next(steps)
            edges = sum(int(np.count_nonzero(np.broadcast_to(e.source, e.shape) >= 0)) for e in step.edges)
        width = channels_of(row)[0] if row.neurons else 0
        shape, axes = ((width,), "channel") if row.neurons else (row.shape, row.axes)
        coarse.rows.append(replace(row, begin=begin, end=begin + width, shape=shape, axes=axes, edges=edges))
        begin += width
    for ids in fine.outputs:
        channels = coarse.channels(np.asarray(ids).reshape(-1))
        coarse.outputs.append(channels[np.sort(np.unique(channels, return_index=True)[1])])
    return coarse


@dataclass
class LayerGraph(Graph):
    """The model's topology alone: layers of the file and what feeds them, no neurons."""

    def steps(self) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]:
        """None."""
        return iter(())


def layer_graph(fine: Graph) -> LayerGraph:
    """Layers of the file, joined where one reads another; sublayers left out."""
    within = {row.name: row for row in fine.rows if row.type in OPS}
    coarse = LayerGraph(fine.model)
    coarse.inputs.extend(fine.inputs)
    for row in fine.rows:
        if row.name not in within:
            inputs = tuple(dict.fromkeys(name for name in file_layers(row.inputs, within) if name != row.name))
            coarse.rows.append(replace(row, position=len(coarse.rows), begin=0, end=0, edges=0, inputs=inputs))
    return coarse


def file_layers(names: tuple[str, ...], within: Mapping[str, Row]) -> Iterator[str]:
    """The layers of the file behind names that may be sublayers."""
    visited: set[str] = set()
    waiting = list(reversed(names))
    while waiting:
        name = waiting.pop()
        if name not in visited:
            visited.add(name)
            if name in within:
                waiting.extend(reversed(within[name].inputs))
            else:
                yield name
