"""Functions of each place, activations among them. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, log, pi, sqrt
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.aten import logic
from etl.rules.aten import values as place
from etl.rules.aten.values import Operand, Value, constants, function, numbers, scaled_function
from etl.rules.ids import ZERO, is_live
from etl.rules.primitives import elementwise as at
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]


def unary(activation: str, numpy: Callable[..., Any]) -> Rule:
    """A rule for a function of each place."""

    def rule(here: Scope, self: Value) -> Value:
        return function(here, activation, numpy, self)

    rule.__doc__ = f"{activation}(x) for each x."
    return rule


def scaled(activation: str, numpy: Callable[..., Any], **scales: float) -> Rule:
    """A rule for a function with a factor before or behind it."""

    def rule(here: Scope, self: Value) -> Value:
        """A function of each place, with its factor."""
        return scaled_function(here, activation, numpy, self, **scales)

    return rule


def activation(name: str, **options: Any) -> Rule:
    """A rule for one of the graph's activations, whose options ATen doesn't name."""

    def rule(here: Scope, self: Value) -> Value:
        if not is_live(self):
            raise Unsupported(f"takes {name} of a constant")
        return here.sum(Edges(self, over=0), activation=call(name, **options))

    rule.__doc__ = f"{call(name, **options)} of each x."
    return rule


def trunc(here: Scope, self: Value) -> Value:
    """Towards zero: sign(x) floor(|x|)."""
    if not is_live(self):
        return np.trunc(numbers(self))
    size = here.sum(Edges(self, over=0), activation="abs", part="abs")
    floor = here.sum(Edges(size, over=0), activation="floor", part="floor")
    sign = here.sum(Edges(self, over=0), activation="sign", part="sign")
    return place.multiply(here, sign, floor)


def frac(here: Scope, self: Value) -> Value:
    """What is behind the point: x - trunc(x)."""
    if not is_live(self):
        return numbers(self) - np.trunc(numbers(self))
    return place.subtract(here, self, trunc(here.part("trunc"), self))


def round_(here: Scope, self: Value, decimals: int = 0) -> Value:
    """To the nearest whole number, halves to the even one; with decimals, of 10^decimals x, over that."""
    scale = 10.0**decimals
    return scaled_function(here, "round", np.round, self, before=scale, after=1 / scale)


def hardtanh(here: Scope, self: Value, min_val: float = -1, max_val: float = 1) -> Value:
    """self, at least min_val and at most max_val."""
    known = {(-1.0, 1.0): "hard_tanh", (0.0, 6.0): "relu6"}.get((float(min_val), float(max_val)))
    return place.clip(here, self, min_val, max_val) if known is None else function(here, known, lambda x: np.clip(x, min_val, max_val), self)


def softplus(here: Scope, self: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + exp(beta x)) / beta, and x itself where beta x is beyond the threshold."""
    if threshold >= 15:  # where the curve differs from the line by less than 3e-7
        return scaled_function(here, "softplus", lambda x: np.logaddexp(x, 0), self, before=beta, after=1 / beta)
    curve = scaled_function(here.part("curve"), "softplus", lambda x: np.logaddexp(x, 0), self, before=beta, after=1 / beta)
    return logic.where(here, logic.greater(here, self, threshold / beta, part="beyond"), self, curve)


def elu(here: Scope, self: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    """x above 0, below it alpha (exp(x) - 1); negative values and results may be scaled."""
    if input_scale != 1 or scale != 1:
        raise Unsupported(f"has no rule for scale={scale!r}, input_scale={input_scale!r}")
    return function(here, call("elu", alpha=alpha), lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), self)


def gelu(here: Scope, self: Value, approximate: str = "none") -> Value:
    """x times the normal distribution's cumulative function, or its tanh approximation."""
    return activation("gelu", approximate=approximate == "tanh")(here, self)


def prelu(here: Scope, self: Value, weight: Value) -> Value:
    """x above 0, below it weight x: max(x, 0) in `positive`, min(x, 0) in `negative`, and positive + weight negative."""
    slope = np.reshape(weight, (-1, *(1,) * max(self.ndim - 2, 0))) if np.size(weight) > 1 and self.ndim > 1 else weight
    positive = here.max(Edges(self, over=0), part="positive", bias=0.0)
    negative = here.min(Edges(self, over=0), part="negative", bias=0.0)
    if is_live(slope):
        return place.add(here, positive, place.multiply(here, negative, slope, part="sloped"))
    return here.sum(Edges(positive, over=0), Edges(negative, slope, over=0))


def rrelu(here: Scope, self: Value, lower: float = 0.125, upper: float = 1 / 3, training: bool = False) -> Value:
    """Leaky ReLU whose slope is the mean of the two, at inference."""
    if training:
        raise Unsupported("draws its slope at random: it was exported in training mode; call model.eval() before the export")
    return activation("leaky_relu", negative_slope=(lower + upper) / 2)(here, self)


def glu(here: Scope, self: Value, dim: int = -1) -> Value:
    """The first half of an axis times the sigmoid of its second half."""
    first, second = np.split(self, 2, axis=dim)
    return place.multiply(here, first, function(here, "sigmoid", lambda x: 1 / (1 + np.exp(-x)), second, part="gate"))


def logit(here: Scope, self: Value, eps: float | None = None) -> Value:
    """log(x / (1 - x)), as log(x) - log(1 - x)."""
    x = self if eps is None else place.clip(here, self, eps, 1 - eps, part="clamp")
    first = function(here, "log", np.log, x, part="log")
    return place.subtract(here, first, scaled_function(here.part("other_log"), "log", np.log, x, before=-1.0, shift=1.0))


def tan(here: Scope, self: Value) -> Value:
    """sin(x) / cos(x)."""
    return place.divide(here, function(here, "sin", np.sin, self, part="sin"), function(here, "cos", np.cos, self, part="cos"))


def exponentials(sign: float) -> Rule:
    """A rule for sinh and cosh."""

    def rule(here: Scope, self: Value) -> Value:
        """(exp(x) + exp(-x)) / 2, or their difference."""
        if not is_live(self):
            return np.cosh(self) if sign > 0 else np.sinh(self)
        up = here.sum(Edges(self, over=0), activation="exponential", part="rising")
        down = here.sum(Edges(self, -1.0, over=0), activation="exponential", part="falling")
        return here.sum(Edges(up, 0.5, over=0), Edges(down, sign / 2, over=0))

    return rule


def sinc(here: Scope, self: Value) -> Value:
    """sin(pi x) / (pi x), 1 at 0: what is divided by is 1 there."""
    if not is_live(self):
        return np.sinc(self)
    zero = here.sum(Edges(self, over=0), activation="is_zero", part="is_zero")
    wave = here.sum(Edges(self, pi, over=0), activation="sin", part="sin")
    inverse = here.sum(Edges(self, pi, over=0), Edges(zero, over=0), activation="reciprocal", part="reciprocal")
    return place.add(here, place.multiply(here, wave, inverse, part="quotient"), zero)


def expm1(here: Scope, self: Value) -> Value:
    """exp(x) - 1."""
    return (
        np.expm1(self)
        if not is_live(self)
        else here.sum(Edges(here.sum(Edges(self, over=0), activation="exponential", part="exponential"), over=0), bias=-1.0)
    )


def erfc(here: Scope, self: Value) -> Value:
    """1 - erf(x)."""
    if not is_live(self):
        return 1 - function(here, "erf", np.vectorize(erf, otypes=[float]), self)
    return here.sum(Edges(here.sum(Edges(self, over=0), activation="erf", part="erf"), -1.0, over=0), bias=1.0)


def leaky_relu(here: Scope, self: Value, negative_slope: float = 0.01) -> Value:
    """x above 0, below it negative_slope x."""
    return activation("leaky_relu", negative_slope=negative_slope)(here, self)


def celu(here: Scope, self: Value, alpha: float = 1) -> Value:
    """x above 0, below it alpha (exp(x / alpha) - 1)."""
    return activation("celu", alpha=alpha)(here, self)


def softshrink(here: Scope, self: Value, lambd: float = 0.5) -> Value:
    """0 within lambd, beyond it x drawn towards 0 by lambd."""
    return activation("soft_shrink", threshold=lambd)(here, self)


def hardshrink(here: Scope, self: Value, lambd: float = 0.5) -> Value:
    """0 within lambd, x beyond it."""
    return activation("hard_shrink", threshold=lambd)(here, self)


def threshold(here: Scope, self: Value, threshold: float, value: float) -> Value:
    """x above the threshold, otherwise the value."""
    return activation("threshold", threshold=threshold, default_value=value)(here, self)


def x_log_y(here: Scope, x: Operand, y: Operand, **options: Any) -> Value:
    """x log(y), and 0 where x is 0, whatever y is."""
    x, y = place.value(x), place.value(y)
    if constants(x, y):
        with np.errstate(all="ignore"):
            return np.where(x == 0, 0.0, x * np.log(numbers(y)))
    if not is_live(x):
        logarithm = function(here, "log", np.log, y, part="log")
        shape = np.broadcast_shapes(logarithm.shape, x.shape)
        return place.multiply(here, np.where(np.broadcast_to(x, shape) == 0, ZERO, np.broadcast_to(logarithm, shape)), x, **options)
    zero = function(here, "is_zero", lambda x: x == 0, x, part="is_zero")
    other = here.sum(Edges(zero, -1.0, over=0), bias=1.0, part="other")
    log = place.add(here, place.multiply(here, other, y, part="kept"), zero, part="log", activation="log")
    return place.multiply(here, x, log, **options)


def xlogy(here: Scope, self: Value, other: Operand) -> Value:
    """self log(other), and 0 where self is 0."""
    return x_log_y(here, self, other)


def xlog1py(here: Scope, self: Value, other: Operand) -> Value:
    """self log(1 + other), and 0 where self is 0."""
    return x_log_y(here, self, place.add(here, other, 1.0, part="shifted"))


def entr(here: Scope, self: Value) -> Value:
    """-x log(x), and 0 at 0."""
    return place.multiply(here, x_log_y(here, self, self, part="product"), -1.0)


def ndtr(here: Scope, self: Value) -> Value:
    """The normal distribution's cumulative function: (1 + erf(x / sqrt(2))) / 2."""
    error = place.multiply(here, self, sqrt(0.5), part="scaled")
    error = function(here, "erf", np.vectorize(erf, otypes=[float]), error, part="erf")
    return place.add(here, place.multiply(here, error, 0.5, part="half"), 0.5)


def sided(here: Scope, x: Operand, part: str) -> Value:
    """-1 below 0, 1 from 0 on."""
    if not is_live(x):
        return np.copysign(1.0, numbers(x))
    below = here.sum(Edges(x, -1.0, over=0), activation="step", part=f"{part}/below")
    return here.sum(Edges(below, -2.0, over=0), bias=1.0, part=part)


def copysign(here: Scope, self: Value, other: Operand) -> Value:
    """|self| with the sign of the other, that of a live 0 being positive."""
    size = function(here, "abs", np.abs, self, part="abs")
    return place.multiply(here, size, sided(here, other, "side"))


def signbit(here: Scope, self: Value) -> Value:
    """1 below 0, otherwise 0."""
    return here.sum(Edges(self, -1.0, over=0), activation="step") if is_live(self) else np.signbit(self)


def atan2(here: Scope, self: Value, other: Operand) -> Value:
    """The angle of (other, self), from -pi to pi.

    `sharp`, 2 arctan(|y| / (length + |x|)), is the angle to the x axis; left of the y axis (`left`) it is pi less that; below, it is negative.
    """
    y, x = place.value(self), place.value(other)
    if constants(y, x):
        return np.arctan2(y, x)
    far, high = function(here, "abs", np.abs, x, part="abs_x"), function(here, "abs", np.abs, y, part="abs_y")
    squares = [function(here, "square", np.square, length_of_side, part=name) for length_of_side, name in ((far, "square_x"), (high, "square_y"))]
    length = function(here, "sqrt", np.sqrt, place.add(here, squares[0], squares[1], part="sum"), part="length")
    origin = function(here, "is_zero", lambda x: x == 0, length, part="origin")
    base = place.add(here, place.add(here, length, far, part="base"), origin, part="divisor")
    half = function(here, "arctan", np.arctan, place.divide(here, high, base, part="slope"), part="half")
    sharp = place.multiply(here, half, 2.0, part="sharp")
    left = here.sum(Edges(x, -1.0, over=0), activation="step", part="left") if is_live(x) else (numbers(x) < 0).astype(np.float64)
    beyond = here.sum(Edges(sharp, -2.0, over=0), bias=pi, part="beyond")
    angle = place.add(here, sharp, place.multiply(here, left, beyond, part="turned"), part="angle")
    return place.multiply(here, angle, sided(here, y, "side"))


def written(numpy: Callable[[Any], Any], rule: Rule) -> Rule:
    """A rule for a function that is several steps of a live value, and NumPy's of a constant."""

    def same(here: Scope, self: Value) -> Value:
        return rule(here, self) if is_live(self) else np.asarray(numpy(numbers(self)))

    same.__doc__ = rule.__doc__
    return same


FUNCTIONS: dict[str, Rule] = {
    "abs": unary("abs", np.abs),
    "exp": unary("exponential", np.exp),
    "exp2": scaled("exponential", np.exp, before=log(2)),
    "expm1": expm1,
    "log": unary("log", np.log),
    "log2": scaled("log", np.log, after=1 / log(2)),
    "log10": scaled("log", np.log, after=1 / log(10)),
    "log1p": scaled("log", np.log, shift=1.0),
    "sqrt": unary("sqrt", np.sqrt),
    "rsqrt": unary("rsqrt", lambda x: 1 / np.sqrt(x)),
    "reciprocal": unary("reciprocal", np.reciprocal),
    "square": unary("square", np.square),
    "neg": scaled("linear", lambda x: x, before=-1.0),
    "sign": unary("sign", np.sign),
    "floor": unary("floor", np.floor),
    "ceil": unary("ceil", np.ceil),
    "sin": unary("sin", np.sin),
    "cos": unary("cos", np.cos),
    "tan": tan,
    "sinh": exponentials(-1.0),
    "cosh": exponentials(1.0),
    "sinc": sinc,
    "erf": unary("erf", np.vectorize(erf, otypes=[float])),
    "erfc": erfc,
    "special_entr": entr,
    "special_ndtr": ndtr,
    "signbit": signbit,
    "trunc": trunc,
    "frac": frac,
    "deg2rad": scaled("linear", lambda x: x, before=pi / 180),
    "rad2deg": scaled("linear", lambda x: x, before=180 / pi),
    "logit": logit,
    "relu": unary("relu", lambda x: np.maximum(x, 0)),
    "relu6": unary("relu6", lambda x: np.clip(x, 0, 6)),
    "sigmoid": unary("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    "tanh": unary("tanh", np.tanh),
    "silu": activation("silu"),
    "mish": activation("mish"),
    "selu": activation("selu"),
    "hardsigmoid": activation("hard_sigmoid"),
    "hardswish": activation("hard_silu"),
    "log_sigmoid": activation("log_sigmoid"),
}


INVERSES: dict[str, Rule] = {
    "acos": unary("arccos", np.arccos),
    "acosh": written(np.arccosh, at.acosh),
    "asin": unary("arcsin", np.arcsin),
    "asinh": written(np.arcsinh, at.asinh),
    "atan": unary("arctan", np.arctan),
    "atanh": written(np.arctanh, at.atanh),
}


TESTS: dict[str, Rule] = {
    "isfinite": written(np.isfinite, at.finite),
    "isinf": written(np.isinf, at.infinite),
    "isnan": written(np.isnan, at.not_a_number),
}
