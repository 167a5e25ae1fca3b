"""Only some of the edges: those above a weight, or the strongest into each neuron. Such a graph is no longer exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.graph.batches import Term, blocks, boxes
from etl.graph.blocks import Block
from etl.graph.rows import Row
from etl.graph.traced import Graph
from etl.network import Array
from etl.rules.scope import Step, Weights


@dataclass(frozen=True)
class Pruning:
    """Which edges stay: |weight| >= min_weight, and of those the `top_k` largest |weight| into each neuron (0: all of them).

    Among equal weights the earlier ones stay.
    """

    min_weight: float = 0.0
    top_k: int = 0

    def __call__(
        self,
        row: Row,
        step: Step,
        stored: Sequence[tuple[Array, Weights]],
        dtype: np.dtype[Any],
        rows: int,
        first: int = 0,
        last: int | None = None,
    ) -> Iterator[Block]:
        """The edges of one step that stay, in flat blocks, those into one neuron together.

        first, last  of the boxes of neurons, those from one up to the other alone
        """
        if not step.edges:
            return
        fan = sum(prod(edges.shape[len(edges.out) :]) for edges in step.edges)
        whole_terms = [Term(row, step, edges, stored, dtype) for edges in step.edges]
        for box in islice(boxes(step.ids.shape, neurons_at_once(rows, fan)), first, last):
            terms = [term.block(box) for term in whole_terms]
            neurons = step.ids[box].size
            keep = self.stays([(_wide(t.source, t, neurons), _wide(t.weight, t, neurons)) for t in terms])
            for term, mask in zip(terms, keep, strict=True):
                source, target, weight = (_wide(column, term, neurons)[mask] for column in (term.source, term.target, term.weight))
                yield Block(row, source, target, weight, None if term.parameter is None else _wide(term.parameter, term, neurons)[mask], False)

    def stays(self, terms: list[tuple[NDArray[Any], NDArray[Any]]]) -> list[NDArray[np.bool_]]:
        """For each term's sources and weights (neurons, operands), which of them stay."""
        size = np.concatenate([np.where(source >= 0, np.abs(weight), -1.0) for source, weight in terms], axis=1)
        keep = size >= max(self.min_weight, 0.0)
        if 0 < self.top_k < size.shape[1]:
            order = np.argsort(-size, axis=1, kind="stable")[:, : self.top_k]
            strongest = np.zeros(size.shape, dtype=bool)
            np.put_along_axis(strongest, order, True, axis=1)
            keep &= strongest
        return np.split(keep, np.cumsum([source.shape[1] for source, _ in terms])[:-1], axis=1)


def neurons_at_once(rows: int, fan: int) -> int:
    """How many neurons that each have so many edges are looked at together, so that they have about `rows` edges."""
    return max(rows // max(fan, 1), 1)


def _wide(column: NDArray[Any], block: Block, neurons: int) -> NDArray[Any]:
    """A block's column written out, a row a neuron."""
    return np.broadcast_to(column, block.shape).reshape(neurons, -1)


def pruned(graph: Graph, *, min_weight: float = 0.0, top_k: int = 0) -> Graph:
    """The same graph with only some of its edges; counting them takes one pass over all of them."""
    graph = replace(graph, pruning=Pruning(min_weight, top_k))
    counts: dict[str, int] = {}
    for block in blocks(graph):
        counts[block.row.name] = counts.get(block.row.name, 0) + block.source.size
    return replace(graph, rows=[replace(row, edges=counts.get(row.name, 0)) for row in graph.rows])
