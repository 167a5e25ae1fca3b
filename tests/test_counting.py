"""Counting without an id for each neuron gives the rows of the trace, and what is streamed afterwards has all ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import pyarrow.compute as pc
import pytest

import etl
from etl.graph import selection, trace
from etl.readers import read, read_keras_model
from tests import zoo

DATA = Path(__file__).parent / "data"


@pytest.mark.filterwarnings("ignore")  # Keras' own
@pytest.mark.parametrize("builder", zoo.BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_shared_ids_count_what_distinct_ones_do(builder, package):
    model = read_keras_model(zoo.build(builder, pytest.importorskip(package)))
    assert trace.trace(model, shared=0).rows == trace.trace(model).rows


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.onnx", "digits_torch.pt2"])
def test_so_they_do_in_every_dialect(name):
    model = read(DATA / name)
    counted = trace.trace(model, shared=0)
    assert counted.counts_alone and counted.rows == trace.trace(model).rows
    with pytest.raises(AssertionError, match="only counted"):
        next(counted.steps())


def test_layers_of_many_kinds():
    """Windows with padding, groups, depths, several axes, attention and what is joined and cut along channels."""
    kit = keras.layers
    x = keras.Input((9, 8, 4))
    y = kit.SeparableConv2D(6, 3, padding="same", strides=2)(kit.ZeroPadding2D(1)(x))
    y = kit.GroupNormalization(2)(kit.Conv2DTranspose(6, 3, strides=2, padding="same")(y))
    y = kit.Concatenate()([kit.MaxPooling2D(3, padding="same", strides=1)(y), kit.Conv2D(4, 3, groups=2, padding="same")(y)])
    y = kit.LayerNormalization()(kit.Reshape((-1, 10))(y))
    y = kit.MultiHeadAttention(2, 3)(y, y)
    first, second = keras.ops.split(y, 2, axis=-1)
    y = kit.Multiply()([first, kit.Activation("sigmoid")(second)])
    model = read_keras_model(keras.Model(x, kit.Dense(3)(kit.GlobalAveragePooling1D()(y))))
    assert trace.trace(model, shared=0).rows == trace.trace(model).rows


def test_rows_are_streamed_with_all_their_ids(monkeypatch: pytest.MonkeyPatch):
    """What `read` has only counted is traced when its rows are asked for."""
    whole = etl.read(DATA / "digits_cnn.h5").weights().read_all()
    monkeypatch.setattr(trace, "SHARED", 0)
    graph = etl.read(DATA / "digits_cnn.h5")
    assert graph.plan().edges == whole.num_rows and graph._counted is not graph._graph
    assert graph.weights().read_all().equals(whole)
    assert pc.count_distinct(graph.neurons().read_all()["id"]).as_py() == graph.plan().neurons


def test_a_selection_of_edges_is_never_counted_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trace, "SHARED", 0)
    for options in ({"top_k": 3}, {"min_weight": 0.1}, {"fold": True}, {"granularity": "channel"}, {"layers": ("shapes", None)}):
        chosen = replace(selection.Selection(), **options)
        assert not getattr(selection.graph_of(DATA / "digits_cnn.h5", chosen, counts=True), "counts_alone", False)
