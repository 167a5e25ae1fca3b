"""Pools: every neuron reads one window of one channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.windows import as_given, channels_last, each, windows
from etl.scope import NOTHING, Edges, Ids, Scope


def seen_by(inputs: Ids, rank: int, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Ids:
    """What each pooling neuron sees: (*axes, c) -> (*windows, c, *size)."""
    size = each(pool_size, rank)
    seen = windows(channels_last(inputs, data_format), size, each(strides or size, rank), padding)
    return np.moveaxis(seen, -1, rank)


def max_pooling_2d(
    here: Scope, inputs: Ids, *, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Ids:
    """The largest of each window and channel: (h, w, c) -> (oh, ow, c); edges (oh, ow, c, kh, kw) of weight 1."""
    return as_given(here.max(Edges(seen_by(inputs, 2, pool_size, strides, padding, data_format), over=2)), data_format)


def average_pooling_2d(
    here: Scope, inputs: Ids, *, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Ids:
    """The mean of each window and channel; the pool's own padding doesn't count, a padded zero does."""
    seen = seen_by(inputs, 2, pool_size, strides, padding, data_format)
    return as_given(here.sum(mean(seen, 2)), data_format)


def mean(source: Ids, over: int) -> Edges:
    """Edges that average the last `over` axes, NOTHING aside: weight 1 / (values there)."""
    axes = tuple(range(source.ndim - over, source.ndim))
    return Edges(source, 1 / np.count_nonzero(source != NOTHING, axis=axes, keepdims=True), over=over)
