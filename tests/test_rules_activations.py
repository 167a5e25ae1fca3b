"""Activations by name and as layers, against both frameworks and by arithmetic."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.activations import BEYOND, FUNCTIONS, call
from etl.errors import Unsupported
from etl.rules.keras.activation import softmax
from etl.rules.keras.activation_names import ALIASES, COMPOSED, keras_activation, sort
from tests.one_rule import run
from tests.oracle import check

BOTH = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])


def names(package):
    module = package.activations
    return [n for n in dir(module) if not n.startswith("_") and n not in ("get", "serialize", "deserialize", "threshold")]


def one_layer(package, shape, layer):
    given = package.Input(shape)
    return package.Model(given, layer(given))


def test_every_function_of_keras_is_there():
    written = set(names(keras)) | {"threshold"}
    assert written == (set(FUNCTIONS) - BEYOND) | (set(COMPOSED) - {"keras2.hard_sigmoid"}) | (set(ALIASES) & written)


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - BEYOND - {"softmax", "log_softmax"}))
def test_arguments_and_defaults_are_those_of_keras(name):
    parameters = list(inspect.signature(getattr(keras.activations, name)).parameters.values())[1:]
    assert FUNCTIONS[name] == {p.name: ... if p.default is p.empty else p.default for p in parameters}


@pytest.mark.parametrize(("package", "name"), [(p, n) for p in (keras, tf_keras) for n in names(p)], ids=lambda v: getattr(v, "__name__", v))
def test_activation_as_a_layer_and_inside_one(package, name):
    check(one_layer(package, (3, 4), package.layers.Activation(name)))
    check(one_layer(package, (3, 4), package.layers.Dense(6, activation=name)))


LAYERS = [
    ("ReLU", {}),
    ("ReLU", {"max_value": 1.0}),
    ("ReLU", {"max_value": 6.0}),
    ("ReLU", {"threshold": 0.3}),
    ("ReLU", {"negative_slope": 0.1}),
    ("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}),
    ("LeakyReLU", {}),
    ("PReLU", {}),
    ("PReLU", {"shared_axes": [1, 2]}),
    ("PReLU", {"shared_axes": [3]}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.7}),
    *(("Softmax", {"axis": axis}) for axis in (-1, 1, 2, -2, 3, [-1], [1, 2], [1, 3], [3, 1, 2])),
]


@BOTH
@pytest.mark.parametrize(("kind", "options"), LAYERS, ids=str)
def test_layer(package, kind, options):
    check(one_layer(package, (3, 4, 2), getattr(package.layers, kind)(**options)))


def test_layers_of_one_framework():
    check(one_layer(tf_keras, (3, 4), tf_keras.layers.ThresholdedReLU(0.4)))
    check(one_layer(tf_keras, (3, 4), tf_keras.layers.LeakyReLU(alpha=0.1)))
    check(one_layer(keras, (3, 4), keras.layers.LeakyReLU(negative_slope=0.1)))
    check(one_layer(keras, (3, 4), keras.layers.Dense(5, activation=keras.layers.LeakyReLU(0.2))))


@pytest.mark.parametrize("width", [3, 5, 8, 9, 17])
def test_sparsemax_of_any_width(width):
    check(one_layer(keras, (2, width), keras.layers.Activation("sparsemax")))


@pytest.mark.parametrize(
    ("written", "version", "name"),
    [
        (None, 3, "linear"),
        ("swish", 3, "silu"),
        ("hard_swish", 3, "hard_silu"),
        ("log_softmax_v2", 2, "log_softmax"),
        ("exp", 2, "exponential"),
        ("identity", 2, "linear"),
        ("abs", 2, "abs"),
        ("hard_sigmoid", 3, "hard_sigmoid"),
        ("hard_sigmoid", 2, "keras2.hard_sigmoid"),
        ({"class_name": "function", "config": "relu6", "registered_name": "relu6", "module": "builtins"}, 3, "relu6"),
        ({"class_name": "LeakyReLU", "config": {"alpha": 0.30000001192092896}}, 2, "leaky_relu(negative_slope=0.3)"),
        ({"class_name": "LeakyReLU", "config": {"negative_slope": 0.2}}, 3, "leaky_relu"),
        ({"class_name": "ReLU", "config": {"max_value": 6, "negative_slope": 0.0, "threshold": 0.0}}, 2, "relu(max_value=6.0)"),
        ({"class_name": "ELU", "config": {"alpha": 1.0}}, 2, "elu"),
    ],
)
def test_written_form(written, version, name):
    assert keras_activation(written, keras=version) == name


@pytest.mark.parametrize("name", ["threshold", "power", "my_activation", "<lambda>"])
def test_what_is_no_activation_of_keras_is_refused(name):
    with pytest.raises(Unsupported, match="activation"):
        keras_activation(name, keras=3)


def test_arguments_are_written_by_name_and_defaults_left_out():
    assert call("relu", max_value=6, negative_slope=0.0) == "relu(max_value=6.0)"
    assert call("threshold", threshold=0, default_value=1) == "threshold(threshold=0.0, default_value=1.0)"
    assert call("gelu", approximate=True) == "gelu(approximate=True)"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_sorting_network_sorts(width, seed):
    values = np.random.default_rng(seed).integers(-9, 9, (2, width)).astype(np.float32)
    found, steps = run(lambda here, ids: sort(here, ids, None), values)
    np.testing.assert_array_equal(found, -np.sort(-values, axis=-1))
    rounds = max(width - 1, 0).bit_length()
    assert len(steps) == rounds * (rounds + 1)  # a round of each width and below, a row of larger and one of smaller


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_softmax_sums_to_one_along_any_axes(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axes = data.draw(st.lists(st.integers(1, len(shape)), min_size=1, unique=True))
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found, steps = run(softmax, values, axis=axes)
    inner = tuple(k - 1 for k in axes)
    e = np.exp(values.astype(float))
    np.testing.assert_allclose(found, e / e.sum(axis=inner, keepdims=True), rtol=1e-6)
    assert len(steps) == (1 if axes == [len(shape)] else 4)
