"""Comparisons, logic and choices: neurons that are 1 where something holds and 0 elsewhere. What is chosen depends on the example, the graph doesn't.

A steep slope between 0 and 1 is a step: STEEP (x - y) is 1 or more wherever x is larger than y by 2^-64, and 0 or less where it isn't. STEEP is a
power of two, which a product takes without rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.arguments import SomeAxes
from etl.rules.ids import is_live
from etl.rules.keras.arithmetic import both_constant, difference, extreme, operand, operands
from etl.rules.primitives.axes import axes_last, edges_along, inner, inner_axes, reduced_shape
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights, bounded

STEEP = 2.0**64
STEP = call("relu", max_value=1)


def greater(here: Scope, x: Any, y: Any, *, part: str | None = None) -> Ids | Weights:
    """1 where x > y, otherwise 0: a steep slope from 0 to 1."""
    x, y = operands(x, y)
    return (x > y).astype(np.float64) if both_constant(x, y) else difference(here, x, y, STEEP, part=part, activation=STEP)


def less(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where x < y, otherwise 0: a steep slope from 0 to 1."""
    return greater(here, y, x)


def greater_equal(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where x >= y, otherwise 0: what is left of 1 by `less`."""
    return complement(here, greater(here, y, x, part="less"))


def less_equal(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where x <= y, otherwise 0: what is left of 1 by `greater`."""
    return complement(here, greater(here, x, y, part="greater"))


def equal(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where x is y, otherwise 0: `gap` = |x - y|, then a steep slope from 1 to 0."""
    x, y = operands(x, y)
    if both_constant(x, y):
        return (x == y).astype(np.float64)
    return here.sum(Edges(difference(here, x, y, part="gap", activation="abs"), -STEEP, over=0), bias=1.0, activation=STEP)


def not_equal(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where x isn't y, otherwise 0: `gap` = |x - y|, then a steep slope from 0 to 1."""
    x, y = operands(x, y)
    if both_constant(x, y):
        return (x != y).astype(np.float64)
    return here.sum(Edges(difference(here, x, y, part="gap", activation="abs"), STEEP, over=0), activation=STEP)


def complement(here: Scope, x: Ids | Weights, part: str | None = None) -> Ids | Weights:
    """1 - x."""
    return here.sum(Edges(x, -1.0, over=0), bias=1.0, part=part) if is_live(x) else 1 - x


def truth(here: Scope, x: Any, part: str | None = None) -> Ids | Weights:
    """1 where x isn't 0, otherwise 0: the steep square of x, cut off at 1."""
    x = operand(x)
    return here.product(*[Edges(x, STEEP, over=0)] * 2, part=part, activation=STEP) if is_live(x) else (x != 0).astype(np.float64)


def logical_not(here: Scope, x: Any) -> Ids | Weights:
    """1 where x is 0, otherwise 0: what is left of 1 by `truth`."""
    return complement(here, truth(here, x, "truth"))


def logical_and(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where neither is 0, otherwise 0: the smaller of `first` and `second`."""
    return extreme(here, "min", truth(here, x, "first"), truth(here, y, "second"))


def logical_or(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where one of them isn't 0, otherwise 0: the larger of `first` and `second`."""
    return extreme(here, "max", truth(here, x, "first"), truth(here, y, "second"))


def logical_xor(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """1 where one of them is 0 and the other isn't, otherwise 0: |`first` - `second`|."""
    first, second = operands(truth(here, x, "first"), truth(here, y, "second"))
    return difference(here, first, second, activation="abs")


def any_true(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """1 where one along some axes isn't 0, otherwise 0."""
    return along(here, "max", x, axis, keepdims)


def all_true(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """1 where none along some axes is 0, otherwise 0."""
    return along(here, "min", x, axis, keepdims)


def count_nonzero(here: Scope, x: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """How many along some axes aren't 0."""
    return along(here, "sum", x, axis, keepdims)


def along(here: Scope, op: str, x: Ids, axis: SomeAxes | None, keepdims: bool) -> Ids:
    axes = inner_axes(axis, x.ndim)
    true = truth(here, x, "truth")
    return here.neurons(op, [edges_along(true, axes)], shape=reduced_shape(x, axes, keepdims))


def sign(here: Scope, x: Ids) -> Ids:
    """-1, 0 or 1: a steep slope between -1 and 1."""
    return here.sum(Edges(x, STEEP, over=0), activation="hard_tanh")


def where(here: Scope, condition: Any, x1: Any = None, x2: Any = None) -> Ids | Weights:
    """x1 where a condition holds, x2 elsewhere: a view for a constant condition, otherwise both, each times 1 or 0 (`chosen`, `other`), added.

    Both must be finite: what isn't chosen is nothing times its value.
    """
    if x1 is None or x2 is None:
        raise Unsupported("returns as many places as the example has")
    holds, x1, x2 = operands(condition, x1, x2)
    if not is_live(holds):
        return picked(here, holds != 0, x1, x2)
    chosen = truth(here, holds, "chosen")
    other = complement(here, chosen, "other")
    return here.sum(times(here, chosen, x1, "first"), times(here, other, x2, "second"))


def times(here: Scope, share: Ids | Weights, value: Ids | Weights, part: str) -> Edges:
    """share times value, to be added up."""
    if not is_live(value):
        return Edges(share, value, over=0)
    return Edges(here.product(Edges(share, over=0), Edges(value, over=0), part=part), over=0)


def picked(here: Scope, holds: Weights, x: Ids | Weights, y: Ids | Weights) -> Ids | Weights:
    """What a constant condition picks: ids as they are; constants other than zero are neurons of that bias."""
    if both_constant(x, y):
        return np.where(holds, x, y)
    ids = np.where(holds, *(choice if is_live(choice) else ZERO for choice in (x, y)))
    number = np.where(holds, *(0.0 if is_live(choice) else choice for choice in (x, y)))
    if not number.any():
        return np.broadcast_to(ids, np.broadcast_shapes(ids.shape, number.shape))
    return here.sum(Edges(ids, over=0), bias=number)


def argmax(here: Scope, x: Ids, *, axis: int | None = None, keepdims: bool = False) -> Ids:
    """The place of the largest along an axis, the first of equals: `largest`, `below` it or not (`reached`), `earlier` ones, `first`, its number."""
    return place_of(here, "max", x, axis, keepdims)


def argmin(here: Scope, x: Ids, *, axis: int | None = None, keepdims: bool = False) -> Ids:
    """The place of the smallest along an axis, the first of equals, as in argmax."""
    return place_of(here, "min", x, axis, keepdims)


def place_of(here: Scope, op: str, x: Ids, axis: int | None, keepdims: bool) -> Ids:
    axes = inner_axes(axis, x.ndim)
    at, n = inner(axis, x.ndim), x.shape[axes[0]]
    bounded((*x.shape, n))
    far = here.neurons(op, [edges_along(x, axes)], part="largest" if op == "max" else "smallest")
    beyond = greater(here, far, x, part="below") if op == "max" else greater(here, x, far, part="above")
    reached = complement(here, beyond, "reached")
    before = np.where(np.tri(n, k=-1, dtype=bool), np.moveaxis(reached, at, -1)[..., None, :], NOTHING)
    earlier = here.sum(Edges(np.moveaxis(before, -2, at)), part="earlier")
    first = here.sum(Edges(reached, over=0), Edges(earlier, -1.0, over=0), part="first", activation="relu")
    return here.sum(Edges(axes_last(first, axes), np.arange(n, dtype=np.float64)), shape=reduced_shape(x, axes, keepdims))
