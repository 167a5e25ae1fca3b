"""Sums, products, quotients, powers and limits place by place. Arguments as ATen names them."""

from __future__ import annotations

from math import log

import numpy as np

from etl.rules.aten import values as place
from etl.rules.aten.functions import trunc
from etl.rules.aten.values import Operand, Value, constants, function, numbers, scaled_function
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope


def add(here: Scope, self: Value, other: Operand, alpha: float = 1) -> Value:
    """self + alpha other."""
    return place.add(here, self, other, alpha)


def sub(here: Scope, self: Value, other: Operand, alpha: float = 1) -> Value:
    """self - alpha other."""
    return place.add(here, self, other, -alpha)


def rsub(here: Scope, self: Value, other: Operand, alpha: float = 1) -> Value:
    """other - alpha self."""
    return place.add(here, other, self, -alpha)


def mul(here: Scope, self: Value, other: Operand) -> Value:
    """self times other."""
    return place.multiply(here, self, other)


def div(here: Scope, self: Value, other: Operand, rounding_mode: str | None = None) -> Value:
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


def floor_divide(here: Scope, self: Value, other: Operand) -> Value:
    """self over other, rounded down."""
    return div(here, self, other, "floor")


def remainder(here: Scope, self: Value, other: Operand) -> Value:
    """self - other floor(self / other), as Python's %."""
    if constants(self, other):
        return np.remainder(self, other)
    whole = here.sum(Edges(place.divide(here, self, other, part="quotient"), over=0), activation="floor", part="floor")
    return place.subtract(here, self, place.multiply(here, whole, other, part="whole"))


def fmod(here: Scope, self: Value, other: Operand) -> Value:
    """self - other trunc(self / other), as C's fmod."""
    if constants(self, other):
        return np.fmod(self, other)
    whole = trunc(here.part("trunc"), place.divide(here, self, other, part="quotient"))
    return place.subtract(here, self, place.multiply(here, whole, other, part="whole"))


def maximum(here: Scope, self: Value, other: Operand) -> Value:
    """The larger of two."""
    return place.extreme(here, "max", self, other)


def minimum(here: Scope, self: Value, other: Operand) -> Value:
    """The smaller of two."""
    return place.extreme(here, "min", self, other)


def clamp(here: Scope, self: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    """self, at least min and at most max."""
    return place.clip(here, self, finite(min, -1), finite(max, 1))


def finite(bound: Operand | None, sign: int) -> Operand | None:
    """A bound that bounds something: none where it is infinity."""
    return None if isinstance(bound, float) and bound == sign * float("inf") else bound


def clamp_min(here: Scope, self: Value, min: Operand) -> Value:
    """self, at least min."""
    return place.clip(here, self, min)


def clamp_max(here: Scope, self: Value, max: Operand) -> Value:
    """self, at most max."""
    return place.clip(here, self, None, max)


def pow_(here: Scope, self: Operand, exponent: Operand) -> Value:
    """self to the power of a constant, or a positive constant to the power of a live value."""
    return place.power(here, self, exponent)


def addcmul(here: Scope, self: Value, tensor1: Value, tensor2: Value, value: float = 1) -> Value:
    """self + value tensor1 tensor2."""
    return place.add(here, self, place.multiply(here, tensor1, tensor2, part="product"), value)


def addcdiv(here: Scope, self: Value, tensor1: Value, tensor2: Value, value: float = 1) -> Value:
    """self + value tensor1 / tensor2."""
    return place.add(here, self, place.divide(here, tensor1, tensor2, part="quotient"), value)


def lerp(here: Scope, self: Value, end: Value, weight: Operand) -> Value:
    """self + weight (end - self)."""
    gap = place.subtract(here, end, self, part="difference")
    return place.add(here, self, place.multiply(here, gap, weight, part="share"))


def logaddexp2(here: Scope, self: Value, other: Value) -> Value:
    """log2(2^self + 2^other), as self + softplus(log(2) (other - self)) / log(2)."""
    gap = place.subtract(here, other, self, part="difference")
    curve = scaled_function(here.part("curve"), "softplus", lambda x: np.logaddexp(x, 0), gap, before=log(2), after=1 / log(2))
    return place.add(here, self, curve)


def ldexp(here: Scope, self: Value, other: Value) -> Value:
    """self times 2 to the power of the other."""
    return place.multiply(here, self, place.power(here, 2.0, other, part="power"))


def fake_quantize(
    here: Scope, self: Value, scale: Operand, zero_point: Operand, quant_min: int, quant_max: int, fake_quant_enabled: Operand | None = None
) -> Value:
    """What a quantised copy would hold: (x / scale + zero_point rounded, between the limits, - zero_point) scale."""
    if fake_quant_enabled is not None and not np.any(fake_quant_enabled):
        return self
    scale, shift = numbers(scale), numbers(zero_point)
    inner = place.add(here, place.divide(here, self, scale, part="scaled"), 0.0, activation="round", part="round") if is_live(self) else None
    if inner is None:
        return (np.clip(np.round(numbers(self) / scale) + shift, quant_min, quant_max) - shift) * scale
    whole = place.clip(here, place.add(here, inner, shift, part="shifted"), quant_min, quant_max, part="limited")
    return place.multiply(here, place.subtract(here, whole, shift, part="centred"), scale)


def hypot(here: Scope, self: Value, other: Value) -> Value:
    """The root of the sum of squares."""
    squares = [function(here, "square", np.square, side, part=f"square_{k}") for k, side in enumerate((self, other))]
    return function(here, "sqrt", np.sqrt, place.add(here, squares[0], squares[1], part="sum"))


def logaddexp(here: Scope, self: Value, other: Value) -> Value:
    """log(exp(self) + exp(other)), as self + softplus(other - self)."""
    gap = place.subtract(here, other, self, part="difference")
    return place.add(here, self, function(here, "softplus", lambda x: np.logaddexp(x, 0), gap, part="softplus"))


def nan_to_num(here: Scope, self: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Value:
    """The tensor itself, where all is finite; a constant with its NaN and infinity replaced."""
    return self if is_live(self) else np.nan_to_num(self, nan=nan or 0.0, posinf=posinf, neginf=neginf)
