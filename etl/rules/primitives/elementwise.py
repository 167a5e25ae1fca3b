"""Arithmetic place by place: sums, products, functions, comparisons and choices of live values and constants, which broadcast as numpy's arrays do.

A constant beside live values is a bias or a weight. Nothing here knows what an axis means.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Ids, Scope, Weights, bounded

MOST_FACTORS = 64  # of x * x * ...: beyond it nobody means a power


def operand(value: Any) -> Ids | Weights:
    """Live values and arrays of floats as they are (a stored array stays a view of itself), other constants as float64.

    Raises Unsupported for what is no number.
    """
    if is_live(value):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise Unsupported("has an operand that is neither a tensor nor numbers")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def constant(value: Any, name: str) -> Weights:
    """An operand that must not flow through the network. Raises Unsupported where it does."""
    if is_live(value):
        raise Unsupported(f"has a tensor as {name}; there is a rule for constants only")
    return operand(value)


def check_size(*values: Any) -> None:
    """Raises where what they broadcast to is too large to hold."""
    bounded(np.broadcast_shapes(*(np.shape(value) for value in values)))


def function(here: Scope, x: Ids, activation: str, part: str | None = None) -> Ids:
    """activation(x) for each x."""
    return here.sum(Edges(x, over=0), activation=activation, part=part)


def affine(here: Scope, x: Ids, scale: Any = 1.0, shift: Any = None, activation: str = "linear", part: str | None = None) -> Ids:
    """activation(scale x + shift), with constants."""
    return here.sum(Edges(x, scale, over=0), bias=shift, activation=activation, part=part)


def add(here: Scope, *values: Any, scale: float | None = None, part: str | None = None, activation: str = "linear") -> Ids:
    """The sum of values, each times `scale`; constants are a bias."""
    terms = [operand(value) for value in values]
    check_size(*terms)
    factor = 1.0 if scale is None else scale
    constants = [term * factor if scale is not None else term for term in terms if not is_live(term)]
    bias = None if not constants else sum(constants[1:], constants[0])
    return here.sum(*(Edges(term, factor, over=0) for term in terms if is_live(term)), bias=bias, part=part, activation=activation)


def subtract(here: Scope, x: Any, y: Any, *, scale: float = 1.0, part: str | None = None, activation: str = "linear") -> Ids:
    """activation(scale (x - y)); a constant is a bias."""
    signed = ((operand(x), scale), (operand(y), -scale))
    check_size(x, y)
    bias = next((term * sign for term, sign in signed if not is_live(term)), None)
    return here.sum(*(Edges(term, sign, over=0) for term, sign in signed if is_live(term)), bias=bias, part=part, activation=activation)


def multiply(here: Scope, *values: Any, part: str | None = None, activation: str = "linear") -> Ids:
    """The product of values; a constant is a weight."""
    check_size(*values)
    terms = [operand(value) for value in values]
    flowing, constants = [term for term in terms if is_live(term)], [term for term in terms if not is_live(term)]
    weight: Any = constants[0] if len(constants) == 1 else np.prod(np.broadcast_arrays(*constants), axis=0) if constants else 1.0
    if len(flowing) == 1:
        return here.sum(Edges(flowing[0], weight, over=0), part=part, activation=activation)
    return here.product(Edges(flowing[0], weight, over=0), *(Edges(term, over=0) for term in flowing[1:]), part=part, activation=activation)


def divide(here: Scope, x: Any, y: Any, part: str | None = None) -> Ids:
    """x / y: a constant divisor is a weight 1 / y; a live one has its `reciprocal` taken first."""
    x, y = operand(x), operand(y)
    check_size(x, y)
    if not is_live(y):
        with np.errstate(divide="ignore"):  # while counting, stored numbers are zeros
            return here.sum(Edges(x, 1 / y, over=0), part=part)
    is_one = not is_live(x) and x.ndim == 0 and x == 1
    inverse = function(here, y, "reciprocal", part if is_one else sublayer(part, "reciprocal"))
    return inverse if is_one else multiply(here, x, inverse, part=part)


def extreme(here: Scope, op: str, *values: Any, part: str | None = None, activation: str = "linear") -> Ids:
    """The largest (op `max`) or smallest (`min`) of values; constants are a bias."""
    check_size(*values)
    terms = [operand(value) for value in values]
    best = np.maximum if op == "max" else np.minimum
    bias: Any = None
    for term in terms:
        if not is_live(term):
            bias = term if bias is None else best(bias, term)
    return here.neurons(op, [Edges(term, over=0) for term in terms if is_live(term)], bias=bias, part=part, activation=activation)


def clip(here: Scope, x: Ids, low: Any = None, high: Any = None) -> Ids:
    """x between two limits: a relu where the lower one is 0, otherwise `lower` (the larger of x and it), then the smaller of that and the higher."""
    if low is None and high is None:
        return x
    zero = low is not None and not is_live(low) and np.size(low) == 1 and not np.any(low)
    if zero and (high is None or (not is_live(high) and np.size(high) == 1 and np.all(high > 0))):
        return function(here, x, call("relu", max_value=None if high is None else float(np.ravel(high)[0])))
    if low is not None:
        x = extreme(here, "max", x, low, part=None if high is None else "lower")
    return x if high is None else extreme(here, "min", x, high)


def power(here: Scope, x: Any, y: Any) -> Ids:
    """x to a constant power, or a positive constant to the power of x. Exponents may differ from place to place, each with powers of its own."""
    x, y = operand(x), operand(y)
    if is_live(y):
        base = constant(x, "base of a power")
        if not (base > 0).all():
            raise Unsupported("has a base that is not positive")
        return here.sum(Edges(y, np.log(base), over=0), activation="exponential")
    distinct, shape = np.unique(y), np.broadcast_shapes(x.shape, y.shape)
    x = np.broadcast_to(x, bounded(shape))
    if len(distinct) == 1:
        return power_of(here, x, float(distinct[0]))
    if len(distinct) > MOST_FACTORS:
        raise Unsupported(f"has {len(distinct)} exponents; there is a rule for up to {MOST_FACTORS}")
    powers = [power_of(here.part(f"power_{number}"), x, float(exponent)) for number, exponent in enumerate(distinct)]
    chosen = powers[0]
    for exponent, values in zip(distinct[1:], powers[1:], strict=True):
        chosen = np.where(y == exponent, values, chosen)
    return chosen


def power_of(here: Scope, x: Ids, exponent: float) -> Ids:
    """x^exponent: small whole numbers as products of x with itself."""
    known = {1.0: "linear", 2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent in known:
        return function(here, x, known[exponent])
    if exponent == 0:
        return here.sum(bias=np.ones(x.shape))
    if not exponent.is_integer() or abs(exponent) > MOST_FACTORS:
        return function(here, x, call("power", exponent=exponent))
    if exponent < 0:
        x = function(here, x, "reciprocal", "reciprocal")
    return here.product(Edges(x[..., None], np.ones(int(abs(exponent)))))


def acosh(here: Scope, x: Ids) -> Ids:
    """log(x + sqrt(x^2 - 1))."""
    square = function(here, x, "square", "square")
    return add(here, x, affine(here, square, 1.0, -1.0, "sqrt", "root"), activation="log")


def asinh(here: Scope, x: Ids) -> Ids:
    """sign(x) log(|x| + sqrt(x^2 + 1))."""
    size, square = function(here, x, "abs", "abs"), function(here, x, "square", "square")
    logarithm = add(here, size, affine(here, square, 1.0, 1.0, "sqrt", "root"), activation="log", part="log")
    return multiply(here, function(here, x, "sign", "sign"), logarithm)


def atanh(here: Scope, x: Ids) -> Ids:
    """(log(1 + x) - log(1 - x)) / 2."""
    above, below = affine(here, x, 1.0, 1.0, "log", "above"), affine(here, x, -1.0, 1.0, "log", "below")
    return here.sum(Edges(above, 0.5, over=0), Edges(below, -0.5, over=0))


def greater(here: Scope, x: Any, y: Any, part: str | None = None) -> Ids:
    """1 where x > y, otherwise 0."""
    return subtract(here, x, y, activation="step", part=part)


def greater_equal(here: Scope, x: Any, y: Any) -> Ids:
    """1 where x >= y, otherwise 0: what is left of 1 by `less`."""
    return complement(here, greater(here, y, x, "less"))


def equal(here: Scope, x: Any, y: Any, part: str | None = None) -> Ids:
    """1 where x is y, otherwise 0."""
    return subtract(here, x, y, activation="is_zero", part=part)


def complement(here: Scope, x: Ids, part: str | None = None) -> Ids:
    """1 - x."""
    return affine(here, x, -1.0, 1.0, part=part)


def truth(here: Scope, x: Any, part: str | None = None) -> Ids | Weights:
    """1 where x isn't 0, otherwise 0: what is left of 1 by `zero`."""
    if not is_live(x):
        return (operand(x) != 0).astype(np.float64)
    return complement(here, function(here, x, "is_zero", sublayer(part, "zero")), part)


def finite(here: Scope, x: Ids, part: str | None = None) -> Ids:
    """1 where x is finite, otherwise 0: x - x is 0 there, and NaN elsewhere."""
    return here.sum(Edges(x, over=0), Edges(x, -1.0, over=0), activation="is_zero", part=part)


def number(here: Scope, x: Ids, part: str | None = None) -> Ids:
    """1 where x is no NaN, otherwise 0: its sign is finite there."""
    return finite(here, function(here, x, "sign", sublayer(part, "sign")), part)


def not_a_number(here: Scope, x: Ids) -> Ids:
    """1 where x is NaN, otherwise 0."""
    return complement(here, number(here, x, "number"))


def infinite(here: Scope, x: Ids, part: str | None = None) -> Ids:
    """1 where x is infinite, otherwise 0: a number, but not finite."""
    return subtract(here, number(here, x, sublayer(part, "number")), finite(here, x, sublayer(part, "finite")), part=part)


def logical_and(here: Scope, x: Any, y: Any) -> Ids:
    """1 where neither is 0, otherwise 0: the smaller of `first` and `second`."""
    return extreme(here, "min", truth(here, x, "first"), truth(here, y, "second"))


def logical_or(here: Scope, x: Any, y: Any) -> Ids:
    """1 where one of them isn't 0, otherwise 0: the larger of `first` and `second`."""
    return extreme(here, "max", truth(here, x, "first"), truth(here, y, "second"))


def logical_xor(here: Scope, x: Any, y: Any) -> Ids:
    """1 where one of them is 0 and the other isn't, otherwise 0: |`first` - `second`|."""
    return subtract(here, truth(here, x, "first"), truth(here, y, "second"), activation="abs")


def truncate(here: Scope, x: Ids, part: str | None = None) -> Ids:
    """x without what follows the point: the floor of what is positive and the ceiling of what is negative, added."""
    above = here.max(Edges(x, over=0), bias=0.0, activation="floor", part=sublayer(part, "above"))
    below = here.min(Edges(x, over=0), bias=0.0, activation="ceil", part=sublayer(part, "below"))
    return add(here, above, below, part=part)


def where(here: Scope, condition: Any, x: Any, y: Any) -> Ids:
    """x where a condition holds, y elsewhere: a view for a constant condition, otherwise both, each times 1 or 0 (`chosen`, `other`), added.

    Live ones must be finite: what isn't chosen is nothing times its value. A constant infinity is a logarithm's: 0 of 1, -infinity of 0.
    """
    check_size(condition, x, y)
    if not is_live(condition):
        both = [neurons(here, value, name) for value, name in ((x, "constant"), (y, "other"))]
        return np.where(np.asarray(condition) != 0, *both)
    chosen = truth(here, condition, "chosen")
    other = complement(here, chosen, "other")
    endless = [*infinities(here, other, x, "unless_first"), *infinities(here, chosen, y, "unless_second")]
    return here.sum(share(here, chosen, x, "first"), share(here, other, y, "second"), *endless)


def share(here: Scope, part_of_one: Ids, value: Any, part: str) -> Edges:
    """A share times a value, to be added up."""
    value = operand(value)
    if not is_live(value):
        return Edges(part_of_one, finite_part(value), over=0)
    return Edges(here.product(Edges(part_of_one, over=0), Edges(value, over=0), part=part), over=0)


def finite_part(value: Weights) -> Weights:
    """A constant, or 0 where it is infinity."""
    return np.zeros(()) if value.size == 1 and np.isinf(value).all() else value


def infinities(here: Scope, condition: Ids, value: Any, part: str) -> list[Edges]:
    """-infinity or infinity where a constant is that and `condition` is 0, to be added up: edges from its logarithm, if infinite."""
    if is_live(value) or np.isfinite(value := operand(value)).all():
        return []
    if value.size != 1 or np.isnan(value).any():  # of stored numbers nobody knows while counting whether they are infinite
        raise Unsupported("chooses between values of which one is NaN, or some are infinite, by a condition that depends on the example")
    return [Edges(function(here, condition, "log", part), -float(np.sign(value).reshape(())), over=0)]


def neurons(here: Scope, value: Any, part: str = "constant") -> Ids:
    """A constant among live values: neurons without edges, whose bias it is. Live values as they are."""
    return value if is_live(value) else here.sum(bias=operand(value), part=part)


def sublayer(part: str | None, name: str) -> str:
    """A sublayer of a sublayer."""
    return f"{part}/{name}" if part else name
