"""Edges with gaps are written out the same run by run as place by place, whatever the layout of images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import etl
from etl.graph import blocks as written
from etl.graph.batches import blocks


def convolution(groups: int, operator: str = "Conv") -> onnx.ModelProto:
    """Eight channels of 5 x 6, padded by one, to eight."""
    kernel = numpy_helper.from_array(np.random.default_rng(groups).normal(size=(8, 8 // groups, 3, 3)).astype("f4"), "kernel")
    given, made = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", [1, 8, 5, 6]), ("y", None)))
    node = helper.make_node(operator, ["x", "kernel"], ["y"], pads=[1, 1, 1, 1], group=groups)
    return helper.make_model(helper.make_graph([node], "graph", [given], [made], [kernel]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def layer(made: Any) -> Any:
    x = keras.Input((5, 6, 4))
    return keras.Model(x, made(x))


MODELS = {
    "channels last": lambda: layer(keras.layers.Conv2D(3, 3, padding="same")),
    "depthwise": lambda: layer(keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "pool": lambda: layer(keras.layers.AveragePooling2D(3, 1, padding="same")),
    "channels first": lambda: convolution(1),
    "groups": lambda: convolution(4),
    "a channel each": lambda: convolution(8),
    "transposed": lambda: convolution(1, "ConvTranspose"),
}


@pytest.mark.parametrize("rows", [200, 5000])
@pytest.mark.parametrize("name", MODELS)
def test_runs_are_the_places_that_are_edges(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "LEAST_RUN", 0)  # images this small have short ones
    with_gaps = [block for block in blocks(etl.read(MODELS[name]())._graph, rows) if block.gaps]
    assert with_gaps
    for block in with_gaps:
        columns = [column for column in (block.source, block.target, block.weight, block.parameter) if column is not None]
        whole = [column.reshape(-1) for column in np.broadcast_arrays(*columns)]
        runs = block.runs(columns)
        assert runs is not None
        for run, column in zip(runs, whole, strict=True):
            np.testing.assert_array_equal(run, column[whole[0] >= 0])
