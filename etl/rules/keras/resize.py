"""Images of another size. Nearest neighbours are views; every other interpolation is a fixed weighted sum, separable in rows and columns.

Positions and weights as tf.image.resize computes them, in float32: pixel centres at one half, borders without what lies outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import PerAxis
from etl.rules.keras.layout import as_given, image, in_order
from etl.rules.primitives.interpolation import matrix
from etl.rules.primitives.windows import per_axis, ragged
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights, bounded


def up_sampling(here: Scope, inputs: Ids, *, size: PerAxis = 2, data_format: str | None = None, interpolation: str = "nearest") -> Ids:
    """Every place repeated along each axis, or interpolated: (*axes, c) -> (*(n * size), c)."""
    ids = image(here, inputs, data_format)
    factors = per_axis(size, ids.ndim - 1)
    if interpolation.lower() != "nearest":
        return resized(here, ids, [n * k for n, k in zip(ids.shape, factors, strict=False)], interpolation, data_format=data_format)
    bounded([n * k for n, k in zip(ids.shape, (*factors, 1), strict=True)])
    for axis, factor in enumerate(factors):
        ids = np.repeat(ids, factor, axis)
    return as_given(ids, data_format)


def resizing(
    here: Scope,
    inputs: Ids,
    *,
    height: int,
    width: int,
    interpolation: str = "bilinear",
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    antialias: bool = False,
    data_format: str | None = None,
) -> Ids:
    """(h, w, c) -> (height, width, c): stretched, or cut or padded first to the aspect ratio wanted."""
    ids = image(here, inputs, data_format)
    if fill_mode != "constant":
        raise Unsupported(f"has no rule for fill_mode={fill_mode!r}")
    if crop_to_aspect_ratio:
        ids = crop_to_ratio(ids, height, width)
    pads = padding(ids.shape[0], ids.shape[1], height, width) if pad_to_aspect_ratio else (0, 0)
    return resized(here, ids, (height, width), interpolation, antialias, pads, fill_value, data_format)


def center_crop(here: Scope, inputs: Ids, *, height: int, width: int, data_format: str | None = None) -> Ids:
    """The middle of an image: (h, w, c) -> (height, width, c); of a smaller image its middle part of that aspect ratio, enlarged."""
    ids = image(here, inputs, data_format)
    top, left = (ids.shape[0] - height) // 2, (ids.shape[1] - width) // 2
    if top >= 0 and left >= 0:
        return as_given(ids[top : top + height, left : left + width], data_format)
    return resized(here, crop_to_ratio(ids, height, width), (height, width), "bilinear", data_format=data_format)


def random_crop(here: Scope, inputs: Ids, *, height: int, width: int, data_format: str | None = None, rng_type: Any = None) -> Ids:
    """At inference nothing changes, whatever shape the layer declares."""
    return inputs


def random_crop_2(here: Scope, inputs: Ids, *, height: int, width: int, data_format: str | None = None, rng_type: Any = None) -> Ids:
    """At inference the largest middle part of that aspect ratio is resized (Keras 2)."""
    return resized(here, crop_to_ratio(inputs, height, width), (height, width), "bilinear")


def crop_to_ratio(ids: Ids, height: int, width: int) -> Ids:
    """The largest middle part of the aspect ratio height : width."""
    h, w = ids.shape[:2]
    rows, columns = max(min(h, w * height // width), 1), max(min(w, h * width // height), 1)
    top, left = (h - rows) // 2, (w - columns) // 2
    return ids[top : top + rows, left : left + columns]


def padding(h: int, w: int, height: int, width: int) -> tuple[int, int]:
    """Rows added above and below, columns added left and right, for the aspect ratio height : width."""
    return (max(h, w * height // width) - h) // 2, (max(w, h * width // height) - w) // 2


def resized(
    here: Scope,
    ids: Ids,
    size: Sequence[int],
    interpolation: str,
    antialias: bool = False,
    pads: tuple[int, int] = (0, 0),
    fill: float = 0.0,
    data_format: str | None = None,
) -> Ids:
    """(h, w, c) -> (*size, c), or (c, *size) with channels first; edges (*size, c, rows seen, columns seen).

    pads  rows and columns around the image, of value `fill`, which reach the sums as bias
    """
    method = interpolation.lower()
    if not any(pads) and tuple(ids.shape[:2]) == tuple(size):
        return as_given(ids, data_format)
    bounded([*size, ids.shape[-1]])
    for n, out, pad in zip(ids.shape, size, pads, strict=False):
        bounded((n + 2 * pad, out))
    rows, columns = (matrix(method, n + 2 * pad, out, antialias)[:, pad : pad + n] for n, out, pad in zip(ids.shape, size, pads, strict=False))
    if method == "nearest" and not (fill and any(pads)):
        wide = np.pad(ids, ((0, 1), (0, 1), (0, 0)), constant_values=ZERO)  # the last of each axis is what index -1 finds
        down, right = (np.where(m.any(axis=1), m.argmax(axis=1), -1) for m in (rows, columns))
        return as_given(wide[down][:, right], data_format)
    (down, by_row), (right, by_column) = taps(rows), taps(columns)
    patches = np.moveaxis(ragged(ids, (down, right)), -1, 2)
    weight = by_row[:, None, None, :, None] * by_column[None, :, None, None, :]
    bias = fill * (1 - rows.sum(axis=1)[:, None, None] * columns.sum(axis=1)[None, :, None]) if fill and any(pads) else None
    if bias is not None and data_format == "channels_first":
        bias = np.moveaxis(bias, -1, 0)
    return here.sum(in_order(Edges(patches, weight, over=2), range(2, 3), data_format), bias=bias)


def taps(m: Weights) -> tuple[Ids, Weights]:
    """The places of each row that are not zero, and what is there: (out, n) -> (out, k) twice, NOTHING where there are fewer than k."""
    most = max(int(np.count_nonzero(m, axis=1).max()), 1)
    index = np.argsort(m == 0, axis=1, kind="stable")[:, :most]
    weight = np.take_along_axis(m, index, axis=1)
    return np.where(weight != 0, index, NOTHING), weight
