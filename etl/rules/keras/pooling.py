"""Pools: every neuron reads one window of one channel, or all of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.primitives.windows import as_given, channels_last, each, ragged, windows
from etl.rules.scope import NOTHING, Edges, Ids, Scope, bounded


def seen_by(inputs: Ids, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Ids:
    """What each pooling neuron sees: (*axes, c) -> (*windows, c, *size)."""
    rank = inputs.ndim - 1
    size = each(pool_size, rank)
    seen = windows(channels_last(inputs, data_format), size, each(strides or size, rank), padding)
    return np.moveaxis(seen, -1, rank)


def max_pooling(here: Scope, inputs: Ids, *, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None) -> Ids:
    """The largest of each window and channel.

    inputs (*axes, c) -> (*windows, c); edges (*windows, c, *size) of weight 1
    """
    seen = seen_by(inputs, pool_size, strides, padding, data_format)
    return as_given(here.max(Edges(seen, over=inputs.ndim - 1)), data_format)


def average_pooling(
    here: Scope, inputs: Ids, *, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Ids:
    """The mean of each window and channel; the pool's own padding doesn't count, a padded zero does.

    inputs (*axes, c) -> (*windows, c); edges (*windows, c, *size) of weight 1 / (values in the window)
    """
    seen = seen_by(inputs, pool_size, strides, padding, data_format)
    return as_given(here.sum(mean(seen, inputs.ndim - 1)), data_format)


def global_max_pooling(here: Scope, inputs: Ids, *, data_format: str | None = None, keepdims: bool = False) -> Ids:
    """The largest of each channel.

    inputs (*axes, c) -> (c,), or (1, .., c) with `keepdims`; edges (c, places)
    """
    seen = channels(inputs, data_format)
    return as_given(here.max(Edges(seen), shape=kept(seen, inputs.ndim if keepdims else 1)), data_format)


def global_average_pooling(here: Scope, inputs: Ids, *, data_format: str | None = None, keepdims: bool = False) -> Ids:
    """The mean of each channel.

    inputs (*axes, c) -> (c,), or (1, .., c) with `keepdims`; edges (c, places)
    """
    seen = channels(inputs, data_format)
    return as_given(here.sum(mean(seen, 1), shape=kept(seen, inputs.ndim if keepdims else 1)), data_format)


def channels(inputs: Ids, data_format: str | None) -> Ids:
    """All places of each channel: (*axes, c) -> (c, places)."""
    ids = channels_last(inputs, data_format)
    return ids.reshape(-1, ids.shape[-1]).T


def kept(seen: Ids, rank: int) -> tuple[int, ...]:
    """The shape of one number a channel as an array of that rank."""
    return (*(1,) * (rank - 1), len(seen))


def adaptive_max_pooling(here: Scope, inputs: Ids, *, output_size: Any, data_format: str | None = None) -> Ids:
    """The largest of each of `output_size` windows, which overlap where they don't divide the image.

    inputs (*axes, c) -> (*output_size, c); edges (*output_size, c, *largest window)
    """
    return as_given(here.max(Edges(adapted(inputs, output_size, data_format), over=inputs.ndim - 1)), data_format)


def adaptive_average_pooling(here: Scope, inputs: Ids, *, output_size: Any, data_format: str | None = None) -> Ids:
    """The mean of each of `output_size` windows, which overlap where they don't divide the image.

    inputs (*axes, c) -> (*output_size, c); edges (*output_size, c, *largest window)
    """
    return as_given(here.sum(mean(adapted(inputs, output_size, data_format), inputs.ndim - 1)), data_format)


def adapted(inputs: Ids, output_size: Any, data_format: str | None) -> Ids:
    """What each neuron of an adaptive pool sees: window i of o on n places is floor(i n / o) up to ceil((i + 1) n / o)."""
    ids, rank = channels_last(inputs, data_format), inputs.ndim - 1
    indices, size = [], each(output_size, rank)
    bounded([*size, ids.shape[-1]])
    for n, o in zip(ids.shape, size, strict=False):
        begin, end = np.arange(o) * n // o, -(-np.arange(1, o + 1) * n // o)
        index = begin[:, None] + np.arange((end - begin).max())
        indices.append(np.where(index < end[:, None], index, NOTHING))
    return np.moveaxis(ragged(ids, indices), -1, rank)


def mean(source: Ids, over: int) -> Edges:
    """Edges that average the last `over` axes, NOTHING aside: weight 1 / (values there)."""
    axes = tuple(range(source.ndim - over, source.ndim))
    return Edges(source, 1 / np.count_nonzero(source != NOTHING, axis=axes, keepdims=True), over=over)
