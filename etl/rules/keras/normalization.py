"""Normalisations at inference, each as the few small steps of its formula."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.network import Layer
from etl.rules.arguments import SomeAxes
from etl.rules.binding import run
from etl.rules.misfits import shown
from etl.rules.primitives.axes import edges_along, inner, inner_axes, laid_along
from etl.rules.scope import Edges, Ids, Scope, Weight, Weights

EPSILON = 1e-7  # `keras.backend.epsilon()`


def batch_normalization(
    here: Scope,
    inputs: Ids,
    *,
    moving_mean: Weights,
    moving_variance: Weights,
    gamma: Weights | None = None,
    beta: Weights | None = None,
    axis: SomeAxes = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    fused: bool | None = None,
    moving_stddev: Weights | None = None,
    renorm_mean: Weights | None = None,
    renorm_stddev: Weights | None = None,
) -> Ids:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta: one edge each, weight gamma / sqrt(...), bias beta - mean * weight.

    moving_stddev, renorm_mean, renorm_stddev  of Keras 2 with `renorm`, which matters in training only
    """
    axes = inner_axes(axis, inputs.ndim)
    if len(axes) == 1:
        inputs = here.expect(inputs, tuple("channel" if place in axes else None for place in range(inputs.ndim)))
    weight = np.sqrt(moving_variance.astype(np.float64) + epsilon) ** -1
    weight = weight if gamma is None else gamma * weight
    bias = -moving_mean * weight if beta is None else beta - moving_mean * weight
    if len(axes) > 1:  # Keras 2 stores arrays of as many axes as the input has, batch included
        return here.sum(Edges(inputs, weight[0], over=0), bias=bias[0])
    return here.sum(Edges(inputs, laid_along(weight, axes, inputs.ndim), over=0), bias=laid_along(bias, axes, inputs.ndim))


def layer_normalization(
    here: Scope,
    inputs: Ids,
    *,
    gamma: Weights | None = None,
    beta: Weights | None = None,
    axis: SomeAxes = -1,
    epsilon: float | None = None,
    center: bool = True,
    scale: bool = True,
    rms_scaling: bool = False,
) -> Ids:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta over some axes: `mean`, `centring`, `square`, `variance` (its rsqrt), `product`, sum.

    rms_scaling  x is not centred in the product, and beta is left out (so Keras 3)
    """
    axes = inner_axes(axis, inputs.ndim)
    gamma, beta = (None if array is None else spread(array, inputs.shape, axes) for array in (gamma, None if rms_scaling else beta))
    centred = centring(here, inputs, axes)
    scales = deviation(here, centred, axes, EPSILON if epsilon is None else epsilon)
    return scaled(here, inputs if rms_scaling else centred, scales, gamma, beta)


def group_normalization(
    here: Scope,
    inputs: Ids,
    *,
    gamma: Weights | None = None,
    beta: Weights | None = None,
    groups: int = 32,
    axis: int = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
) -> Ids:
    """LayerNormalization over each group of channels and all places together; `groups` of -1: each channel by itself."""
    at = inner(axis, inputs.ndim)
    split = (inputs.shape[at] if groups == -1 else groups, -1)
    grouped = inputs.reshape(*inputs.shape[:at], *split, *inputs.shape[at + 1 :])
    axes = tuple(k for k in range(grouped.ndim) if k != at)
    shape = tuple(n if k in (at, at + 1) else 1 for k, n in enumerate(grouped.shape))
    gamma, beta = (None if array is None else array.reshape(shape) for array in (gamma, beta))
    centred = centring(here, grouped, axes)
    return scaled(here, centred, deviation(here, centred, axes, epsilon), gamma, beta, inputs.shape)


def rms_normalization(here: Scope, inputs: Ids, *, scale: Weights | None = None, axis: SomeAxes = -1, epsilon: float | None = None) -> Ids:
    """scale x / sqrt(mean(x^2) + epsilon) over some axes: `square`, `variance` (its rsqrt), product (https://arxiv.org/abs/1910.07467)."""
    scales = deviation(here, inputs, inner_axes(axis, inputs.ndim), EPSILON if epsilon is None else epsilon)
    return scaled(here, inputs, scales, scale, None)


def unit_normalization(here: Scope, inputs: Ids, *, axis: SomeAxes = -1) -> Ids:
    """x over its length along some axes: `square`, `sum`, `length` (its rsqrt), product."""
    return unit(here, inputs, inner_axes(axis, inputs.ndim), 1e-24)


def unit_normalization_2(here: Scope, inputs: Ids, *, axis: SomeAxes = -1) -> Ids:
    """The same in Keras 2, which takes lengths below 1e-6 as that."""
    return unit(here, inputs, inner_axes(axis, inputs.ndim), 1e-12)


def unit(here: Scope, inputs: Ids, axes: Sequence[int], least: float, part: str | None = None) -> Ids:
    """x / sqrt(max(sum(x^2), least))."""
    within = f"{part}/" if part else ""
    square = here.product(Edges(inputs, over=0), Edges(inputs, over=0), part=f"{within}square")
    total = here.sum(edges_along(square, axes), part=f"{within}sum")
    length = here.max(Edges(total, over=0), part=f"{within}length", bias=least, activation="rsqrt")
    return here.product(Edges(inputs, over=0), Edges(length, over=0), part=part)


def centring(here: Scope, inputs: Ids, axes: Sequence[int]) -> Ids:
    """x - mean(x) over some axes."""
    mean = here.sum(edges_along(inputs, axes, 1 / prod(inputs.shape[k] for k in axes)), part="mean")
    return here.sum(Edges(inputs, over=0), Edges(mean, -1.0, over=0), part="centring")


def deviation(here: Scope, inputs: Ids, axes: Sequence[int], epsilon: float) -> Ids:
    """1 / sqrt(mean(x^2) + epsilon) over some axes, which keep one place."""
    square = here.product(Edges(inputs, over=0), Edges(inputs, over=0), part="square")
    share = 1 / prod(inputs.shape[k] for k in axes)
    return here.sum(edges_along(square, axes, share), part="variance", bias=epsilon, activation="rsqrt")


def scaled(here: Scope, inputs: Ids, scales: Ids, gamma: Weights | None, beta: Weights | None, shape: Sequence[int] | None = None) -> Ids:
    """gamma x s + beta: a product, and a sum after it where there is a beta."""
    edges = (Edges(inputs, 1.0 if gamma is None else gamma, over=0), Edges(scales, over=0))
    if beta is None:
        return here.product(*edges, shape=shape)
    return here.sum(Edges(here.product(*edges, part="product"), over=0), bias=beta, shape=shape)


def spread(array: Weights, shape: Sequence[int], axes: Sequence[int]) -> Weights:
    """A stored array that belongs to some axes, in the shape of all: read in C order, whatever order the file lists the axes in."""
    return array.reshape([n if k in axes else 1 for k, n in enumerate(shape)])


def normalization(
    here: Scope, inputs: Ids, *, mean: Any = None, variance: Any = None, count: Weights | None = None, axis: SomeAxes = -1, invert: bool = False
) -> Ids:
    """(x - mean) / sqrt(variance), from the configuration or adapted: one edge each, weight 1 / sqrt(variance), bias -mean * weight.

    invert  the way back: weight sqrt(variance), bias mean
    """
    if mean is None or variance is None:
        raise Unsupported("was never adapted: it has neither mean nor variance")
    axes = () if axis is None else inner_axes(axis, inputs.ndim)
    sizes = [inputs.shape[k] for k in axes]
    mean, variance = (laid_along(np.broadcast_to(number(statistic), sizes), axes, inputs.ndim) for statistic in (mean, variance))
    spread = np.maximum(np.sqrt(variance), EPSILON)
    if invert:
        return here.sum(Edges(inputs, spread, over=0), bias=mean)
    return here.sum(Edges(inputs, 1 / spread, over=0), bias=-mean / spread)


def rescaling(here: Scope, inputs: Ids, *, scale: Any, offset: Any = 0.0) -> Ids:
    """scale x + offset, each one number or one for each channel."""
    offset = number(offset)
    return here.sum(Edges(inputs, number(scale), over=0), bias=offset if np.any(offset) else None)


def number(value: Any) -> Weight:
    """A number or list of numbers, also where the file wraps it up as an array."""
    if isinstance(value, dict):
        value = value.get("config", {}).get("value") if isinstance(value.get("config"), dict) else None
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise Unsupported(f"has {shown(value)} where a number belongs") from error


def layer_scale(here: Scope, inputs: Ids, *, gamma: Weights, init_values: Any = None, projection_dim: Any = None) -> Ids:
    """gamma x, one gamma for each channel (https://arxiv.org/abs/2103.17239; in ConvNeXt)."""
    return here.sum(Edges(inputs, gamma, over=0))


def spectral_normalization(here: Scope, inputs: Ids, *, layer: Layer, vector_u: Weights | None = None, power_iterations: int = 1) -> Any:
    """The layer inside, with its kernel as stored: it was normalised in training, inference leaves it alone."""
    return run(layer, here, (inputs,), {})
