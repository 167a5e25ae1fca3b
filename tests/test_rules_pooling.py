"""Pools of every kind against the framework's prediction, their edges by arithmetic, and what counts as a value where they reach over a border."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from etl.errors import EtlError
from etl.graph.trace import trace
from etl.readers import read_keras_model
from tests.handmade import graph_of, layer
from tests.oracle import check, check_channels_first

BOTH = [keras, tf_keras]
NAMES = ["keras3", "keras2"]


def sequential(shape, *layers, package=keras):
    return package.Sequential([package.Input(shape), *layers])


# shape, options, edges of a pool: what each output sees inside the image, times outputs
POOLS = [
    ((9, 3), {"pool_size": 3}, 3 * 3 * 3),
    ((9, 3), {"pool_size": 4, "strides": 2}, 3 * 3 * 4),
    ((9, 3), {"pool_size": 4, "strides": 2, "padding": "same"}, 3 * (3 + 4 * 3 + 2)),
    ((9, 3), {"pool_size": 2, "strides": 3, "padding": "same"}, 3 * 6),
    ((7, 6, 3), {"pool_size": 2}, 3 * 3 * 3 * 4),
    ((7, 6, 3), {"pool_size": 3, "strides": 1, "padding": "same"}, 3 * 19 * 16),
    ((7, 6, 3), {"pool_size": [3, 2], "strides": [2, 3], "padding": "same"}, 3 * (2 + 3 + 3 + 2) * 4),
    ((7, 6, 3), {"pool_size": [3, 2], "strides": 2, "data_format": "channels_first"}, 7 * 2 * 1 * 6),
    ((5, 4, 6, 2), {"pool_size": 2}, 2 * 2 * 3 * 2 * 8),
    ((5, 4, 6, 2), {"pool_size": [2, 3, 2], "strides": [2, 1, 3], "padding": "same"}, 2 * 5 * 10 * 4),
    ((2, 5, 4, 6), {"pool_size": 2, "padding": "same", "data_format": "channels_first"}, 2 * 5 * 4 * 6),
]


@pytest.mark.parametrize("package", BOTH, ids=NAMES)
@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
@pytest.mark.parametrize(("shape", "options", "edges"), POOLS)
def test_pools_compute_what_the_framework_does(kind, shape, options, edges, package):
    layer = getattr(package.layers, f"{kind}{len(shape) - 1}D")
    if "data_format" in options:
        last = {**options, "data_format": "channels_last"}
        turned = sequential((*shape[1:], shape[0]), layer(**last), package=package)
        graph = check_channels_first(sequential(shape, layer(**options), package=package), turned)
    else:
        graph = check(sequential(shape, layer(**options), package=package))
    assert graph.edges == edges


@pytest.mark.parametrize("package", BOTH, ids=NAMES)
@pytest.mark.parametrize("kind", ["GlobalMaxPooling", "GlobalAveragePooling"])
@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3), (5, 4, 2, 3)])
@pytest.mark.parametrize("options", [{}, {"keepdims": True}, {"data_format": "channels_first"}, {"data_format": "channels_first", "keepdims": True}])
def test_global_pools_compute_what_the_framework_does(kind, shape, options, package):
    layer = getattr(package.layers, f"{kind}{len(shape) - 1}D")(**options)
    graph = check(sequential(shape, layer, package=package))
    channels = shape[0] if "data_format" in options else shape[-1]
    ones = (1,) * (len(shape) - 1) if "keepdims" in options else ()
    assert graph.rows[-1].shape == ((channels, *ones) if "data_format" in options else (*ones, channels))
    assert graph.edges == np.prod(shape)


@pytest.mark.parametrize("kind", ["AdaptiveMaxPooling", "AdaptiveAveragePooling"])
@pytest.mark.parametrize(
    ("shape", "size", "edges"),
    [
        ((9, 3), 4, 3 * (3 + 3 + 3 + 3)),  # windows 0-3, 2-5, 4-7, 6-9
        ((3, 2), 5, 2 * (1 + 2 + 1 + 2 + 1)),  # more windows than places
        ((7, 6, 3), (7, 3), 3 * 7 * 6),
        ((7, 6, 3), (5, 4), 3 * (2 + 2 + 3 + 2 + 2) * 8),
        ((5, 4, 7, 2), (2, 3, 3), 2 * 6 * 6 * (3 + 3 + 3)),
    ],
)
def test_adaptive_pools_compute_what_the_framework_does(kind, shape, size, edges):
    rank = len(shape) - 1
    assert check(sequential(shape, getattr(keras.layers, f"{kind}{rank}D")(size))).edges == edges
    swapped = (shape[-1], *shape[:-1])
    assert check(sequential(swapped, getattr(keras.layers, f"{kind}{rank}D")(size, data_format="channels_first"))).edges == edges


@pytest.mark.parametrize("package", BOTH, ids=NAMES)
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D"])
def test_a_padded_zero_is_a_value(kind, package):
    """ZeroPadding's zeros count in a mean and win over negative numbers; the pool's own padding does neither."""
    layers = package.layers
    options = {} if "Global" in kind else {"pool_size": 3, "strides": 2, "padding": "same"}
    model = sequential((4, 3, 2), layers.ZeroPadding2D(((1, 2), (3, 0))), getattr(layers, kind)(**options), package=package)
    check(model, inputs=[-np.arange(1, 25, dtype=np.float32).reshape(4, 3, 2)])
    check(model)


@pytest.mark.parametrize("kind", ["AdaptiveMaxPooling2D", "AdaptiveAveragePooling2D"])
def test_a_padded_zero_is_a_value_in_ragged_windows(kind):
    model = sequential((4, 3, 2), keras.layers.ZeroPadding2D(((1, 2), (3, 0))), getattr(keras.layers, kind)((3, 4)))
    check(model, inputs=[-np.arange(1, 25, dtype=np.float32).reshape(4, 3, 2)])


def test_a_mean_divides_by_the_values_that_are_there():
    """A zero and 4 places, windows of 3 every 2, one place of their own padding at each end: (0 + x0) / 2, (x0 + x1 + x2) / 3, (x2 + x3) / 2."""
    layers = keras.layers
    graph = trace(read_keras_model(sequential((4, 1), layers.ZeroPadding1D((1, 0)), layers.AveragePooling1D(3, 2, padding="same"))))
    (step,) = [step for step, _ in graph.steps() if step.edges]
    (edges,) = step.edges
    assert edges.source[:, 0].tolist() == [[-2, -1, 0], [0, 1, 2], [2, 3, -2]]
    np.testing.assert_allclose(np.broadcast_to(edges.weight, edges.shape)[:, 0, 0], [1 / 2, 1 / 3, 1 / 2])


def test_float64_keeps_its_digits():
    layers = keras.layers
    model = sequential((5, 4, 2), layers.Conv2D(3, 2, dtype="float64"), layers.AveragePooling2D(3, 1, dtype="float64"), package=keras)
    graph = check(model, rtol=1e-14)
    assert graph.dtype == np.float64


@pytest.mark.parametrize("size", [[10**9, 2, -1], [10**9, 2, 0]])
def test_a_pool_of_too_many_windows_is_refused_before_they_are_made(size: list[int]) -> None:
    """Also where the product of all sizes is small."""
    with pytest.raises(EtlError, match="more than 268,435,456 neurons in one layer"):
        graph_of(layer("AdaptiveMaxPooling3D", output_size=size), (4, 4, 4, 2))
