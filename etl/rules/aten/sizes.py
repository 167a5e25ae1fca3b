"""Arithmetic of sizes, which are constants however open an axis is, as exported programs write it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import ceil, floor
from typing import Any

import numpy as np

from etl.errors import TooLarge, Unsupported
from etl.rules.aten.values import Operand, Value
from etl.rules.ids import is_live
from etl.rules.scope import Scope

Rule = Callable[..., Any]
LARGEST_SIZE = 2**63 - 1
LARGEST_EXPONENT = 64


def size_of(compute: Callable[..., Any]) -> Rule:
    """A rule for arithmetic of sizes, which are constants."""

    def rule(here: Scope, *numbers: Operand) -> Value:
        """A size computed from others."""
        if any(map(is_live, numbers)):
            raise Unsupported("computes a size that depends on the example")
        plain = [np.asarray(number).item() for number in numbers]
        if compute is operator.pow and abs(plain[1]) > LARGEST_EXPONENT:
            raise TooLarge(f"a size to the power of {plain[1]:,}")
        try:
            result = compute(*plain)
        except TypeError as error:  # no signature says how many there are
            raise ValueError(str(error)) from error
        if isinstance(result, int) and abs(result) > LARGEST_SIZE:
            raise TooLarge(f"a size of more than {LARGEST_SIZE:,}")
        return np.asarray(result)

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
