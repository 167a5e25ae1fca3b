"""Names of activations in a graph: calls of functions in Keras 3's `keras.activations`, and of a few beyond them."""

from __future__ import annotations

from reprlib import repr as short_repr
from typing import Any

import numpy as np

from etl.errors import Unsupported

# name -> its arguments and their defaults in Keras 3; ... where there is none, so that it is always written
FUNCTIONS: dict[str, dict[str, Any]] = {
    "linear": {},
    "relu": {"negative_slope": 0.0, "max_value": None, "threshold": 0.0},
    "leaky_relu": {"negative_slope": 0.2},
    "relu6": {},
    "elu": {"alpha": 1.0},
    "celu": {"alpha": 1.0},
    "selu": {},
    "gelu": {"approximate": False},
    "softmax": {},
    "log_softmax": {},
    "softplus": {},
    "softsign": {},
    "soft_shrink": {"threshold": 0.5},
    "hard_shrink": {"threshold": 0.5},
    "tanh_shrink": {},
    "threshold": {"threshold": ..., "default_value": ...},
    "squareplus": {"b": 4.0},
    "sparse_plus": {},
    "silu": {},
    "hard_silu": {},
    "sigmoid": {},
    "sparse_sigmoid": {},
    "hard_sigmoid": {},
    "log_sigmoid": {},
    "tanh": {},
    "hard_tanh": {},
    "exponential": {},
    "mish": {},
    "sqrt": {},
    "rsqrt": {},
    "reciprocal": {},
    "square": {},
    "negative": {},
    "log": {},
    "abs": {},
    "sign": {},
    "step": {},
    "is_zero": {},
    "floor": {},
    "ceil": {},
    "round": {},
    "sin": {},
    "cos": {},
    "arcsin": {},
    "arccos": {},
    "arctan": {},
    "erf": {},
    "power": {"exponent": ...},
}
# Functions that graphs have and keras.activations hasn't, named as NumPy and SciPy name them: step is 1 above zero, is_zero at zero, 0 elsewhere.
BEYOND = set("sqrt rsqrt reciprocal square negative log abs sign step is_zero floor ceil round sin cos arcsin arccos arctan erf power".split())


def call(name: str, **arguments: Any) -> str:
    """The written form: `relu`, `relu(max_value=6.0)`. Raises Unsupported where an argument without a default is missing."""
    defaults = FUNCTIONS[name]
    values = {k: v if isinstance(v, bool) or v is None else shortest(v) for k, v in arguments.items()}
    missing = [k for k, default in defaults.items() if default is ... and values.get(k) is None]
    if missing:
        raise Unsupported(f"has the activation {name} without {', '.join(missing)}")
    written = ", ".join(f"{k}={values[k]!r}" for k in defaults if k in values and values[k] is not None and values[k] != defaults[k])
    return f"{name}({written})" if written else name


def shortest(value: Any) -> float:
    """A number without the noise of float32: Keras 2 writes 0.3 as 0.30000001192092896. Raises Unsupported for what is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise Unsupported(f"has {short_repr(value)} where a number belongs") from error
    single = np.float32(number)
    return float(str(single)) if float(single) == number else number
