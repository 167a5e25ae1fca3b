"""Windows over ids: what convolutions and pools see. Padding is data (NOTHING, ZERO), never a branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from etl.errors import Unsupported
from etl.rules.ids import axis_names, live
from etl.rules.scope import NOTHING, Ids, bounded


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """An option that is one number for all axes, or one for each. Raises Unsupported for any other number of them."""
    numbers = (value,) * rank if isinstance(value, int) else tuple(int(v) for v in value)
    if len(numbers) != rank:
        raise Unsupported(f"has {len(numbers)} numbers for {rank} axes")
    return numbers


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Rows before and after an axis so that there are ceil(size / stride) windows; Keras puts the odd one after."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def span(window: int, dilation: int) -> int:
    """Rows from a window's first to its last one."""
    return (window - 1) * dilation + 1


def windows(ids: Ids, size: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] | None = None) -> Ids:
    """What each window sees: (*axes, c) -> (*windows, *size, c), a view. Outside the image is NOTHING.

    padding  valid, same, or causal (all of it before the first)
    Raises Unsupported for another padding, and for another number of axes than the input has.
    """
    rank = len(size)
    if ids.ndim != rank + 1:
        raise Unsupported(f"looks through {rank} axes at an input of {ids.ndim - 1} (and one of channels)")
    dilation = dilation or (1,) * rank
    spans = [span(k, d) for k, d in zip(size, dilation, strict=True)]
    if padding == "same":
        pads = [same_padding(n, k, s) for n, k, s in zip(ids.shape, spans, strides, strict=False)]
    elif padding == "causal":
        pads = [(k - 1, 0) for k in spans]
    elif padding == "valid":
        pads = [(0, 0)] * rank
    else:
        raise Unsupported(f"has no rule for padding={padding!r}")
    bounded([*(n + sum(pad) for n, pad in zip(ids.shape, pads, strict=False)), ids.shape[-1]])
    if any(map(any, pads)):
        ids = np.pad(ids, [*pads, (0, 0)], constant_values=NOTHING)
    patches = sliding_window_view(ids, spans, axis=tuple(range(rank)))
    patches = patches[(*(slice(None, None, s) for s in strides), slice(None), *(slice(None, None, d) for d in dilation))]
    return np.moveaxis(patches, rank, -1)


def transposed_windows(
    ids: Ids, shape: Sequence[int], size: Sequence[int], strides: Sequence[int], before: Sequence[int], dilation: Sequence[int]
) -> Ids:
    """What each place of `shape` gets from a transposed convolution: (*axes, c) -> (*shape, *size, c), a view, for a kernel turned around.

    Input i adds its filter's place j to output i * stride + j * dilation - before. Turned around: inputs stand `stride` apart with NOTHING
    between, and each output looks back through a window.
    """
    rank = len(size)
    spans = [span(k, d) for k, d in zip(size, dilation, strict=True)]
    wide = live(np.full(bounded([*(o + k - 1 for o, k in zip(shape, spans, strict=True)), ids.shape[-1]]), NOTHING), axis_names(ids))
    into, of = [], []
    for n, o, k, s, cut in zip(ids.shape, shape, spans, strides, before, strict=False):
        first = max(-((k - 1 - cut) // s), 0)  # inputs whose filters end before output 0 are nowhere
        count = max(min(n, -(-(o + cut) // s)) - first, 0)
        begin = k - 1 - cut + first * s
        into.append(slice(begin, begin + count * s, s))
        of.append(slice(first, first + count))
    wide[tuple(into)] = ids[tuple(of)]
    patches = sliding_window_view(wide, spans, axis=tuple(range(rank)))
    patches = patches[(*(slice(None),) * (rank + 1), *(slice(None, None, d) for d in dilation))]
    return np.moveaxis(patches, rank, -1)


def ragged(ids: Ids, indices: Sequence[Ids]) -> Ids:
    """What each output sees where its window is listed axis by axis: indices (out, k) each, below zero for NOTHING; (*axes, c) -> (*outs, *ks, c)."""
    rank = len(indices)
    bounded([*(n for index in indices for n in index.shape), ids.shape[-1]])
    wide = np.pad(ids, [*((0, 1),) * rank, (0, 0)], constant_values=NOTHING)  # the last of each axis is what a negative index finds
    grid = []
    for axis, index in enumerate(indices):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = index.shape
        grid.append(np.maximum(index, -1).reshape(shape))
    return live(wide[tuple(grid)], (*axis_names(ids)[:rank], *(None,) * rank, *axis_names(ids)[rank:]))


def adaptive_windows(shape: Sequence[int], output_size: Any) -> list[Ids]:
    """The places of each window of an adaptive pool, axis by axis, as `ragged` takes them: window i of o on n places is floor(i n / o) up to
    ceil((i + 1) n / o)."""
    indices, size = [], per_axis(output_size, len(shape))
    bounded(size)
    for n, o in zip(shape, size, strict=True):
        begin, end = np.arange(o) * n // o, -(-np.arange(1, o + 1) * n // o)
        index = begin[:, None] + np.arange((end - begin).max())
        indices.append(np.where(index < end[:, None], index, NOTHING))
    return indices
