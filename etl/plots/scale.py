"""Where neurons lie on an axis that shows several layers: larger ones get more room, by the square root, so that small ones can be seen too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.plots.figure import Row

LEAST_WIDTH = 0.03  # share of the axis, so that a name fits


@dataclass(frozen=True)
class LayerScale:
    """An axis from 0 to 1. layers: rows with name, begin, end, those with neurons only, in order of ids."""

    layers: tuple[Row, ...]

    @classmethod
    def of(cls, layers: Sequence[Row]) -> LayerScale:
        return cls(tuple(layer for layer in layers if layer["end"] > layer["begin"]))

    @property
    def sizes(self) -> NDArray[Any]:
        return np.array([layer["end"] - layer["begin"] for layer in self.layers], float)

    @property
    def borders(self) -> NDArray[Any]:
        """Where each layer begins, and at last where they end: one more than there are layers."""
        width = np.sqrt(self.sizes) / np.sqrt(self.sizes).sum()
        width = np.maximum(width, min(LEAST_WIDTH, 0.5 / len(width)))
        return np.concatenate([[0.0], np.cumsum(width) / width.sum()])

    @property
    def neurons(self) -> int:
        return int(self.sizes.sum())

    def place(self, layers: Sequence[str], ids: Sequence[int]) -> NDArray[Any]:
        """Places of ids, each with its layer: the id after a layer's last is at its end."""
        number = {layer["name"]: n for n, layer in enumerate(self.layers)}
        at = np.array([number[name] for name in layers])
        begin = np.array([layer["begin"] for layer in self.layers])
        borders = self.borders
        return borders[at] + (np.array(ids) - begin[at]) / self.sizes[at] * (borders[at + 1] - borders[at])
