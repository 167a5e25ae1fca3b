"""Convolutions: every neuron reads one window through its filter."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import PerAxis
from etl.rules.keras.layout import axes, first, image, in_order
from etl.rules.primitives.windows import per_axis, span, transposed_windows, windows
from etl.rules.scope import Edges, Ids, Scope, Weights


def convolution(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    strides: PerAxis = 1,
    padding: str = "valid",
    dilation_rate: PerAxis = 1,
    groups: int = 1,
    activation: str = "linear",
    data_format: str | None = None,
) -> Ids:
    """Every neuron reads one window through its filter, in one, two or three dimensions.

    inputs (*axes, c), kernel (*size, c / groups, f) -> (*windows, f); edges (*windows, groups, f / groups, *size, c / groups).
    Groups are contiguous in channels and in filters.
    """
    rank = kernel.ndim - 2
    ids = image(here, inputs, data_format)
    check_channels(ids.shape[-1], kernel.shape[-2] * groups)
    patches = windows(ids, kernel.shape[:rank], per_axis(strides, rank), padding, per_axis(dilation_rate, rank))
    patches = np.moveaxis(patches.reshape(*patches.shape[:-1], groups, -1), -2, rank)  # (*windows, groups, *size, c / groups)
    filters = np.moveaxis(kernel, -1, 0).reshape(groups, -1, *kernel.shape[:-1])
    bias = None if bias is None else bias.reshape(groups, -1)
    return convolved(here, Edges(np.expand_dims(patches, rank + 1), filters, over=rank + 1), rank, bias, activation, data_format)


def transposed_convolution(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    strides: PerAxis = 1,
    padding: str = "valid",
    output_padding: PerAxis | None = None,
    dilation_rate: PerAxis = 1,
    groups: int = 1,
    activation: str = "linear",
    data_format: str | None = None,
) -> Ids:
    """A convolution's gradient: every input adds its filters to the outputs around it.

    inputs (*axes, c), kernel (*size, f, c) -> (*outputs, f); edges (*outputs, f, *size, c). The outputs are those whose convolution with
    the same options has the inputs' shape: keras.layers.Conv2DTranspose. Keras 2 writes `groups` and ignores it, here and below.
    """
    rank = kernel.ndim - 2
    ids = image(here, inputs, data_format)
    check_channels(ids.shape[-1], kernel.shape[-1])
    size, strides, dilation = kernel.shape[:rank], per_axis(strides, rank), per_axis(dilation_rate, rank)
    more = (None,) * rank if output_padding is None else per_axis(output_padding, rank)
    spans = [span(k, d) for k, d in zip(size, dilation, strict=True)]
    shape = [length(n, k, s, padding, p) for n, k, s, p in zip(ids.shape, spans, strides, more, strict=False)]
    before = [max((n - 1) * s + k - o, 0) // 2 if padding == "same" else 0 for n, k, s, o in zip(ids.shape, spans, strides, shape, strict=False)]
    patches = transposed_windows(ids, shape, size, strides, before, dilation)
    filters = np.moveaxis(np.flip(kernel, tuple(range(rank))), rank, 0)
    return convolved(here, Edges(np.expand_dims(patches, rank), filters, over=rank + 1), rank, bias, activation, data_format)


def length(size: int, window: int, stride: int, padding: str, more: int | None) -> int:
    """Rows that a transposed convolution returns; `more` is its output_padding."""
    if padding == "valid":
        return (size - 1) * stride + (max(window, stride) if more is None else window + more)
    if padding == "same":
        return size * stride if more is None else (size - 1) * stride + window % 2 + more
    raise Unsupported(f"has no rule for padding={padding!r}")


def depthwise_convolution(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    strides: PerAxis = 1,
    padding: str = "valid",
    dilation_rate: PerAxis = 1,
    groups: int = 1,
    activation: str = "linear",
    data_format: str | None = None,
    part: str | None = None,
) -> Ids:
    """Every neuron reads one window of one channel; output channel c * multiplier + m.

    inputs (*axes, c), kernel (*size, c, multiplier) -> (*windows, c * multiplier); edges (*windows, c, multiplier, *size).
    """
    rank = kernel.ndim - 2
    ids = image(here, inputs, data_format)
    check_channels(ids.shape[-1], kernel.shape[-2])
    patches = windows(ids, kernel.shape[:rank], per_axis(strides, rank), padding, per_axis(dilation_rate, rank))
    patches = np.expand_dims(np.moveaxis(patches, -1, rank), rank + 1)  # (*windows, c, 1, *size)
    filters = np.moveaxis(kernel, (-2, -1), (0, 1))
    bias = None if bias is None else bias.reshape(kernel.shape[-2:])
    return convolved(here, Edges(patches, filters, over=rank), rank, bias, activation, data_format, part)


def separable_convolution(
    here: Scope,
    inputs: Ids,
    *,
    depthwise_kernel: Weights,
    pointwise_kernel: Weights,
    bias: Weights | None = None,
    strides: PerAxis = 1,
    padding: str = "valid",
    dilation_rate: PerAxis = 1,
    groups: int = 1,
    activation: str = "linear",
    data_format: str | None = None,
) -> Ids:
    """A depthwise convolution (`name/depthwise`), then one of windows of one place that mixes its channels.

    inputs (*axes, c), depthwise_kernel (*size, c, multiplier), pointwise_kernel (*ones, c * multiplier, f) -> (*windows, f)
    """
    options: dict[str, Any] = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate, "data_format": data_format}
    depth = depthwise_convolution(here, inputs, kernel=depthwise_kernel, part="depthwise", **options)
    return convolution(here, depth, kernel=pointwise_kernel, bias=bias, activation=activation, data_format=data_format)


def convolved(here: Scope, edges: Edges, rank: int, bias: Weights | None, activation: str, data_format: str | None, part: str | None = None) -> Ids:
    """The neurons of a convolution in the file's order, from edges (*windows, *channels, ...); a bias (*channels)."""
    channels = range(rank, len(edges.out))
    shape = (*edges.out[:rank], prod(edges.out[rank:]))
    if first(data_format):
        shape = (shape[-1], *shape[:-1])
        bias = None if bias is None else bias.reshape(*bias.shape, *(1,) * rank)
    terms = in_order(edges, channels, data_format)
    return here.sum(terms, bias=bias, activation=activation, shape=shape, axes=axes(rank, data_format), part=part)


def check_channels(channels: int, kernel_channels: int) -> None:
    """Raises where input and kernel would only meet by broadcasting."""
    if channels != kernel_channels:
        raise ValueError(f"the input has {channels} channels, the kernel {kernel_channels}")
