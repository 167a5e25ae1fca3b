"""What a store must hold of a graph, layer by layer, and whether it does. All sums are of integers: exact, in whatever order they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import floor, log2, prod
from typing import Any

import numpy as np

from cypher import text
from etl.errors import StoreError
from etl.graph.protocol import Graph
from etl.graph.rows import Row
from etl.rules.scope import Weights
from etl.sinks.neo4j.write_batches import KernelBlock, kernel_block, parts
from etl.store.transactions import Store
from etl.streams import batched_by_size

BLOCK = 1 << 22  # edges looked at in one go
READ = 500_000  # edges read back in one go
SESSIONS = 2  # that read at the same time
COUNTED = ("neurons", "ids", "biases", "bias", "read", "written", "edges", "parameters", "weights")


@dataclass
class Sums:
    """Of one layer. Weights and biases are summed as integers, after multiplication by a power of two that leaves 62 bits for the sum."""

    row: Row
    weight_scale: float = 1.0
    bias_scale: float = 1.0
    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))


def scale(largest: float, count: int) -> float:
    """The power of two by which numbers up to `largest` can be multiplied so that the sum of `count` of them stays below 2^62."""
    return 2.0 ** max(-1000, min(1000, floor(61 - log2(largest) - log2(count + 1)))) if largest > 0 else 1.0


def expected(graph: Graph) -> list[Sums]:
    """Sums of every row that has neurons, from the graph itself. Two passes: what is the largest weight, then the sums."""
    sums = {row.position: Sums(row) for row in graph.rows if row.neurons}
    largest = dict.fromkeys(sums, 0.0)
    for block in graph.blocks(BLOCK):
        largest[block.row.position] = max(largest[block.row.position], float(np.abs(block.weight).max(initial=0)))
    for position, layer in sums.items():
        layer.weight_scale = scale(largest[position], layer.row.edges)
    for neurons in graph.neuron_blocks(graph.neurons or 1):  # a layer at a time: its scale depends on all of them
        add_neurons(sums[neurons.row.position], neurons.bias.astype(graph.dtype))
    for block in graph.blocks(BLOCK):
        if prod(block.shape):
            part = kernel_block(block)
            add_weights(sums[block.row.position], part)
            add_sources(sums, part)
    return list(sums.values())


def add_neurons(sums: Sums, bias: Weights) -> None:
    """Add all neurons of a layer."""
    row, known = sums.row, bias[~np.isnan(bias)]
    sums.bias_scale = scale(float(np.abs(known).max(initial=0)), len(known))
    neurons = {"neurons": row.neurons, "ids": sum(range(row.begin, row.end)), "biases": len(known)}
    sums.sent |= neurons | {"bias": int(fixed(known, sums.bias_scale).sum())}


def add_weights(sums: Sums, part: KernelBlock) -> None:
    """Add edges into a layer: each window and each kernel is summed once."""
    sent, real = sums.sent, part.source >= 0
    count = real.sum(1)
    sent["edges"] += int(count.sum()) * part.target.shape[1]
    sent["written"] += int((part.target.sum(1) * count).sum())
    over = real.sum(0)[None] if len(part.weight) == 1 else real  # how often each place of the kernel makes an edge
    sent["weights"] += int((fixed(part.weight, sums.weight_scale).sum(1) * over).sum())
    if part.parameter is not None:
        sent["parameters"] += int((part.parameter.sum(1) * over).sum())


def add_sources(sums: dict[int, Sums], part: KernelBlock) -> None:
    """Add the same edges to the layers that they come from."""
    ids = part.source[part.source >= 0]
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    for layer in sums.values():
        begin, end = layer.row.begin, layer.row.end
        if begin <= high and low < end:
            own = ids if begin <= low and high < end else ids[(begin <= ids) & (ids < end)]
            layer.sent["read"] += int(own.sum()) * part.target.shape[1]


def fixed(values: Weights, by: float) -> Any:
    """As the store computes toInteger(value * scale)."""
    return np.trunc(values.astype(np.float64) * by).astype(np.int64)


def check(store: Store, graph: Graph, model: str, base: int, progress: Callable[[str, int, int], None]) -> None:
    """Compare what the store holds with the graph, layer by layer. Raises StoreError naming every layer that differs."""
    sums, checked = expected(graph), 0
    stored = {layer.row.position: dict.fromkeys(COUNTED, 0) for layer in sums}
    with ThreadPoolExecutor(SESSIONS) as sessions:
        for part in sessions.map(lambda spans: store.read(text("load", "stored"), base=base, layers=spans), groups(sums, base)):
            for row in part:
                sums_read = stored[row["position"]]
                sums_read.update({key: sums_read[key] + row[key] for key in COUNTED})
                checked += row["edges"]
            progress("checks", checked, graph.edges)
    wrong = [words for layer in sums if (words := difference(layer, stored[layer.row.position]))]
    if wrong:
        raise StoreError(f"{model} is not in the store as it was sent ({'; '.join(wrong)}): delete it, then load it again.")


def groups(sums: list[Sums], base: int) -> Iterator[list[dict[str, Any]]]:
    """Spans of ids that are read back in one go: small layers together, large ones in parts."""

    def spans() -> Iterator[tuple[int, dict[str, Any]]]:
        for layer in sums:
            row, scales = layer.row, {"bias_scale": layer.bias_scale, "weight_scale": layer.weight_scale}
            count = min(-(-row.edges // READ) or 1, row.neurons)
            for part in parts(row.neurons, count):
                ends = {"position": row.position, "begin": row.begin + part.start + base, "end": row.begin + part.stop + base}
                yield row.edges // count, ends | scales

    for group in batched_by_size(spans(), lambda pair: pair[0], READ):
        yield [span for _, span in group]


def difference(sums: Sums, stored: dict[str, int]) -> str:
    """What differs in one layer, in words."""
    wrong = [f"{key} {stored[key]:,}, not {sums.sent[key]:,}" for key in COUNTED if stored[key] != sums.sent[key]]
    return f"{sums.row.name}: {', '.join(wrong)}" if wrong else ""
