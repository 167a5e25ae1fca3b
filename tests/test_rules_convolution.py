"""Convolutions of every kind against the framework's prediction, and their edges by arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import Unsupported
from etl.graph.trace import trace
from etl.network import Array, Layer
from etl.readers import read_keras_model
from etl.rules.binding import run
from etl.rules.ids import live
from etl.rules.keras import KERAS3
from etl.rules.primitives.windows import transposed_windows, windows
from etl.rules.scope import NOTHING, Scope, Tape
from tests.forward import run_graph
from tests.oracle import check, check_channels_first, difference


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


@pytest.mark.parametrize(("shape", "kind", "options", "edges"), [case for case in CONVOLUTIONS if case[2].get("padding") != "causal"])
def test_channels_first_is_the_same_with_the_axes_turned(shape, kind, options, edges):
    """Kernels lie as ever, channels of inputs, outputs and rows come first."""
    layer, turned = getattr(keras.layers, kind), (shape[-1], *shape[:-1])
    first = sequential(turned, layer(**options, data_format="channels_first"))
    last = sequential(shape, layer(**options))
    graph = check_channels_first(first, last)
    assert edges is None or graph.edges == edges
    *places, channels = last.output_shape[1:]
    assert graph.rows[-1].shape == (channels, *places)


@pytest.mark.parametrize("kind", ["Conv1D", "DepthwiseConv1D", "SeparableConv1D"])
def test_softmax_is_taken_over_the_last_axis_even_where_that_is_no_channels(kind):
    size = {"kernel_size": 2} if "Depth" in kind else {"filters": 3, "kernel_size": 2}
    turned = {**size, "data_format": "channels_first", "activation": "softmax"}
    layer, plain = getattr(keras.layers, kind)(**turned), getattr(keras.layers, kind)(**size)
    graph = trace(read_keras_model(sequential((2, 6), layer)))
    twin = sequential((6, 2), plain, keras.layers.Permute((2, 1)), keras.layers.Softmax())
    plain.set_weights(layer.get_weights())
    x = np.random.default_rng(4).normal(size=(2, 6)).astype(np.float32)
    assert difference(run_graph(graph, [x])[0], np.asarray(twin(x.T[None])).reshape(-1)) <= 1e-5


def test_channels_first_in_keras_2():
    layers, options = tf_keras.layers, {"data_format": "channels_first"}
    first = [layers.Conv2D(4, 2, groups=2, **options), layers.SeparableConv2D(3, 2, **options), layers.Conv2DTranspose(2, 3, 2, **options)]
    last = [layers.Conv2D(4, 2, groups=2), layers.SeparableConv2D(3, 2), layers.Conv2DTranspose(2, 3, 2)]
    check_channels_first(sequential((2, 6, 5), *first, package=tf_keras), sequential((6, 5, 2), *last, package=tf_keras))


def test_strides_and_dilation_together():
    """Keras 3 computes them for depthwise convolutions since 3.15 only."""
    check(sequential((9, 8, 2), keras.layers.DepthwiseConv2D(3, strides=2, dilation_rate=2, padding="same")))
    check(sequential((9, 8, 2), keras.layers.SeparableConv2D(3, 2, strides=2, dilation_rate=3)))


def test_dilated_transposed_convolutions_go_apart():
    """Keras 3 can't compute them on a CPU; a dilated kernel is the kernel with zeros between."""
    thin, wide = keras.layers.Conv2DTranspose(2, (3, 2), dilation_rate=(2, 3)), keras.layers.Conv2DTranspose(2, (5, 4))
    one, other = sequential((4, 3, 2), thin), sequential((4, 3, 2), wide)
    rng = np.random.default_rng(3)
    kernel, bias, zeros = rng.normal(size=(3, 2, 2, 2)), rng.normal(size=2), np.zeros((5, 4, 2, 2))
    zeros[::2, ::3] = kernel
    thin.set_weights([kernel, bias])
    wide.set_weights([zeros, bias])
    x = rng.normal(size=(4, 3, 2)).astype(np.float32)
    (found,) = run_graph(trace(read_keras_model(one)), [x])
    np.testing.assert_allclose(found, np.asarray(other(x[None]))[0].reshape(-1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_dilated_transposed_convolutions_of_keras_2(padding):
    """In two dimensions they are; in three Keras 2 takes the option, forgets it in the file and computes without it."""
    layers = tf_keras.layers
    check(sequential((5, 4, 3), layers.Conv2DTranspose(2, (3, 2), dilation_rate=2, padding=padding), package=tf_keras))
    check(sequential((3, 4, 2, 2), layers.Conv3DTranspose(2, (3, 2, 2), dilation_rate=2, padding=padding), package=tf_keras))


def test_what_has_no_rule_is_named():
    for options, said in [({"strides": [1, 2, 3]}, "3 numbers for 2 axes"), ({"padding": "full"}, "padding='full'"), ({"rotation": 2}, "rotation=2")]:
        with pytest.raises(Unsupported, match=said):
            convolve(np.arange(60).reshape(5, 4, 3), options)
    with pytest.raises(Unsupported, match="2 axes at an input of 3"):
        convolve(np.arange(120).reshape(2, 5, 4, 3), {})
    with pytest.raises(ValueError, match="2 channels, the kernel 3"):
        convolve(np.arange(40).reshape(5, 4, 2), {})


def convolve(ids, options):
    kernel = Array("kernel", (3, 2, 3, 4), np.dtype("float32"), 0, lambda: np.zeros((3, 2, 3, 4), np.float32))
    return run(Layer("conv", "Conv2D", options, (kernel,)), Scope(Tape(1000), "conv", KERAS3), [live(ids)], {})


AXIS = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))  # places, window, stride, dilation


@settings(deadline=None, max_examples=150)
@given(axes=st.lists(AXIS, min_size=1, max_size=3), padding=st.sampled_from(["valid", "same", "causal"]))
def test_windows_see_what_the_definition_says(axes, padding):
    """Window o of an axis looks at o * stride + j * dilation - before, for each j; padding is smaller before than after by at most one."""
    if padding == "valid":
        axes = [(n + (k - 1) * d, k, s, d) for n, k, s, d in axes]
    shape, size, strides, dilation = (tuple(a) for a in zip(*axes, strict=True))
    ids = np.arange(np.prod(shape) * 2).reshape(*shape, 2)
    seen = windows(ids, size, strides, padding, dilation)
    outs = [
        {"valid": (n - (k - 1) * d - 1) // s + 1, "same": -(-n // s), "causal": (n - 1) // s + 1}[padding] for n, k, s, d in axes
    ]  # fmt: skip
    assert seen.shape == (*outs, *size, 2)
    for place in np.ndindex(*outs, *size):
        at = []
        for (n, k, s, d), out, o, j in zip(axes, outs, place[: len(axes)], place[len(axes) :], strict=True):
            total = max((out - 1) * s + (k - 1) * d + 1 - n, 0)
            at.append(o * s + j * d - {"valid": 0, "same": total // 2, "causal": (k - 1) * d}[padding])
        inside = all(0 <= a < n for a, n in zip(at, shape, strict=True))
        assert (seen[place] == (ids[tuple(at)] if inside else NOTHING)).all()


@settings(deadline=None, max_examples=150)
@given(
    axes=st.lists(
        st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 12)),
        min_size=1,
        max_size=2,
    )
)
def test_spread_turns_a_convolution_around(axes):
    """Output o gets input i through place j of its filter where o = i * stride + j * dilation - before; the filter is turned around."""
    shape, size, strides, dilation, before, outs = (tuple(a) for a in zip(*axes, strict=True))
    ids = np.arange(np.prod(shape)).reshape(*shape, 1)
    seen = transposed_windows(ids, outs, size, strides, before, dilation)
    assert seen.shape == (*outs, *size, 1)
    for place in np.ndindex(*outs, *size):
        at = []
        for (n, k, s, d, cut, _), o, j in zip(axes, place[: len(axes)], place[len(axes) :], strict=True):
            i, rest = divmod(o + cut - (k - 1 - j) * d, s)
            at.append(i if not rest and 0 <= i < n else -1)
        assert seen[place][0] == (ids[tuple(at)][0] if min(at) >= 0 else NOTHING)
