"""Convolutions, transposed ones and pools of tensors (batch, channels, *places), as PyTorch and ONNX lay them out.

Padding is data: NOTHING where no value is, ZERO where a zero counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from etl.errors import Unsupported
from etl.rules.aten.values import Sizes, Value, all_constant, check_size, live_or_constant_sum
from etl.rules.ids import NOTHING, ZERO, Ids, axis_names, is_live, live
from etl.rules.primitives.windows import adaptive_windows as windows_by_axis
from etl.rules.primitives.windows import ragged, span, transposed_windows
from etl.rules.scope import Edges, Scope, Weights, bounded

PLACES = {1: ("column",), 2: ("row", "column"), 3: ("depth", "row", "column")}
Pads = Sequence[tuple[int, int]]


def axes_names(rank: int) -> tuple[str | None, ...]:
    """Names of the axes of (batch, channels, *places)."""
    return (None, "channel", *PLACES.get(rank, (None,) * rank))


def for_each(option: Sizes, rank: int) -> tuple[int, ...]:
    """An option that is one number for all axes, or one for each. Raises Unsupported for any other number of them."""
    numbers = tuple(int(number) for number in np.ravel(np.asarray(option)))
    numbers = numbers * rank if len(numbers) == 1 else numbers
    if len(numbers) != rank:
        raise Unsupported(f"has {len(numbers)} numbers for {rank} axes")
    return numbers


def padded(ids: Ids, pads: Pads, fill: int) -> Ids:
    """More places around the last axes, all of them `fill`; fewer where a pad is negative."""
    rank = len(pads)
    bounded([*ids.shape[: ids.ndim - rank], *(max(n + sum(pad), 0) for n, pad in zip(ids.shape[ids.ndim - rank :], pads, strict=True))])
    cut: tuple[Any, ...] = tuple(
        slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(ids.shape[ids.ndim - rank :], pads, strict=True)
    )
    ids = ids[(..., *cut)]
    if not any(map(any, pads)):
        return ids
    return np.pad(ids, [*((0, 0),) * (ids.ndim - rank), *((max(a, 0), max(b, 0)) for a, b in pads)], constant_values=fill)


def windows_of(ids: Ids, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Ids:
    """What each window sees: (..., *places) -> (..., *windows, *size), a view."""
    rank = len(size)
    spans = [span(k, d) for k, d in zip(size, dilation, strict=True)]
    view = sliding_window_view(ids, spans, axis=tuple(range(ids.ndim - rank, ids.ndim)))
    box: tuple[Any, ...] = (..., *(slice(None, None, step) for step in (*strides, *dilation)))
    return view[box]


def convolution(
    here: Scope, x: Value, kernel: Value, bias: Any, strides: Sequence[int], pads: Pads, dilation: Sequence[int], groups: int, **options: Any
) -> Ids:
    """Every output reads one window through its filter: x (batch, c, *places), kernel (o, c / groups, *size) -> (batch, o, *windows).

    Edges (batch, groups, o / groups, *windows, c / groups, *size).
    """
    rank = kernel.ndim - 2
    check_channels(x.shape[1], kernel.shape[1] * groups)
    if all_constant(x, kernel, bias):
        return constant_convolution(x, kernel, bias, strides, pads, dilation, groups)
    if not is_live(x):
        raise Unsupported("convolves a constant with a kernel that depends on the example")
    x = here.expect(x, axes_names(rank))
    windows = windows_of(padded(x, pads, NOTHING), kernel.shape[2:], strides, dilation)  # (batch, c, *windows, *size)
    places = windows.shape[2 : 2 + rank]
    windows = windows.reshape(windows.shape[0], groups, -1, *windows.shape[2:])
    source = np.moveaxis(windows, 2, 2 + rank)[:, :, None]  # (batch, groups, 1, *windows, c / groups, *size)
    weight = kernel.reshape(groups, -1, *(1,) * rank, *kernel.shape[1:])
    return filtered(here, source, weight, bias, rank + 1, (x.shape[0], len(kernel), *places), **options)


def constant_convolution(
    x: Weights, kernel: Weights, bias: Weights | None, strides: Sequence[int], pads: Pads, dilation: Sequence[int], groups: int
) -> Weights:
    """The same of constants: positions that a network encodes, say."""
    rank = kernel.ndim - 2
    check_size([*x.shape[:2], *(n + sum(pad) for n, pad in zip(x.shape[2:], pads, strict=True))])
    wide = np.pad(x, [(0, 0), (0, 0), *pads])
    windows = windows_of(wide, kernel.shape[2:], strides, dilation)
    places = windows.shape[2 : 2 + rank]
    check_size((x.shape[0], len(kernel), *places))
    windows = windows.reshape(x.shape[0], groups, -1, prod(places), prod(kernel.shape[2:]))
    total = np.einsum("bgcpk,gock->bgop", windows, kernel.reshape(groups, -1, kernel.shape[1], prod(kernel.shape[2:])))
    total = total.reshape(x.shape[0], len(kernel), *places)
    return total if bias is None else total + bias.reshape(-1, *(1,) * rank)


def filtered(here: Scope, source: Ids, weight: Value, bias: Any, over: int, shape: Sequence[int], **options: Any) -> Ids:
    """Windows times filters, added up: neurons (batch, groups, o / groups, *places), as `shape` says (batch, o, *places)."""
    rank = len(shape) - 2
    if bias is not None:
        bias = bias.reshape(*weight.shape[:2], *(1,) * rank)
    names = {"shape": tuple(shape), "axes": axes_names(rank), **options}
    if not is_live(weight):
        return live_or_constant_sum(here, Edges(source, weight, over), bias=bias, **names)
    products = here.product(Edges(source, over=0), Edges(weight, over=0), part="products")
    return live_or_constant_sum(here, Edges(products, over=over), bias=bias, **names)


def check_channels(channels: int, kernel_channels: int) -> None:
    if channels != kernel_channels:
        raise ValueError(f"{channels} channels meet a kernel for {kernel_channels}")


def transposed_convolution(
    here: Scope,
    x: Ids,
    kernel: Value,
    bias: Any,
    strides: Sequence[int],
    before: Sequence[int],
    shape: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    **options: Any,
) -> Ids:
    """Every input adds its filter to a window: x (batch, c, *places), kernel (c, o / groups, *size) -> (batch, o, *shape).

    before  places cut off in front of each axis; shape: of the result's places
    """
    rank, batch = kernel.ndim - 2, x.shape[0]
    check_channels(x.shape[1], kernel.shape[0])
    x = here.expect(x, axes_names(rank))
    last = np.moveaxis(x.reshape(batch * x.shape[1], *x.shape[2:]), 0, -1)
    windows = transposed_windows(last, shape, kernel.shape[2:], strides, before, dilation)  # (*shape, *size, batch * c)
    windows = np.moveaxis(windows, -1, 0).reshape(batch, groups, -1, *shape, *kernel.shape[2:])
    source = np.moveaxis(windows, 2, 2 + rank)[:, :, None]  # (batch, groups, 1, *shape, c / groups, *size)
    backwards: tuple[Any, ...] = (..., *(slice(None, None, -1),) * rank)
    turned = kernel[backwards].reshape(groups, -1, *kernel.shape[1:])  # (groups, c / groups, o / groups, *size)
    weight = np.moveaxis(turned, 1, 2)
    weight = np.expand_dims(weight, tuple(range(2, 2 + rank)))  # (groups, o / groups, 1..., c / groups, *size)
    return filtered(here, source, weight, bias, rank + 1, (batch, kernel.shape[1] * groups, *shape), **options)


def ceiling_pads(places: Sequence[int], size: Sequence[int], strides: Sequence[int], pads: Pads, dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Pads that make room for a last window that reaches over the end, where it begins within the image or the padding before it."""
    wide = []
    for n, k, s, (before, after), d in zip(places, size, strides, pads, dilation, strict=True):
        reach = span(k, d)
        windows = -(-(n + before + after - reach) // s) + 1
        if (windows - 1) * s >= n + before:
            windows -= 1
        wide.append((before, max(after, (windows - 1) * s + reach - n - before)))
    return wide


def pool_windows(
    x: Ids, size: Sequence[int], strides: Sequence[int], pads: Pads, dilation: Sequence[int], ceil_mode: bool = False, counted: bool = False
) -> Ids:
    """What each neuron of a pool sees: (..., *places) -> (..., *windows, *size); padding is ZERO where it is counted, else NOTHING."""
    rank = len(size)
    wide = ceiling_pads(x.shape[x.ndim - rank :], size, strides, pads, dilation) if ceil_mode else list(pads)
    x = padded(x, pads, ZERO if counted else NOTHING)
    beyond = [(0, w[1] - p[1]) for w, p in zip(wide, pads, strict=True)]
    return windows_of(padded(x, beyond, NOTHING), size, strides, dilation)


def max_pool(here: Scope, windows: Ids, rank: int, **options: Any) -> Ids:
    """The largest of each window: (..., *windows, *size) -> (..., *windows)."""
    return here.max(Edges(windows, over=rank), **options)


def average_pool(here: Scope, windows: Ids, rank: int, divisor: float | None = None, **options: Any) -> Ids:
    """The mean of each window, NOTHING aside, or its sum over a divisor."""
    return here.sum(Edges(windows, 1 / divisor if divisor else shares(windows, rank), over=rank), **options)


def shares(windows: Ids, rank: int) -> Weights:
    """1 / (values in each window); the same for all channels of all examples."""
    lead = windows.ndim - 2 * rank
    plane = np.asarray(windows)[(slice(0, 1),) * lead]
    count = np.count_nonzero(plane != NOTHING, axis=tuple(range(plane.ndim - rank, plane.ndim)), keepdims=True)
    return 1 / np.maximum(count, 1)


def adaptive_windows(x: Ids, size: Sequence[int]) -> Ids:
    """Window i of o on n places is floor(i n / o) up to ceil((i + 1) n / o): (..., *places) -> (..., *size, *largest window)."""
    rank = len(size)
    lead, places = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
    bounded([*lead, *size])
    flat = np.moveaxis(x.reshape(prod(lead), *places), 0, -1)
    windows = np.moveaxis(ragged(flat, windows_by_axis(places, size)), -1, 0)
    return live(windows.reshape(*lead, *windows.shape[1:]), (*axis_names(x), *(None,) * rank))
