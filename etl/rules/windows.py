"""Windows over ids: what convolutions and pools see. Padding is data (NOTHING, ZERO), never a branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from etl.errors import Unsupported
from etl.scope import NOTHING, Ids


def each(value: Any, rank: int) -> tuple[int, ...]:
    """An option that is one number for all axes, or one for each."""
    numbers = (value,) * rank if isinstance(value, int) else tuple(int(v) for v in value)
    if len(numbers) != rank:
        raise Unsupported(f"has {len(numbers)} numbers for {rank} axes")
    return numbers


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Rows before and after an axis so that there are ceil(size / stride) windows; Keras puts the odd one after."""
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def windows(ids: Ids, size: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int] | None = None) -> Ids:
    """What each window sees: (*axes, c) -> (*windows, *size, c). Outside the image is NOTHING.

    padding  valid, same, or causal (all of it before the first)
    """
    rank = len(size)
    dilation = dilation or (1,) * rank
    spans = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    if padding == "same":
        pads = [same_padding(n, span, s) for n, span, s in zip(ids.shape, spans, strides, strict=False)]
    elif padding == "causal":
        pads = [(span - 1, 0) for span in spans]
    elif padding == "valid":
        pads = [(0, 0)] * rank
    else:
        raise Unsupported(f"has no rule for padding={padding!r}")
    if any(map(any, pads)):
        ids = np.pad(ids, [*pads, (0, 0)], constant_values=NOTHING)
    seen = sliding_window_view(ids, spans, axis=tuple(range(rank)))
    seen = seen[(*(slice(None, None, s) for s in strides), slice(None), *(slice(None, None, d) for d in dilation))]
    return np.moveaxis(seen, rank, -1)


def channels_last(ids: Ids, data_format: str | None) -> Ids:
    """The same ids with their channels on the last axis."""
    return np.moveaxis(ids, 0, -1) if data_format == "channels_first" else ids


def as_given(ids: Ids, data_format: str | None) -> Ids:
    """Back from channels last to where the file has them."""
    return np.moveaxis(ids, -1, 0) if data_format == "channels_first" else ids
