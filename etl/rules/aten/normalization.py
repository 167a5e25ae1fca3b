"""Normalisations, of values and of weights. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import TRAINING, Sizes, Value, all_constant, given, live_or_constant_sum, multiply, numbers
from etl.rules.aten.views import sizes
from etl.rules.aten.windows import axes_names
from etl.rules.ids import Ids, is_live
from etl.rules.primitives.axes import edges_along
from etl.rules.scope import Edges, Scope, Weights


def batch_norm(
    here: Scope,
    input: Value,
    weight: Value | None = None,
    bias: Value | None = None,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> Value:
    """gamma (x - mean) / sqrt(variance + eps) + beta with stored moments: one edge each. A constant, such as a kernel, may be taken by its own."""
    if all_constant(input, weight, bias):
        moments = None if training else (given(running_mean), given(running_var))
        return normalized_constant(numbers(input), weight, bias, moments, eps)
    if training or running_mean is None or running_var is None:
        raise Unsupported(f"takes the moments of the batch: it {TRAINING}")
    x = here.expect(input, axes_names(input.ndim - 2)) if input.ndim > 2 else input
    return shift_and_scale(here, x, running_mean, running_var, weight, bias, eps, axis=1)


def normalized_constant(x: Value, weight: Value | None, bias: Value | None, moments: tuple[Value, Value] | None, eps: float) -> Value:
    """The same of constants (batch, channels, *places); without stored moments, with those of each channel."""
    across, shape = (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))
    mean, variance = (x.mean(across), x.var(across)) if moments is None else moments
    gamma, beta = (np.ones_like(mean) if weight is None else weight), (np.zeros_like(mean) if bias is None else bias)
    return (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + eps) * gamma.reshape(shape) + beta.reshape(shape)


def layer_norm(
    here: Scope,
    input: Value,
    normalized_shape: Sizes,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = False,
) -> Value:
    """gamma (x - mean) / sqrt(variance + eps) + beta over the last axes."""
    axes = range(input.ndim - len(sizes(normalized_shape)), input.ndim)
    return normalized(here, input, tuple(axes), eps, weight, bias)


def rms_norm(here: Scope, input: Value, normalized_shape: Sizes, weight: Value | None = None, eps: float | None = None) -> Value:
    """gamma x / sqrt(mean(x^2) + eps) over the last axes."""
    axes = range(input.ndim - len(sizes(normalized_shape)), input.ndim)
    return normalized(here, input, tuple(axes), float(np.finfo(np.float32).eps) if eps is None else eps, weight, centre=False)


def group_norm(
    here: Scope, input: Value, num_groups: int, weight: Value | None = None, bias: Value | None = None, eps: float = 1e-5, cudnn_enabled: bool = False
) -> Value:
    """Normalisation over each group of channels and all places together."""
    grouped = input.reshape(input.shape[0], num_groups, -1, *input.shape[2:])
    shape = (num_groups, -1, *(1,) * (input.ndim - 2))
    gamma, beta = (None if array is None else array.reshape(shape) for array in (weight, bias))
    outputs = normalized(here, grouped, tuple(range(2, grouped.ndim)), eps, gamma, beta, input.shape)
    return here.expect(outputs, axes_names(input.ndim - 2)) if input.ndim > 2 and is_live(outputs) else outputs


def instance_norm(
    here: Scope,
    input: Value,
    weight: Value | None = None,
    bias: Value | None = None,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = False,
) -> Value:
    """Normalisation over the places of each channel, or with stored moments."""
    if not use_input_stats:
        return batch_norm(here, input, weight, bias, running_mean, running_var, False, momentum, eps)
    shape = (-1, *(1,) * (input.ndim - 2))
    gamma, beta = (None if array is None else array.reshape(shape) for array in (weight, bias))
    return normalized(here, input, tuple(range(2, input.ndim)), eps, gamma, beta)


def weight_norm(here: Scope, v: Value, g: Value, dim: int = 0) -> Value:
    """g v / |v|, the length taken along all axes but one."""
    if is_live(v) or is_live(g):
        raise Unsupported("normalises a weight that depends on the example")
    axes = tuple(axis for axis in range(v.ndim) if axis != dim)
    with np.errstate(divide="ignore", invalid="ignore"):
        return v * (g / np.sqrt(np.sum(np.square(v), axis=axes, keepdims=True)))


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
    if not is_live(x):
        return normalized_numbers(x, tuple(axes), epsilon, gamma, beta, shape, centre)
    share = 1 / prod(x.shape[axis] for axis in axes)
    if centre:
        middle = here.sum(edges_along(x, axes, share), part="mean")
        x = here.sum(Edges(x, over=0), Edges(middle, -1.0, over=0), part="centring")
    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    scale = here.sum(edges_along(square, axes, share), part="variance", bias=epsilon, activation="rsqrt")
    own: dict[str, Any] = {} if shape is None else {"shape": tuple(shape), "axes": None}
    if gamma is not None and not hasattr(gamma, "axes"):
        edges = (Edges(x, numbers(gamma), over=0), Edges(scale, over=0))
    else:
        edges = (Edges(x, over=0), Edges(scale, over=0), *(() if gamma is None else (Edges(gamma, over=0),)))
    if beta is None:
        return here.product(*edges, **own)
    return live_or_constant_sum(here, Edges(here.product(*edges, part="product"), over=0), bias=beta, **own)


def normalized_numbers(x: Any, axes: tuple[int, ...], epsilon: float, gamma: Any, beta: Any, shape: Sequence[int] | None, centre: bool) -> Any:
    """The same of constants alone."""
    middle = x - x.mean(axes, keepdims=True) if centre else x
    outputs = middle / np.sqrt(np.square(middle).mean(axes, keepdims=True) + epsilon)
    outputs = outputs * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta)
    return outputs if shape is None else outputs.reshape(tuple(shape))


def unit(here: Scope, x: Ids, axes: Sequence[int], least: float, **options: Any) -> Any:
    """x / max(sqrt(sum(x^2)), least) along some axes: `square`, `length`, product."""
    square = here.product(Edges(x, over=0), Edges(x, over=0), part="square")
    whole = here.sum(edges_along(square, axes), part="sum")
    length = here.max(Edges(whole, over=0), part="length", bias=least**2, activation="rsqrt")
    return multiply(here, x, length, **options)
