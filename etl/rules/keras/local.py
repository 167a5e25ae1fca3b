"""Layers of Keras 2 that look through windows with a filter of its own at each place."""

from __future__ import annotations

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import PerAxis
from etl.rules.keras.layout import axes, first, image
from etl.rules.primitives.windows import per_axis, windows
from etl.rules.scope import Edges, Ids, Scope, Weights


def locally_connected(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    bias: Weights | None = None,
    kernel_size: PerAxis,
    strides: PerAxis = 1,
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
    patches = windows(image(here, inputs, data_format), per_axis(kernel_size, rank), per_axis(strides, rank), padding)
    places, filters = patches.reshape(kernel.shape[0], 1, -1), np.moveaxis(kernel, -1, 1)
    bias = None if bias is None else bias.reshape(kernel.shape[0], -1)
    edges, shape = Edges(places, filters), (*patches.shape[:rank], kernel.shape[-1])
    if first(data_format):
        edges, shape, bias = edges.moved(1, 0), (shape[-1], *shape[:-1]), None if bias is None else bias.T
    return here.sum(edges, bias=bias, activation=activation, shape=shape, axes=axes(rank, data_format))
