"""Comparisons, logic and choices: neurons that are 1 where something holds and 0 elsewhere.

What is chosen depends on the example, the graph doesn't.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.rules.aten.values import Value, add, constants, extreme, multiply, numbers, value
from etl.rules.ids import ZERO, is_live
from etl.rules.primitives.elementwise import finite_part, infinities
from etl.rules.scope import Edges, Ids, Scope


def greater(here: Scope, x: Any, y: Any, **options: Any) -> Value:
    """1 where x > y, otherwise 0: a step of the difference."""
    return np.asarray(x) > np.asarray(y) if constants(x, y) else add(here, x, y, -1.0, activation="step", **options)


def greater_equal(here: Scope, x: Any, y: Any) -> Value:
    """1 where x >= y, otherwise 0: what `less` leaves of 1."""
    return np.asarray(x) >= np.asarray(y) if constants(x, y) else complement(here, greater(here, y, x, part="less"))


def equal(here: Scope, x: Any, y: Any, **options: Any) -> Value:
    """1 where x is y, otherwise 0."""
    return np.asarray(x) == np.asarray(y) if constants(x, y) else add(here, x, y, -1.0, activation="is_zero", **options)


def not_equal(here: Scope, x: Any, y: Any) -> Value:
    """1 where x isn't y, otherwise 0: what `equal` leaves of 1."""
    return np.asarray(x) != np.asarray(y) if constants(x, y) else complement(here, equal(here, x, y, part="equal"))


def complement(here: Scope, x: Value, **options: Any) -> Value:
    """1 - x; of a constant its negation."""
    return here.sum(Edges(x, -1.0, over=0), bias=1.0, **options) if is_live(x) else ~np.asarray(x, dtype=bool)


def truth(here: Scope, x: Any, part: str) -> Value:
    """1 where x isn't 0, otherwise 0."""
    if not is_live(x):
        return np.asarray(x) != 0
    return complement(here, here.sum(Edges(x, over=0), activation="is_zero", part=f"{part}/is_zero"), part=part)


def negation(here: Scope, x: Any) -> Value:
    """1 where x is 0, otherwise 0."""
    return here.sum(Edges(x, over=0), activation="is_zero") if is_live(x) else np.asarray(x) == 0


def both(here: Scope, x: Any, y: Any) -> Value:
    """1 where neither is 0: the smaller of `first` and `second`."""
    return together(here, np.logical_and, "min", x, y)


def either(here: Scope, x: Any, y: Any) -> Value:
    """1 where one of them isn't 0: the larger of `first` and `second`."""
    return together(here, np.logical_or, "max", x, y)


def together(here: Scope, numpy: Callable[..., Any], op: str, x: Any, y: Any) -> Value:
    if constants(x, y):
        return np.asarray(numpy(x, y))
    return extreme(here, op, truth(here, x, "first"), truth(here, y, "second"))


def unlike(here: Scope, x: Any, y: Any) -> Value:
    """1 where one of them is 0 and the other isn't."""
    if constants(x, y):
        return np.logical_xor(x, y)
    return add(here, truth(here, x, "first"), truth(here, y, "second"), -1.0, activation="abs")


def where(here: Scope, condition: Any, x: Any, y: Any) -> Value:
    """x where a condition holds, y elsewhere: a view for a constant condition; otherwise both, each times 1 or 0, added.

    Live ones must be finite: what isn't chosen is nothing times its value. A constant infinity is a logarithm's: 0 of 1, -infinity of 0.
    """
    condition, x, y = value(condition), value(x), value(y)
    if not is_live(condition):
        return picked(here, condition.astype(bool), x, y)
    chosen = truth(here, condition, "chosen")
    unchosen = complement(here, chosen, part="other")
    endless = [*infinities(here, unchosen, x, "unless_first"), *infinities(here, chosen, y, "unless_second")]
    x, y = (choice if is_live(choice) else finite_part(numbers(choice)) for choice in (x, y))
    both = [times(here, chosen, x, "first"), times(here, unchosen, y, "second")]
    return here.sum(*(Edges(product, over=0) for product in both), *endless) if endless else add(here, both[0], both[1])


def times(here: Scope, share: Ids, choice: Value, part: str) -> Value:
    return multiply(here, share, choice, part=part)


def picked(here: Scope, condition: Value, x: Value, y: Value) -> Value:
    """What a constant condition picks: live values as they are, a view where both are live; constants are neurons of that bias."""
    if constants(x, y):
        return np.where(condition, x, y)
    ids = np.where(condition, *(choice if is_live(choice) else ZERO for choice in (x, y)))
    bias = np.where(condition, *(0.0 if is_live(choice) else numbers(choice) for choice in (x, y)))
    shape = np.broadcast_shapes(ids.shape, bias.shape)
    ids = np.broadcast_to(ids, shape)
    if is_live(x) and is_live(y):
        return ids
    return here.sum(Edges(ids, over=0), bias=bias)
