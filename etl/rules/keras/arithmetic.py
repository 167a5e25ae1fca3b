"""Operations that compute place by place: sums, products and functions of tensors and constants, as `keras.ops` and TensorFlow have them.

Tensors are ids without the batch axis; constants are float64 arrays, which become weights or biases. Constants alone stay constants: old
files compute shapes with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from etl.activations import FUNCTIONS, call
from etl.errors import Unsupported
from etl.network import leaves
from etl.rules.ids import Live, is_live
from etl.rules.scope import Edges, Ids, Scope, Weights

MOST_FACTORS = 64  # of x * x * ...: beyond it nobody means a power


def operand(value: Any) -> Ids | Weights:
    """Ids as they are, anything else as a constant array. Raises Unsupported for what is no number."""
    if is_live(value):
        return value
    if any(True for _ in leaves(value, Live)):
        raise Unsupported("has a list of tensors as an operand")
    try:
        array = np.asarray(value)
        return array if array.dtype.kind == "f" else array.astype(np.float64)  # a stored array stays a view of itself
    except (TypeError, ValueError) as error:
        raise Unsupported("has an operand that is neither a tensor nor numbers") from error


def constant(value: Any, name: str) -> Weights:
    """An operand that must not flow through the network. Raises Unsupported where it does."""
    if is_live(value):
        raise Unsupported(f"has a tensor as {name}; there is a rule for constants only")
    return operand(value)


def operands(*values: Any) -> tuple[Ids | Weights, ...]:
    """Operands without their batch axes. Raises Unsupported where a batch would meet another axis."""
    plain = [operand(value) for value in values]
    ranks = sorted({value.ndim for value in plain if is_live(value)})
    if len(ranks) > 1:
        raise Unsupported(f"brings tensors of {ranks[0] + 1} and {ranks[-1] + 1} axes together, so that a batch meets another axis")
    return tuple(value if is_live(value) or not ranks else constant_of_rank(value, ranks[0]) for value in plain)


def constant_of_rank(array: Weights, rank: int) -> Weights:
    """A constant beside ids of that rank: its batch axis, if it has one, must be one long. Raises Unsupported where it isn't."""
    if array.ndim <= rank:
        return array
    if array.ndim > rank + 1 or len(array) > 1:
        raise Unsupported(f"has a constant of shape {list(array.shape)} beside a tensor of {rank + 1} axes, so that a batch meets another axis")
    return array[0]


def both_constant(x: Any, y: Any) -> bool:
    return not is_live(x) and not is_live(y)


def add(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """x + y."""
    x, y = operands(x, y)
    if both_constant(x, y):
        return x + y
    edges = [Edges(term, over=0) for term in (x, y) if is_live(term)]
    return here.sum(*edges, bias=next((term for term in (x, y) if not is_live(term)), None))


def subtract(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """x - y."""
    x, y = operands(x, y)
    return x - y if both_constant(x, y) else difference(here, x, y)


def difference(here: Scope, x: Ids | Weights, y: Ids | Weights, scale: float = 1.0, **options: Any) -> Ids:
    """scale (x - y) of what `operands` returns; a constant is a bias."""
    signed = ((x, scale), (y, -scale))
    edges = [Edges(operand_, sign, over=0) for operand_, sign in signed if is_live(operand_)]
    return here.sum(*edges, bias=next((operand_ * sign for operand_, sign in signed if not is_live(operand_)), None), **options)


def multiply(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """x * y."""
    x, y = operands(x, y)
    if both_constant(x, y):
        return x * y
    if is_live(x) and is_live(y):
        return here.product(Edges(x, over=0), Edges(y, over=0))
    return here.sum(Edges(x, y, over=0) if is_live(x) else Edges(y, x, over=0))


def divide(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """x / y: a constant divisor is a weight 1 / y; a tensor has its `reciprocal` taken first."""
    x, y = operands(x, y)
    if not is_live(y):
        if not np.all(y):
            raise Unsupported("divides by zero")
        return here.sum(Edges(x, 1 / y, over=0)) if is_live(x) else x / y
    is_one = not is_live(x) and x.ndim == 0 and x == 1
    inverse = here.sum(Edges(y, over=0), part=None if is_one else "reciprocal", activation="reciprocal")
    if is_one:
        return inverse
    return here.product(Edges(x, over=0), Edges(inverse, over=0)) if is_live(x) else here.sum(Edges(inverse, x, over=0))


def divide_no_nan(here: Scope, x: Any, y: Any) -> Ids | Weights:
    """x / y, 0 where y is 0, for a constant y."""
    y = constant(y, "divisor")
    return multiply(here, x, np.divide(1, y, where=y != 0, out=np.zeros_like(y)))


def maximum(here: Scope, x: Any, y: Any) -> Ids:
    """The larger of x and y; a constant is a bias."""
    return extreme(here, "max", x, y)


def minimum(here: Scope, x: Any, y: Any) -> Ids:
    """The smaller of x and y; a constant is a bias."""
    return extreme(here, "min", x, y)


def extreme(here: Scope, op: str, x: Any, y: Any) -> Ids:
    x, y = operands(x, y)
    edges = [Edges(candidate, over=0) for candidate in (x, y) if is_live(candidate)]
    return here.neurons(op, edges, bias=next((candidate for candidate in (x, y) if not is_live(candidate)), None))


def squared_difference(here: Scope, x: Any, y: Any) -> Ids:
    """(x - y)^2."""
    x, y = operands(x, y)
    return difference(here, x, y, activation="square")


def power(here: Scope, x: Any, y: Any) -> Ids:
    """x to the power of a constant, or a positive constant to the power of x."""
    if is_live(y):
        base = constant(x, "base of a power")
        if not (base > 0).all():
            raise Unsupported("has a base that is not positive")
        return here.sum(Edges(y, constant_of_rank(np.log(base), y.ndim), over=0), activation="exponential")
    exponent = constant(y, "exponent")
    if exponent.size != 1:
        raise Unsupported("has exponents that differ from place to place")
    return power_of(here, operand(x), float(exponent.reshape(())))


def power_of(here: Scope, x: Ids, exponent: float) -> Ids:
    """x^exponent: small whole numbers as products of x with itself, fractions as exp(exponent * log(x)) with `log` first."""
    known = {1.0: "linear", 2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent in known:
        return here.sum(Edges(x, over=0), activation=known[exponent])
    if exponent == 0:
        return here.sum(bias=np.ones(x.shape))
    if not exponent.is_integer():
        logarithm = here.sum(Edges(x, over=0), part="log", activation="log")
        return here.sum(Edges(logarithm, exponent, over=0), activation="exponential")
    if abs(exponent) > MOST_FACTORS:
        raise Unsupported(f"has the exponent {exponent:g}; there is a rule for up to {MOST_FACTORS}")
    if exponent < 0:
        x = here.sum(Edges(x, over=0), part="reciprocal", activation="reciprocal")
    return here.product(Edges(x[..., None], np.ones(int(abs(exponent)))))


def add_all(here: Scope, inputs: Sequence[Any]) -> Ids:
    """The sum of a list of tensors."""
    return here.sum(*(Edges(term, over=0) for term in inputs)) if all(map(is_live, inputs)) else reduce(lambda x, y: add(here, x, y), inputs)


def bias_add(here: Scope, value: Ids, bias: Any, *, data_format: str | None = None) -> Ids:
    """x + bias, one number for each channel."""
    first = (data_format or "N...C").startswith("NC")
    array = constant(bias, "bias")
    return here.sum(Edges(value, over=0), bias=array.reshape(-1, *(1,) * (value.ndim - 1)) if first else array)


def clip(here: Scope, x: Ids, x_min: Any = None, x_max: Any = None) -> Ids:
    """x between two constants: a relu where the lower one is 0, otherwise `lower` (the larger of x and x_min), then the smaller of that and x_max."""
    low, high = (None if limit is None else constant_of_rank(constant(limit, "limit"), x.ndim) for limit in (x_min, x_max))
    if low is not None and low.ndim == 0 and low == 0 and (high is None or (high.ndim == 0 and high > 0)):
        return here.sum(Edges(x, over=0), activation=call("relu", max_value=None if high is None else float(high)))
    if low is None and high is None:
        return x
    if low is not None:
        x = here.max(Edges(x, over=0), part=None if high is None else "lower", bias=low)
    return x if high is None else here.min(Edges(x, over=0), bias=high)


def one_step(before: float, shift: float | None, activation: str) -> Callable[..., Ids]:
    """A rule for activation(before * x + shift) of each place."""

    def rule(here: Scope, x: Ids) -> Ids:
        return here.sum(Edges(x, before, over=0), bias=shift, activation=activation)

    rule.__doc__ = f"{activation}({f'{before:.6g} ' if before != 1 else ''}x{f' + {shift:g}' if shift else ''}) for each x."
    return rule


def two_steps(activation: str, after: float, shift: float | None) -> Callable[..., Ids]:
    """A rule for after * activation(x) + shift of each place."""

    def rule(here: Scope, x: Ids) -> Ids:
        inner = here.sum(Edges(x, over=0), part="inner", activation=activation)
        return here.sum(Edges(inner, after, over=0), bias=shift)

    rule.__doc__ = f"{f'{after:.6g} ' if after != 1 else ''}{activation}(x){f' + {shift:g}' if shift else ''} for each x."
    return rule


def function(name: str, **defaults: Any) -> Callable[..., Ids]:
    """A rule for one activation of each place; its options are the activation's arguments, `defaults` where the operation's own differ."""

    def rule(here: Scope, x: Ids, **options: Any) -> Ids:
        return here.sum(Edges(x, over=0), activation=call(name, **{**defaults, **options}))

    known = {k: defaults.get(k, default) for k, default in FUNCTIONS[name].items()}
    empty = inspect.Parameter.empty
    options = [
        inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=empty if d is ... else d, annotation=float | bool | None)
        for k, d in known.items()
    ]
    rule.__signature__ = inspect.Signature([*list(inspect.signature(rule, eval_str=True).parameters.values())[:2], *options])  # type: ignore[attr-defined]
    rule.__doc__ = f"{name}(x) for each x."
    return rule
