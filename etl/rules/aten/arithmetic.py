"""Operators that compute place by place, and those that compare and choose. Arguments as ATen names them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import ceil, erf, floor, log, pi
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.aten import logic
from etl.rules.aten import values as place
from etl.rules.aten.values import Value, constants, function, numbers, scaled_function
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]


def add(here: Scope, self: Value, other: Any, alpha: float = 1) -> Value:
    """self + alpha other."""
    return place.add(here, self, other, alpha)


def sub(here: Scope, self: Value, other: Any, alpha: float = 1) -> Value:
    """self - alpha other."""
    return place.add(here, self, other, -alpha)


def rsub(here: Scope, self: Value, other: Any, alpha: float = 1) -> Value:
    """other - alpha self."""
    return place.add(here, other, self, -alpha)


def mul(here: Scope, self: Value, other: Any) -> Value:
    """self times other."""
    return place.multiply(here, self, other)


def div(here: Scope, self: Value, other: Any, rounding_mode: str | None = None) -> Value:
    """self over other, rounded down or towards zero where asked."""
    if rounding_mode is None:
        return place.divide(here, self, other)
    if constants(self, other):
        quotient = np.asarray(self) / np.asarray(other)
        whole = np.floor(quotient) if rounding_mode == "floor" else np.trunc(quotient)
        return whole.astype(np.result_type(self, other))
    if rounding_mode == "trunc":
        return trunc(here, place.divide(here, self, other, part="quotient"))
    return here.sum(Edges(place.divide(here, self, other, part="quotient"), over=0), activation="floor")


def floor_divide(here: Scope, self: Value, other: Any) -> Value:
    """self over other, rounded down."""
    return div(here, self, other, "floor")


def remainder(here: Scope, self: Value, other: Any) -> Value:
    """self - other floor(self / other), as Python's %."""
    if constants(self, other):
        return np.remainder(self, other)
    whole = here.sum(Edges(place.divide(here, self, other, part="quotient"), over=0), activation="floor", part="floor")
    return place.subtract(here, self, place.multiply(here, whole, other, part="whole"))


def fmod(here: Scope, self: Value, other: Any) -> Value:
    """self - other trunc(self / other), as C's fmod."""
    if constants(self, other):
        return np.fmod(self, other)
    whole = trunc(here.part("trunc"), place.divide(here, self, other, part="quotient"))
    return place.subtract(here, self, place.multiply(here, whole, other, part="whole"))


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


def maximum(here: Scope, self: Value, other: Any) -> Value:
    """The larger of two."""
    return place.extreme(here, "max", self, other)


def minimum(here: Scope, self: Value, other: Any) -> Value:
    """The smaller of two."""
    return place.extreme(here, "min", self, other)


def clamp(here: Scope, self: Value, min: Any = None, max: Any = None) -> Value:
    """self, at least min and at most max."""
    return place.clip(here, self, finite(min, -1), finite(max, 1))


def finite(bound: Any, sign: int) -> Any:
    """A bound that bounds something: none where it is infinity."""
    return None if isinstance(bound, float) and bound == sign * float("inf") else bound


def clamp_min(here: Scope, self: Value, min: Any) -> Value:
    """self, at least min."""
    return place.clip(here, self, min)


def clamp_max(here: Scope, self: Value, max: Any) -> Value:
    """self, at most max."""
    return place.clip(here, self, None, max)


def hardtanh(here: Scope, self: Value, min_val: float = -1, max_val: float = 1) -> Value:
    """self, at least min_val and at most max_val."""
    known = {(-1.0, 1.0): "hard_tanh", (0.0, 6.0): "relu6"}.get((float(min_val), float(max_val)))
    return place.clip(here, self, min_val, max_val) if known is None else function(here, known, lambda x: np.clip(x, min_val, max_val), self)


def pow_(here: Scope, self: Any, exponent: Any) -> Value:
    """self to the power of a constant, or a positive constant to the power of a live value."""
    return place.power(here, self, exponent)


def addcmul(here: Scope, self: Value, tensor1: Value, tensor2: Value, value: float = 1) -> Value:
    """self + value tensor1 tensor2."""
    return place.add(here, self, place.multiply(here, tensor1, tensor2, part="product"), value)


def addcdiv(here: Scope, self: Value, tensor1: Value, tensor2: Value, value: float = 1) -> Value:
    """self + value tensor1 / tensor2."""
    return place.add(here, self, place.divide(here, tensor1, tensor2, part="quotient"), value)


def lerp(here: Scope, self: Value, end: Value, weight: Any) -> Value:
    """self + weight (end - self)."""
    gap = place.subtract(here, end, self, part="difference")
    return place.add(here, self, place.multiply(here, gap, weight, part="share"))


def hypot(here: Scope, self: Value, other: Value) -> Value:
    """The root of the sum of squares."""
    squares = [function(here, "square", np.square, one, part=f"square_{k}") for k, one in enumerate((self, other))]
    return function(here, "sqrt", np.sqrt, place.add(here, *squares, part="sum"))


def logaddexp(here: Scope, self: Value, other: Value) -> Value:
    """log(exp(self) + exp(other)), as self + softplus(other - self)."""
    gap = place.subtract(here, other, self, part="difference")
    return place.add(here, self, function(here, "softplus", lambda x: np.logaddexp(x, 0), gap, part="softplus"))


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


def nan_to_num(here: Scope, self: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Value:
    """The tensor itself, where all is finite; a constant with its NaN and infinity replaced."""
    return self if is_live(self) else np.nan_to_num(self, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def comparison(compare: Rule, turned: bool = False) -> Rule:
    """A rule for eq, gt and the like."""

    def rule(here: Scope, self: Value, other: Any) -> Value:
        """1 where it holds, otherwise 0."""
        return compare(here, other, self) if turned else compare(here, self, other)

    return rule


def bitwise(numpy: Callable[..., Any], logical: Rule) -> Rule:
    """A rule for & and |: of truths as logic has it, of constants bit by bit."""

    def rule(here: Scope, self: Value, other: Any) -> Value:
        """Both bit by bit."""
        return np.asarray(numpy(self, other)) if constants(self, other) else logical(here, self, other)

    return rule


def bitwise_not(here: Scope, self: Value) -> Value:
    """Each bit the other way; of a live truth 1 - x."""
    return logic.complement(here, self) if is_live(self) else ~np.asarray(self)


def where(here: Scope, condition: Value, self: Any = None, other: Any = None) -> Value:
    """self where a condition holds, other elsewhere."""
    if self is None:
        if is_live(condition):
            raise Unsupported("returns as many places as the example has")
        return list(np.nonzero(condition))
    return logic.where(here, condition, self, other)


def masked_fill(here: Scope, self: Value, mask: Value, value: Any) -> Value:
    """A number where a mask says so."""
    return logic.where(here, mask, value, self)


def heaviside(here: Scope, self: Value, values: Value) -> Value:
    """0 below zero, 1 above, and the given values at zero."""
    if constants(self, values):
        return np.heaviside(self, values)
    above = function(here, "step", lambda x: x > 0, self, part="above")
    at = function(here, "is_zero", lambda x: x == 0, self, part="is_zero")
    return place.add(here, above, place.multiply(here, at, values, part="at_zero"))


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
        raise Unsupported("takes erfc of a constant")
    return here.sum(Edges(here.sum(Edges(self, over=0), activation="erf", part="erf"), -1.0, over=0), bias=1.0)


def activation(name: str, **options: Any) -> Rule:
    """A rule for one of the graph's activations, whose options ATen doesn't name."""

    def rule(here: Scope, self: Value) -> Value:
        if not is_live(self):
            raise Unsupported(f"takes {name} of a constant")
        return here.sum(Edges(self, over=0), activation=call(name, **options))

    rule.__doc__ = f"{call(name, **options)} of each x."
    return rule


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


def unary_logic(logical: Rule) -> Rule:
    """A rule for logic of one operand."""

    def rule(here: Scope, self: Value) -> Value:
        """1 where it isn't, otherwise 0."""
        return logical(here, self)

    return rule


def round_(here: Scope, self: Value, decimals: int = 0) -> Value:
    """To the nearest whole number, halves to the even one; with decimals, of 10^decimals x, over that."""
    scale = 10.0**decimals
    return scaled_function(here, "round", np.round, self, before=scale, after=1 / scale)


def size_of(compute: Callable[..., Any]) -> Rule:
    """A rule for arithmetic of sizes, which are constants."""

    def rule(here: Scope, *numbers: Any) -> Value:
        """A size computed from others."""
        return np.asarray(compute(*(np.asarray(number).item() for number in numbers)))

    return rule


SIZES: dict[str, Rule] = {
    **{
        f"_operator.{name}": size_of(getattr(operator, name))
        for name in "add sub mul floordiv truediv mod pow neg pos eq ne lt le gt ge and_ or_ xor".split()
    },
    "math.ceil": size_of(ceil),
    "math.floor": size_of(floor),
    "math.trunc": size_of(int),
    "torch.sym_max": size_of(max),
    "torch.sym_min": size_of(min),
    "torch.sym_float": size_of(float),
    "torch.sym_int": size_of(int),
    "torch.sym_not": size_of(lambda truth: not truth),
    "torch.sym_ite": size_of(lambda truth, first, second: first if truth else second),
}
