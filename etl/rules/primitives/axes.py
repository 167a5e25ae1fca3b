"""Axes as Keras counts them: axis 0 is the batch, which ids do not have, so what works along it has no graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.scope import Edges, Ids, Weights


def inner(axis: Any, rank: int) -> int:
    """An axis of ids of that rank, from one that counts the batch: (1, rank 3) -> 0, (-1, rank 3) -> 2.

    Raises Unsupported for the batch's, and for one that there isn't.
    """
    counted = int(axis) + rank + 1 if axis < 0 else int(axis)
    if counted == 0:
        raise Unsupported("works along axis 0, across the examples of a batch")
    if not 0 < counted <= rank:
        raise Unsupported(f"works along axis {axis}, but its input has {rank + 1} axes")
    return counted - 1


def inner_axes(axis: Any, rank: int) -> tuple[int, ...]:
    """The same for one axis or several, in order; none means all, the batch among them, for which it raises Unsupported."""
    if axis is None:
        raise Unsupported("works along all axes at once, across the examples of a batch")
    listed = axis if isinstance(axis, list | tuple | np.ndarray) else [axis]
    return tuple(sorted({inner(listed_axis, rank) for listed_axis in listed}))


def axes_last(ids: Ids, axes: Sequence[int]) -> Ids:
    """The same ids with some axes moved to the end and one place left where they were: (a, b, c), (1,) -> (a, 1, c, b)."""
    return np.expand_dims(np.moveaxis(ids, axes, range(ids.ndim - len(axes), ids.ndim)), tuple(axes))


def edges_along(ids: Ids, axes: Sequence[int], weight: float = 1.0) -> Edges:
    """Edges that read whole axes, for neurons that have one place there."""
    return Edges(axes_last(ids, axes), weight, over=len(axes))


def laid_along(array: Weights, axes: Sequence[int], rank: int) -> Weights:
    """An array laid along some axes of a given rank, C order: (3,), (1,), 3 -> (1, 3, 1)."""
    shape = [1] * rank
    for axis, size in zip(sorted(axes), array.shape, strict=True):
        shape[axis] = size
    return array.reshape(shape)


def reduced_shape(ids: Ids, axes: Sequence[int], keepdims: bool) -> tuple[int, ...]:
    """The shape that is left of `ids` without some axes, or with one place there."""
    return tuple(1 if k in axes else n for k, n in enumerate(ids.shape) if keepdims or k not in axes)
