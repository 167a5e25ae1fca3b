"""Layers of Keras 2 that look through windows with a filter of its own at each place."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.primitives.windows import as_given, channels_last, each, windows
from etl.rules.scope import Edges, Ids, Scope, Weights


def locally_connected(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    implementation: int = 1,
    activation: str = "linear",
) -> Ids:
    """Every neuron reads one window through a filter that no other place shares: (*axes, c) -> (*windows, f).

    kernel (windows, places of a window, f), bias (*windows, f); edges (windows, f, places)
    """
    if implementation != 1:
        raise Unsupported(f"has no rule for implementation={implementation!r}")
    rank = inputs.ndim - 1
    seen = windows(channels_last(inputs, data_format), each(kernel_size, rank), each(strides, rank), padding)
    flat = seen.reshape(len(kernel), 1, -1)
    shape = (*seen.shape[:rank], kernel.shape[-1])
    bias = None if bias is None else bias.reshape(len(kernel), -1)
    made = here.sum(Edges(flat, np.moveaxis(kernel, -1, 1)), bias=bias, activation=activation, shape=shape)
    return as_given(made, data_format)
