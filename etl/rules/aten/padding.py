"""More places around a tensor. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etl.rules.aten.values import Sizes, Value
from etl.rules.aten.views import sizes
from etl.rules.aten.windows import padded
from etl.rules.ids import NOTHING, ZERO, is_live, live
from etl.rules.scope import Edges, Scope, bounded


def pad(here: Scope, self: Value, pad: Sizes, mode: str = "constant", value: float | None = None) -> Value:
    """More places around the last axes: zeros, another number, or what is there reflected, repeated or continued around."""
    pads = pairs(pad)
    if mode == "constant":
        return constant_pad(here, self, pads, float(value or 0))
    modes: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(self, widths(self, pads), mode=modes[mode]) if pads else self


def mode_pad(mode: str) -> Any:
    """A rule for reflection_pad and replication_pad."""

    def rule(here: Scope, self: Value, padding: Sizes) -> Value:
        """More places around the last axes, continued from what is there."""
        return pad(here, self, padding, mode)

    return rule


def constant_pad_nd(here: Scope, self: Value, pad: Sizes, value: float = 0) -> Value:
    """More places around the last axes, all of one number."""
    return constant_pad(here, self, pairs(pad), float(value))


def pairs(listed: Sizes) -> list[tuple[int, int]]:
    """(before, after) of each axis in order; ATen lists them from the last axis."""
    flat = sizes(listed)
    return [(flat[k], flat[k + 1]) for k in range(len(flat) - 2, -1, -2)]


def widths(self: Value, pads: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    bounded([*self.shape[: self.ndim - len(pads)], *(n + sum(pad) for n, pad in zip(self.shape[self.ndim - len(pads) :], pads, strict=True))])
    return [*((0, 0),) * (self.ndim - len(pads)), *pads]


def constant_pad(here: Scope, self: Value, pads: Sequence[tuple[int, int]], value: float) -> Value:
    if not is_live(self):
        wide = padded(live(np.arange(self.size).reshape(self.shape)), pads, NOTHING)
        return np.where(np.asarray(wide) >= 0, self.reshape(-1)[np.maximum(np.asarray(wide), 0)], np.asarray(value, self.dtype))
    if value == 0:
        return padded(self, pads, ZERO)
    wide = padded(self, pads, NOTHING)
    return here.sum(Edges(np.where(wide == NOTHING, ZERO, wide), over=0), bias=np.where(np.asarray(wide) == NOTHING, value, 0.0))
