"""Small models with every construction that file formats treat in a way of their own, for Keras 2 and 3 alike.

Each function takes the framework's module (`keras` or `tf_keras`) and returns a built model with random weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Builder = Callable[[Any], Any]


def convolutions(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((8, 7, 3))
    left = layers.BatchNormalization(scale=False)(layers.Conv2D(4, (3, 2), activation="relu", padding="same")(image))
    right = layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(left))
    joined = layers.PReLU(shared_axes=[1, 2])(layers.Add()([left, right]))
    small = layers.Conv2DTranspose(2, 2, use_bias=False)(layers.GroupNormalization(2)(joined))
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(small)))


def recurrent(keras: Any) -> Any:
    layers = keras.layers
    cells = [layers.LSTMCell(3), layers.GRUCell(4), layers.LSTMCell(2)]
    return keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.LSTM(3, return_sequences=True),
            layers.Bidirectional(layers.GRU(3, return_sequences=True, reset_after=False)),
            layers.TimeDistributed(layers.Dense(2)),
            layers.RNN(cells, return_sequences=True),
            layers.Bidirectional(layers.RNN(layers.SimpleRNNCell(2), return_sequences=True), merge_mode="sum"),
            layers.GRU(2, return_sequences=True),
            layers.LayerNormalization(axis=[1, 2]),
            layers.SimpleRNN(2),
        ]
    )


def video(keras: Any) -> Any:
    return keras.Sequential([keras.Input((3, 5, 5, 2)), keras.layers.ConvLSTM2D(2, 2), keras.layers.Conv2D(1, 2)])


def nested(keras: Any) -> Any:
    """A Functional model called twice on outputs of a layer called twice, with a Sequential inside; each kind of nested output."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="first"), layers.BatchNormalization(), layers.Dense(4, name="second")])
    inner.get_layer("first").trainable = False
    middle = keras.Input((4,))
    twins = keras.Model(middle, [layers.Dense(3)(inner(middle)), layers.Dense(2)(layers.BatchNormalization()(middle))])
    one, two = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(4)
    a, b = twins(shared(one))
    c, d = twins(shared(two))
    return keras.Model([two, one], [layers.Concatenate()([a, d]), c, b, inner(shared(two))])


def chain(keras: Any) -> Any:
    """One layer whose calls wait for calls of another: a(b(a(b(x))))."""
    a, b = keras.layers.Dense(3), keras.layers.Dense(3)
    inputs = keras.Input((3,))
    return keras.Model(inputs, a(b(a(b(inputs)))))


def attention(keras: Any) -> Any:
    layers = keras.layers
    query, value = keras.Input((6, 8)), keras.Input((4, 8))
    x = layers.MultiHeadAttention(2, 4, value_dim=3)(query, value)
    x = layers.MultiHeadAttention(2, 4)(query=x, key=value, value=value)
    x = layers.Attention(use_scale=True)([x, value])
    return keras.Model([query, value], layers.AdditiveAttention()([x, value]))


def operations(keras: Any) -> Any:
    inputs = keras.Input((4, 3))
    x = keras.layers.Dense(3)(inputs) * 2.0 + inputs
    return keras.Model(inputs, keras.layers.Dense(2)(x[:, 1:3] - 1.0))


def states(keras: Any) -> Any:
    layers = keras.layers
    inputs, h, c = keras.Input((5, 4), name="x"), keras.Input((3,), name="h"), keras.Input((3,), name="c")
    x, last, _ = layers.LSTM(3, return_state=True)(inputs, initial_state=[h, c])
    return keras.Model({"b": inputs, "a": h, "c": c}, {"z": x, "y": last})


def steps(keras: Any) -> Any:
    """A model at each step of a sequence."""
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    dense = keras.layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")
    return keras.Sequential([keras.Input((5, 4)), keras.layers.TimeDistributed(inner), dense])


def many(keras: Any) -> Any:
    """More than ten layers of a class, for names that do not sort as numbers do."""
    return keras.Sequential([keras.Input((2,)), *(keras.layers.Dense(2) for _ in range(12))])


def words(keras: Any) -> Any:
    return keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(7, 3), keras.layers.GlobalAveragePooling1D()])


def scaled(keras: Any) -> Any:
    layer = keras.layers.Normalization()
    layer.adapt(np.arange(12.0).reshape(4, 3))
    return keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(2)])


def double(keras: Any) -> Any:
    return keras.Sequential([keras.Input((3,), dtype="float64"), keras.layers.Dense(2, dtype="float64")])


def borrowed(keras: Any) -> Any:
    """A layer of a nested model that the outer model calls as well. Keras 3 can't load its own files of it."""
    layers = keras.layers
    shared = layers.Dense(3)
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3), shared])
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(3)(shared(layers.Dense(3)(inner(inputs)))))


def thrice(keras: Any) -> Any:
    """A model in two models that stand in a fourth."""
    layers = keras.layers

    def wrapped(name: str, size: int, *between: Any) -> Any:
        inputs = outputs = keras.Input((size,))
        for layer in between:
            outputs = layer(outputs)
        return keras.Model(inputs, outputs, name=name)

    core = wrapped("core", 4, layers.Dense(3, name="shared"))
    left, right = (wrapped(name, 5, layers.Dense(4, name=f"{name}_dense"), core) for name in ("left", "right"))
    inputs = keras.Input((5,))
    both = keras.Model(inputs, layers.Concatenate()([left(inputs), right(inputs)]), name="both")
    return wrapped("whole", 5, both, layers.Dense(2))


BUILDERS: list[Builder] = [convolutions, recurrent, video, nested, chain, attention, operations, states, steps, many, words, scaled, double]


def build(builder: Builder, keras: Any) -> Any:
    """A model with weights that are all different: fresh ones, often 0 or 1, would hide swapped arrays."""
    model = builder(keras)
    rng = np.random.default_rng(0)
    if builder is not scaled:
        model.set_weights([rng.normal(size=one.shape).astype(one.dtype) for one in model.get_weights()])
    return model
