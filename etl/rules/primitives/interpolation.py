"""Interpolation along one axis as a matrix, the way TensorFlow's image operations compute it (tensorflow/core/kernels/image)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported

Matrix: TypeAlias = NDArray[Any]
ONE, HALF = np.float32(1), np.float32(0.5)


def matrix(method: str, n: int, out: int, antialias: bool = False) -> Matrix:
    """What each of `out` places takes from each of `n`: (out, n). Raises Unsupported for another method."""
    if method in SAMPLED and (antialias or method not in OWN):
        return sampled(n, out, *SAMPLED[method], antialias)
    if method in OWN:
        return OWN[method](n, out)
    raise Unsupported(f"has no rule for interpolation={method!r}")


def positions(n: int, out: int) -> Matrix:
    """Where the centre of each new place lies among the old ones, whose centres are at 0, 1, ..."""
    return (np.arange(out, dtype=np.float32) + HALF) * (np.float32(n) / np.float32(out)) - HALF


def nearest(n: int, out: int) -> Matrix:
    index = np.floor((np.arange(out, dtype=np.float32) + HALF) * (np.float32(n) / np.float32(out))).astype(np.int64)
    return np.eye(n)[np.minimum(index, n - 1)]


def bilinear(n: int, out: int) -> Matrix:
    at, matrix, row = positions(n, out), np.zeros((out, n)), np.arange(out)
    share = (at - np.floor(at)).astype(np.float64)
    np.add.at(matrix, (row, np.maximum(np.floor(at), 0).astype(np.int64)), 1 - share)
    np.add.at(matrix, (row, np.minimum(np.ceil(at), n - 1).astype(np.int64)), share)
    return matrix


def bicubic(n: int, out: int) -> Matrix:
    """Keys' cubic, a = -0.5, read from a table of 1024 steps; what lies outside has weight 0 and the rest is scaled up to 1."""
    at = positions(n, out)
    base = np.floor(at)
    step = np.rint((at - base) * np.float32(1024)).astype(np.float64) / 1024
    matrix = np.zeros((out, n))
    for ahead in (-1, 0, 1, 2):
        place, weight = base.astype(np.int64) + ahead, keys_cubic(np.abs(step - ahead))
        inside = (place >= 0) & (place < n)
        matrix[np.flatnonzero(inside), place[inside]] = weight[inside]
    return normalized(matrix)


def area(n: int, out: int) -> Matrix:
    """Each new place is the mean of the old ones that it covers, in parts."""
    scale = np.float32(n) / np.float32(out)
    begin, end = np.arange(out, dtype=np.float32) * scale, np.arange(1, out + 1, dtype=np.float32) * scale
    places = np.arange(n, dtype=np.float32)
    covered = np.minimum(places + ONE, end[:, None]) - np.maximum(places, begin[:, None])
    within = (places < begin[:, None]) & (places + ONE > end[:, None])
    return np.where(within, scale, np.maximum(covered, 0)).astype(np.float64) / float(scale)


def sampled(n: int, out: int, kernel: Callable[[Matrix], Matrix], radius: float, antialias: bool) -> Matrix:
    """A kernel sampled at the old places' distances, scaled up to a sum of 1; `antialias` widens it where the image shrinks."""
    inverse = ONE / (np.float32(out) / np.float32(n))
    sample = (np.arange(out, dtype=np.float32) + HALF) * inverse
    wide = max(inverse, ONE) if antialias else ONE
    away = np.abs((np.arange(n, dtype=np.float32) + HALF - sample[:, None]) * (ONE / wide)).astype(np.float64)
    return normalized(np.where(away <= radius, kernel(np.minimum(away, radius)), 0))


def normalized(matrix: Matrix) -> Matrix:
    total = matrix.sum(axis=1, keepdims=True)
    return matrix / np.where(np.abs(total) >= 1000 * np.finfo(np.float32).tiny, total, 1)


def triangle(x: Matrix) -> Matrix:
    return 1 - x


def keys_cubic(x: Matrix) -> Matrix:
    return np.where(x >= 1, ((-0.5 * x + 2.5) * x - 4) * x + 2, (1.5 * x - 2.5) * x * x + 1)


def mitchell_cubic(x: Matrix) -> Matrix:
    return np.where(x >= 1, ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9, (7 / 6 * x - 2) * x * x + 8 / 9)


def gaussian(x: Matrix) -> Matrix:
    return np.where(x < 1.5, np.exp(-x * x / (2 * 0.5**2)), 0)


def lanczos(radius: float) -> Callable[[Matrix], Matrix]:
    return lambda x: np.sinc(x) * np.sinc(x / radius)


OWN = {"nearest": nearest, "bilinear": bilinear, "bicubic": bicubic, "area": area}
SAMPLED: dict[str, tuple[Callable[[Matrix], Matrix], float]] = {
    "bilinear": (triangle, 1.0),
    "bicubic": (keys_cubic, 2.0),
    "mitchellcubic": (mitchell_cubic, 2.0),
    "gaussian": (gaussian, 1.5),
    "lanczos3": (lanczos(3.0), 3.0),
    "lanczos5": (lanczos(5.0), 5.0),
}
