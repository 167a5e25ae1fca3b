"""Operations that stand between layers, as `keras.ops` (Keras 3) and TensorFlow (Keras 2) write them, against the framework."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops as o

from etl.errors import BadRequest, Unsupported
from etl.graph.trace import trace
from etl.readers.keras.memory import read_keras_model
from etl.rules.keras import arithmetic, arrangement, reductions
from etl.rules.keras.operations import OPERATIONS
from tests.one_rule import run
from tests.oracle import check

TABLE = np.arange(6, dtype="float32").reshape(3, 2) - 2
COMPARISONS = (o.greater, o.greater_equal, o.less, o.less_equal, o.equal, o.not_equal)
CUBE = np.arange(24, dtype="float32").reshape(4, 3, 2) - 12


def of_x(function):
    return lambda x: function(x)


def of_p(function):
    return lambda p: function(p)


# Models of one operation: x and y are tensors of shape (4, 3), p is a positive one.
KERAS3 = {
    "add constant": lambda x: x + 1.0,
    "add": lambda x, y: x + y,
    "add array": lambda x: x + np.array([1.0, 2, 3]),
    "subtract from": lambda x: 1 - x,
    "subtract": lambda x, y: x - y,
    "subtract constant": lambda x: x - 2,
    "multiply": lambda x, y: x * y,
    "multiply constant": lambda x: 3 * x,
    "multiply array": lambda x: x * np.array([[[1.0, 2, 3]]]),
    "divide by constant": lambda x: x / 3,
    "divide constant": lambda p: 2 / p,
    "one over": lambda p: 1 / p,
    "divide": lambda x, p: x / p,
    "divide by array": lambda p: o.divide(p, np.ones((1, 4, 3)) * 3),
    "negative": lambda x: -x,
    **{f"power {n}": lambda p, n=n: p**n for n in (0, 1, 2, 3, 5, -1, -2, 0.5, -0.5, 1.7)},
    "odd power": lambda x: x**3,
    "power of constant": lambda x: 2**x,
    **{name: of_x(getattr(o, name)) for name in "square abs absolute exp expm1 exp2 relu sigmoid silu tanh softplus softsign".split()},
    **{name: of_x(getattr(o, name)) for name in "celu elu gelu hard_shrink hard_sigmoid hard_silu hard_tanh".split()},
    **{name: of_x(getattr(o, name)) for name in "leaky_relu log_sigmoid log_softmax selu soft_shrink softmax sparse_plus".split()},
    **{name: of_x(getattr(o, name)) for name in "sparse_sigmoid sparsemax squareplus tanh_shrink stop_gradient copy".split()},
    **{name: of_p(getattr(o, name)) for name in "sqrt rsqrt log log1p log2 log10 reciprocal".split()},
    "relu6": lambda x: o.relu6(x * 9),
    "leaky_relu slope": lambda x: o.leaky_relu(x, 0.1),
    "elu alpha": lambda x: o.elu(x, 0.5),
    "gelu exact": lambda x: o.gelu(x, approximate=False),
    "hard_shrink width": lambda x: o.hard_shrink(x, 0.3),
    "threshold": lambda x: o.threshold(x, 0.2, 0.7),
    "relu of activations": lambda x: keras.activations.relu(x, max_value=0.5, negative_slope=0.1),
    "glu": lambda x: o.glu(x, axis=1),
    "softmax axis": lambda x: o.softmax(x, axis=1),
    "log_softmax axis": lambda x: o.log_softmax(x, axis=1),
    "sparsemax axis": lambda x: o.sparsemax(x, axis=1),
    "mean": lambda x: o.mean(x, axis=1),
    "mean keepdims": lambda x: o.mean(x, axis=-1, keepdims=True),
    "mean of all": lambda x: o.mean(x, axis=[1, 2]),
    "sum": lambda x: o.sum(x, axis=(1, 2)),
    "max": lambda x: o.max(x, axis=1),
    "amax": lambda x: o.amax(x, axis=1, keepdims=True),
    "min": lambda x: o.min(x, axis=(1, -1)),
    "prod": lambda x: o.prod(x, axis=1),
    "var": lambda x: o.var(x, axis=1),
    "std": lambda x: o.std(x, axis=-1, keepdims=True),
    "moments": lambda x: list(o.moments(x, axes=[1])),
    "norm": lambda x: o.norm(x, axis=-1),
    "norm 1": lambda x: o.norm(x, ord=1, axis=-1, keepdims=True),
    "logsumexp": lambda x: o.logsumexp(x, axis=1),
    "logsumexp keepdims": lambda x: o.logsumexp(x, axis=1, keepdims=True),
    "cumsum": lambda x: o.cumsum(x, axis=1),
    "maximum": lambda x, y: o.maximum(x, y),
    "maximum constant": lambda x: o.maximum(x, 0.1),
    "minimum": lambda x, y: o.minimum(x, y),
    "minimum constant": lambda x: o.minimum(0.1, x),
    "clip from 0": lambda x: o.clip(x, 0, 0.5),
    "clip": lambda x: o.clip(x, -0.3, 0.5),
    "normalize": lambda x: o.normalize(x, axis=1),
    "layer_normalization": lambda x: o.layer_normalization(x),
    "layer_normalization scaled": lambda x: o.layer_normalization(
        x, np.array([1.0, 2, 3], "float32"), np.array([1.0, -2, 3], "float32"), epsilon=0.01
    ),
    "rms_normalization": lambda x: o.rms_normalization(x, TABLE[:, 0]),
    "reshape": lambda x: o.reshape(x, (-1, 2, 6)),
    "transpose": lambda x: o.transpose(x, (0, 2, 1)),
    "moveaxis": lambda x: o.moveaxis(x, -1, 1),
    "swapaxes": lambda x: o.swapaxes(x, 1, 2),
    "squeeze": lambda x: o.squeeze(x[:, :, :1], -1),
    "expand_dims": lambda x: o.expand_dims(x, 1),
    "expand_dims last": lambda x: o.expand_dims(x, -1),
    "concatenate": lambda x, y: o.concatenate([x, y], 1),
    "stack": lambda x, y: o.stack([x, y], -1),
    "split": lambda x: o.split(x, 2, axis=1),
    "split at": lambda x: o.split(x, [1, 3], axis=1),
    "unstack": lambda x: o.unstack(x, axis=1),
    "getitem": lambda x: x[:, 1:, None, 0],
    "getitem dots": lambda x: x[..., -1],
    "getitem backwards": lambda x: x[:, ::-1],
    "getitem one": lambda x: x[:, 1],
    "getitem steps": lambda x: x[:, -3:-1, ::2],
    "take": lambda x: o.take(x, [2, 0], axis=-1),
    "take one": lambda x: o.take(x, 1, axis=-1),
    "getitem to one number": lambda x: x[:, 1, 2],
    "take to one number": lambda x: o.take(x[:, 1], 2, axis=1),
    "unstack to numbers": lambda x: o.unstack(x[:, 1], axis=1),
    **{f.__name__: (lambda x, y, f=f: o.cast(f(x, y), "float32")) for f in COMPARISONS},
    **{f"{f.__name__} itself": (lambda x, f=f: o.where(f(x, x), x, 2.0)) for f in COMPARISONS},
    **{f"{f.__name__} constant": (lambda x, f=f: x * o.cast(f(0.3, x), "float32")) for f in COMPARISONS},
    **{f.__name__: (lambda x, y, f=f: o.cast(f(o.relu(x), y > 0.2), "float32")) for f in (o.logical_and, o.logical_or, o.logical_xor)},
    "logical_not": lambda x: o.cast(o.logical_not(o.relu(x)), "float32"),
    "any": lambda x: o.cast(o.any(x > 0.5, axis=1), "float32"),
    "all": lambda x: o.cast(o.all(x > -0.5, axis=(1, 2), keepdims=True), "float32"),
    "count_nonzero": lambda x: o.cast(o.count_nonzero(o.relu(x), axis=-1), "float32"),
    "sign": lambda x: o.sign(o.relu(x) - o.relu(-x - 0.5)),
    "argmax": lambda x: o.argmax(o.relu(x - 0.5), axis=1),
    "argmin": lambda x: o.argmin(o.relu(x), axis=-1, keepdims=True),
    "where": lambda x, y: o.where(x > y, x, y * 2),
    "where number": lambda x: o.where(x, 1.0, -1.0),
    "where zero": lambda x: o.where(o.less(x, 0.1), 0.0, x),
    "where one axis": lambda x, y: o.where(x[:, :1] > 0, y, 0.5),
    "where constant": lambda x, y: o.where(TABLE[:2].reshape(4, 1) > -1, x, y),
    "where constant or zero": lambda x: o.where(np.array([[True, False, True]]), x, 0.0),
    "where constant or numbers": lambda x: o.where(np.array([[[0, 1, 1]]]), np.array([[1.0], [2], [3], [4]]), x),
    "flip": lambda x: o.flip(x, axis=(1, 2)),
    "roll": lambda x: o.roll(x, 1, axis=1),
    "repeat": lambda x: o.repeat(x, 2, axis=1),
    "repeat by a list": lambda x: o.repeat(x, [2], axis=1),
    "tile": lambda x: o.tile(x, (1, 2, 1)),
    "pad": lambda x: o.pad(x, ((0, 0), (1, 2), (0, 1))),
    "pad value": lambda x: o.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=0.5),
    "pad reflect": lambda x: o.pad(x, ((0, 0), (1, 2), (0, 1)), mode="reflect"),
    "pad symmetric": lambda x: o.sigmoid(o.pad(x, ((0, 0), (1, 2), (0, 1)), mode="symmetric")),
    "max over zeros": lambda x: o.max(o.pad(x, ((0, 0), (1, 2), (0, 1))), axis=1),
    "cast": lambda x: o.cast(o.cast(x, "float64"), "float32") + 1,
    "triu": lambda x: o.triu(x),
    "tril": lambda x: o.tril(x, k=-1),
    "zeros_like": lambda x: o.zeros_like(x) + x,
    "ones_like": lambda x: o.ones_like(x) + x,
    "full_like": lambda x: o.full_like(x, 2.0) * x,
    "broadcast_to": lambda x: o.broadcast_to(x[:, None], (1, 5, 4, 3)),
    "matmul": lambda x, y: o.matmul(x, o.transpose(y, (0, 2, 1))),
    "matmul constant": lambda x: o.matmul(x, TABLE),
    "matmul constant first": lambda x: o.matmul(np.arange(8.0).reshape(2, 4) - 2, x),
    "matmul vector": lambda x: o.matmul(x, np.arange(3.0) - 2),
    "dot": lambda x: o.dot(x, TABLE),
    "tensordot": lambda x: o.tensordot(x, TABLE, 1),
    "tensordot pairs": lambda x: o.tensordot(x, CUBE, [[1, 2], [0, 1]]),
    "einsum": lambda x, y: o.einsum("bij,bkj->bik", x, y),
    "einsum to one": lambda x, y: o.einsum("bij,bij->b", x, y),
    "einsum places": lambda x, y: o.einsum("bij,bij->bj", x, y),
    "einsum dots": lambda x, y: o.einsum("...ij,...kj->...ik", x, y),
    "einsum view": lambda x: o.einsum("bij->bji", x),
    "einsum sum": lambda x: o.einsum("bij->bi", x),
    "max_pool": lambda x: o.max_pool(x, 2),
    "average_pool": lambda x: o.average_pool(x, 3, strides=1, padding="same"),
    "conv": lambda x: o.conv(x, np.arange(18.0).reshape(2, 3, 3).astype("float32") - 8, padding="same"),
    "resize": lambda x: o.image.resize(x[..., None], (6, 5)),
    "resize nearest": lambda x: o.image.resize(x[..., None], (6, 5), interpolation="nearest"),
    "extract_patches": lambda x: o.image.extract_patches(x[..., None], (2, 3), strides=1),
    "extract_patches padded": lambda x: o.image.extract_patches(x[..., None], 2, padding="same"),
    "depth_to_space": lambda x: o.depth_to_space(o.reshape(x, (-1, 1, 3, 4)), 2),
    "space_to_depth": lambda x: o.space_to_depth(o.reshape(x, (-1, 2, 2, 3)), 2),
}

KERAS2 = {
    "add constant": lambda x: x + 1.0,
    "add": lambda x, y: x + y,
    "subtract from": lambda x: 1 - x,
    "subtract": lambda x, y: x - y,
    "multiply array": lambda x: x * [[1.0, 2.0, 3.0]],
    "multiply": lambda x, y: x * y,
    "divide by constant": lambda x: x / 3,
    "divide constant": lambda p: 2 / p,
    "divide": lambda x, p: x / p,
    "divide_no_nan": lambda x: tf.math.divide_no_nan(x, 3.0),
    "negative": lambda x: -x,
    "power": lambda x: x**3,
    "square power": lambda x: tf.pow(x, 2.0),
    **{name: of_x(f) for name, f in {"abs": tf.abs, "exp": tf.exp, "square": tf.square, "sigmoid": tf.sigmoid, "tanh": tf.tanh}.items()},
    **{name: of_x(getattr(tf.nn, name)) for name in "softmax log_softmax relu relu6 leaky_relu elu selu gelu swish silu softplus".split()},
    **{name: of_p(getattr(tf.math, name)) for name in "sqrt rsqrt log log1p reciprocal".split()},
    "leaky_relu slope": lambda x: tf.nn.leaky_relu(x, 0.1),
    "gelu approximate": lambda x: tf.nn.gelu(x, approximate=True),
    "log_sigmoid": lambda x: tf.math.log_sigmoid(x),
    "expm1": lambda x: tf.math.expm1(x),
    "softmax axis": lambda x: tf.nn.softmax(x, axis=1),
    "squared_difference": lambda x, y: tf.math.squared_difference(x, y),
    "squared_difference constant": lambda x: tf.math.squared_difference(x, 1.5),
    "reduce_mean": lambda x: tf.reduce_mean(x, 1, keepdims=True),
    "reduce_mean of all": lambda x: tf.reduce_mean(x, axis=[1, 2]),
    "reduce_sum": lambda x: tf.reduce_sum(x, -1),
    "reduce_max": lambda x: tf.reduce_max(x, -1),
    "reduce_min": lambda x: tf.reduce_min(x, 1),
    "reduce_prod": lambda x: tf.reduce_prod(x, 1),
    "reduce_std": lambda x: tf.math.reduce_std(x, 1),
    "reduce_variance": lambda x: tf.math.reduce_variance(x, 1),
    "reduce_logsumexp": lambda x: tf.reduce_logsumexp(x, 1),
    "moments": lambda x: list(tf.nn.moments(x, [1])),
    "concat": lambda x, y: tf.concat([x, y], -1),
    "stack": lambda x, y: tf.stack([x, y], axis=1),
    "split": lambda x: tf.split(x, 2, axis=1),
    "split sizes": lambda x: tf.split(x, [1, -1], axis=1),
    "unstack": lambda x: tf.unstack(x, axis=1),
    "getitem": lambda x: x[:, 1:, None, 0],
    "getitem dots": lambda x: x[..., -1],
    "getitem to one number": lambda x: tf.stack([x[:, 1, 2], x[:, 0, 0]], 1),
    "comparisons": lambda x, y: tf.where(tf.logical_and(x > y, tf.logical_not(y <= 0.1)), x, tf.zeros_like(y)),
    "where number": lambda x: tf.where(x > 0.2, x, -1.0),
    "where constant": lambda x: tf.where([True, False, True], x, 3.0),
    "cast of a comparison": lambda x: x * tf.cast(tf.math.greater_equal(0.2, x), tf.float32),
    "reduce_any": lambda x: tf.cast(tf.reduce_any(x < -0.5, 1), tf.float32),
    "argmax": lambda x: tf.argmax(x, -1),
    "gather": lambda x: tf.gather(x, [0, 2], axis=1),
    "clip from 0": lambda x: tf.clip_by_value(x, 0, 0.5),
    "clip": lambda x: tf.clip_by_value(x, -0.2, 0.5),
    "reshape": lambda x: tf.reshape(x, (-1, 12)),
    "reshape by shape": lambda x: tf.reshape(x, [tf.shape(x)[0], 12]),
    "reshape the rest": lambda x: tf.reshape(x, [tf.shape(x)[0], -1]),
    "reshape by product": lambda x: tf.reshape(x, tf.stack([tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2]])),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]]),
    "pad reflect": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], "REFLECT"),
    "pad value": lambda x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=2.0),
    "cast": lambda x: tf.cast(tf.cast(x, tf.float64), tf.float32) * 2,
    "transpose": lambda x: tf.transpose(x, [0, 2, 1]),
    "squeeze": lambda x: tf.squeeze(x[:, :, :1], -1),
    "squeeze list": lambda x: tf.squeeze(x[:, :, :1], [2]),
    "expand_dims": lambda x: tf.expand_dims(x, 1),
    "reverse": lambda x: tf.reverse(x, [1]),
    "roll": lambda x: tf.roll(x, 1, 1),
    "tile": lambda x: tf.tile(x, [1, 1, 2]),
    "repeat": lambda x: tf.repeat(x, 2, axis=1),
    "stop_gradient": lambda x: tf.stop_gradient(x) + 1,
    "identity": lambda x: tf.identity(x) + 1,
    "slice": lambda x: tf.slice(x, [0, 1, 0], [-1, 2, 3]),
    "norm": lambda x: tf.norm(x, axis=-1),
    "l2_normalize": lambda x: tf.math.l2_normalize(x, axis=1),
    "matmul": lambda x, y: tf.matmul(x, y, transpose_b=True),
    "matmul turned": lambda x, y: tf.matmul(x, y, transpose_a=True),
    "matmul constant": lambda x: tf.matmul(x, TABLE),
    "tensordot": lambda x: tf.tensordot(x, TABLE, 1),
    "add_n": lambda x, y: tf.add_n([x, y]),
    "bias_add": lambda x: tf.nn.bias_add(x, np.arange(3, dtype="float32")),
    "maximum": lambda x, y: tf.maximum(x, y),
    "minimum constant": lambda x: tf.minimum(x, 0.2),
    "zeros_like": lambda x: tf.zeros_like(x) + x,
    "ones_like": lambda x: tf.ones_like(x) * x,
    "cumsum": lambda x: tf.cumsum(x, axis=1),
    "avg_pool1d": lambda x: tf.nn.avg_pool1d(x, 2, 2, "VALID"),
    "max_pool2d": lambda x: tf.nn.max_pool2d(tf.expand_dims(x, -1), 2, 1, "SAME"),
    "avg_pool2d": lambda x: tf.nn.avg_pool2d(tf.expand_dims(x, -1), [1, 2, 2, 1], [1, 1, 1, 1], "SAME"),
    "resize": lambda x: tf.image.resize(tf.expand_dims(x, -1), (6, 5)),
    "resize nearest": lambda x: tf.image.resize(tf.expand_dims(x, -1), (6, 5), method="nearest"),
    "extract_patches": lambda x: tf.image.extract_patches(x[..., None], [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 2, 1], "VALID"),
    "depth_to_space": lambda x: tf.nn.depth_to_space(tf.reshape(x, (-1, 1, 3, 4)), 2),
    "space_to_depth": lambda x: tf.nn.space_to_depth(tf.reshape(x, (-1, 2, 2, 3)), 2),
    "backend hard_sigmoid": lambda x: tf_keras.activations.hard_sigmoid(x),
    "backend relu": lambda x: tf_keras.activations.relu(x, max_value=3.0),
    "backend mean": lambda x: tf_keras.backend.mean(x, axis=1),
    "backend sqrt": lambda p: tf_keras.backend.sqrt(p),
    "backend resize_images": lambda x: tf_keras.backend.resize_images(tf.expand_dims(x, -1), 2, 2, "channels_last"),
    "backend permute_dimensions": lambda x: tf_keras.backend.permute_dimensions(x, (0, 2, 1)),
    "backend batch_dot": lambda x, y: tf_keras.backend.batch_dot(x, y, axes=2),
}


def model_of(package, operation):
    """A model of one operation on inputs of shape (4, 3)."""
    names = [name for name in operation.__code__.co_varnames[: operation.__code__.co_argcount] if name in "xyp"]
    inputs = [package.Input((4, 3)) for _ in names]
    given = [package.layers.Activation("exponential")(one) if name == "p" else one for one, name in zip(inputs, names, strict=True)]
    return package.Model(inputs if len(inputs) > 1 else inputs[0], operation(*given))


@pytest.mark.filterwarnings("ignore:NotImplemented should not be used in a boolean context")  # Keras' own, in tensordot
@pytest.mark.parametrize("name", KERAS3)
def test_operation_of_keras_3(name):
    check(model_of(keras, KERAS3[name]))


@pytest.mark.parametrize("name", KERAS2)
def test_operation_of_keras_2(name):
    check(model_of(tf_keras, KERAS2[name]))


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (lambda x: o.sum(x), "all axes at once, across the examples"),
        (lambda x: o.mean(x, axis=0), "axis 0, across the examples"),
        (lambda x: x[0], "picks examples"),
        (lambda x: o.reshape(x, (-1, 4)), "moves values between examples"),
        (lambda x: o.concatenate([x, x], 0), "axis 0"),
        (lambda x: o.transpose(x), "moves the batch axis"),
        (lambda x: o.einsum("bij,cij->bc", x, x), "examples of a batch meet"),
        (lambda x: o.tile(x, (2, 1, 1)), "repeats the batch"),
        (lambda x: o.pad(x, ((1, 0), (0, 0), (0, 0))), "pads the batch"),
        (lambda x: o.add(x, np.ones((2, 1, 1))), "batch meets another axis"),
        (lambda x: o.add(x, o.mean(x, axis=1)), "batch meets another axis"),
        (lambda x: o.cast(x, "int32"), "rounds"),
        (lambda x: x / 0.0, "divides by zero"),
        (lambda x: o.sin(x), "there is no rule"),
        (lambda x: o.argmax(x), "all axes at once"),
        (lambda x: x ** o.exp(x), "base of a power"),
    ],
)
def test_what_mixes_examples_or_has_no_formula_is_refused(operation, reason):
    with pytest.raises(Unsupported, match=reason):
        refused(operation)


def refused(operation):
    trace(read_keras_model(model_of(keras, operation)))


@pytest.mark.parametrize(
    ("rule", "arguments", "options"),
    [
        (arrangement.tile, (), {"repeats": [1, 10**6, 10**6]}),
        (arrangement.repeat, (), {"repeats": 10**12, "axis": 1}),
        (arrangement.repeat, (), {"repeats": [10**12, 1], "axis": 1}),
        (arrangement.broadcast_to, (), {"shape": [1, 10**6, 10**6]}),
        (arrangement.pad, (), {"pad_width": [[0, 0], [0, 10**12], [0, 0]]}),
        (arithmetic.power, (10**6,), {}),
        (reductions.tensordot, (np.ones((2, 2)),), {"axes": 10**9}),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_before_anything_is_allocated(rule, arguments, options):
    with pytest.raises((BadRequest, Unsupported)):
        run(rule, np.ones((2, 1), np.float32), *arguments, **options)


def test_constants_become_weights_and_biases():
    x = np.ones((2, 3), np.float32)
    _, (step,) = run(arithmetic.subtract, np.float64(5), x)
    assert step.op == "sum" and step.edges[0].weight == -1 and step.bias == 5
    _, (step,) = run(arithmetic.divide, x, 4)
    assert step.edges[0].weight == 0.25 and step.bias is None
    _, (step,) = run(arithmetic.maximum, x, 0.5)
    assert step.op == "max" and step.bias == 0.5
    _, (step,) = run(arithmetic.power, x, 3)
    assert step.op == "product" and step.edges[0].shape == (2, 3, 3)


def test_every_operation_has_a_line_of_meaning():
    assert not [kind for kind, rule in OPERATIONS.items() if not (rule.__doc__ or "").strip()]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_reductions_do_what_numpy_does(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axes = data.draw(st.lists(st.integers(1, len(shape)), min_size=1, unique=True))
    signed = [axis - len(shape) - 1 if data.draw(st.booleans()) else axis for axis in axes]
    keepdims = data.draw(st.booleans())
    rule, function = data.draw(
        st.sampled_from(
            [
                (reductions.total, np.sum),
                (reductions.mean, np.mean),
                (reductions.largest, np.max),
                (reductions.smallest, np.min),
                (reductions.product, np.prod),
                (reductions.variance, np.var),
                (reductions.deviation, np.std),
            ]
        )
    )
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    found, _ = run(rule, x, axis=signed, keepdims=keepdims)
    wanted = function(x.astype(float), axis=tuple(axis - 1 for axis in axes), keepdims=keepdims)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


KEYS = st.one_of(st.none(), st.integers(-2, 1), st.slices(2), st.just(Ellipsis))


@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, max_size=4))
def test_keys_mean_what_numpy_means(keys):
    keys = [key for number, key in enumerate(keys) if key is not Ellipsis or Ellipsis not in keys[:number]]
    if sum(key is not None and key is not Ellipsis for key in keys) > 3:
        return
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    found, steps = run(arrangement.get_item, x, [slice(None), *keys])
    assert not steps
    np.testing.assert_array_equal(found, x[tuple(keys)])
