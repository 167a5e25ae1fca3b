"""Layers with several inputs against both frameworks."""

from __future__ import annotations

import keras
import pytest
import tf_keras
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from tf_keras.src.applications.inception_resnet_v2 import CustomScaleLayer as CustomScaleLayer2

from tests.oracle import check

BOTH = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])
SAME = [(3, 4, 2), (3, 4, 2)]


def merged(package, shapes, layer):
    inputs = [package.Input(shape) for shape in shapes]
    return package.Model(inputs, layer(inputs))


@BOTH
@pytest.mark.parametrize("kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"])
@pytest.mark.parametrize("shapes", [SAME, [(3, 4, 2), (1, 4, 1)], [(3, 4, 2), (2,)], [(4,), (3, 4)], [(3, 2)] * 3], ids=str)
def test_place_by_place(package, kind, shapes):
    if kind == "Subtract":
        shapes = shapes[:2]
    graph = check(merged(package, shapes, getattr(package.layers, kind)()))
    assert graph.edges == len(shapes) * graph.outputs[0].size


@BOTH
@pytest.mark.parametrize(
    ("shapes", "axis"),
    [(SAME, -1), ([(3, 4, 2), (5, 4, 2)], 1), ([(3, 4, 2), (5, 4, 2)], -3), ([(3, 1, 2), (3, 4, 2), (3, 2, 2)], 2), ([(2,), (3,)], 1)],
)
def test_concatenate_is_a_view(package, shapes, axis):
    assert check(merged(package, shapes, package.layers.Concatenate(axis=axis))).edges == 0


DOTS = [
    ([(4,), (4,)], 1, 4),
    ([(4, 3), (5, 3)], -1, 4 * 5 * 3),
    ([(4, 3), (3, 5)], (2, 1), 4 * 5 * 3),
    ([(4, 3), (4,)], 1, 3 * 4),
    ([(3,), (4, 3)], (1, 2), 4 * 3),
    ([(3, 2), (4, 5, 3)], (1, 3), 2 * 4 * 5 * 3),
]


@BOTH
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("shapes", "axes", "products"), DOTS, ids=str)
def test_dot(package, shapes, axes, products, normalize):
    graph = check(merged(package, shapes, package.layers.Dot(axes=axes, normalize=normalize)))
    rows = {row.name.partition("/")[2]: row for row in graph.rows}
    assert rows["products"].neurons == products
    assert rows[""].edges == products


@BOTH
def test_scaled_sum_of_inception_resnet(package):
    layer = (CustomScaleLayer if package is keras else CustomScaleLayer2)(0.17)
    check(merged(package, SAME, layer))


@BOTH
def test_one_tensor_twice(package):
    given = package.Input((3, 2))
    graph = check(package.Model(given, package.layers.Multiply()([given, given])))
    assert graph.edges == 2 * 6
