"""Normalisations over plain axes, each as the few small steps of its formula."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.rules.ids import is_live
from etl.rules.primitives.axes import edges_along
from etl.rules.primitives.elementwise import add, multiply
from etl.rules.primitives.reductions import mean
from etl.rules.scope import NOTHING, Edges, Ids, Scope, Weights


def batch_normalization(here: Scope, x: Ids, scale: Any, shift: Any, middle: Weights, variance: Weights, epsilon: float, axis: int) -> Ids:
    """scale (x - mean) / sqrt(variance + epsilon) + shift: one edge each, weight scale / sqrt(...), bias shift - mean * weight."""
    weight = (1.0 if scale is None else scale) / np.sqrt(variance.astype(np.float64) + epsilon)
    bias = -middle * weight if shift is None else shift - middle * weight
    shape = [n if k == axis else 1 for k, n in enumerate(x.shape)]
    return here.sum(Edges(x, weight.reshape(shape), over=0), bias=bias.reshape(shape))


def centred(here: Scope, x: Ids, axes: Sequence[int]) -> Ids:
    """x - mean(x) over some axes."""
    return here.sum(Edges(x, over=0), Edges(mean(here, x, axes, True, part="mean"), -1.0, over=0), part="centring")


def inverse_deviation(here: Scope, x: Ids, axes: Sequence[int], epsilon: float) -> Ids:
    """1 / sqrt(mean(x^2) + epsilon) over some axes, which keep one place."""
    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    share = 1 / prod(x.shape[k] for k in axes)
    return here.sum(edges_along(square, axes, share), part="variance", bias=epsilon, activation="rsqrt")


def normalized(
    here: Scope, x: Ids, axes: Sequence[int], epsilon: float, scale: Any = None, shift: Any = None, *, center: bool = True, shape: Any = None
) -> Ids:
    """scale (x - mean) / sqrt(variance + epsilon) + shift over some axes: `mean`, `centring`, `square`, `variance` (its rsqrt), `product`, sum.

    scale, shift  broadcast to x; live or constant
    center        False: x as it is (https://arxiv.org/abs/1910.07467)
    """
    middle = centred(here, x, axes) if center else x
    return scaled(here, middle, inverse_deviation(here, middle, axes, epsilon), scale, shift, shape)


def scaled(here: Scope, x: Ids, factors: Ids, scale: Any, shift: Any, shape: Any = None) -> Ids:
    """scale x factors + shift: a product, and a sum after it where there is a shift."""
    last = None if shift is None else "product"
    if is_live(scale):
        product = multiply(here, multiply(here, x, factors, part="normal"), scale, part=last)
    else:
        edges = (Edges(x, 1.0 if scale is None else scale, over=0), Edges(factors, over=0))
        product = here.product(*edges, part=last, shape=shape if shift is None else None)
    if shift is None:
        return product.reshape(product.shape if shape is None else shape)
    if is_live(shift):
        return add(here, product, shift).reshape(product.shape if shape is None else shape)
    return here.sum(Edges(product, over=0), bias=shift, shape=shape)


def group_normalization(here: Scope, x: Ids, groups: int, epsilon: float, scale: Any = None, shift: Any = None) -> Ids:
    """Each group of channels and all its places together: x (n, c, ...), scale and shift (c)."""
    n, c = x.shape[:2]
    grouped = x.reshape(n, groups, c // groups, *x.shape[2:])
    shape = (1, groups, c // groups, *(1,) * (x.ndim - 2))
    scale, shift = (None if value is None else value.reshape(shape) for value in (scale, shift))
    return normalized(here, grouped, tuple(range(2, grouped.ndim)), epsilon, scale, shift, shape=x.shape)


def local_response(here: Scope, x: Ids, size: int, alpha: float, beta: float, bias: float) -> Ids:
    """x / (bias + alpha / size * sum of squares of the channels around)^beta: x (n, c, ...), floor((size - 1) / 2) channels before."""
    from etl.activations import call

    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    before, after = (size - 1) // 2, size // 2
    wide = np.pad(square, [(0, 0), (before, after), *((0, 0),) * (x.ndim - 2)], constant_values=NOTHING)
    neighbours = np.lib.stride_tricks.sliding_window_view(wide, size, axis=1)
    scale = here.sum(Edges(neighbours, alpha / size), bias=bias, activation=call("power", exponent=-beta), part="scale")
    return here.product(Edges(x, over=0), Edges(scale, over=0))
