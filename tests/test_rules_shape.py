"""Layers that only move values, and images of another size: against the framework's prediction, and against what numpy does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import BadRequest, Unsupported
from etl.network import Layer
from etl.rules.binding import run
from etl.rules.ids import live
from etl.rules.keras import AT_TRAINING_ONLY, KERAS3
from etl.rules.primitives.interpolation import matrix
from etl.rules.scope import ZERO, Scope, Tape
from tests.oracle import check, check_channels_first

L = keras.layers
BOTH = [keras, tf_keras]
NAMES = ["keras3", "keras2"]


def sequential(shape, *layers, package=keras):
    return package.Sequential([package.Input(shape), *layers])


VIEWS = [
    ((4, 3, 2), "Flatten", {}),
    ((), "Flatten", {}),
    ((4, 6), "Reshape", {"target_shape": [3, -1, 2]}),
    ((4, 3, 2), "Permute", {"dims": [3, 1, 2]}),
    ((5,), "RepeatVector", {"n": 3}),
    ((5, 2), "ZeroPadding1D", {"padding": 2}),
    ((5, 2), "ZeroPadding1D", {"padding": [0, 3]}),
    ((4, 3, 2), "ZeroPadding2D", {"padding": 1}),
    ((4, 3, 2), "ZeroPadding2D", {"padding": [1, 2]}),
    ((4, 3, 2), "ZeroPadding2D", {"padding": [[1, 0], [0, 2]]}),
    ((2, 4, 3, 2), "ZeroPadding3D", {"padding": [[1, 0], [0, 2], [1, 1]]}),
    ((2, 4, 3, 2), "ZeroPadding3D", {"padding": [1, 0, 2]}),
    ((5, 2), "Cropping1D", {"cropping": 1}),
    ((5, 2), "Cropping1D", {"cropping": [0, 3]}),
    ((6, 5, 2), "Cropping2D", {"cropping": [1, 2]}),
    ((6, 5, 2), "Cropping2D", {"cropping": [[1, 0], [0, 2]]}),
    ((4, 5, 4, 2), "Cropping3D", {"cropping": [[1, 0], [0, 2], [1, 1]]}),
    ((4, 5, 4, 2), "Cropping3D", {"cropping": 1}),
    ((4, 2), "UpSampling1D", {"size": 3}),
    ((4, 3, 2), "UpSampling2D", {"size": [2, 3]}),
    ((4, 3, 2), "UpSampling2D", {"size": 2}),
    ((2, 3, 2, 2), "UpSampling3D", {"size": [2, 1, 3]}),
    ((7, 5, 2), "CenterCrop", {"height": 4, "width": 4}),
    ((7, 5, 2), "Resizing", {"height": 7, "width": 5}),
    ((7, 5, 2), "Resizing", {"height": 4, "width": 9, "interpolation": "nearest"}),
    ((7, 5, 2), "Resizing", {"height": 4, "width": 6, "interpolation": "nearest", "crop_to_aspect_ratio": True}),
    ((4, 3), "Identity", {}),
    ((4, 3), "Dropout", {"rate": 0.4}),
    ((4, 3), "SpatialDropout1D", {"rate": 0.4}),
    ((4, 3, 2), "SpatialDropout2D", {"rate": 0.4}),
    ((4, 3, 2, 2), "SpatialDropout3D", {"rate": 0.4}),
    ((4, 3), "AlphaDropout", {"rate": 0.4}),
    ((4, 3), "GaussianDropout", {"rate": 0.4}),
    ((4, 3), "GaussianNoise", {"stddev": 0.4}),
    ((4, 3), "ActivityRegularization", {"l1": 0.4}),
]


@pytest.mark.parametrize("package", BOTH, ids=NAMES)
@pytest.mark.parametrize(("shape", "kind", "options"), VIEWS)
def test_views_make_no_neurons(shape, kind, options, package):
    graph = check(sequential(shape, getattr(package.layers, kind)(**options), package=package), rtol=1e-7)
    assert graph.neurons == np.prod(shape) and graph.edges == 0
    assert graph.rows[-1].begin == graph.rows[-1].end == graph.neurons


@pytest.mark.parametrize(("shape", "kind", "options"), [case for case in VIEWS if case[1].rstrip("23D") in ("ZeroPadding", "Cropping", "UpSampling")])
def test_views_with_channels_first(shape, kind, options):
    layer = getattr(keras.layers, kind)
    check_channels_first(sequential((shape[-1], *shape[:-1]), layer(**options, data_format="channels_first")), sequential(shape, layer(**options)))


def test_flatten_puts_channels_last_first():
    for package in BOTH:
        check(sequential((2, 4, 3), package.layers.Flatten(data_format="channels_first"), package.layers.Dense(3), package=package))


@pytest.mark.parametrize("kind", AT_TRAINING_ONLY)
def test_random_image_layers_are_the_identity_at_inference(kind):
    factors = {
        **dict.fromkeys(["RandomBrightness", "RandomContrast", "RandomHue", "RandomRotation", "RandomShear", "RandomZoom", "RandomHeight"], (0.3,)),
        **dict.fromkeys(["RandomColorDegeneration", "RandomSaturation", "RandomSharpness", "RandomWidth", "Solarization"], (0.4,)),
        "RandomTranslation": (0.2, 0.2),
        "RandomPosterization": (4,),
    }
    packages = [package for package in BOTH if hasattr(package.layers, kind)]
    assert packages
    for package in packages:
        layer = getattr(package.layers, kind)(*factors.get(kind, ()))
        graph = check(sequential((6, 5, 3), layer, package=package), inputs=[np.linspace(-300, 300, 90).reshape(6, 5, 3)])
        assert graph.neurons == 90


# shape, layer, options, edges of one channel (rows seen x columns seen)
IMAGES = [
    ((4, 3, 2), "UpSampling2D", {"size": 2, "interpolation": "bilinear"}, (8 * 2 - 2) * (6 * 2 - 2)),
    ((4, 3, 2), "UpSampling2D", {"size": [3, 2], "interpolation": "bilinear"}, (4 + 2 * 6 + 2) * 10),  # every third row is an old one
    ((4, 3, 2), "UpSampling2D", {"size": 2, "interpolation": "bicubic"}, None),
    ((5, 4, 2), "UpSampling2D", {"size": [2, 3], "interpolation": "lanczos3"}, None),
    ((5, 4, 2), "UpSampling2D", {"size": 2, "interpolation": "lanczos5"}, None),
    ((7, 5, 2), "Resizing", {"height": 4, "width": 9}, None),
    ((7, 5, 2), "Resizing", {"height": 13, "width": 3, "interpolation": "bicubic"}, None),
    ((7, 5, 2), "Resizing", {"height": 3, "width": 8, "interpolation": "lanczos3"}, None),
    ((7, 5, 2), "Resizing", {"height": 5, "width": 11, "interpolation": "lanczos5"}, None),
    ((7, 5, 2), "Resizing", {"height": 4, "width": 8, "crop_to_aspect_ratio": True}, None),
    ((4, 9, 2), "Resizing", {"height": 6, "width": 5, "crop_to_aspect_ratio": True}, None),
    ((3, 5, 2), "CenterCrop", {"height": 4, "width": 4}, None),
    ((9, 3, 2), "CenterCrop", {"height": 4, "width": 5}, None),
]
KERAS_2_IMAGES = [
    ((4, 3, 2), "UpSampling2D", {"size": 2, "interpolation": "area"}, 8 * 6),
    ((4, 3, 2), "UpSampling2D", {"size": 2, "interpolation": "gaussian"}, None),
    ((4, 3, 2), "UpSampling2D", {"size": [2, 3], "interpolation": "mitchellcubic"}, None),
    ((7, 5, 2), "Resizing", {"height": 3, "width": 4, "interpolation": "area"}, 9 * 8),  # 7 / 3 reach over 3 rows each, 5 / 4 over 2
    ((7, 5, 2), "Resizing", {"height": 3, "width": 7, "interpolation": "gaussian"}, None),
    ((7, 5, 2), "Resizing", {"height": 10, "width": 4, "interpolation": "mitchellcubic"}, None),
    ((7, 5, 2), "RandomCrop", {"height": 4, "width": 4}, None),
    ((3, 5, 2), "RandomCrop", {"height": 4, "width": 5}, None),
]
KERAS_3_IMAGES = [
    ((7, 5, 2), "Resizing", {"height": 3, "width": 2, "antialias": True}, None),
    ((9, 5, 2), "Resizing", {"height": 3, "width": 7, "interpolation": "bicubic", "antialias": True}, None),
    ((9, 8, 2), "Resizing", {"height": 3, "width": 3, "interpolation": "lanczos3", "antialias": True}, None),
    ((7, 4, 2), "Resizing", {"height": 6, "width": 6, "pad_to_aspect_ratio": True}, None),
    ((4, 7, 2), "Resizing", {"height": 6, "width": 6, "pad_to_aspect_ratio": True, "fill_value": 3.5}, None),
    ((4, 8, 2), "Resizing", {"height": 6, "width": 6, "pad_to_aspect_ratio": True, "fill_value": -2, "interpolation": "nearest"}, 3 * 6),
    ((4, 8, 2), "Resizing", {"height": 6, "width": 5, "pad_to_aspect_ratio": True, "fill_value": 2, "interpolation": "bicubic"}, None),
]


@pytest.mark.parametrize(
    ("package", "shape", "kind", "options", "edges"),
    [(p, *case) for p, own in zip(BOTH, [KERAS_3_IMAGES, KERAS_2_IMAGES], strict=True) for case in IMAGES + own],
)
def test_images_change_their_size_as_in_the_framework(package, shape, kind, options, edges):
    graph = check(sequential(shape, getattr(package.layers, kind)(**options), package=package), rtol=3e-6)
    assert edges is None or graph.edges == edges * shape[-1]
    assert graph.edges


@pytest.mark.parametrize(("shape", "kind", "options", "edges"), [*IMAGES[:3], IMAGES[5], IMAGES[9], IMAGES[-1], KERAS_3_IMAGES[4]])
def test_images_with_channels_first(shape, kind, options, edges):
    layer = getattr(keras.layers, kind)
    check_channels_first(sequential((shape[-1], *shape[:-1]), layer(**options, data_format="channels_first")), sequential(shape, layer(**options)))


def test_images_take_padded_zeros_as_values():
    for method in ("bilinear", "bicubic"):
        check(sequential((3, 2, 2), L.ZeroPadding2D(((1, 0), (0, 2))), L.UpSampling2D(2, interpolation=method)))
    check(sequential((3, 2, 2), L.ZeroPadding2D(((1, 0), (0, 2))), L.Resizing(7, 3, interpolation="nearest"), L.Conv2D(2, 2)), whole=False)
    check(sequential((3, 2, 2), L.ZeroPadding2D(((1, 0), (0, 2))), L.Conv2DTranspose(2, 3, strides=2)))


def test_padded_images_in_nearest_neighbours_stay_a_view():
    graph = check(sequential((4, 8, 2), L.Resizing(6, 6, interpolation="nearest", pad_to_aspect_ratio=True)))
    assert graph.edges == 0 and (graph.outputs[0] == ZERO).sum() == 3 * 6 * 2


def test_random_crop_of_keras_3_changes_nothing_at_inference():
    """It declares another shape, though."""
    model = sequential((6, 5, 2), L.RandomCrop(6, 5), L.Conv2D(2, 2))
    assert check(model).rows[1].type == "RandomCrop"


METHODS = ["nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]


@settings(deadline=None, max_examples=200)
@given(n=st.integers(1, 40), out=st.integers(1, 60), method=st.sampled_from(METHODS), antialias=st.booleans())
def test_interpolation_along_one_axis(n, out, method, antialias):
    """The matrix is what the framework makes of the identity: each column one place of value 1. A second axis of 2 keeps it from short cuts."""
    image = np.repeat(np.eye(n, dtype=np.float32)[:, None, :], 2, axis=1)  # (n, 2, places)
    wanted = np.asarray(tf.image.resize(image, (out, 2), method=method, antialias=antialias))[:, 0]
    found = matrix(method, n, out, antialias) * matrix(method, 2, 2, antialias).sum(axis=1)[0]
    if n != out:
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@settings(deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=2, max_size=4), draw=st.data())
def test_padding_is_undone_by_cropping(shape, draw):
    ends = [draw.draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in shape[1:]]
    ids = np.arange(np.prod(shape)).reshape(shape)
    axes = len(shape) - 1
    written = list(map(list, ends)) if axes > 1 else list(ends[0])
    wide = moved(f"ZeroPadding{axes}D", ids, padding=written)
    np.testing.assert_array_equal(wide, np.pad(ids, [*ends, (0, 0)], constant_values=ZERO))
    np.testing.assert_array_equal(moved(f"Cropping{axes}D", wide, cropping=written), ids)


@settings(deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), draw=st.data())
def test_permute_is_undone_by_its_inverse(shape, draw):
    dims = draw.draw(st.permutations(range(1, len(shape) + 1)))
    ids = np.arange(np.prod(shape)).reshape(shape)
    there = moved("Permute", ids, dims=list(dims))
    assert there.shape == tuple(shape[d - 1] for d in dims)
    np.testing.assert_array_equal(moved("Permute", there, dims=[dims.index(d) + 1 for d in range(1, len(shape) + 1)]), ids)


def moved(kind, ids, **options):
    return run(Layer("view", kind, options), Scope(Tape(10**6), "view", KERAS3), [live(ids)], {})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ZeroPadding2D", {"padding": 10**9}),
        ("UpSampling2D", {"size": [10**9, 1]}),
        ("UpSampling2D", {"size": [10**9, 1], "interpolation": "bilinear"}),
        ("Resizing", {"height": 10**9, "width": 1}),
        ("Resizing", {"height": 2, "width": 10**9, "interpolation": "nearest"}),
        ("Resizing", {"height": 10**9, "width": 1, "pad_to_aspect_ratio": True}),
        ("CenterCrop", {"height": 10**9, "width": 10}),
        ("AdaptiveMaxPooling2D", {"output_size": [10**9, 1]}),
        ("MaxPooling2D", {"pool_size": 10**9, "strides": 1, "padding": "same"}),
    ],
)
def test_sizes_beyond_all_memory_are_refused_before_they_are_allocated(kind, options):
    with pytest.raises(BadRequest, match="neurons"):
        moved(kind, np.arange(60).reshape(5, 4, 3), **options)


@pytest.mark.parametrize(
    ("kind", "options", "call", "said"),
    [
        ("Dropout", {"rate": 0.5}, {"training": True}, "training=True"),
        ("Resizing", {"height": 2, "width": 2, "interpolation": "sinc"}, {}, "interpolation='sinc'"),
        ("Resizing", {"height": 2, "width": 2, "fill_mode": "reflect"}, {}, "fill_mode='reflect'"),
        ("ZeroPadding2D", {"padding": [1, 2, 3]}, {}, r"\[1, 2, 3\] around 2 axes"),
        ("Cropping2D", {"cropping": [[0, 0], [0, -1]]}, {}, "around 2 axes"),
    ],
)
def test_what_has_no_rule_is_named(kind, options, call, said):
    with pytest.raises(Unsupported, match=said):
        run(Layer("layer", kind, options), Scope(Tape(100), "layer", KERAS3), [live(np.arange(60).reshape(5, 4, 3))], call)
