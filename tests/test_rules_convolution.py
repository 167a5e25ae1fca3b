"""Convolutions of every kind against the framework's prediction, and their edges by arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import BadFile, Unsupported
from etl.graph import trace
from etl.readers import read_keras_model
from etl.rules.windows import spread, windows
from etl.scope import NOTHING
from tests.oracle import check

L = keras.layers
CPU = "this machine's TensorFlow has no such kernel on the CPU"


def sequential(shape, *layers, package=keras):
    return package.Sequential([package.Input(shape), *layers])


# shape, layer, its options, edges: outputs x what each sees (inside the image)
CONVOLUTIONS = [
    ((9, 3), "Conv1D", {"filters": 4, "kernel_size": 3}, 7 * 4 * 3 * 3),
    ((9, 3), "Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, 4 * 3 * (7 * 3 + 2 + 1)),
    ((9, 3), "Conv1D", {"filters": 2, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, 2 * 3 * (9 + 7 + 5)),
    ((9, 3), "Conv1D", {"filters": 2, "kernel_size": 4, "padding": "same", "strides": 2}, 2 * 3 * (3 + 4 * 3 + 2)),
    ((9, 4), "Conv1D", {"filters": 6, "kernel_size": 2, "groups": 2}, 8 * 6 * 2 * 2),
    ((7, 6, 3), "Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}, 5 * 4 * 4 * 27),
    ((7, 6, 3), "Conv2D", {"filters": 4, "kernel_size": [3, 2], "strides": [3, 3]}, 2 * 2 * 4 * 18),
    ((7, 6, 3), "Conv2D", {"filters": 2, "kernel_size": [3, 2], "strides": 2, "padding": "same"}, 2 * 3 * (2 + 3 + 3 + 2) * (2 + 2 + 2)),
    ((7, 6, 3), "Conv2D", {"filters": 2, "kernel_size": 3, "dilation_rate": [1, 2], "padding": "same", "use_bias": False}, 2 * 3 * 19 * 14),
    ((7, 6, 4), "Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2, "strides": 2}, 3 * 2 * 6 * 9 * 2),
    ((7, 6, 4), "Conv2D", {"filters": 8, "kernel_size": 1, "groups": 4}, 7 * 6 * 8),
    ((5, 4, 6, 2), "Conv3D", {"filters": 3, "kernel_size": [2, 3, 2]}, 4 * 2 * 5 * 3 * 12 * 2),
    ((5, 4, 6, 2), "Conv3D", {"filters": 3, "kernel_size": 2, "strides": [2, 1, 2], "padding": "same"}, 3 * 2 * 5 * 7 * 6),
    ((5, 4, 6, 2), "Conv3D", {"filters": 4, "kernel_size": 2, "groups": 2}, 4 * 3 * 5 * 4 * 8),
    ((9, 3), "DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, 7 * 6 * 3),
    ((9, 3), "DepthwiseConv1D", {"kernel_size": 3, "padding": "same", "dilation_rate": 2}, 3 * (9 + 7 + 7)),
    ((7, 6, 3), "DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "tanh"}, 5 * 4 * 6 * 9),
    ((7, 6, 3), "DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, 3 * (2 + 3 + 3 + 2) * (3 + 3 + 2)),
    ((7, 6, 3), "DepthwiseConv2D", {"kernel_size": [2, 3], "dilation_rate": 2, "use_bias": False}, 5 * 2 * 3 * 6),
    ((9, 3), "SeparableConv1D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}, 7 * 6 * 3 + 7 * 4 * 6),
    ((9, 3), "SeparableConv1D", {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}, 3 * (2 + 3 * 3 + 2) + 5 * 4 * 3),
    ((7, 6, 3), "SeparableConv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}, 5 * 4 * 3 * 9 + 5 * 4 * 4 * 3),
    ((7, 6, 3), "SeparableConv2D", {"filters": 4, "kernel_size": 2, "depth_multiplier": 2, "dilation_rate": 2}, 5 * 4 * 6 * 4 + 5 * 4 * 4 * 6),
    # transposed, valid: every input reaches every place of its filters
    ((5, 3), "Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, 5 * 3 * 4 * 3),
    ((5, 3), "Conv1DTranspose", {"filters": 4, "kernel_size": 2, "strides": 3}, 5 * 3 * 4 * 2),
    ((5, 3), "Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "output_padding": 1}, 5 * 3 * 4 * 3),
    ((5, 3), "Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"}, 3 * 4 * (5 * 3 - 1)),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": 3}, 5 * 4 * 3 * 2 * 9),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": [3, 2], "strides": [2, 3], "activation": "relu"}, 5 * 4 * 3 * 2 * 6),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": 4, "strides": 2, "padding": "same"}, 3 * 2 * (5 * 4 - 2) * (4 * 4 - 2)),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": 5, "strides": 2, "padding": "same", "use_bias": False}, 3 * 2 * (25 - 3) * (20 - 3)),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0}, 3 * 2 * 13 * 10),
    ((5, 4, 3), "Conv2DTranspose", {"filters": 2, "kernel_size": 3, "strides": 3, "padding": "valid", "output_padding": [2, 1]}, 5 * 4 * 3 * 2 * 9),
    ((3, 4, 2, 2), "Conv3DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, 3 * 4 * 2 * 2 * 3 * 27),
    ((3, 4, 2, 2), "Conv3DTranspose", {"filters": 3, "kernel_size": [2, 3, 3], "strides": [1, 2, 2], "padding": "same"}, None),
]


@pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])
@pytest.mark.parametrize(("shape", "kind", "options", "edges"), CONVOLUTIONS)
def test_computes_what_the_framework_does(shape, kind, options, edges, package):
    graph = check(sequential(shape, getattr(package.layers, kind)(**options), package=package))
    assert edges is None or graph.edges == edges
