"""What a store must hold of a graph, layer by layer, and whether it does. All sums are of integers: exact, in whatever order they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import floor, log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from etl.errors import StoreError
from etl.extract import biases, blocks, made
from etl.graph import Graph, Row
from etl.queries import text
from etl.scope import Weights
from etl.sinks.cells import cell
from etl.sinks.ledger import rows

if TYPE_CHECKING:
    from etl.store import Store

BLOCK = 1 << 22  # edges looked at in one go


@dataclass
class Sums:
    """Of one layer. Weights and biases are summed as integers, after multiplication by a power of two that leaves 62 bits for the sum."""

    row: Row
    weight_scale: float = 1.0
    bias_scale: float = 1.0
    neurons: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("neurons", "ids", "biases", "bias"), 0))
    weights: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("edges", "sources", "targets", "parameters", "weights"), 0))


def scale(largest: float, count: int) -> float:
    """The power of two by which numbers up to `largest` can be multiplied so that the sum of `count` of them stays below 2^62."""
    return 2.0 ** max(-1000, min(1000, floor(61 - log2(largest) - log2(count + 1)))) if largest > 0 else 1.0


def expected(graph: Graph) -> list[Sums]:
    """Sums of every row that has neurons, from the graph itself. Two passes: what is the largest weight, then the sums."""
    sums = {row.position: Sums(row) for row in graph.rows if row.neurons}
    largest = dict.fromkeys(sums, 0.0)
    for block in blocks(graph, BLOCK):
        largest[block.row.position] = max(largest[block.row.position], float(np.abs(block.weight).max(initial=0)))
    for position, each in sums.items():
        each.weight_scale = scale(largest[position], each.row.edges)
    for step, _, row in made(graph):
        add_neurons(sums[row.position], biases(step, tuple(slice(0, n) for n in step.ids.shape)).astype(graph.dtype))
    for block in blocks(graph, BLOCK):
        if prod(block.shape):
            add_weights(sums[block.row.position], block)
    return list(sums.values())


def add_neurons(sums: Sums, bias: Weights) -> None:
    known = bias[~np.isnan(bias)]
    sums.bias_scale = scale(float(np.abs(known).max(initial=0)), len(known))
    sums.neurons["neurons"] = sums.row.neurons
    sums.neurons["ids"] = sum(range(sums.row.begin, sums.row.end))
    sums.neurons["biases"] = len(known)
    sums.neurons["bias"] = int(fixed(known, sums.bias_scale).sum())


def add_weights(sums: Sums, block: Any) -> None:
    """Add a block's edges: each window and each kernel is summed once."""
    part = cell(block)
    filters, real = part.target.shape[1], part.source >= 0
    count = real.sum(1)
    sums.weights["edges"] += int(count.sum()) * filters
    sums.weights["sources"] += int(part.source[real].sum()) * filters
    sums.weights["targets"] += int((part.target.sum(1) * count).sum())
    over = real.sum(0)[None] if len(part.weight) == 1 else real  # how often each place of the kernel makes an edge
    sums.weights["weights"] += int((fixed(part.weight, sums.weight_scale).sum(1) * over).sum())
    if part.parameter is not None:
        over = real.sum(0)[None] if len(part.parameter) == 1 else real
        sums.weights["parameters"] += int((part.parameter.sum(1) * over).sum())


def fixed(values: Weights, by: float) -> Any:
    """As the store computes toInteger(value * scale)."""
    return np.trunc(values.astype(np.float64) * by).astype(np.int64)


def check(store: Store, graph: Graph, model: str, base: int, progress: Callable[[str, int, int], None]) -> None:
    """Compare what the store holds with the graph, layer by layer. Raises StoreError naming every layer that differs."""
    wrong: list[str] = []
    checked = 0
    for sums in expected(graph):
        wrong += differences(store, sums, base)
        checked += sums.row.edges
        progress("checks", checked, graph.edges)
    if wrong:
        raise StoreError(f"{model} is not in the store as it was sent ({'; '.join(wrong)}): delete it, then load it again.")


def differences(store: Store, sums: Sums, base: int) -> Iterator[str]:
    """What differs in one layer, in words."""
    row = sums.row
    span = {"begin": row.begin + base, "end": row.end + base, "base": base, "layer": row.name}
    neurons = rows(store, text("load", "stored_neurons"), **span, scale=sums.bias_scale)[0]
    weights = rows(store, text("load", "stored_weights"), **span, scale=sums.weight_scale)[0]
    for found, sent in ((neurons, sums.neurons), (weights, sums.weights)):
        told = [f"{key} {found[key]:,}, not {sent[key]:,}" for key in sent if found[key] != sent[key]]
        if told:
            yield f"{row.name}: {', '.join(told)}"
