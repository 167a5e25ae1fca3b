"""Inverses of trigonometric and hyperbolic functions, and whether a value is a number at all. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.rules.aten.arithmetic import unary
from etl.rules.aten.values import Value, numbers
from etl.rules.ids import is_live
from etl.rules.primitives import elementwise as at
from etl.rules.scope import Scope

Rule = Callable[..., Any]


def written(numpy: Callable[[Any], Any], rule: Rule) -> Rule:
    """A rule for a function that is several steps of a live value, and NumPy's of a constant."""

    def same(here: Scope, self: Value) -> Value:
        return rule(here, self) if is_live(self) else np.asarray(numpy(numbers(self)))

    same.__doc__ = rule.__doc__
    return same


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
