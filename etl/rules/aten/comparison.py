"""Comparisons, logic and choices between tensors. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.aten import logic, reduce
from etl.rules.aten import values as place
from etl.rules.aten.values import Operand, Value, constants, function, given
from etl.rules.ids import is_live
from etl.rules.scope import Scope

Rule = Callable[..., Any]


def comparison(compare: Rule, turned: bool = False) -> Rule:
    """A rule for eq, gt and the like."""

    def rule(here: Scope, self: Value, other: Operand) -> Value:
        """1 where it holds, otherwise 0."""
        return compare(here, other, self) if turned else compare(here, self, other)

    return rule


def of_whole(numpy: Callable[..., Any], *operands: Operand) -> NDArray[Any]:
    """What NumPy makes of constants that are whole numbers. Raises ValueError for others."""
    try:
        return np.asarray(numpy(*operands))
    except TypeError as error:
        raise ValueError("has a rule for whole numbers only") from error


def bitwise(numpy: Callable[..., Any], logical: Rule) -> Rule:
    """A rule for & and |: of truths as logic has it, of constants bit by bit."""

    def rule(here: Scope, self: Value, other: Operand) -> Value:
        """Both bit by bit."""
        return of_whole(numpy, self, other) if constants(self, other) else logical(here, self, other)

    return rule


def truth(here: Scope, self: Value, other: Operand | None = None, dtype: str | None = None) -> Value:
    """1 where a value isn't 0, otherwise 0: what it is as a truth."""
    return logic.not_equal(here, self, 0)


def on_whole_constants(numpy: Callable[..., Any]) -> Rule:
    """A rule for arithmetic of whole numbers that has a meaning of constants only: shifts, divisors."""

    def rule(here: Scope, self: Value, other: Operand) -> Value:
        """Of constants only."""
        if not constants(self, other):
            raise Unsupported("has a rule for constants only, and reads values that depend on the example")
        return of_whole(numpy, self, other)

    return rule


def complement_of_whole(here: Scope, self: Value) -> Value:
    """Each bit of a whole number the other way: -1 - x."""
    return place.add(here, -1, self, -1.0) if is_live(self) else of_whole(np.invert, self)


def bitwise_not(here: Scope, self: Value) -> Value:
    """Each bit the other way; of a live truth 1 - x."""
    return logic.complement(here, self) if is_live(self) else of_whole(np.invert, self)


def unary_logic(logical: Rule) -> Rule:
    """A rule for logic of one operand."""

    def rule(here: Scope, self: Value) -> Value:
        """1 where it isn't, otherwise 0."""
        return logical(here, self)

    return rule


def isclose(here: Scope, self: Value, other: Value, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    """1 where |self - other| <= atol + rtol |other|, otherwise 0."""
    if constants(self, other):
        return np.isclose(self, other, rtol, atol, equal_nan)
    gap = function(here, "abs", np.abs, place.subtract(here, self, other, part="difference"), part="gap")
    size = function(here, "abs", np.abs, other, part="size")
    bound = place.add(here, place.multiply(here, size, rtol, part="relative"), atol, part="bound")
    return logic.greater_equal(here, bound, gap)


def isin(here: Scope, elements: Value, test_elements: Value, assume_unique: bool = False, invert: bool = False) -> Value:
    """1 where a value is one of some others, otherwise 0."""
    if constants(elements, np.zeros(())) and constants(test_elements, np.zeros(())):
        return np.isin(elements, test_elements, invert=invert)
    same = logic.equal(here, np.expand_dims(elements, -1), np.reshape(test_elements, (-1,)), part="equal")
    any_equal = reduce.reduced(here, "max", same, (same.ndim - 1,), part="found" if invert else None)
    return logic.complement(here, any_equal) if invert else any_equal


def where(here: Scope, condition: Value, self: Operand | None = None, other: Operand | None = None) -> Value | list[Value]:
    """self where a condition holds, other elsewhere."""
    if self is None:
        if is_live(condition):
            raise Unsupported("returns as many places as the example has")
        return list(np.nonzero(condition))
    return logic.where(here, condition, self, given(other))


def masked_fill(here: Scope, self: Value, mask: Value, value: Operand) -> Value:
    """A number where a mask says so."""
    return logic.where(here, mask, value, self)


def heaviside(here: Scope, self: Value, values: Value) -> Value:
    """0 below zero, 1 above, and the given values at zero."""
    if constants(self, values):
        return np.heaviside(self, values)
    above = function(here, "step", lambda x: x > 0, self, part="above")
    at = function(here, "is_zero", lambda x: x == 0, self, part="is_zero")
    return place.add(here, above, place.multiply(here, at, values, part="at_zero"))


COMPARISON: dict[str, Rule] = {
    "gt": comparison(logic.greater),
    "lt": comparison(logic.greater, turned=True),
    "ge": comparison(logic.greater_equal),
    "le": comparison(logic.greater_equal, turned=True),
    "eq": comparison(logic.equal),
    "ne": comparison(logic.not_equal),
    "logical_and": comparison(logic.both),
    "logical_or": comparison(logic.either),
    "logical_xor": comparison(logic.unlike),
    "logical_not": unary_logic(logic.negation),
    **dict.fromkeys(("bitwise_and", "__and__"), bitwise(np.bitwise_and, logic.both)),
    **dict.fromkeys(("bitwise_or", "__or__"), bitwise(np.bitwise_or, logic.either)),
    **dict.fromkeys(("bitwise_xor", "__xor__"), bitwise(np.bitwise_xor, logic.unlike)),
    **dict.fromkeys(("__lshift__", "bitwise_left_shift"), on_whole_constants(np.left_shift)),
    **dict.fromkeys(("__rshift__", "bitwise_right_shift"), on_whole_constants(np.right_shift)),
    "gcd": on_whole_constants(np.gcd),
    "lcm": on_whole_constants(np.lcm),
    "bitwise_not": bitwise_not,
    **dict.fromkeys(("bitwise_and_whole", "__and___whole"), on_whole_constants(np.bitwise_and)),
    **dict.fromkeys(("bitwise_or_whole", "__or___whole"), on_whole_constants(np.bitwise_or)),
    **dict.fromkeys(("bitwise_xor_whole", "__xor___whole"), on_whole_constants(np.bitwise_xor)),
    "bitwise_not_whole": complement_of_whole,
    "truth": truth,
    "isclose": isclose,
    "isin": isin,
    "where": where,
    "masked_fill": masked_fill,
}
