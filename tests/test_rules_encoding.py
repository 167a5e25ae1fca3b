"""Encodings of categories, ranges and signals, and filters of each place's own, against the frameworks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from etl.errors import Unsupported
from etl.rules.keras.encoding import discretization
from tests.one_rule import run
from tests.oracle import check

BOTH = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])
EDGES = [-1.0, 0.0, 1.0]


def encoded(package, shape, layer, dtype="int32"):
    given = package.Input(shape, dtype=dtype)
    return package.Model(given, layer(given))


@BOTH
@pytest.mark.parametrize(("shape", "mode"), [((1,), "one_hot"), ((4,), "multi_hot"), ((4,), "count")])
def test_category_encoding(package, shape, mode):
    graph = check(encoded(package, shape, package.layers.CategoryEncoding(5, output_mode=mode)))
    assert graph.edges == shape[0] * 5


def test_category_encoding_of_each_place():
    check(encoded(keras, (4,), keras.layers.CategoryEncoding(5, output_mode="one_hot")))


def test_one_hot_operations():
    check(encoded(keras, (4,), lambda x: keras.ops.one_hot(x, 5)))
    check(encoded(tf_keras, (4,), lambda x: tf.one_hot(x, 5)))


@BOTH
@pytest.mark.parametrize("mode", ["int", "multi_hot", "count"])
def test_discretization_also_on_its_boundaries(package, mode):
    values = np.array([-1.5, -1.0, 0.2, 1.0, 3.7, 0.0])
    check(encoded(package, (6,), package.layers.Discretization(EDGES, output_mode=mode), "float32"), inputs=[values])


@BOTH
@pytest.mark.parametrize("value", [-1.5, -1.0, -0.4, 1.0, 3.7])
def test_discretization_as_a_category(package, value):
    check(encoded(package, (1,), package.layers.Discretization(EDGES, output_mode="one_hot"), "float32"), inputs=[np.array([value])])


def test_discretization_without_boundaries_is_refused():
    with pytest.raises(Unsupported, match="never adapted"):
        run(discretization, np.ones(2, np.float32))


@pytest.mark.parametrize("options", [{}, {"tie_weights": False}, {"logit_soft_cap": 2.0}], ids=str)
def test_reversible_embedding_there_and_back(options):
    given, layer = keras.Input((4,), dtype="int32"), keras.layers.ReversibleEmbedding(7, 3, **options)
    check(keras.Model(given, layer(keras.layers.Dense(3)(layer(given)), reverse=True)), whole=False)


@pytest.mark.parametrize("mode", ["log", "magnitude", "psd", "real", "imag", "stft"])
@pytest.mark.parametrize("options", [{"frame_length": 6, "frame_step": 3}, {"frame_length": 5, "padding": "same", "expand_dims": True}], ids=str)
def test_stft_spectrogram(mode, options):
    check(encoded(keras, (20, 2), keras.layers.STFTSpectrogram(mode, fft_length=8, **options), "float32"))


def test_locally_connected():
    two = tf_keras.layers.LocallyConnected2D(3, (2, 3), strides=(1, 2), activation="relu")
    assert check(encoded(tf_keras, (5, 6, 2), two, "float32")).edges == 4 * 2 * 3 * 12
    check(encoded(tf_keras, (7, 2), tf_keras.layers.LocallyConnected1D(3, 2, use_bias=False), "float32"))
