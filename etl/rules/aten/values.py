"""Arithmetic place by place, of live values and constants that broadcast as NumPy's do. Constants alone are computed with NumPy.

add(here, x, y)            x + y: a live value is an edge, a constant a bias
multiply(here, x, y)       a constant is a weight; of two live values a product
function(here, "exponential", np.exp, x)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.activations import call
from etl.errors import TooLarge, Unsupported
from etl.network import leaves
from etl.rules.arguments import Value as Value
from etl.rules.ids import Ids, Live, is_live
from etl.rules.primitives import elementwise
from etl.rules.scope import Edges, Scope

Operand: TypeAlias = Value | float | bool
Size: TypeAlias = int | NDArray[Any]  # written as a number, or computed from other sizes
Sizes: TypeAlias = Size | Sequence[Size]
WHOLE = frozenset("abs sign square relu floor ceil".split())  # functions that make whole numbers of whole numbers, and of their type
TRAINING = "was exported in training mode; call model.eval() before the export"
MOST_ELEMENTS = 2**27  # of a constant that has to be written out


def given(*named: Any) -> Any:
    """The first that is there of an argument's names in several operators. Raises Unsupported where it has none of them."""
    for argument in named:
        if argument is not None:
            return argument
    raise Unsupported("is not given all of its arguments")


def value(operand: Any) -> Value:
    """Live values as they are, anything else as an array."""
    return operand if is_live(operand) else np.asarray(operand)


def numbers(operand: Any) -> NDArray[Any]:
    """A constant as numbers to compute with: what is true is 1. Raises Unsupported for live values."""
    if is_live(operand):
        raise Unsupported("depends on the example where there is a rule for constants only")
    array = np.asarray(operand)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def all_constant(*operands: Any) -> bool:
    """Whether none of them depends on the example."""
    return not any(map(is_live, operands))


def constants(*operands: Any) -> bool:
    """Whether none of them depends on the example. Raises TooLarge where what they make together, place by place, is too large to write out."""
    if not all_constant(*operands):
        return False
    check_size(np.broadcast_shapes(*map(np.shape, operands)))
    return True


def check_size(shape: Sequence[int]) -> None:
    """Raises TooLarge for a constant that nobody stored and a file only asks for."""
    if prod(shape) > MOST_ELEMENTS:
        raise TooLarge(f"a constant of {prod(shape):,} numbers")


@cache
def bounded(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule that writes out the constants which it is given alone: it raises TooLarge for one that is only declared so large (`full`, `expand`)."""

    @wraps(rule)
    def checked(here: Scope, *operands: Any, **options: Any) -> Any:
        if not any(True for _ in leaves((operands, options), Live)):
            for array in leaves((operands, options), np.ndarray):
                check_size(array.shape)
        return rule(here, *operands, **options)

    return checked


def add(here: Scope, x: Any, y: Any, scale: float = 1.0, **options: Any) -> Value:
    """x + scale y."""
    x, y = value(x), value(y)
    if constants(x, y):
        return x + y if scale == 1 else x + (int(scale) if float(scale).is_integer() else scale) * y  # whole numbers stay whole
    terms = ((x, 1.0), (y, float(scale)))
    edges = [Edges(term, weight, over=0) for term, weight in terms if is_live(term)]
    bias = next((numbers(term) * weight for term, weight in terms if not is_live(term)), None)
    return here.sum(*edges, bias=bias, **options)


def subtract(here: Scope, x: Any, y: Any, scale: float = 1.0, **options: Any) -> Value:
    """x - scale y."""
    return add(here, x, y, -scale, **options)


def multiply(here: Scope, x: Any, y: Any, **options: Any) -> Value:
    """x y: a constant is a weight."""
    x, y = value(x), value(y)
    if constants(x, y):
        return x & y if x.dtype == y.dtype == bool else x * y
    if is_live(x) and is_live(y):
        return here.product(Edges(x, over=0), Edges(y, over=0), **options)
    return here.sum(Edges(x, numbers(y), over=0) if is_live(x) else Edges(y, numbers(x), over=0), **options)


def reciprocal(here: Scope, x: Any, **options: Any) -> Value:
    """1 / x."""
    return function(here, "reciprocal", np.reciprocal, x, **options)


def divide(here: Scope, x: Any, y: Any, **options: Any) -> Value:
    """x / y: a constant divisor is a weight 1 / y; a live one has its `reciprocal` taken first."""
    x, y = value(x), value(y)
    if not is_live(y):
        with np.errstate(divide="ignore", invalid="ignore"):
            return multiply(here, x, 1 / numbers(y), **options) if is_live(x) else numbers(x) / numbers(y)
    inverse = here.sum(Edges(y, over=0), part="reciprocal", activation="reciprocal")
    return multiply(here, x, inverse, **options)


def extreme(here: Scope, op: str, x: Any, y: Any, **options: Any) -> Value:
    """The larger (op `max`) or smaller (`min`) of two; a constant is a bias."""
    x, y = value(x), value(y)
    if constants(x, y):
        return np.maximum(x, y) if op == "max" else np.minimum(x, y)
    edges = [Edges(term, over=0) for term in (x, y) if is_live(term)]
    return here.neurons(op, edges, bias=next((numbers(term) for term in (x, y) if not is_live(term)), None), **options)


def clip(here: Scope, x: Any, low: Any = None, high: Any = None, part: str | None = None) -> Value:
    """x, at least `low` and at most `high`: `lower` first where there are both."""
    within = f"{part}/" if part else ""
    if low is not None:
        x = extreme(here, "max", x, low, part=part if high is None else f"{within}lower")
    return x if high is None else extreme(here, "min", x, high, part=part)


def function(here: Scope, activation: str, numpy: Callable[..., Any], x: Any, **options: Any) -> Value:
    """A function of each place: `activation` as the graph writes it, `numpy` for constants."""
    if constants(x):
        with np.errstate(all="ignore"):
            result = np.asarray(numpy(numbers(x)))
        whole = activation in WHOLE and np.asarray(x).dtype.kind in "iu"
        return result.astype(np.asarray(x).dtype) if whole else result
    return here.sum(Edges(x, over=0), activation=activation, **options)


def scaled_function(
    here: Scope, activation: str, numpy: Callable[..., Any], x: Any, *, before: float = 1.0, shift: float | None = None, after: float = 1.0
) -> Value:
    """after * f(before * x + shift); a factor behind the function is a step of its own."""
    if not is_live(x):
        with np.errstate(all="ignore"):
            result = np.asarray(after * numpy(before * numbers(x) + (shift or 0)))
        negated = activation == "linear" and before == -1 and np.asarray(x).dtype.kind == "i"
        return result.astype(np.asarray(x).dtype) if negated else result
    inner = here.sum(Edges(x, before, over=0), bias=shift, activation=activation, part=None if after == 1 else "function")
    return inner if after == 1 else here.sum(Edges(inner, after, over=0))


def power(here: Scope, x: Any, y: Any, **options: Any) -> Value:
    """x to the power of y: of a constant, or with a positive base, as exp(y log(x)). Exponents that differ from place to place have a power each."""
    x, y = value(x), value(y)
    if constants(x, y):
        with np.errstate(all="ignore"):
            return np.power(numbers(x) if x.dtype.kind != "f" and (y.dtype.kind == "f" or (y < 0).any()) else x, y)
    if is_live(y):
        if is_live(x):
            logarithm = here.sum(Edges(x, over=0), activation="log", part="log")  # of a base that isn't positive there is none: NaN
            return here.sum(Edges(multiply(here, y, logarithm, part="exponent"), over=0), activation="exponential", **options)
        if not (numbers(x) > 0).all():
            raise Unsupported("has a base that is not positive")
        return here.sum(Edges(y, np.log(numbers(x)), over=0), activation="exponential", **options)
    if y.size != 1:
        return elementwise.power(here, x, numbers(y)) if y.dtype.kind in "iu" else powers(here, x, y, **options)
    exponent = float(y.reshape(()))
    known = {1.0: "linear", 2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent == 0:
        return here.sum(bias=np.ones(x.shape), **options)
    return here.sum(Edges(x, over=0), activation=known.get(exponent) or call("power", exponent=exponent), **options)


def powers(here: Scope, x: Ids, y: NDArray[Any], **options: Any) -> Ids:
    """x to powers that differ from place to place and may be stored numbers: exp(y log(x)), of |x| with the power's sign where y is whole."""
    y = numbers(y)
    with np.errstate(invalid="ignore"):
        whole, odd = (y == np.round(y)).astype(np.float64), (np.abs(y) % 2 == 1).astype(np.float64)
    below = here.sum(Edges(x, -1.0, over=0), activation="step", part="below")
    turned = here.sum(Edges(below, -2.0 * whole, over=0), bias=1.0, part="turned")
    logarithm = here.sum(Edges(here.product(Edges(x, over=0), Edges(turned, over=0), part="base"), over=0), activation="log", part="log")
    size = here.sum(Edges(logarithm, y, over=0), activation="exponential", part="size")
    sign = here.sum(Edges(below, -2.0 * odd, over=0), bias=1.0, part="sign")
    return here.product(Edges(size, over=0), Edges(sign, over=0), **options)


def live_or_constant_sum(here: Scope, *terms: Edges, bias: Any = None, **options: Any) -> Ids:
    """Neurons that add up edges and a bias, which may be live itself."""
    if is_live(bias):
        terms, bias = (*terms, Edges(bias, over=0)), None
    return here.sum(*terms, bias=None if bias is None else numbers(bias), **options)


def as_live(here: Scope, constant: Any, part: str = "constant") -> Ids:
    """Live values as they are; a constant among them as neurons of that bias, which read nothing."""
    return constant if is_live(constant) else here.sum(bias=np.array(numbers(constant)), part=part)


def all_live(here: Scope, values: Any) -> list[Any]:
    """Values that are to be put together: constants become neurons where another one is live."""
    if not any(map(is_live, values)):
        return [np.asarray(constant) for constant in values]
    return [as_live(here, constant, f"constant_{number}") for number, constant in enumerate(values)]
