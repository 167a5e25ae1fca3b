"""Images of another size, as PyTorch and ONNX compute them: along each axis a matrix that says what a new place takes from each old one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.rules.ids import NOTHING, Ids, axis_names
from etl.rules.primitives.windows import ragged
from etl.rules.scope import Edges, Scope, bounded

Matrix: TypeAlias = NDArray[np.floating[Any]]
CUBIC = -0.75  # the cubic's slope at 1, which is -0.5 in other libraries


def centres(n: int, out: int, scale: float | None, align_corners: bool) -> Matrix:
    """Where the new places lie among the old ones, which are at 0, 1, ... : half a place in from the border, or corner on corner."""
    if align_corners:
        return np.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0.0)
    return (np.arange(out) + 0.5) * (1 / scale if scale else n / out) - 0.5


def nearest(n: int, out: int, scale: float | None = None, exact: bool = False) -> NDArray[np.int64]:
    """The old place of each new one: floor(i / scale), or the one whose centre is nearest."""
    step = np.float32(1 / scale if scale else n / out)
    place = np.floor((np.arange(out, dtype=np.float32) + (0.5 if exact else 0)) * step)
    return np.clip(place.astype(np.int64), 0, n - 1)


def linear(n: int, out: int, scale: float | None = None, align_corners: bool = False) -> Matrix:
    """Between the two old places around each new one, those beyond the border being the border's."""
    at = np.maximum(centres(n, out, scale, align_corners), 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    share = np.minimum(at - low, 1.0)
    return mixed(n, [(low, 1 - share), (np.minimum(low + 1, n - 1), share)])


def cubic(n: int, out: int, scale: float | None = None, align_corners: bool = False, slope: float = CUBIC) -> Matrix:
    """Keys' cubic through the four old places around each new one, those beyond the border being the border's."""
    at = centres(n, out, scale, align_corners)
    low = np.floor(at).astype(np.int64)
    return mixed(n, [(np.clip(low + k, 0, n - 1), keys(np.abs(at - low - k), slope)) for k in (-1, 0, 1, 2)])


def keys(x: Matrix, slope: float = CUBIC) -> Matrix:
    """R. Keys, Cubic convolution interpolation for digital image processing, 1981."""
    near = ((slope + 2) * x - (slope + 3)) * x * x + 1
    far = ((slope * x - 5 * slope) * x + 8 * slope) * x - 4 * slope
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def triangle(x: Matrix) -> Matrix:
    return np.maximum(1 - np.abs(x), 0)


def antialiased(n: int, out: int, kernel: Callable[[Matrix], Matrix], radius: float, scale: float | None, align_corners: bool) -> Matrix:
    """A kernel as wide as the image shrinks, its weights scaled up to a sum of 1 (aten/src/ATen/native/cpu/UpSampleKernel.cpp)."""
    step = ((n - 1) / (out - 1) if out > 1 else 0.0) if align_corners else (1 / scale if scale else n / out)
    wide = max(step, 1.0)
    centre = (np.arange(out) + 0.5) * step
    first = np.maximum(np.floor(centre - radius * wide + 0.5), 0)
    last = np.minimum(np.floor(centre + radius * wide + 0.5), n)
    place = np.arange(n)
    weights = kernel(np.abs(place - centre[:, None] + 0.5) / wide)
    weights = np.where((place >= first[:, None]) & (place < last[:, None]), weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total, total, 1)


def mixed(n: int, parts: Sequence[tuple[NDArray[np.int64], Matrix]]) -> Matrix:
    """A matrix from places and shares, those that fall on the same place added up."""
    matrix = np.zeros((len(parts[0][0]), n))
    for place, share in parts:
        np.add.at(matrix, (np.arange(len(place)), place), share)
    return matrix


def taps(matrix: Matrix) -> tuple[NDArray[np.int64], Matrix]:
    """The places of each row that are not zero, and what is there: (out, n) -> (out, k) twice, NOTHING where there are fewer than k."""
    most = max(int(np.count_nonzero(matrix, axis=1).max()), 1)
    index = np.argsort(matrix == 0, axis=1, kind="stable")[:, :most]
    weight = np.take_along_axis(matrix, index, axis=1)
    return np.where(weight != 0, index, NOTHING), weight


def resampled(here: Scope, x: Ids, matrices: Sequence[Matrix], **options: Any) -> Ids:
    """(..., *places) -> (..., *new places): each the sum of what the matrices give it, edges (..., *new, *taps)."""
    rank = len(matrices)
    lead, size = x.shape[: x.ndim - rank], [len(matrix) for matrix in matrices]
    bounded([*lead, *size])
    tapped = [taps(matrix) for matrix in matrices]
    flat = np.moveaxis(x.reshape(prod(lead), *x.shape[x.ndim - rank :]), 0, -1)
    windows = np.moveaxis(ragged(flat, [index for index, _ in tapped]), -1, 0)
    weight: Any = 1.0
    for axis, (_, share) in enumerate(tapped):
        shape = [1] * (2 * rank)
        shape[axis], shape[rank + axis] = share.shape
        weight = weight * share.reshape(shape)
    return here.sum(Edges(windows, weight, over=rank), shape=(*lead, *size), axes=axis_names(x), **options)


__all__ = ["antialiased", "cubic", "keys", "linear", "nearest", "resampled", "triangle"]
