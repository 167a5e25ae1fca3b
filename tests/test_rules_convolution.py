"""Convolutions of every kind against the framework, and their edges by arithmetic."""

from __future__ import annotations

import keras
import pytest

from tests.oracle import check

L = keras.layers


def model(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize(
    ("shape", "layer", "edges"),
    [
        ((7, 6, 3), L.Conv2D(4, 3), 5 * 4 * 4 * 27),
        ((7, 6, 3), L.Conv2D(4, (3, 2), strides=(3, 3)), 2 * 2 * 4 * 18),
    ],
)
def test_convolution(shape, layer, edges):
    assert check(model(shape, layer)).edges == edges
