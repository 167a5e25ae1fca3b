"""Integer inputs that tables look up: one-hot neurons behind each position, as many as the largest table has rows.

How wide an input is shows only when the rules have run, so a graph is traced again once the widths are known: see etl/graph/trace.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from etl.errors import Unsupported
from etl.rules.ids import Ids, axis_names, live


@dataclass
class Lookups:
    """The model's inputs as tables see them.

    widths  first id of an input -> (end of its ids, its width); a position flows as the id of its first neuron
    wanted  first id -> the width of the largest table that looks it up
    names   of the layers and sublayers that look inputs up
    """

    widths: dict[int, tuple[int, int]] = field(default_factory=dict)
    wanted: dict[int, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def onehot(self, positions: Ids, width: int, name: str) -> Ids:
        """The neurons behind integer inputs: positions (...) -> (..., width). Only whole inputs, moved but not computed, have any."""
        begins = np.array(sorted(self.widths), dtype=np.int64)
        at = np.searchsorted(begins, np.asarray(positions), side="right") - 1
        ends = np.array([self.widths[begin][0] for begin in begins], dtype=np.int64)
        if not len(begins) or (at < 0).any() or (positions >= ends[at]).any():
            raise Unsupported("it looks up values that are computed or padded; only a model's integer inputs have one-hot neurons")
        for begin in begins[np.unique(at)]:
            self.wanted[int(begin)] = max(width, self.wanted.get(int(begin), 1))
        self.names.add(name)
        last = ends[at][..., None] - 1  # while the trace is still finding out how wide they are
        return live(np.minimum(positions[..., None] + np.arange(width), last), (*axis_names(positions), None))

    def width_of(self) -> dict[int, int]:
        """The width that each looked-up input should have, by the input's number."""
        begins = list(self.widths)
        return {begins.index(begin): width for begin, width in self.wanted.items()}

    def misread(self, numbers: Sequence[int], sources: Sequence[Ids]) -> bool:
        """Whether ids read a one-hot input's neurons, which have no other value, though they look up nothing."""
        begins = list(self.widths)
        spans = [(begins[number], self.widths[begins[number]][0]) for number in numbers]
        return any(((np.asarray(ids) >= begin) & (np.asarray(ids) < end)).any() for begin, end in spans for ids in sources)
