"""Edges are the same however they are written out: run by run or place by place, in blocks and batches of any size, whatever the layout of arrays."""

from __future__ import annotations

from itertools import product
from typing import Any

import keras
import numpy as np
import onnx
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import etl
from etl.graph import blocks as written
from etl.graph.batches import blocks, weight_batches
from etl.graph.blocks import Block, laid_out, spread


def convolution(groups: int, operator: str = "Conv") -> onnx.ModelProto:
    """Eight channels of 5 x 6, padded by one, to eight."""
    kernel = numpy_helper.from_array(np.random.default_rng(groups).normal(size=(8, 8 // groups, 3, 3)).astype("f4"), "kernel")
    given, made = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", [1, 8, 5, 6]), ("y", None)))
    node = helper.make_node(operator, ["x", "kernel"], ["y"], pads=[1, 1, 1, 1], group=groups)
    return helper.make_model(helper.make_graph([node], "graph", [given], [made], [kernel]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def layer(*made: Any, shape: tuple[int, ...] = (5, 6, 4)) -> Any:
    return keras.Sequential([keras.Input(shape), *made])


MODELS = {
    "channels last": lambda: layer(keras.layers.Conv2D(3, 3, padding="same")),
    "depthwise": lambda: layer(keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "pool": lambda: layer(keras.layers.AveragePooling2D(3, 1, padding="same")),
    "strided transposed": lambda: layer(keras.layers.Conv2DTranspose(3, 3, strides=2)),
    "far apart": lambda: layer(keras.layers.Conv2DTranspose(3, 2, strides=(3, 4))),
    "channels first": lambda: convolution(1),
    "groups": lambda: convolution(4),
    "a channel each": lambda: convolution(8),
    "transposed": lambda: convolution(1, "ConvTranspose"),
}
WHOLE = {
    "recurrent": lambda: layer(keras.layers.LSTM(3, return_sequences=True), keras.layers.GRU(2), shape=(4, 5)),
    "computed": lambda: layer(keras.layers.Dense(4), keras.layers.LayerNormalization(), keras.layers.Flatten(), keras.layers.Dense(7)),
    "pools": lambda: layer(keras.layers.MaxPooling2D(2), keras.layers.GlobalAveragePooling2D(), keras.layers.Activation("relu")),
}


def places(block: Block) -> list[NDArray[Any]]:
    """A block's columns, each of its places an entry, and those taken that are edges."""
    columns = np.broadcast_arrays(*(column for column in (block.source, block.target, block.weight, block.parameter) if column is not None))
    return [column[columns[0] >= 0] for column in columns]


@pytest.mark.parametrize("least", [0, 1 << 40], ids=["runs", "places"])
@pytest.mark.parametrize("rows", [200, 5000])
@pytest.mark.parametrize("name", MODELS)
def test_blocks_with_gaps_have_the_places_that_are_edges(name: str, rows: int, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "LEAST_RUN", least)  # images this small have short runs
    with_gaps = [block for block in blocks(etl.read(MODELS[name]())._graph, rows) if block.gaps]
    assert with_gaps
    for block in with_gaps:
        assert block.edges == len(places(block)[0])
        for column, expected in zip(block.columns(), places(block), strict=False):
            np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize("name", [*MODELS, *WHOLE])
def test_batches_of_any_size_have_the_edges_of_single_places(name: str) -> None:
    """Blocks of one edge broadcast nothing, share no weights and are joined by Arrow alone."""
    graph = etl.read((MODELS | WHOLE)[name]())._graph
    single = [(*(column[0] for column in places(block)), block.row.name) for block in blocks(graph, 1) if block.source.min() >= 0]
    assert len(single) == graph.edges
    for rows in (7, 100, 1000, 1 << 18):
        batches = list(weight_batches(graph, rows))
        assert max(batch.num_rows for batch in batches) <= rows
        table = pa.Table.from_batches(batches).to_pylist()
        found = [(*(value for name, value in row.items() if name != "layer" and value is not None), row["layer"]) for row in table]
        assert found == single


def test_a_transposed_convolution_written_out() -> None:
    """Each input adds its filters two places further on than the one before; edges in the order of targets, then of kernel places turned around."""
    model = layer(keras.layers.Conv2DTranspose(3, 3, strides=2), shape=(3, 4, 2))
    kernel = np.asarray(model.layers[0].kernel)  # (3, 3, filters, channels)
    expected = []
    for y, x, f in product(range(7), range(9), range(3)):
        for i, j, c in product(range(2, -1, -1), range(2, -1, -1), range(2)):
            (row, odd_row), (column, odd_column) = divmod(y - i, 2), divmod(x - j, 2)
            if not odd_row and not odd_column and 0 <= row < 3 and 0 <= column < 4:
                source, target = (row * 4 + column) * 2 + c, 24 + (y * 9 + x) * 3 + f
                expected.append((source, target, float(kernel[i, j, f, c]), ((i * 3 + j) * 3 + f) * 2 + c))
    table = pa.Table.from_batches(weight_batches(etl.read(model)._graph))
    assert list(zip(*(table.column(n).to_pylist() for n in range(4)), strict=True)) == expected


@pytest.mark.parametrize("far", [0, 1 << 20])
def test_arrays_in_any_layout_are_laid_out_in_c_order(far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "FAR", far)
    image = np.arange(6 * 7 * 5).reshape(6, 7, 5)
    seen = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(0, 1))
    arrays = [
        image,
        image.T,
        image[::-1, ::2],
        seen,
        np.moveaxis(seen, 2, -1),
        np.broadcast_to(image[:, :1], image.shape),
        image[:1, :1, :1],
        image[:0],
    ]
    for array in arrays:
        near = laid_out(array)
        assert near.flags.c_contiguous
        np.testing.assert_array_equal(near, array)


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 3, 1), (4, 3, 9), (1, 1, 1), (4, 1, 9)])
@pytest.mark.parametrize("last", [1, 2, 9])
def test_columns_are_spread_as_numpy_broadcasts_them(shape: tuple[int, ...], last: int) -> None:
    column = np.arange(np.prod(shape)).reshape(shape)[..., :last]
    out = np.full((4, 3, last), -7)
    spread(out, column)
    np.testing.assert_array_equal(out, np.broadcast_to(column, out.shape))
