"""Edges as they are sent: windows that meet a kernel, cut into batches for several sessions at once.

A Block's axes are of three kinds: both ends vary along `g` (places of a window), only the target along `f` (filters), only the source along `k`
(the window itself). In that form one batch says each window and each kernel once, however many edges they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest
from math import prod
from typing import NamedTuple

import numpy as np

from etl.graph.blocks import Block
from etl.graph.rows import Row
from etl.rules.scope import Ids, Weights
from etl.streams import batched_by_size

LONGEST = 4096  # entries of a vector that the server takes
SHARED = 16  # edges of a window from which it is worth sending windows and not columns


@dataclass(frozen=True)
class KernelBlock:
    """Edges into one layer: source (g, k), target (g, f), weight and parameter (1 or g, f, k). Sources below zero make no edges."""

    row: Row
    source: Ids
    target: Ids
    weight: Weights
    parameter: Ids | None

    @property
    def size(self) -> int:
        """Places, those without an edge included."""
        return self.source.size * self.target.shape[1]

    @property
    def edges(self) -> int:
        return int(np.count_nonzero(self.source >= 0)) * self.target.shape[1]

    @property
    def shares(self) -> bool:
        """Whether its windows are worth sending as such."""
        return self.weight.shape[0] == 1 and self.target.shape[1] * self.source.shape[1] >= SHARED and self.source.shape[1] <= LONGEST

    def cut(self, g: slice = slice(None), f: slice = slice(None), k: slice = slice(None)) -> KernelBlock:
        """The part between those places: views."""
        over = slice(None) if self.weight.shape[0] == 1 else g
        parameter = None if self.parameter is None else self.parameter[over, f, k]
        return KernelBlock(self.row, self.source[g, k], self.target[g, f], self.weight[over, f, k], parameter)

    def columns(self) -> tuple[Ids, Ids, Weights, Ids | None]:
        """source, target, weight, parameter: an entry an edge."""
        shape = (len(self.source), self.target.shape[1], self.source.shape[1])
        real = np.broadcast_to((self.source >= 0)[:, None, :], shape)
        source = np.broadcast_to(self.source[:, None, :], shape)[real]
        target = np.broadcast_to(self.target[:, :, None], shape)[real]
        weight = np.broadcast_to(self.weight, shape)[real]
        return source, target, weight, None if self.parameter is None else np.broadcast_to(self.parameter, shape)[real]


def kernel_block(block: Block) -> KernelBlock:
    """A block in that form."""
    shape = block.shape
    rank = len(shape)
    moves = [(block.source.shape[a] > 1, block.target.shape[a] > 1) for a in range(rank)]
    g = [a for a in range(rank) if moves[a] == (True, True)]
    f = [a for a in range(rank) if moves[a] == (False, True)]
    k = [a for a in range(rank) if not moves[a][1]]

    def sizes(axes: Iterable[int]) -> int:
        return prod(shape[a] for a in axes)

    def fit(array: Ids | Weights, *kinds: list[int]) -> Ids | Weights:
        """Axes in the order of their kinds, each kind one axis; those that are not named are dropped."""
        wide = np.broadcast_to(array, tuple(shape[a] if any(a in kind for kind in kinds) else 1 for a in range(rank)))
        order = [a for kind in kinds for a in kind]
        rest = [a for a in range(rank) if a not in order]
        return wide.transpose(rest + order).reshape([sizes(kind) for kind in kinds])

    shared = all(block.weight.shape[a] == 1 for a in g)

    def kernel(array: Weights) -> Weights:
        return fit(array, f, k)[None] if shared else fit(array, g, f, k)

    parameter = None if block.parameter is None else kernel(block.parameter)
    return KernelBlock(block.row, fit(block.source, g, k), fit(block.target, g, f), kernel(block.weight), parameter)


class Batch(NamedTuple):
    """What one transaction writes, in which session's turn. Sessions run at the same time."""

    session: int
    blocks: list[KernelBlock]


def batches(blocks: Iterable[Block], sessions: int, rows: int) -> Iterator[Batch | None]:
    """All edges in batches of at most `rows`, always the same ones; None where sessions have to wait for each other.

    Between two Nones no two sessions write to the same neuron (but for the rims of windows): a node with few
    relationships is locked when it gets one.
    """
    kernel_blocks = (kernel_block(block) for block in blocks if prod(block.shape))
    after_small = False
    for large, run in groupby(kernel_blocks, lambda block: block.size > rows // 2):
        if not large:
            yield from (Batch(0, several) for several in batched_by_size(run, lambda block: block.size, rows))
        else:
            if after_small:
                yield None
            for block in run:
                yield from spread(block, sessions, rows)
        after_small = not large


def spread(block: KernelBlock, sessions: int, rows: int) -> Iterator[Batch | None]:
    """One large block over all sessions: each takes a part of the places, or, where there are few, of the targets and in turn of the sources."""
    (g, k), f = block.source.shape, block.target.shape[1]
    if g >= 4 * sessions:
        turns = [[block.cut(g=part) for part in parts(g, sessions)]]
    else:
        across, down = parts(f, sessions), parts(k, sessions)
        turns = [[block.cut(f=across[n], k=down[(n + turn) % sessions]) for n in range(sessions)] for turn in range(sessions)]
    for turn in turns:
        for row in zip_longest(*(pieces(part, rows) for part in turn)):
            yield from (Batch(session, [piece]) for session, piece in enumerate(row) if piece is not None)
        yield None


def parts(size: int, count: int) -> list[slice]:
    """`count` slices that cut `size` places evenly."""
    return [slice(size * n // count, size * (n + 1) // count) for n in range(count)]


def pieces(part: KernelBlock, rows: int) -> Iterator[KernelBlock]:
    """A block in pieces of at most `rows` edges, place by place; those without edges are left out."""
    (g, k), f = part.source.shape, part.target.shape[1]
    wide = min(k, LONGEST, rows)
    high = max(1, min(f, rows // max(wide, 1)))
    long = max(1, rows // max(wide * high, 1)) if (wide, high) == (k, f) else 1
    for place in range(0, g, long):
        for window in range(0, k, max(wide, 1)):
            for filters in range(0, f, high):
                piece = part.cut(slice(place, place + long), slice(filters, filters + high), slice(window, window + wide))
                if piece.edges:
                    yield piece
