"""Convolutions: every neuron reads one window through its filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.windows import as_given, channels_last, each, windows
from etl.scope import Edges, Ids, Scope, Weights


def convolution(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    strides: Any = 1,
    padding: str = "valid",
    dilation_rate: Any = 1,
    groups: int = 1,
    activation: str = "linear",
    data_format: str | None = None,
    kernel_size: Any = None,
) -> Ids:
    """Every neuron reads one window through its filter, in one, two or three dimensions.

    inputs (*axes, c), kernel (*size, c / groups, f) -> (*windows, f); edges (*windows, groups, f / groups, *size, c / groups).
    Groups are contiguous in channels and in filters.
    """
    rank = kernel.ndim - 2
    seen = windows(channels_last(inputs, data_format), kernel.shape[:rank], each(strides, rank), padding, each(dilation_rate, rank))
    seen = np.moveaxis(seen.reshape(*seen.shape[:-1], groups, -1), -2, rank)  # (*windows, groups, *size, c / groups)
    filters = np.moveaxis(kernel, -1, 0).reshape(groups, -1, *kernel.shape[:-1])
    bias = None if bias is None else bias.reshape(groups, -1)
    shape = (*seen.shape[:rank], kernel.shape[-1])
    made = here.sum(Edges(np.expand_dims(seen, rank + 1), filters, over=rank + 1), bias=bias, activation=activation, shape=shape)
    return as_given(made, data_format)
