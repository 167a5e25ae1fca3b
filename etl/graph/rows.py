"""The layer table: its rows, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

ROWS = 1 << 18  # of a batch: with its columns about the size of a core's cache, where cutting is fastest


@dataclass(frozen=True)
class Row:
    """One row of the layer table: a layer of the file, or a sublayer (whose type is its op). See docs/graph.md.

    begin, end  its neurons' ids (positions); equal for a view
    axes        names of the axes of its shape, `row,column,channel`, `?` for one that nobody knows; None where none is known
    label       the layer of the file that it belongs to: the neurons' second label
    inputs      names of the rows that it reads
    """

    name: str
    type: str
    position: int
    begin: int
    end: int
    shape: tuple[int, ...]
    axes: str | None
    activation: str | None
    parameters: int
    edges: int
    inputs: tuple[str, ...]
    label: str

    @property
    def neurons(self) -> int:
        return self.end - self.begin

    @property
    def channel_axis(self) -> int | None:
        """Which axis of its shape is the channels', None where none is."""
        return self.axes.split(",").index("channel") if self.axes and "channel" in self.axes.split(",") else None


class Totals:
    """What the rows of a graph add up to."""

    rows: list[Row]

    @property
    def neurons(self) -> int:
        return self.rows[-1].end if self.rows else 0

    @property
    def edges(self) -> int:
        return sum(row.edges for row in self.rows)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def density(self) -> float:
        """Edges of all that could be: m / (n (n - 1))."""
        return self.edges / (self.neurons * (self.neurons - 1)) if self.neurons > 1 else 0.0


def channels_of(row: Row) -> tuple[int, int]:
    """How many channels a row has, and how many neurons lie side by side in one: (1, all of them) where it has no axis of channels."""
    axis = row.channel_axis
    return (1, max(row.neurons, 1)) if axis is None else (row.shape[axis], prod(row.shape[axis + 1 :]))
