"""Place by place: arithmetic, functions, comparisons and choices. https://onnx.ai/onnx/operators/"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.arguments import Value
from etl.rules.ids import is_live
from etl.rules.primitives import elementwise as at
from etl.rules.primitives.elementwise import affine, constant, function
from etl.rules.scope import Edges, Ids, Scope, bounded

# TensorProto's numbers of types
FLOATS, BOOL = {1: "float32", 10: "float16", 11: "float64"}, 9
WHOLE = {6: "int32", 7: "int64", 12: "uint32", 13: "uint64"}
OTHER_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 8: "text", 16: "bfloat16"}


def beside(a: Value, b: Value, axis: int | None) -> Any:
    """The second operand of an old opset, laid along the axes of the first from `axis` on."""
    if axis is None:
        return b
    shape = np.shape(b)
    return np.reshape(b, (*shape, *(1,) * (np.ndim(a) - axis % np.ndim(a) - len(shape))))


def add(here: Scope, a: Value, b: Value, *, axis: int | None = None) -> Ids:
    """a + b."""
    return at.add(here, a, beside(a, b, axis))


def sub(here: Scope, a: Value, b: Value, *, axis: int | None = None) -> Ids:
    """a - b."""
    return at.subtract(here, a, beside(a, b, axis))


def mul(here: Scope, a: Value, b: Value, *, axis: int | None = None) -> Ids:
    """a * b."""
    return at.multiply(here, a, beside(a, b, axis))


def div(here: Scope, a: Value, b: Value, *, axis: int | None = None, integer: int = 0) -> Ids:
    """a / b; of whole numbers what is before the point."""
    if not integer:
        return at.divide(here, a, beside(a, b, axis))
    return at.truncate(here, at.divide(here, a, beside(a, b, axis), part="quotient"))


def mod(here: Scope, a: Value, b: Value, *, fmod: int = 0) -> Ids:
    """a - b floor(a / b), or with `fmod` a - b truncated(a / b), which has the sign of a."""
    quotient = at.divide(here, a, b, part="quotient")
    integer_quotient = at.truncate(here, quotient, "whole") if fmod else function(here, quotient, "floor", "whole")
    return at.subtract(here, a, at.multiply(here, integer_quotient, b, part="multiple"))


def pow(here: Scope, x: Value, y: Value, *, axis: int | None = None) -> Ids:
    """x^y for a constant exponent, or a positive constant base."""
    return at.power(here, x, beside(x, y, axis))


def total(here: Scope, *values: Value) -> Ids:
    """The sum of all."""
    return at.add(here, *values)


def mean(here: Scope, *values: Value) -> Ids:
    """The mean of all."""
    return at.add(here, *values, scale=1 / len(values))


def largest(here: Scope, *values: Value) -> Ids:
    """The largest of all."""
    return at.extreme(here, "max", *values)


def smallest(here: Scope, *values: Value) -> Ids:
    """The smallest of all."""
    return at.extreme(here, "min", *values)


def compared(rule: Callable[..., Ids], *, swapped: bool = False) -> Callable[..., Ids]:
    """A rule for a comparison, or for logic; `swapped` compares the second with the first."""

    def same(here: Scope, a: Value, b: Value, *, axis: int | None = None) -> Ids:
        b = beside(a, b, axis)
        return rule(here, b, a) if swapped else rule(here, a, b)

    same.__doc__ = rule.__doc__
    return same


def negation(here: Scope, x: Ids) -> Ids:
    """1 where x is 0, otherwise 0."""
    return function(here, x, "is_zero")


def is_inf(here: Scope, x: Ids, *, detect_negative: int = 1, detect_positive: int = 1) -> Ids:
    """1 where x is infinite, otherwise 0; on one side alone where the options say so."""
    if not (detect_negative or detect_positive):
        return here.sum(bias=np.zeros(x.shape))
    if detect_negative and detect_positive:
        return at.infinite(here, x)
    side = affine(here, x, 1.0 if detect_positive else -1.0, None, "step", "side")
    return at.multiply(here, at.infinite(here, x, "infinite"), side)


def where(here: Scope, condition: Value, x: Value, y: Value) -> Ids:
    """x where a condition holds, y elsewhere."""
    return at.where(here, condition, x, y)


def clip(here: Scope, x: Ids, low: Value | None = None, high: Value | None = None) -> Ids:
    """x between two limits."""
    return at.clip(here, x, low, high)


def cast(here: Scope, x: Ids, *, to: int) -> Ids:
    """The same values; whole numbers lose what follows the point, booleans are 1 where x isn't 0."""
    if to in FLOATS:
        return x
    if to == BOOL:
        return at.truth(here, x)
    if to in WHOLE:
        return at.truncate(here, x)
    raise Unsupported(f"rounds values to {OTHER_TYPES.get(to, 'a type of few bits')}; export the model in float32")


def cast_like(here: Scope, x: Value, like: Value) -> Value:
    """The same values in the type of another tensor: floats, as live values are."""
    if is_live(like) or np.asarray(like).dtype.kind == "f":
        return x if is_live(x) else np.asarray(x, np.float32)
    raise Unsupported("casts to the type of a constant that is no float")


def leaky_relu(here: Scope, x: Ids, *, alpha: float = 0.01) -> Ids:
    """x above 0, alpha x below."""
    return function(here, x, call("leaky_relu", negative_slope=alpha))


def prelu(here: Scope, x: Ids, slope: Value, *, axis: int | None = None) -> Ids:
    """max(x, 0) in `positive`, min(x, 0) in `negative`, and positive + slope negative."""
    slope = slope if np.size(slope) == 1 else beside(x, slope, axis)
    positive = here.max(Edges(x, over=0), part="positive", bias=0.0)
    negative = here.min(Edges(x, over=0), part="negative", bias=0.0)
    if is_live(slope):
        return at.add(here, positive, at.multiply(here, negative, slope, part="scaled"))
    return here.sum(Edges(positive, over=0), Edges(negative, slope, over=0))


def elu(here: Scope, x: Ids, *, alpha: float = 1.0) -> Ids:
    """x above 0, alpha (exp(x) - 1) below."""
    return function(here, x, call("elu", alpha=alpha))


def celu(here: Scope, x: Ids, *, alpha: float = 1.0) -> Ids:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    return function(here, x, call("celu", alpha=alpha))


def selu(here: Scope, x: Ids, *, alpha: float = 1.6732632, gamma: float = 1.0507009) -> Ids:
    """gamma (x above 0, alpha (exp(x) - 1) below)."""
    if abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.0507009) < 1e-6:
        return function(here, x, "selu")
    return affine(here, function(here, x, call("elu", alpha=alpha), "elu"), gamma)


def thresholded_relu(here: Scope, x: Ids, *, alpha: float = 1.0) -> Ids:
    """x above alpha, otherwise 0."""
    return function(here, x, call("relu", threshold=alpha))


def hard_sigmoid(here: Scope, x: Ids, *, alpha: float = 0.2, beta: float = 0.5) -> Ids:
    """alpha x + beta between 0 and 1."""
    return affine(here, x, alpha, beta, "relu(max_value=1.0)")


def gelu(here: Scope, x: Ids, *, approximate: str = "none") -> Ids:
    """x times the normal distribution's cumulative function, or its tanh approximation."""
    return function(here, x, call("gelu", approximate=approximate == "tanh"))


def swish(here: Scope, x: Ids, *, alpha: float = 1.0) -> Ids:
    """x sigmoid(alpha x)."""
    if alpha == 1:
        return function(here, x, "silu")
    return at.multiply(here, x, affine(here, x, alpha, None, "sigmoid", "gate"))


def shrink(here: Scope, x: Ids, *, bias: float = 0.0, lambd: float = 0.5) -> Ids:
    """x - bias above lambd, x + bias below -lambd, 0 between."""
    if lambd >= 0 and bias in (0, lambd):
        return function(here, x, call("soft_shrink" if bias else "hard_shrink", threshold=lambd))
    above = affine(here, x, 1.0, -lambd, "step", "above")
    below = affine(here, x, -1.0, -lambd, "step", "below")
    upper = at.multiply(here, above, affine(here, x, 1.0, -bias, part="lowered"), part="upper")
    lower = at.multiply(here, below, affine(here, x, 1.0, bias, part="raised"), part="lower")
    return at.add(here, upper, lower)


def tan(here: Scope, x: Ids) -> Ids:
    """sin(x) / cos(x)."""
    return at.divide(here, function(here, x, "sin", "sin"), function(here, x, "cos", "cos"))


def hyperbolic(sign: float) -> Callable[..., Ids]:
    """A rule for (exp(x) +- exp(-x)) / 2."""

    def rule(here: Scope, x: Ids) -> Ids:
        growing, falling = function(here, x, "exponential", "growing"), affine(here, x, -1.0, None, "exponential", "falling")
        return here.sum(Edges(growing, 0.5, over=0), Edges(falling, 0.5 * sign, over=0))

    rule.__doc__ = f"(exp(x) {'+' if sign > 0 else '-'} exp(-x)) / 2."
    return rule


def activation_rule(activation: str) -> Callable[..., Ids]:
    """A rule for one activation of each place."""

    def rule(here: Scope, x: Ids) -> Ids:
        return function(here, x, activation)

    rule.__doc__ = f"{activation}(x) for each x."
    return rule


def one_hot(here: Scope, indices: Ids, depth: Value, values: Value, *, axis: int = -1) -> Ids:
    """values[1] at the place that an index names on a new axis, counted from its end below zero, values[0] elsewhere: `here` and `from_end`."""
    size, (off, on) = int(np.ravel(constant(depth, "depth"))[0]), (float(value) for value in np.ravel(constant(values, "values")))
    bounded((*indices.shape, size))
    at_axis = axis % (indices.ndim + 1)
    numbers = np.arange(size, dtype=np.float64).reshape([size if k == at_axis else 1 for k in range(indices.ndim + 1)])
    index = np.expand_dims(indices, at_axis)
    front = affine(here, index, 1.0, -numbers, "is_zero", "from_start")
    back = affine(here, index, 1.0, size - numbers, "is_zero", "from_end")
    return here.sum(Edges(front, on - off, over=0), Edges(back, on - off, over=0), bias=off)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": activation_rule("abs"),
    "Acos": activation_rule("arccos"),
    "Acosh": at.acosh,
    "Asin": activation_rule("arcsin"),
    "Asinh": at.asinh,
    "Atan": activation_rule("arctan"),
    "Atanh": at.atanh,
    "Ceil": activation_rule("ceil"),
    "Celu": celu,
    "Cos": activation_rule("cos"),
    "Cosh": hyperbolic(1.0),
    "Elu": elu,
    "Erf": activation_rule("erf"),
    "Exp": activation_rule("exponential"),
    "Floor": activation_rule("floor"),
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": activation_rule("hard_silu"),
    "LeakyRelu": leaky_relu,
    "Log": activation_rule("log"),
    "Mish": activation_rule("mish"),
    "Neg": activation_rule("negative"),
    "PRelu": prelu,
    "Reciprocal": activation_rule("reciprocal"),
    "Relu": activation_rule("relu"),
    "Round": activation_rule("round"),
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": activation_rule("sigmoid"),
    "Sign": activation_rule("sign"),
    "Sin": activation_rule("sin"),
    "Sinh": hyperbolic(-1.0),
    "Softplus": activation_rule("softplus"),
    "Softsign": activation_rule("softsign"),
    "Sqrt": activation_rule("sqrt"),
    "Swish": swish,
    "Tan": tan,
    "Tanh": activation_rule("tanh"),
    "ThresholdedRelu": thresholded_relu,
}
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": add,
    "And": compared(at.logical_and),
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "Div": div,
    "Equal": compared(at.equal),
    "Greater": compared(at.greater),
    "GreaterOrEqual": compared(at.greater_equal),
    "IsInf": is_inf,
    "IsNaN": at.not_a_number,
    "Less": compared(at.greater, swapped=True),
    "LessOrEqual": compared(at.greater_equal, swapped=True),
    "Max": largest,
    "Mean": mean,
    "Min": smallest,
    "Mod": mod,
    "Mul": mul,
    "Not": negation,
    "OneHot": one_hot,
    "Or": compared(at.logical_or),
    "Pow": pow,
    "Sub": sub,
    "Sum": total,
    "Where": where,
    "Xor": compared(at.logical_xor),
}
