"""Activation layers: one neuron for each of its inputs', or a few where the function is none of Keras' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.activations import call
from etl.rules.arguments import SomeAxes
from etl.rules.primitives.axes import edges_along, inner_axes
from etl.rules.scope import Edges, Ids, Scope, Weights


def activation_layer(here: Scope, inputs: Ids, *, activation: str) -> Ids:
    """activation(x) for each x: edges of weight 1."""
    return here.sum(Edges(inputs, over=0), activation=activation)


def relu(here: Scope, inputs: Ids, *, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> Ids:
    """x above the threshold, up to max_value; below it negative_slope (x - threshold)."""
    return activation_layer(
        here, inputs, activation=call("relu", max_value=max_value, negative_slope=negative_slope or 0.0, threshold=threshold or 0.0)
    )


def leaky_relu(here: Scope, inputs: Ids, *, negative_slope: float | None = None, alpha: float | None = None) -> Ids:
    """x above 0, below it negative_slope x; 0.3 where the file says nothing. Keras 2 calls the slope `alpha`."""
    slope = negative_slope if negative_slope is not None else 0.3 if alpha is None else alpha
    return activation_layer(here, inputs, activation=call("leaky_relu", negative_slope=slope))


def thresholded_relu(here: Scope, inputs: Ids, *, theta: float = 1.0) -> Ids:
    """x above theta, otherwise 0 (Keras 2)."""
    return activation_layer(here, inputs, activation=call("relu", threshold=theta))


def elu(here: Scope, inputs: Ids, *, alpha: float = 1.0) -> Ids:
    """x above 0, below it alpha (exp(x) - 1)."""
    return activation_layer(here, inputs, activation=call("elu", alpha=alpha))


def prelu(here: Scope, inputs: Ids, *, alpha: Weights, shared_axes: Any = None) -> Ids:
    """x above 0, below it alpha x with alpha learnt: max(x, 0) in `positive`, min(x, 0) in `negative`, and positive + alpha negative.

    alpha (...) with one place along shared axes; the edge of weight alpha is the stored number
    """
    positive = here.max(Edges(inputs, over=0), part="positive", bias=0.0)
    negative = here.min(Edges(inputs, over=0), part="negative", bias=0.0)
    return here.sum(Edges(positive, over=0), Edges(negative, alpha, over=0))


def softmax(here: Scope, inputs: Ids, *, axis: SomeAxes = -1) -> Ids:
    """exp(x) over its sum along one axis or several: one neuron each along the last axis, written out along others."""
    axes = inner_axes(axis, inputs.ndim)
    if axes == (inputs.ndim - 1,):
        return activation_layer(here, inputs, activation="softmax")
    shifted = here.sum(Edges(inputs, over=0), Edges(largest(here, inputs, axes), -1.0, over=0), part="exponential", activation="exponential")
    reciprocal = here.sum(edges_along(shifted, axes), part="sum", activation="reciprocal")
    return here.product(Edges(shifted, over=0), Edges(reciprocal, over=0))


def log_softmax(here: Scope, inputs: Ids, *, axis: SomeAxes = -1) -> Ids:
    """The logarithm of softmax: one neuron each along the last axis; x - max - log(sum(exp(x - max))) along others."""
    axes = inner_axes(axis, inputs.ndim)
    if axes == (inputs.ndim - 1,):
        return activation_layer(here, inputs, activation="log_softmax")
    top = largest(here, inputs, axes)
    log_sum = logarithm(here, inputs, top, axes)
    return here.sum(Edges(inputs, over=0), Edges(top, -1.0, over=0), Edges(log_sum, -1.0, over=0))


def logsumexp(here: Scope, inputs: Ids, *, axis: SomeAxes | None = None, keepdims: bool = False) -> Ids:
    """log(sum(exp(x))) along some axes, as max + log(sum(exp(x - max)))."""
    axes = inner_axes(axis, inputs.ndim)
    top = largest(here, inputs, axes)
    shape = top.shape if keepdims else np.squeeze(top, axes).shape
    return here.sum(Edges(top, over=0), Edges(logarithm(here, inputs, top, axes), over=0), shape=shape)


def largest(here: Scope, inputs: Ids, axes: tuple[int, ...]) -> Ids:
    """The largest along some axes, which keep one place: what exponentials are shifted by."""
    return here.max(edges_along(inputs, axes), part="max")


def logarithm(here: Scope, inputs: Ids, top: Ids, axes: tuple[int, ...]) -> Ids:
    """log(sum(exp(x - top)))."""
    shifted = here.sum(Edges(inputs, over=0), Edges(top, -1.0, over=0), part="exponential", activation="exponential")
    return here.sum(edges_along(shifted, axes), part="log_sum", activation="log")
