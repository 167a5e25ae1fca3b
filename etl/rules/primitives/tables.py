"""Places that live whole numbers name: one-hot neurons, and what they pick out of a table or of other live values."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.ids import is_live
from etl.rules.primitives.elementwise import affine, multiply
from etl.rules.scope import Edges, Ids, Scope, bounded


def onehot(here: Scope, positions: Ids, width: int, part: str | None = "one_hot", *, from_end: bool = False) -> Ids:
    """1 at the place that each number names, 0 elsewhere: (...) -> (..., width).

    A model's integer input has such neurons; a computed number is compared with each place. from_end: numbers below 0 count from the end
    """
    if here.tape.lookups.holds(positions):
        return here.onehot(positions, width)
    bounded((*positions.shape, width))
    places = np.arange(width, dtype=np.float64)
    front = affine(here, positions[..., None], 1.0, -places, "is_zero", f"{part}/from_start" if from_end else part)
    if not from_end:
        return front
    back = affine(here, positions[..., None], 1.0, width - places, "is_zero", f"{part}/from_end")
    return here.sum(Edges(front, over=0), Edges(back, over=0), part=part)


def picked(here: Scope, values: Any, chosen: Ids) -> Ids:
    """The value at the place of each row that one-hot neurons choose: (..., n, *rest), (..., n) -> (..., *rest)."""
    more = np.ndim(values) - chosen.ndim
    share = chosen[(..., *(None,) * more)]
    axis = chosen.ndim - 1
    if not is_live(values):
        return here.sum(Edges(np.moveaxis(share, axis, -1), np.moveaxis(values, axis, -1)))
    terms = multiply(here, share, values, part="chosen")
    return here.sum(Edges(np.moveaxis(terms, axis, -1)))
