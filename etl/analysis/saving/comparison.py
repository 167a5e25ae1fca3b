"""The graph in the store beside the graph of the file: which stored numbers changed, and what changed that is none.

A number of the file may be many edges (a kernel slides over its input), so what the edges of one parameter say is kept as a range: the smallest and
the largest. They agree where both are equal. A weight that is gone counts as 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.saving.stored_rows import Weights, concatenated, neurons_of, weights_into
from etl.graph.batches import Place, biases, boxes, neuron_steps, step_blocks
from etl.graph.rows import Row
from etl.graph.traced import Graph
from etl.network import Array
from etl.rules.scope import Step
from etl.sinks.protocol import Progress
from etl.store.stored_graph import Span
from etl.store.transactions import Store

EDGES = 1 << 18  # looked at in one go
Stored = Sequence[tuple[Array, NDArray[Any]]]


@dataclass
class Range:
    """What the store says of one array's numbers: the smallest and the largest of the edges of each. layer: that the array belongs to."""

    layer: str
    array: Array
    low: NDArray[Any]
    high: NDArray[Any]

    def add(self, place: NDArray[np.int64], value: NDArray[Any]) -> None:
        """Edges with their places in the array, flat in C order."""
        np.minimum.at(self.low, place, value)
        np.maximum.at(self.high, place, value)


@dataclass
class Comparison:
    """What was found. faults: (layer of the file, what can't be written back) -> how often."""

    dtype: np.dtype[Any]
    ranges: dict[Any, Range] = field(default_factory=dict)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, layer: str, fault: str, count: int) -> None:
        """Something that can't be written back, so many times."""
        if count:
            self.faults[layer, fault] += count

    def add(self, layer: str, stored: Stored, parameter: NDArray[np.int64], value: NDArray[Any]) -> None:
        """Values of parameters, which count through a layer's arrays."""
        for array, _ in stored:
            assert array.begin is not None
            mine = (array.begin <= parameter) & (parameter < array.begin + array.size)
            if mine.any():
                if array.read not in self.ranges:
                    self.ranges[array.read] = Range(layer, array, np.full(array.size, np.inf, self.dtype), np.full(array.size, -np.inf, self.dtype))
                self.ranges[array.read].add(parameter[mine] - array.begin, value[mine])

    def finite(self, layer: str, values: NDArray[np.float64], meaning: str) -> NDArray[Any]:
        """Values of the store as the graph's numbers; what is no finite number is a fault, and 0."""
        with np.errstate(over="ignore"):
            rounded = values.astype(self.dtype)
        wrong = ~np.isfinite(rounded)
        self.note(layer, f"{meaning} that are no finite numbers", int(wrong.sum()))
        return np.where(wrong, 0, rounded)


def compare(store: Store, model: Span, graph: Graph, progress: Progress) -> Comparison:
    """The model in the store beside the whole graph of its file, layer by layer."""
    compared, edges = Comparison(graph.dtype), 0
    for step, stored, row in neuron_steps(graph):
        compare_neurons(compared, store, model, step, stored, row)
        for begin, end in target_ranges(row):
            expected = edges_of(graph, step, stored, row, begin, end)
            compare_weights(compared, row.label, stored, expected, weights_into(store, model, begin, end))
            edges += len(expected.weight)
            progress("weights", edges, graph.edges)
    return compared


def target_ranges(row: Row) -> Iterator[tuple[int, int]]:
    """Ranges of a row's neurons with a bounded number of weights into them."""
    step = max(1, EDGES * row.neurons // row.edges) if row.edges else row.neurons
    for begin in range(row.begin, row.end, step):
        yield begin, min(begin + step, row.end)


def edges_of(graph: Graph, step: Step, stored: Stored, row: Row, begin: int, end: int) -> Weights:
    """The edges of one step into a range of its neurons."""
    parts = []
    for block in step_blocks(graph, step, stored, row, EDGES):
        if not block.target.size or int(block.target.max()) < begin or int(block.target.min()) >= end:
            continue
        source, target, weight, parameter = block.columns()
        mine = (begin <= target) & (target < end)
        places = np.full(len(source), -1) if parameter is None else parameter
        parts.append(Weights(source[mine], target[mine], weight[mine].astype(np.float64), places[mine]))
    return concatenated(parts)


def compare_weights(compared: Comparison, layer: str, stored: Stored, expected: Weights, stored_weights: Weights) -> None:
    """Every edge that the file has: what the store makes of it. Every edge that it hasn't is a fault."""
    places, stored_places = pairs(expected, stored_weights)
    value = np.zeros(len(expected.weight), compared.dtype)
    value[places] = compared.finite(layer, stored_weights.weight[stored_places], "weights")
    compared.note(layer, "weights that the file has no place for", len(stored_weights.weight) - len(stored_places))
    numbered = expected.parameter >= 0
    compared.add(layer, stored, expected.parameter[numbered], value[numbered])
    computed = ~numbered & (value != expected.weight.astype(compared.dtype))
    compared.note(layer, "changed or removed weights that are no stored numbers", int(computed.sum()))


def pairs(first: Weights, second: Weights) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the edges that both have: same ends, same parameter. Several between the same ends are paired in the order of their weights."""
    count = len(first.weight)
    keys = [np.concatenate(both) for both in zip(first.keys, second.keys, strict=True)]
    origin = np.repeat([0, 1], [count, len(second.weight)])
    order = np.lexsort((np.concatenate([first.weight, second.weight]), origin, *keys))
    if not len(order):
        return order, order
    new_key = np.any([np.diff(key[order], prepend=key[order[0]] - 1) != 0 for key in keys], axis=0)
    new_run = new_key | (np.diff(origin[order], prepend=-1) != 0)
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(new_run, place, 0))
    code = np.cumsum(new_key) * (int(rank.max()) + 1) + rank
    mine = origin[order] == 0
    _, first_places, second_places = np.intersect1d(code[mine], code[~mine], assume_unique=True, return_indices=True)
    return order[mine][first_places], order[~mine][second_places] - count


def compare_neurons(compared: Comparison, store: Store, model: Span, step: Step, stored: Stored, row: Row) -> None:
    """Biases, and what can't change: that the neurons are there, their op and their activation."""
    bias, parameter = biases_of(step, stored, row, compared.dtype)
    for begin in range(row.begin, row.end, EDGES):
        end = min(begin + EDGES, row.end)
        neurons = neurons_of(store, model, begin, end)
        same = [pair == (step.op, row.activation) for pair in zip(neurons.ops, neurons.activations, strict=True)]
        compared.note(row.label, "removed neurons", end - begin - len(same))
        compared.note(row.label, "neurons whose op or activation changed", len(same) - sum(same))
        none = np.isnan(neurons.biases)
        value = compared.finite(row.label, np.where(none, 0, neurons.biases), "biases")
        expected, place = bias[neurons.ids - row.begin], parameter[neurons.ids - row.begin]
        numbered = place >= 0
        compared.add(row.label, stored, place[numbered], value[numbered])
        changed = ~numbered & ((none != np.isnan(expected)) | (~none & (value != expected)))
        compared.note(row.label, "changed biases that are no stored numbers", int(changed.sum()))


def biases_of(step: Step, stored: Stored, row: Row, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A row's biases in the order of its ids, NaN where there is none, and their places in the stored arrays, -1 where they have none."""
    bias, parameter = np.empty(row.neurons, dtype), np.full(row.neurons, -1)
    rank = len(step.ids.shape)
    place = Place.of(step.bias, stored, rank) if step.bias is not None and step.op == "sum" else None
    for box in boxes(step.ids.shape, EDGES):
        ids = step.ids[box].reshape(-1) - row.begin
        bias[ids] = biases(step, box)
        if place is not None:
            parameter[ids] = np.broadcast_to(place.take(box), step.ids[box].shape).reshape(-1)
    return bias, parameter
