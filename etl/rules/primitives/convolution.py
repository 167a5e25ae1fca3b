"""Convolutions and pools over tensors (n, c, *image): every neuron reads one window. Padding is data: ZERO counts in a mean, NOTHING does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from etl.rules.ids import Axes, axis_names, live
from etl.rules.primitives.windows import span
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights, bounded

Pads = Sequence[tuple[int, int]]  # before and after each axis of the image; below zero cuts
IMAGE: dict[int, Axes] = {1: (None, "channel", "step"), 2: (None, "channel", "row", "column"), 3: (None, "channel", "depth", "row", "column")}


def image(here: Scope, x: Ids) -> Ids:
    """The same ids, their axes named as those of an image."""
    return here.expect(x, IMAGE[x.ndim - 2]) if x.ndim - 2 in IMAGE else x


def padded(x: Ids, pads: Pads, value: int = NOTHING) -> Ids:
    """Places around the last axes of a tensor, or fewer of them where a number is below zero."""
    ends = [(0, 0)] * (x.ndim - len(pads)) + [(max(a, 0), max(b, 0)) for a, b in pads]
    bounded([n + sum(both) for n, both in zip(x.shape, ends, strict=True)])
    wide = np.pad(x, ends, constant_values=value) if any(map(any, ends)) else x
    box: tuple[Any, ...] = (..., *(slice(max(-a, 0), wide.shape[k - len(pads)] - max(-b, 0)) for k, (a, b) in enumerate(pads)))
    return wide[box]


def windows(x: Ids, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Ids:
    """What windows over the last axes see: (..., *image) -> (..., *windows, *size), a view."""
    rank = len(size)
    spans = [span(k, d) for k, d in zip(size, dilation, strict=True)]
    patches = sliding_window_view(x, spans, axis=tuple(range(x.ndim - rank, x.ndim)))
    box: tuple[Any, ...] = (..., *(slice(None, None, step) for step in (*strides, *dilation)))
    return patches[box]


def convolution(
    here: Scope,
    x: Ids,
    kernel: Weights,
    bias: Weights | None = None,
    *,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    groups: int = 1,
    part: str | None = None,
    activation: str = "linear",
) -> Ids:
    """x (n, c, *image), kernel (f, c / groups, *size) -> (n, f, *windows); edges (n, groups, f / groups, *windows, c / groups, *size).

    Raises ValueError where channels and kernel don't fit.
    """
    rank, filters = len(strides), kernel.shape[0]
    x = image(here, x)
    if x.ndim != rank + 2 or kernel.ndim != rank + 2 or x.shape[1] != kernel.shape[1] * groups or filters % groups:
        raise ValueError(f"an input of {list(x.shape)} and a kernel of {list(kernel.shape)} in {groups} groups")
    patches = windows(padded(x, pads), kernel.shape[2:], strides, dilation)
    patches = patches.reshape(x.shape[0], groups, x.shape[1] // groups, *patches.shape[2:])
    patches = np.moveaxis(patches, 2, 2 + rank)[:, :, None]  # (n, groups, 1, *windows, c / groups, *size)
    weight = kernel.reshape(groups, filters // groups, *(1,) * rank, *kernel.shape[1:])
    laid = None if bias is None else bias.reshape(groups, filters // groups, *(1,) * rank)
    shape = (x.shape[0], filters, *patches.shape[3 : 3 + rank])
    return here.sum(Edges(patches, weight, over=rank + 1), bias=laid, shape=shape, axes=axis_names(x), part=part, activation=activation)


def transposed_convolution(
    here: Scope,
    x: Ids,
    kernel: Weights,
    bias: Weights | None = None,
    *,
    strides: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    more: Sequence[int],
    groups: int = 1,
) -> Ids:
    """A convolution's gradient: x (n, c, *image), kernel (c, f / groups, *size) -> (n, f, *places), places = (image - 1) stride + span - pads + more.

    The image stands `stride` apart with NOTHING between, and each place looks back through a window turned around.
    Raises ValueError where channels and kernel don't fit.
    """
    rank, channels = len(strides), x.shape[1]
    x = image(here, x)
    if x.ndim != rank + 2 or channels != kernel.shape[0] or channels % groups:
        raise ValueError(f"an input of {list(x.shape)} and a kernel of {list(kernel.shape)} in {groups} groups")
    spans = [span(k, d) for k, d in zip(kernel.shape[2:], dilation, strict=True)]
    wide = live(np.full(bounded((*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], strides, strict=True)))), NOTHING), axis_names(x))
    box: tuple[Any, ...] = (..., *(slice(None, None, step) for step in strides))
    wide[box] = x
    around = [(k - 1 - before, k - 1 - after + extra) for k, (before, after), extra in zip(spans, pads, more, strict=True)]
    patches = windows(padded(wide, around), kernel.shape[2:], (1,) * rank, dilation)
    patches = patches.reshape(x.shape[0], groups, channels // groups, *patches.shape[2:])
    patches = np.moveaxis(patches, 2, 2 + rank)[:, :, None]
    turned = np.flip(kernel, tuple(range(2, 2 + rank))).reshape(groups, channels // groups, *kernel.shape[1:])
    weight = np.moveaxis(turned, 2, 1)  # (groups, f / groups, c / groups, *size)
    weight = weight.reshape(*weight.shape[:2], *(1,) * rank, *weight.shape[2:])
    laid = None if bias is None else bias.reshape(groups, -1, *(1,) * rank)
    shape = (x.shape[0], kernel.shape[1] * groups, *patches.shape[3 : 3 + rank])
    return here.sum(Edges(patches, weight, over=rank + 1), bias=laid, shape=shape, axes=axis_names(x))


def pool_windows(
    here: Scope, x: Ids, size: Sequence[int], *, strides: Sequence[int], pads: Pads, dilation: Sequence[int], ceil: bool = False, value: int = NOTHING
) -> Ids:
    """What pools see: (n, c, *image) -> (n, c, *windows, *size).

    value  of the padding: NOTHING, or ZERO where it counts
    ceil   a last window that begins within the image and its padding before is there though it ends outside, where NOTHING is
    """
    x = padded(image(here, x), pads, value)
    if ceil:
        beyond = []
        for n, k, d, s, (_, after) in zip(x.shape[2:], size, dilation, strides, pads, strict=True):
            count = -(-(n - span(k, d)) // s) + 1
            count -= (count - 1) * s >= n - after and count > 1
            beyond.append((0, max((count - 1) * s + span(k, d) - n, 0)))
        x = padded(x, beyond)
    return windows(x, size, strides, dilation)


def max_pool(here: Scope, patches: Ids, rank: int, part: str | None = None) -> Ids:
    """The largest of each window."""
    return here.max(Edges(patches, over=rank), axes=axis_names(patches)[: patches.ndim - rank], part=part)


def average_pool(here: Scope, patches: Ids, rank: int, part: str | None = None) -> Ids:
    """The mean of each window: weight 1 / (values there, padded zeros among them, NOTHING aside)."""
    along = tuple(range(patches.ndim - rank, patches.ndim))
    counts = np.count_nonzero(np.asarray(patches) != NOTHING, axis=along, keepdims=True)
    return here.sum(Edges(patches, 1 / np.maximum(counts, 1), over=rank), axes=axis_names(patches)[: patches.ndim - rank], part=part)


def zeros_inside(patches: Any) -> Any:
    """Windows laid out as values: what is outside is a padded zero."""
    return np.where(np.asarray(patches) == NOTHING, ZERO, patches)
