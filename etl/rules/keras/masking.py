"""Sequences of which only some steps count: their length is an argument of the layers that Keras would give a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.network import Padding
from etl.rules.ids import live
from etl.rules.scope import ZERO, Ids, Scope


def counting_steps(steps: int, length: int | None) -> NDArray[np.bool_]:
    """Which steps count: the first `length`, or the last where it is below zero; all without one. Raises Unsupported where there are fewer."""
    if length is None:
        return np.ones(steps, dtype=bool)
    if not 0 < abs(length) <= steps:
        raise Unsupported(f"has {steps} steps, of which {abs(length)} can't count: give --lengths another number")
    return Padding(length, 0.0).counts(steps)


def in_places(ids: Ids, where: NDArray[np.bool_]) -> Ids:
    """Steps in their places, zeros in the others: (n, *shape), n places -> (places, *shape)"""
    if where.all():
        return ids
    placed = live(np.full((len(where), *ids.shape[1:]), ZERO))
    placed[where] = ids
    return placed


def masking(here: Scope, inputs: Ids, *, length: int | None = None) -> Ids:
    """Steps that count as they are, zeros in place of the others: (steps, ...) -> (steps, ...)"""
    where = counting_steps(len(inputs), length)
    return in_places(inputs[where], where)
