"""Integer inputs that tables look up: one-hot neurons behind each position, as many as the largest table has rows.

How wide an input is shows only when the rules have run, so a graph is traced again once the widths are known: see etl/graph/trace.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.ids import Ids, axis_names, live, without_repeats


@dataclass
class Lookups:
    """The model's inputs as tables see them.

    widths        first id of an input -> (end of its ids, its width); a position flows as the id of its first neuron
    values        first id of the neurons that hold an input's numbers, where somebody reads those -> (end of their ids, first id of the one-hot ones)
    whole         first id of neurons that are computed from whole numbers of inputs alone -> end of their ids
    table_widths  first id -> the width of the largest table that looks it up
    names         of the layers and sublayers that look inputs up
    """

    widths: dict[int, tuple[int, int]] = field(default_factory=dict)
    values: dict[int, tuple[int, int]] = field(default_factory=dict)
    whole: dict[int, int] = field(default_factory=dict)
    table_widths: dict[int, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def onehot(self, positions: Ids, width: int, name: str) -> Ids:
        """The neurons behind integer inputs: positions (...) -> (..., width). Only whole inputs, moved but not computed, have any.

        Raises Unsupported for others.
        """
        if not self.holds(positions):
            raise Unsupported("it looks up values that are computed or padded; only a model's integer inputs have one-hot neurons")
        positions = self.behind(positions)
        begins = np.array(sorted(self.widths), dtype=np.int64)
        ends = np.array([self.widths[begin][0] for begin in begins], dtype=np.int64)
        at = np.searchsorted(begins, np.asarray(positions), side="right") - 1
        for begin in begins[np.unique(at)]:
            self.table_widths[int(begin)] = max(width, self.table_widths.get(int(begin), 1))
        self.names.add(name)
        last = ends[at][..., None] - 1  # while the trace is still finding out how wide they are
        return live(np.minimum(positions[..., None] + np.arange(width), last), (*axis_names(positions), None))

    def width_of(self) -> dict[int, int]:
        """The width that each looked-up input should have, by the input's number."""
        begins = list(self.widths)
        return {begins.index(begin): width for begin, width in self.table_widths.items()}

    def holds(self, positions: Ids) -> bool:
        """Whether all of them are a model's inputs, which have one-hot neurons, and none is computed."""
        return all_within(self.behind(positions), {begin: end for begin, (end, _) in self.widths.items()})

    def counts(self, positions: Ids) -> bool:
        """Whether all of them that are neurons are computed from whole numbers of inputs alone."""
        known = without_repeats(positions)
        return bool(self.whole) and all_within(known[known >= 0], self.whole)

    def behind(self, positions: Ids) -> Ids:
        """The same positions by their one-hot neurons, where they are given by the neurons that hold their numbers."""
        for begin, (end, first) in self.values.items():
            ids, width = np.asarray(positions), self.widths[first][1]
            if (inside := (ids >= begin) & (ids < end)).any():
                positions = live(np.where(inside, first + (ids - begin) * width, ids), axis_names(positions))
        return positions

    def misread(self, number: int, sources: Sequence[NDArray[Any]]) -> bool:
        """Whether somebody reads an input's numbers where it has one-hot neurons: the first one of each position, and none of the others."""
        begin = list(self.widths)[number]
        end, width = self.widths[begin]
        read = [ids[(ids >= begin) & (ids < end)] for ids in map(np.asarray, sources)]
        return any(ids.size and not ((ids - begin) % width).any() for ids in read)


def all_within(ids: Ids, spans: Mapping[int, int]) -> bool:
    """Whether all ids lie in some of these spans, first id -> end."""
    begins = np.array(sorted(spans), dtype=np.int64)
    ends = np.array([spans[begin] for begin in begins], dtype=np.int64)

    def inside(ids: NDArray[Any]) -> bool:
        at = np.searchsorted(begins, ids, side="right") - 1
        return bool((at >= 0).all() and (ids < ends[at]).all())

    single = without_repeats(ids)
    return bool(len(begins) and single.size and inside(single.reshape(-1)[:1]) and inside(single))
