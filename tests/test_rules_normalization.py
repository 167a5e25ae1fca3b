"""Normalisations against both frameworks, and their steps by arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.applications.convnext import LayerScale
from tf_keras.src.applications.convnext import LayerScale as LayerScale2

from etl.errors import Unsupported
from etl.rules.keras.normalization import batch_normalization, group_normalization, layer_normalization, normalization
from tests.one_rule import run
from tests.oracle import check

BOTH = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])
SHAPE = (3, 4, 6)

LAYERS = [
    *(("LayerNormalization", {"axis": axis}) for axis in (-1, 1, 2, -2, [1, 2], [2, 1], [1, 3], [-1, -2], [1, 2, 3])),
    ("LayerNormalization", {"center": False}),
    ("LayerNormalization", {"scale": False}),
    ("LayerNormalization", {"center": False, "scale": False, "epsilon": 1e-6}),
    *(("BatchNormalization", {"axis": axis}) for axis in (-1, 1, 2)),
    ("BatchNormalization", {"epsilon": 1e-6, "scale": False}),
    ("BatchNormalization", {"center": False}),
    *(("GroupNormalization", {"axis": axis, "groups": groups}) for axis, groups in ((-1, 2), (1, 3), (2, 2), (-1, -1), (-1, 1))),
    ("GroupNormalization", {"axis": -2, "groups": 2, "center": False}),
    *(("UnitNormalization", {"axis": axis}) for axis in (-1, 1, 2, [1, 2])),
    ("Normalization", {"mean": 0.3, "variance": 2.0}),
    ("Normalization", {"mean": list(range(6)), "variance": [0.5, 1, 2, 3, 4, 5]}),
    ("Normalization", {"mean": list(range(6)), "variance": [0.5, 1, 2, 3, 4, 5], "invert": True}),
    ("Normalization", {}),
    ("Normalization", {"axis": None}),
    ("Normalization", {"axis": [1, 3]}),
    ("Rescaling", {"scale": 1 / 127.5, "offset": -1.0}),
    ("Rescaling", {"scale": 1 / 255}),
    ("Rescaling", {"scale": [1, 2, 3, 4, 5, 6], "offset": [6.0, 5, 4, 3, 2, 1]}),
]


@BOTH
@pytest.mark.parametrize(("kind", "options"), LAYERS, ids=str)
def test_layer(package, kind, options):
    given = package.Input(SHAPE)
    check(package.Model(given, getattr(package.layers, kind)(**options)(given)))


@pytest.mark.parametrize(
    ("kind", "options"), [("RMSNormalization", {}), ("RMSNormalization", {"axis": [2, 3]}), ("RMSNormalization", {"epsilon": 0.1})]
)
def test_layer_of_keras_3(kind, options):
    given = keras.Input(SHAPE)
    check(keras.Model(given, getattr(keras.layers, kind)(**options)(given)))


def test_layer_normalization_that_only_scales():
    given = keras.Input(SHAPE)
    with pytest.warns(UserWarning, match="rms_scaling"):
        layer = keras.layers.LayerNormalization(rms_scaling=True)
    with pytest.warns(UserWarning, match="rms_scaling"):
        check(keras.Model(given, layer(given)))


def test_batch_normalization_over_several_axes():
    given = tf_keras.Input(SHAPE)
    check(tf_keras.Model(given, tf_keras.layers.BatchNormalization(axis=[1, 3])(given)))


def test_batch_normalization_that_renormalises_in_training():
    given = tf_keras.Input(SHAPE)
    check(tf_keras.Model(given, tf_keras.layers.BatchNormalization(renorm=True)(given)))


@BOTH
def test_layer_scale_keeps_its_parameters(package):
    given = package.Input(SHAPE)
    layer = (LayerScale if package is keras else LayerScale2)(1e-6, 6)
    graph = check(package.Model(given, layer(given)))
    assert graph.edges == 3 * 4 * 6


@pytest.mark.parametrize("inside", [keras.layers.Conv2D(3, 2, activation="relu"), keras.layers.Dense(5)], ids=["Conv2D", "Dense"])
def test_spectral_normalization_is_the_layer_inside_it(inside):
    given = keras.Input((4, 5, 2))
    graph = check(keras.Model(given, keras.layers.SpectralNormalization(inside, name="spectral")(given)))
    assert [row.name for row in graph.rows][1:] == ["spectral"]


def test_layers_without_numbers_are_refused():
    with pytest.raises(Unsupported, match="never adapted"):
        run(normalization, np.ones((2, 3), np.float32))


def steps_of(rule, shape, **options):
    return {step.name.removeprefix("layer/"): step for step in run(rule, np.ones(shape, np.float32), **options)[1]}


def test_steps_of_layer_normalization():
    gamma, beta = np.arange(1.0, 5), np.arange(4.0)
    steps = steps_of(layer_normalization, (3, 4), gamma=gamma, beta=beta)
    assert {name: (step.op, step.shape, step.activation) for name, step in steps.items()} == {
        "mean": ("sum", (3, 1), "linear"),
        "centring": ("sum", (3, 4), "linear"),
        "square": ("product", (3, 4), "linear"),
        "variance": ("sum", (3, 1), "rsqrt"),
        "product": ("product", (3, 4), "linear"),
        "layer": ("sum", (3, 4), "linear"),
    }
    assert list(steps_of(layer_normalization, (3, 4))) == ["mean", "centring", "square", "variance", "layer"]


def test_batch_normalization_is_one_edge_each():
    mean, variance, gamma, beta = np.array([1.0, 2]), np.array([3.0, 8]), np.array([2.0, 6]), np.array([0.0, 1])
    (step,) = steps_of(batch_normalization, (5, 2), moving_mean=mean, moving_variance=variance, gamma=gamma, beta=beta, epsilon=1.0).values()
    np.testing.assert_allclose(step.edges[0].weight, [[1, 2]])
    np.testing.assert_allclose(step.bias, [[-1, -3]])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_groups_are_normalised_each_by_itself(data):
    groups, size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    places, axis = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2))), data.draw(st.integers(0, 2))
    axis = min(axis, len(places))
    shape = (*places[:axis], groups * size, *places[axis:])
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found, _ = run(group_normalization, x, groups=groups, axis=axis + 1, epsilon=0.1)
    for k in range(groups):
        part = np.take(x.astype(float), range(k * size, (k + 1) * size), axis)
        wanted = (part - part.mean()) / np.sqrt(part.var() + 0.1)
        np.testing.assert_allclose(np.take(found, range(k * size, (k + 1) * size), axis), wanted, rtol=1e-5, atol=1e-6)
