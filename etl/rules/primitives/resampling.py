"""Axes of another size: each place of the new one is a weighted sum of a few of the old, or one of them, which is a view."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from etl.rules.ids import axis_names, is_live
from etl.rules.scope import NOTHING, Edges, Ids, Scope, Weights, bounded


def taps(matrix: Weights) -> tuple[Any, Weights]:
    """The places of each row that are not zero, and what is there: (out, n) -> (out, k) twice, NOTHING where there are fewer than k."""
    most = max(int(np.count_nonzero(matrix, axis=1).max(initial=0)), 1)
    index = np.argsort(matrix == 0, axis=1, kind="stable")[:, :most]
    weight = np.take_along_axis(matrix, index, axis=1)
    return np.where(weight != 0, index, NOTHING), weight


def resampled(here: Scope, x: Ids, matrices: Mapping[int, Weights], bias: Any = None) -> Ids:
    """A tensor with some axes resampled by matrices (out, n): a view where each place is one of the old ones as it is."""
    plain = {axis: matrix for axis, matrix in matrices.items() if is_choice(matrix)}
    bounded([matrices[axis].shape[0] if axis in matrices else n for axis, n in enumerate(x.shape)])
    for axis, matrix in plain.items():
        x = np.take(x, matrix.argmax(axis=1), axis=axis)
    mixed = sorted(axis for axis in matrices if axis not in plain)
    if not mixed:
        return x if bias is None else here.sum(Edges(x, over=0), bias=bias)
    taps_of_axis = {axis: taps(matrices[axis]) for axis in mixed}
    rank = x.ndim
    shape = [taps_of_axis[axis][0].shape[0] if axis in taps_of_axis else n for axis, n in enumerate(x.shape)]
    bounded([*shape, prod(taps_of_axis[axis][0].shape[1] for axis in mixed)])
    grid: list[Any] = []
    weight: Any = 1.0
    outside: Any = np.False_
    for axis, n in enumerate(x.shape):
        laid = [1] * (rank + len(mixed))
        index = np.arange(n)
        if axis in taps_of_axis:
            index, share = taps_of_axis[axis]
            laid[axis], laid[rank + mixed.index(axis)] = index.shape
            weight = weight * share.reshape(laid)
            outside = outside | (index.reshape(laid) == NOTHING)
        else:
            laid[axis] = n
        grid.append(np.maximum(index, 0).reshape(laid))
    picked_ids = np.asarray(x)[tuple(grid)]
    source = np.where(outside, NOTHING, picked_ids).view(type(x)) if is_live(x) else picked_ids
    return here.sum(Edges(source, weight, over=len(mixed)), bias=bias, axes=axis_names(x))


def is_choice(matrix: Weights) -> bool:
    """Whether each row picks one place as it is."""
    return bool(((matrix != 0).sum(axis=1) == 1).all() and (matrix.max(axis=1) == 1).all())
