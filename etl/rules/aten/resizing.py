"""Images of another size, and constant grids to sample them at. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import resample as resampling
from etl.rules.aten.values import Sizes, Value
from etl.rules.aten.views import sizes
from etl.rules.aten.windows import axes_names
from etl.rules.ids import NOTHING, Ids, is_live
from etl.rules.scope import Edges, Scope, bounded

Rule = Callable[..., Any]


def target(x: Value, rank: int, output_size: Sizes | None, scale_factors: Sequence[float] | None) -> tuple[tuple[int, ...], list[float | None]]:
    """The new size, and the scale of each axis where one was given: positions follow it rather than the sizes."""
    places = x.shape[x.ndim - rank :]
    scale_options = [None] * rank if scale_factors is None else scale_factors
    factors = [None if factor is None else float(factor) for factor in scale_options]
    if output_size is not None:
        return sizes(output_size), factors
    return tuple(int(n * factor) for n, factor in zip(places, factors, strict=True) if factor is not None), factors


def nearest(rank: int, exact: bool = False) -> Rule:
    """A rule for upsample_nearest and its exact kin."""

    def rule(here: Scope, input: Value, output_size: Sizes | None = None, scale_factors: Sequence[float] | None = None) -> Value:
        """Each new place is one of the old ones: a view."""
        x = input
        size, factors = target(x, rank, output_size, scale_factors)
        bounded([*x.shape[: x.ndim - rank], *size])
        for axis, (n, scale) in enumerate(zip(size, factors, strict=True), x.ndim - rank):
            x = np.take(x, resampling.nearest(x.shape[axis], n, scale, exact), axis=axis)
        return x

    return rule


def interpolated(rank: int, method: str, antialias: bool = False) -> Rule:
    """A rule for upsample_linear1d, bilinear2d, trilinear3d and bicubic2d."""

    def rule(
        here: Scope, input: Ids, output_size: Sizes | None = None, align_corners: bool = False, scale_factors: Sequence[float] | None = None
    ) -> Ids:
        """Each new place is a weighted sum of the old ones around it."""
        x = input
        size, factors = target(x, rank, output_size, scale_factors)
        bounded([*x.shape[: x.ndim - rank], *size])
        matrices = []
        for n, out, scale in zip(x.shape[x.ndim - rank :], size, factors, strict=True):
            bounded((n, out))
            if antialias:
                kernel, radius = (resampling.triangle, 1.0) if method == "linear" else (lambda t: resampling.keys(t, -0.5), 2.0)
                matrices.append(resampling.antialiased(n, out, kernel, radius, scale, align_corners))
            else:
                make = resampling.linear if method == "linear" else resampling.cubic
                matrices.append(make(n, out, scale, align_corners))
        if all(m.shape[0] == m.shape[1] and np.array_equal(m, np.eye(len(m))) for m in matrices):
            return x
        return resampling.resampled(here, here.expect(x, axes_names(rank)), matrices)

    return rule


def grid_sampler(here: Scope, input: Ids, grid: Value, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Ids:
    """An image (n, c, h, w) read at constant places (n, h', w', 2) between -1 and 1: the nearest, or between the four around each."""
    if is_live(grid):
        raise Unsupported("reads an image at places that depend on the example")
    if interpolation_mode > 1 or input.ndim != 4:
        raise Unsupported("has a rule for bilinear and nearest sampling of images only")
    height, width = input.shape[2:]
    at = [unnormalized(np.asarray(grid)[0, ..., axis], n, align_corners) for axis, n in ((1, height), (0, width))]
    at = [folded_back(place, n, padding_mode, align_corners) for place, n in zip(at, (height, width), strict=True)]
    if interpolation_mode == 1:
        taps = [([np.rint(at[0]), np.rint(at[1])], np.ones(at[0].shape))]
    else:
        low, share = [np.floor(place) for place in at], [place - np.floor(place) for place in at]
        taps = [([low[0] + i, low[1] + j], (share[0] if i else 1 - share[0]) * (share[1] if j else 1 - share[1])) for i in (0, 1) for j in (0, 1)]
    wide = np.pad(input, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=NOTHING)
    source, weight = [], []
    for (row, column), tap_weight in taps:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        source.append(wide[:, :, np.where(inside, row, height).astype(np.int64), np.where(inside, column, width).astype(np.int64)])
        weight.append(tap_weight)
    return here.sum(Edges(np.stack(source, axis=-1), np.stack(weight, axis=-1)), axes=axes_names(2))


def unnormalized(place: Any, n: int, align_corners: bool) -> Any:
    return (place + 1) / 2 * (n - 1) if align_corners else ((place + 1) * n - 1) / 2


def folded_back(place: Any, n: int, mode: int, align_corners: bool) -> Any:
    """Places beyond the border: left there (0), moved to it (1) or reflected (2)."""
    if mode == 1:
        return np.clip(place, 0, n - 1)
    if mode == 2:
        low, span = (0.0, float(n - 1)) if align_corners else (-0.5, float(n))
        away = np.abs(place - low) % (2 * span) if span else np.zeros_like(place)
        return np.clip(low + np.where(away > span, 2 * span - away, away), 0, n - 1)
    return place


def affine_grid(here: Scope, theta: Value, size: Sizes, align_corners: bool) -> Value:
    """The places that a constant matrix sends an image's to."""
    if is_live(theta):
        raise Unsupported("turns an image as the example says")
    _, _, height, width = sizes(size)
    axes = [np.linspace(-1, 1, n) if align_corners else (np.arange(n) * 2 + 1) / n - 1 for n in (width, height)]
    x, y = np.meshgrid(*axes)
    base = np.stack([x, y, np.ones_like(x)], axis=-1)
    return np.einsum("hwk,nik->nhwi", base, np.asarray(theta))
