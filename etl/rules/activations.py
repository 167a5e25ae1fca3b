"""Names of activations: whatever a file writes becomes a call of a function in Keras 3's `keras.activations`, arguments that are not defaults by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.scope import Edges, Ids, Scope

# name -> its arguments and their defaults in Keras 3
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
    "threshold": {"threshold": 0.0, "default_value": 0.0},
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
    # beyond keras.activations
    "sqrt": {},
    "rsqrt": {},
    "reciprocal": {},
    "square": {},
    "negative": {},
    "log": {},
    "abs": {},
}

ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "exp": "exponential", "identity": "linear"}


def call(name: str, **arguments: Any) -> str:
    """The written form: `relu`, `relu(max_value=6.0)`."""
    defaults = FUNCTIONS[name]
    given = {k: float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v for k, v in arguments.items()}
    told = ", ".join(f"{k}={given[k]!r}" for k in defaults if k in given and given[k] is not None and given[k] != defaults[k])
    return f"{name}({told})" if told else name


def canonical(value: Any, keras: int) -> str:
    """The activation that a file's value means in its own Keras (2 or 3). Raises Unsupported for anything that is not a known function."""
    if value is None:
        return "linear"
    if isinstance(value, Mapping):
        config = value.get("config")
        if isinstance(config, str):
            return canonical(config, keras)
        return of_layer(str(value.get("class_name")), config if isinstance(config, Mapping) else {}, keras)
    name = ALIASES.get(str(value), str(value))
    if name == "hard_sigmoid" and keras == 2:
        return "keras2.hard_sigmoid"
    if name in FUNCTIONS or name in SPELLED:
        return name
    raise Unsupported(f"has the activation {value!r}, which is none of Keras' own")


def of_layer(kind: str, options: Mapping[str, Any], keras: int) -> str:
    """An activation given as a layer: `Dense(activation=LeakyReLU())`."""
    if kind == "ReLU":
        return call("relu", **{k: options.get(k) for k in ("negative_slope", "max_value", "threshold")})
    if kind == "LeakyReLU":
        return call("leaky_relu", negative_slope=options.get("negative_slope", options.get("alpha", 0.3)))
    if kind == "ELU":
        return call("elu", alpha=options.get("alpha", 1.0))
    if kind == "Activation":
        return canonical(options.get("activation"), keras)
    if kind == "Softmax" and options.get("axis", -1) == -1:
        return "softmax"
    raise Unsupported(f"has a {kind} as its activation, for which there is no rule")


def keras2_hard_sigmoid(here: Scope, inputs: Ids, *, part: str | None = None) -> Ids:
    """clip(0.2 x + 0.5, 0, 1), Keras 2's own; Keras 3 means relu6(x + 3) / 6 by the same name."""
    return here.sum(Edges(inputs, np.float32(0.2), over=0), part=part, bias=np.float32(0.5), activation="relu(max_value=1.0)")


# Activations that are not one function of one number: written out as neurons of their own.
SPELLED: dict[str, Callable[..., Ids]] = {"keras2.hard_sigmoid": keras2_hard_sigmoid}
