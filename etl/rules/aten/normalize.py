"""Normalisations along plain axes, each as the few small steps of its formula."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.rules.aten.values import live_or_constant_sum, multiply, numbers
from etl.rules.primitives.axes import across
from etl.rules.scope import Edges, Ids, Scope, Weights


def shift_and_scale(here: Scope, x: Ids, mean: Weights, variance: Weights, gamma: Any, beta: Any, epsilon: float, axis: int) -> Ids:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta with stored moments: one edge each. Arrays are (channels), along `axis`."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of placeholders
        weight = np.sqrt(variance.astype(np.float64) + epsilon) ** -1
        weight = weight if gamma is None else gamma * weight
        bias = -mean * weight if beta is None else beta - mean * weight
    shape = [1] * x.ndim
    shape[axis] = -1
    return here.sum(Edges(x, weight.reshape(shape), over=0), bias=bias.reshape(shape))


def normalized(
    here: Scope,
    x: Ids,
    axes: Sequence[int],
    epsilon: float,
    gamma: Any = None,
    beta: Any = None,
    shape: Sequence[int] | None = None,
    *,
    centre: bool = True,
) -> Ids:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta over some axes: `mean`, `centring`, `square`, `variance` (its rsqrt), `product`, sum.

    gamma, beta  broadcast to x. shape: of the result. centre: False for root mean squares, which leave the mean in
    """
    share = 1 / prod(x.shape[axis] for axis in axes)
    if centre:
        middle = here.sum(across(x, axes, share), part="mean")
        x = here.sum(Edges(x, over=0), Edges(middle, -1.0, over=0), part="centring")
    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    scale = here.sum(across(square, axes, share), part="variance", bias=epsilon, activation="rsqrt")
    own: dict[str, Any] = {} if shape is None else {"shape": tuple(shape), "axes": None}
    if gamma is not None and not hasattr(gamma, "axes"):
        edges = (Edges(x, numbers(gamma), over=0), Edges(scale, over=0))
    else:
        edges = (Edges(x, over=0), Edges(scale, over=0), *(() if gamma is None else (Edges(gamma, over=0),)))
    if beta is None:
        return here.product(*edges, **own)
    return live_or_constant_sum(here, Edges(here.product(*edges, part="product"), over=0), bias=beta, **own)


def unit(here: Scope, x: Ids, axes: Sequence[int], least: float, **options: Any) -> Any:
    """x / max(sqrt(sum(x^2)), least) along some axes: `square`, `length`, product."""
    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    whole = here.sum(across(square, axes), part="sum")
    length = here.max(Edges(whole, over=0), part="length", bias=least**2, activation="rsqrt")
    return multiply(here, x, length, **options)
