"""Pools: every neuron reads one window of one channel, or all of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.arguments import PerAxis
from etl.rules.keras.layout import axes, first, image
from etl.rules.keras.masking import counting_steps
from etl.rules.primitives.windows import adaptive_windows, per_axis, ragged, windows
from etl.rules.scope import NOTHING, Edges, Ids, Scope


def seen_by(here: Scope, inputs: Ids, pool_size: PerAxis, strides: PerAxis | None, padding: str, data_format: str | None) -> Ids:
    """What each pooling neuron sees, in the file's order of axes: (*axes, c) -> (*windows, c, *size)."""
    rank = inputs.ndim - 1
    size = per_axis(pool_size, rank)
    patches = windows(image(here, inputs, data_format), size, per_axis(strides or size, rank), padding)
    return np.moveaxis(patches, -1, 0 if first(data_format) else rank)


def max_pooling(
    here: Scope, inputs: Ids, *, pool_size: PerAxis = 2, strides: PerAxis | None = None, padding: str = "valid", data_format: str | None = None
) -> Ids:
    """The largest of each window and channel.

    inputs (*axes, c) -> (*windows, c); edges (*windows, c, *size) of weight 1
    """
    return here.max(Edges(seen_by(here, inputs, pool_size, strides, padding, data_format), over=inputs.ndim - 1))


def average_pooling(
    here: Scope, inputs: Ids, *, pool_size: PerAxis = 2, strides: PerAxis | None = None, padding: str = "valid", data_format: str | None = None
) -> Ids:
    """The mean of each window and channel; the pool's own padding doesn't count, a padded zero does.

    inputs (*axes, c) -> (*windows, c); edges (*windows, c, *size) of weight 1 / (values in the window)
    """
    return here.sum(mean(seen_by(here, inputs, pool_size, strides, padding, data_format), inputs.ndim - 1))


def global_max_pooling(here: Scope, inputs: Ids, *, data_format: str | None = None, keepdims: bool = False) -> Ids:
    """The largest of each channel.

    inputs (*axes, c) -> (c,), or (1, .., c) with `keepdims`; edges (c, places)
    """
    places = channels(here, inputs, data_format)
    return here.max(Edges(places), **as_image(places, inputs.ndim if keepdims else 1, data_format))


def global_average_pooling(here: Scope, inputs: Ids, *, data_format: str | None = None, keepdims: bool = False, length: int | None = None) -> Ids:
    """The mean of each channel, over the steps that count where a length says so.

    inputs (*axes, c) -> (c,), or (1, .., c) with `keepdims`; edges (c, places)
    """
    places = channels(here, inputs, data_format)
    places = places[:, counting_steps(places.shape[1], length)]
    return here.sum(mean(places, 1), **as_image(places, inputs.ndim if keepdims else 1, data_format))


def channels(here: Scope, inputs: Ids, data_format: str | None) -> Ids:
    """All places of each channel: (*axes, c) -> (c, places)."""
    ids = image(here, inputs, data_format)
    return ids.reshape(-1, ids.shape[-1]).T


def as_image(channels_first_ids: Ids, rank: int, data_format: str | None) -> dict[str, Any]:
    """Shape and axes of one number a channel as an array of that rank."""
    ones = (1,) * (rank - 1)
    return {
        "shape": (len(channels_first_ids), *ones) if first(data_format) else (*ones, len(channels_first_ids)),
        "axes": axes(rank - 1, data_format),
    }


def adaptive_max_pooling(here: Scope, inputs: Ids, *, output_size: PerAxis, data_format: str | None = None) -> Ids:
    """The largest of each of `output_size` windows, which overlap where they don't divide the image.

    inputs (*axes, c) -> (*output_size, c); edges (*output_size, c, *largest window)
    """
    return here.max(Edges(adapted(here, inputs, output_size, data_format), over=inputs.ndim - 1))


def adaptive_average_pooling(here: Scope, inputs: Ids, *, output_size: PerAxis, data_format: str | None = None) -> Ids:
    """The mean of each of `output_size` windows, which overlap where they don't divide the image.

    inputs (*axes, c) -> (*output_size, c); edges (*output_size, c, *largest window)
    """
    return here.sum(mean(adapted(here, inputs, output_size, data_format), inputs.ndim - 1))


def adapted(here: Scope, inputs: Ids, output_size: PerAxis, data_format: str | None) -> Ids:
    """What each neuron of an adaptive pool sees, in the file's order of axes."""
    rank = inputs.ndim - 1
    patches = ragged(image(here, inputs, data_format), adaptive_windows(inputs.shape[1:] if first(data_format) else inputs.shape[:-1], output_size))
    return np.moveaxis(patches, -1, 0 if first(data_format) else rank)


def mean(source: Ids, over: int) -> Edges:
    """Edges that average the last `over` axes, NOTHING aside: weight 1 / (values there)."""
    axes = tuple(range(source.ndim - over, source.ndim))
    return Edges(source, 1 / np.count_nonzero(source != NOTHING, axis=axes, keepdims=True), over=over)
