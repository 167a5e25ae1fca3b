"""Windows as columns and back, and channels as places. Arguments as ATen names them."""

from __future__ import annotations

from math import prod

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import Size, Sizes, Value, numbers
from etl.rules.aten.views import axis_of, integer
from etl.rules.aten.windows import for_each, padded, windows_of
from etl.rules.ids import NOTHING, ZERO, is_live, live
from etl.rules.scope import Edges, Scope, bounded


def unfold(here: Scope, self: Value, dimension: int, size: Size, step: Size) -> Value:
    """Windows along an axis, on a new last axis."""
    at = axis_of(dimension, self.ndim)
    last = np.moveaxis(self, at, -1)
    windows = windows_of(last, (integer(size),), (integer(step),), (1,))
    return np.moveaxis(windows, -2, at)


def im2col(here: Scope, self: Value, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Value:
    """Windows as columns: (n, c, h, w) -> (n, c kh kw, windows)."""
    ids = self if is_live(self) else live(np.arange(self.size).reshape(self.shape))
    raised = ids if ids.ndim == 4 else ids[None]
    size, steps, apart = (for_each(option, 2) for option in (kernel_size, stride, dilation))
    pads = [(p, p) for p in for_each(padding, 2)]
    windows = np.moveaxis(windows_of(padded(raised, pads, ZERO), size, steps, apart), (2, 3), (-2, -1))
    columns = np.reshape(windows, (raised.shape[0], raised.shape[1] * prod(size), -1))
    columns = columns if ids.ndim == 4 else columns[0]
    if is_live(self):
        return columns
    return np.where(np.asarray(columns) >= 0, numbers(self).reshape(-1)[np.maximum(np.asarray(columns), 0)], 0.0)


def col2im(here: Scope, self: Value, output_size: Sizes, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) -> Value:
    """Columns back in their windows, added up where those overlap: (n, c kh kw, windows) -> (n, c, h, w)."""
    if not is_live(self):
        raise Unsupported("folds a constant; there is a rule for live values only")
    raised = self if self.ndim == 3 else self[None]
    (h, w), size, steps, apart = (for_each(option, 2) for option in (output_size, kernel_size, stride, dilation))
    (top, left), taps = for_each(padding, 2), prod(size)
    wide_h, wide_w = bounded((h + 2 * top, w + 2 * left))
    pixels = live(np.arange(wide_h * wide_w).reshape(1, 1, wide_h, wide_w))
    windows = np.moveaxis(windows_of(pixels, size, steps, apart), (2, 3), (-2, -1)).reshape(taps, -1)  # which pixel each entry of a column is of
    order = np.argsort(np.asarray(windows).reshape(-1), kind="stable")
    pixel = np.asarray(windows).reshape(-1)[order]
    first = np.searchsorted(pixel, np.arange(wide_h * wide_w))
    rank = np.arange(len(pixel)) - first[pixel]
    table = np.full((wide_h * wide_w, int(rank.max()) + 1), -1)
    table[pixel, rank] = order
    columns = np.reshape(raised, (raised.shape[0], -1, taps * raised.shape[-1]))
    flat = np.pad(columns, ((0, 0), (0, 0), (0, 1)), constant_values=NOTHING)
    source = flat[..., table.reshape(wide_h, wide_w, -1)[top : top + h, left : left + w]]
    image = here.sum(Edges(source), axes=(None, "channel", "row", "column"))
    return image if self.ndim == 3 else image[0]


def pixel_shuffle(here: Scope, self: Value, upscale_factor: int) -> Value:
    """Channels spread over r x r places: (..., c r^2, h, w) -> (..., c, h r, w r)."""
    *lead, c, h, w = self.shape
    r = integer(upscale_factor)
    wide = np.reshape(self, (*lead, c // r**2, r, r, h, w))
    n = len(lead)
    return np.reshape(np.transpose(wide, (*range(n), n, n + 3, n + 1, n + 4, n + 2)), (*lead, c // r**2, h * r, w * r))


def pixel_unshuffle(here: Scope, self: Value, downscale_factor: int) -> Value:
    """r x r places gathered into channels: (..., c, h r, w r) -> (..., c r^2, h, w)."""
    *lead, c, h, w = self.shape
    r = integer(downscale_factor)
    wide = np.reshape(self, (*lead, c, h // r, r, w // r, r))
    n = len(lead)
    return np.reshape(np.transpose(wide, (*range(n), n, n + 2, n + 4, n + 1, n + 3)), (*lead, c * r**2, h // r, w // r))


def channel_shuffle(here: Scope, self: Value, groups: int) -> Value:
    """Channels dealt out from one group after the other."""
    wide = np.reshape(self, (self.shape[0], groups, -1, *self.shape[2:]))
    return np.reshape(np.swapaxes(wide, 1, 2), self.shape)
