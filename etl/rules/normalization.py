"""Normalisations at inference."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.scope import Edges, Ids, Scope, Weights


def along(array: Weights, axis: int, rank: int) -> Weights:
    """A vector laid along one axis of arrays of that rank; `axis` counts the batch axis, as Keras does."""
    shape = [1] * rank
    shape[axis - 1 if axis > 0 else axis] = -1
    return array.reshape(shape)


def batch_normalization(
    here: Scope,
    inputs: Ids,
    *,
    moving_mean: Weights,
    moving_variance: Weights,
    gamma: Weights | None = None,
    beta: Weights | None = None,
    axis: Any = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
) -> Ids:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta: one edge each, weight gamma / sqrt(...), bias beta - mean * weight."""
    (axis,) = axis if isinstance(axis, list | tuple) else (axis,)
    weight = np.sqrt(moving_variance.astype(np.float64) + epsilon) ** -1
    weight = weight if gamma is None else gamma * weight
    bias = -moving_mean * weight if beta is None else beta - moving_mean * weight
    return here.sum(Edges(inputs, along(weight, axis, inputs.ndim), over=0), bias=along(bias, axis, inputs.ndim))
