"""Operations as Keras 2.0 to 2.3 of TensorFlow wrote them, nodes of TensorFlow's graph, against the framework."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import json_format
from tf_keras.src.engine.base_layer import TensorFlowOpLayer

from etl.errors import Unsupported
from etl.network import Layer
from etl.rules.binding import run
from etl.rules.keras import KERAS2
from etl.rules.scope import Scope, Tape
from tests.oracle import check

KERNEL = np.arange(6, dtype="float32").reshape(3, 2) - 2

OPERATIONS = {
    "add": lambda x: x + 3.0,
    "add tensors": lambda x, y: x + y,
    "from": lambda x: 1.0 - x,
    "times": lambda x: x * [1.0, 2.0, 3.0],
    "divide": lambda x: 1.0 / tf.exp(x),
    "power": lambda x: x**3.0,
    "difference": lambda x, y: tf.math.squared_difference(x, y),
    "relu6": lambda x: tf.nn.relu6(x + 3.0) * (1.0 / 6.0),
    "leaky": lambda x: tf.nn.leaky_relu(x, 0.1),
    "softmax": lambda x: tf.nn.softmax(x),
    "negative": lambda x: -x,
    "mean": lambda x: tf.reduce_mean(x, [1, 2], keepdims=True),
    "max": lambda x: tf.reduce_max(x, 1),
    "concat": lambda x, y: tf.concat([x, y], 1),
    "stack": lambda x, y: tf.stack([x, y], 1),
    "split": lambda x: tf.split(x, 2, axis=1)[1],
    "split sizes": lambda x: tf.split(x, [1, 3], axis=1)[1],
    "slice": lambda x: x[:, 1:, None, 0, ...],
    "slice back": lambda x: x[..., ::-1],
    "squeeze": lambda x: tf.squeeze(x[:, :, :1], [2]),
    "expand": lambda x: tf.expand_dims(x, 1),
    "transpose": lambda x: tf.transpose(x, [0, 2, 1]),
    "reshape": lambda x: tf.reshape(x, [-1, 12]),
    "reshape by shape": lambda x: tf.reshape(x, [tf.shape(x)[0], 6, 2]),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]]),
    "pad value": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=0.5),
    "pad reflect": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], "REFLECT"),
    "tile": lambda x: tf.tile(x, [1, 2, 1]),
    "reverse": lambda x: tf.reverse(x, [1]),
    "gather": lambda x: tf.gather(x, [2, 0], axis=2),
    "cast": lambda x: tf.cast(tf.cast(x, tf.float64), tf.float32) + 1.0,
    "matmul": lambda x, y: tf.matmul(x, y, transpose_b=True),
    "matmul constant": lambda x: tf.matmul(tf.reshape(x, [-1, 12]), np.tile(KERNEL, (4, 1))),
    "bias": lambda x: tf.nn.bias_add(x, [1.0, 2.0, 3.0]),
    "choice": lambda x, y: tf.where(tf.logical_and(x > y, tf.logical_not(tf.equal(x, 0.2))), x, 0.5),
    "sign": lambda x: x * tf.cast(tf.sign(x) < 0.5, tf.float32),
    "any": lambda x: tf.cast(tf.reduce_any(x > 0.5, 1), tf.float32),
    "argmax": lambda x: tf.argmax(x, 2),
    "pool": lambda x: tf.nn.avg_pool2d(x[..., None], 2, 2, "SAME"),
}


def as_layers(operation, inputs):
    """What `operation` makes of Keras tensors, each node of TensorFlow's graph a layer, as those versions did it."""
    with tf.Graph().as_default():
        given = [tf.compat.v1.placeholder(tf.float32, one.shape) for one in inputs]
        made = operation(*given)
    return layers_of(made, dict(zip((one.name for one in given), inputs, strict=True)))


def layers_of(tensor, found):
    if tensor.name not in found:
        sources = list(tensor.op.inputs)
        constants = {k: tf.get_static_value(one) for k, one in enumerate(sources)}
        constants = {k: value for k, value in constants.items() if value is not None}
        tensors = [layers_of(one, found) for k, one in enumerate(sources) if k not in constants]
        definition = json_format.MessageToDict(tensor.op.node_def)
        layer = TensorFlowOpLayer(definition, tensor.op.name.replace("/", "_"), {k: value.tolist() for k, value in constants.items()})
        made = layer(tensors if len(tensors) > 1 else tensors[0])
        found.update(zip((one.name for one in tensor.op.outputs), made if isinstance(made, list) else [made], strict=True))
    return found[tensor.name]


@pytest.mark.parametrize("name", OPERATIONS)
def test_node(name):
    operation = OPERATIONS[name]
    inputs = [tf_keras.Input((4, 3)) for _ in range(operation.__code__.co_argcount)]
    check(tf_keras.Model(inputs if len(inputs) > 1 else inputs[0], as_layers(operation, inputs)))


@pytest.mark.parametrize(("definition", "reason"), [({"op": "Sin"}, "operation Sin"), ("\n\x03add", "as bytes")])
def test_other_nodes_are_refused(definition, reason):
    with pytest.raises(Unsupported, match=reason):
        run(Layer("sign", "TensorFlowOpLayer", {"node_def": definition}), Scope(Tape(), "sign", KERAS2), (), {})
