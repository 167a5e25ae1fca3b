"""The page of all rules: layer kind -> the function that says who meets whom.

A rule takes a Scope, the ids of the layer's inputs, and as keywords the options and weights that it supports; it returns the ids of
the outputs. What a rule doesn't name is refused. To add one: docs/adding-a-layer.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.rules.activation import activation_layer
from etl.rules.convolution import convolution
from etl.rules.dense import dense
from etl.rules.normalization import batch_normalization
from etl.rules.pooling import average_pooling_2d, max_pooling_2d
from etl.rules.shape import flatten, permute, reshape, unchanged

RULES: dict[str, Callable[..., Any]] = {
    "Dense": dense,
    "Conv2D": convolution,
    "MaxPooling2D": max_pooling_2d,
    "AveragePooling2D": average_pooling_2d,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "Dropout": unchanged,
    "Activation": activation_layer,
    "BatchNormalization": batch_normalization,
}
