"""Layers as pictures show them: sublayers as part of their layer; on an axis, room for small ones beside large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.plots.figure import Row

STEPS = ("sum", "max", "min", "product")  # the types of sublayers
LEAST_WIDTH = 0.03  # share of the axis, so that a name fits


def owner(name: str, layers: Mapping[str, Row]) -> str:
    """The layer of the file that a sublayer belongs to: `lstm` for `lstm/step_3/input_gate`. layers: rows of `layers` by name."""
    above = name
    while "/" in above and (above not in layers or layers[above]["type"] in STEPS):
        above = above.rpartition("/")[0]
    return above if above in layers else name


def owners(layers: Sequence[Row]) -> dict[str, str]:
    """The layer of the file of every row of `layers`, in their order."""
    rows_by_name = {layer["name"]: layer for layer in layers}
    return {name: owner(name, rows_by_name) for name in rows_by_name}


def merged_layers(layers: Sequence[Row]) -> list[Row]:
    """The layers of the file that have neurons, in the order of ids, as rows of `layers`: each with its sublayers' neurons, edges and parameters."""
    merged: dict[str, Row] = {}
    belongs = owners(layers)
    types = {layer["name"]: layer["type"] for layer in layers}
    for layer in layers:
        if layer["end"] > layer["begin"]:
            name = belongs[layer["name"]]
            before = merged.get(name, layer | {"edges": 0, "parameters": 0})
            counts = {key: before[key] + (layer.get(key) or 0) for key in ("edges", "parameters")}
            merged[name] = layer | counts | {"name": name, "type": types[name], "begin": before["begin"]}
    for layer in layers:  # where all neurons are sublayers', the parameters are the layer's own
        if layer["name"] in merged and layer["end"] == layer["begin"]:
            merged[layer["name"]]["parameters"] += layer.get("parameters") or 0
    return list(merged.values())


@dataclass(frozen=True)
class LayerScale:
    """An axis from 0 to 1: larger layers get more room, by the square root of their size.

    layers   rows of `together`
    belongs  the layer of every sublayer
    """

    layers: tuple[Row, ...]
    belongs: Mapping[str, str]

    @classmethod
    def of(cls, layers: Sequence[Row]) -> LayerScale:
        """An axis for rows of `layers`."""
        return cls(tuple(merged_layers(layers)), owners(layers))

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
        """Places of ids, each with its layer or sublayer: the id after a layer's last is at its end."""
        number = {layer["name"]: n for n, layer in enumerate(self.layers)}
        at = np.array([number[self.belongs[name]] for name in layers])
        begin = np.array([layer["begin"] for layer in self.layers])
        borders = self.borders
        return borders[at] + (np.array(ids) - begin[at]) / self.sizes[at] * (borders[at + 1] - borders[at])
