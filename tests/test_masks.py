"""Masks: left out where nobody reads them, constants where lengths are given, refused at their readers otherwise; against both frameworks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from typer.testing import CliRunner

from etl.analysis.verify import checked_examples, random_examples
from etl.cli import app
from etl.errors import BadRequest, Unsupported
from etl.graph.trace import trace
from etl.network import Padding
from etl.readers import read_keras_model
from tests.forward import run_graph
from tests.oracle import check, difference

# Keras says so where layers end a mask; that they do is what is tested.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # Keras' own, in saving
]
both = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])
padded = pytest.mark.parametrize("length", [3, -3], ids=["behind", "in front"])
STEPS, WORDS = 5, 7


def words(length):
    """One example of that length: zeros where no word stands."""
    example = np.array([2, 5, 1, 6, 3])
    example[~Padding(length, 0).counts(STEPS)] = 0
    return example


def moments(length, value=0.0, seed=4):
    """The same of vectors."""
    example = np.random.default_rng(seed).normal(size=(STEPS, 3))
    example[~Padding(length, value).counts(STEPS)] = value
    return example


def text(package, *layers):
    """A model of words, most of which mask."""
    return package.Sequential([package.Input((STEPS,), dtype="int32"), package.layers.Embedding(WORDS, 4, mask_zero=True), *layers])


READERS = {
    "LSTM": lambda kit: [kit.LSTM(2)],
    "GRU, sequences": lambda kit: [kit.Dropout(0.3), kit.GRU(3, return_sequences=True), kit.SimpleRNN(2)],
    "backwards": lambda kit: [kit.SimpleRNN(3, go_backwards=True, return_sequences=True), kit.Flatten()],
    "zeros at masked steps": lambda kit: [kit.LSTM(2, return_sequences=True, zero_output_for_mask=True), kit.Flatten()],
    "both directions": lambda kit: [kit.Bidirectional(kit.LSTM(2, return_sequences=True)), kit.TimeDistributed(kit.Dense(3)), kit.Flatten()],
    "both directions, last": lambda kit: [kit.Bidirectional(kit.GRU(2), merge_mode="sum")],
    "cells": lambda kit: [kit.RNN(kit.StackedRNNCells([kit.SimpleRNNCell(4), kit.GRUCell(2)]), return_sequences=True), kit.Flatten()],
    "average": lambda kit: [kit.Dense(3), kit.LayerNormalization(), kit.GlobalAveragePooling1D()],
}


@both
@padded
@pytest.mark.parametrize("layers", READERS.values(), ids=READERS)
def test_a_given_length_is_exact_for_sequences_of_that_length(layers, length, package):
    check(text(package, *layers(package.layers)), inputs=[words(length)], lengths=[length], whole=False)


@both
@padded
def test_attention_takes_lengths(length, package):
    x, y = package.Input((STEPS, 3)), package.Input((STEPS, 3))
    kit = package.layers
    query, value = kit.Masking(1.5)(x), kit.Masking()(y)
    inputs = [moments(length, 1.5), moments(2, seed=5)]
    check(package.Model([x, y], [kit.Attention()([query, value]), kit.AdditiveAttention()([value, query])]), inputs=inputs, lengths=[length, 2])
    if package is keras:
        crossed = kit.MultiHeadAttention(1, 2)(query=query, value=value, key=value)
        check(package.Model([x, y], crossed), inputs=inputs, lengths=[length, 2], whole=False)
        check(package.Model(x, kit.MultiHeadAttention(2, 3)(query, query)), inputs=inputs[:1], lengths=[length], whole=False)


def test_masks_that_keras_loses_itself_are_refused():
    """MultiHeadAttention takes the masks of its tensors away, so that what else reads them depends on which runs first."""
    x, kit = keras.Input((STEPS, 3)), keras.layers
    seen = kit.Masking()(x)
    first, added = kit.MultiHeadAttention(2, 3)(seen, seen), kit.Add()
    for reader in (kit.Attention(name="reader")([seen, seen]), kit.MultiHeadAttention(2, 3, name="reader")(*[added([seen, first])] * 2)):
        with pytest.raises(Unsupported, match=r"1 layer of .*reader \(\w+\): reads the mask of masking\w*, which no length settles"):
            trace(read_keras_model(keras.Model(x, [first, reader]), lengths=[3]))
    told = kit.GRU(2)(kit.Add()([seen, first]))  # whose mask the file says
    check(keras.Model(x, [first, told]), inputs=[moments(3)], lengths=[3], whole=False)


def test_a_causal_mask_meets_lengths():
    x = keras.Input((STEPS, 3))
    seen = keras.layers.Masking()(x)
    made = keras.layers.MultiHeadAttention(2, 3)(seen, seen, use_causal_mask=True)
    check(keras.Model(x, made), inputs=[moments(3)], lengths=[3], whole=False)


@both
def test_two_inputs_have_lengths_of_their_own(package):
    """A shared table and a shared layer: the first call sees three words, the second two in front of which zeros stand."""
    kit = package.layers
    first, second = package.Input((STEPS,)), package.Input((STEPS,))
    table, reader = kit.Embedding(WORDS, 3, mask_zero=True), kit.GRU(2)
    made = kit.Concatenate()([reader(table(first)), reader(table(second))])
    check(package.Model([first, second], made), inputs=[words(3), words(-2)], lengths=[3, -2], whole=False)


@both
def test_masks_of_nested_models(package):
    """One inside, called twice; one that goes in from outside."""
    kit = package.layers
    first, second = package.Input((STEPS,)), package.Input((STEPS,))
    inner = text(package, kit.LSTM(2))
    made = kit.Add()([inner(first), inner(second)])
    check(package.Model([first, second], made), inputs=[words(3), words(-2)], lengths=[3, -2], whole=False)
    outer = package.Input((STEPS, 3))
    reads = package.Sequential([package.Input((STEPS, 3)), kit.GRU(2, return_sequences=True), kit.GRU(2)])
    check(package.Model(outer, reads(kit.Masking()(outer))), inputs=[moments(-3)], lengths=[-3], whole=False)


@both
def test_masks_are_joined_as_the_framework_does(package):
    kit = package.layers
    x = package.Input((STEPS,))
    one = kit.Embedding(WORDS, 3, mask_zero=True)(x)
    made = kit.Concatenate()([kit.Add()([one, kit.Dense(3)(one)]), one])
    check(package.Model(x, kit.LSTM(2)(made)), inputs=[words(3)], lengths=[3], whole=False)


@both
@pytest.mark.parametrize("layers", ["Conv1D", "Flatten"])
def test_a_mask_that_nobody_reads_changes_nothing(layers, package):
    kit = package.layers

    def behind():
        return [kit.Conv1D(2, 2), kit.GlobalMaxPooling1D()] if layers == "Conv1D" else [kit.Flatten(), kit.Dense(2)]

    check(text(package, *behind()), inputs=[np.array([3, 0, 1, 0, 0])])
    check(package.Sequential([package.Input((STEPS, 3)), kit.Masking(), *behind()]), inputs=[moments(2)])


@both
def test_a_mask_that_is_read_is_refused_at_its_reader(package):
    model = text(package, package.layers.Dense(2), package.layers.LSTM(2, name="reader"))
    with pytest.raises(Unsupported, match=r"1 layer .*reader \(LSTM\): reads the mask of embedding\w*, so .* --ignore-masks .* --lengths 7 "):
        trace(read_keras_model(model))
    graph = trace(read_keras_model(model, ignore_masks=True))
    (found,) = run_graph(graph, [np.eye(WORDS)[[1, 3, 2, 6, 4]]])  # no zeros in this example: nothing is masked
    assert difference(found, np.asarray(model(np.array([[1, 3, 2, 6, 4]])))[0]) <= 1e-5


def test_masking_is_refused_where_it_changes_values():
    """Steps that hold another value than zero are set to zero."""
    model = keras.Sequential([keras.Input((STEPS, 3)), keras.layers.Masking(0.5, name="mask"), keras.layers.Flatten()])
    with pytest.raises(Unsupported, match=r"mask \(Masking\): sets steps of 0.5 to zero, so what counts .*--ignore-masks"):
        trace(read_keras_model(model))
    check(model, inputs=[moments(3, 0.5)], lengths=[3])


def test_a_tensor_as_mask_is_refused():
    """Also beside a mask that Keras itself would give: the user's own is another one."""
    x, m = keras.Input((STEPS, 2)), keras.Input((STEPS,), dtype="bool")
    for seen in (x, keras.layers.Masking()(x)):
        model = keras.Model([x, m], keras.layers.GRU(2, name="gru")(seen, mask=m))
        with pytest.raises(Unsupported, match=r"gru \(GRU\): has a tensor as mask, so what counts depends"):
            trace(read_keras_model(model))


def test_masks_that_no_length_settles_are_refused():
    inner = text(keras, keras.layers.LSTM(2, name="reader"))
    model = keras.Sequential([keras.Input((2, STEPS)), keras.layers.TimeDistributed(inner, name="td")])
    with pytest.raises(Unsupported, match=r"reader \(LSTM\): reads the mask of .*--ignore-masks"):
        trace(read_keras_model(model))
    with pytest.raises(BadRequest, match=r"no layer masks steps of an input"):
        trace(read_keras_model(model, lengths=[3]))
    x, kit = keras.Input((STEPS, 3)), keras.layers
    given, computed = kit.Masking(name="given")(x), kit.Masking(name="computed")(kit.Dense(2)(x))
    model = keras.Model(x, [kit.LSTM(2, name="fine")(given), kit.LSTM(2, name="reader")(computed)])
    with pytest.raises(Unsupported, match=r"1 layer of .*reader \(LSTM\): reads the mask of computed, which no length settles"):
        trace(read_keras_model(model, lengths=[3]))


@pytest.mark.parametrize(
    ("model", "lengths", "why"),
    [
        (lambda kit: text(keras, kit.LSTM(2)), [3, 4], "2 --lengths are given; steps are masked of the inputs input_layer"),
        (lambda kit: keras.Sequential([keras.Input((4,)), kit.Dense(2)]), [3], "no layer masks steps of an input"),
    ],
)
def test_lengths_must_be_those_of_the_masks(model, lengths, why):
    with pytest.raises(BadRequest, match=why):
        read_keras_model(model(keras.layers), lengths=lengths)


def test_a_length_beyond_the_sequence_is_refused():
    with pytest.raises(Unsupported, match="has 5 steps, of which 6 can't count"):
        trace(read_keras_model(text(keras, keras.layers.LSTM(2)), lengths=[6]))


def test_examples_are_of_the_length():
    graph = trace(read_keras_model(text(keras, keras.layers.LSTM(2)), lengths=[-2]))
    (example,) = random_examples(graph, 0)
    assert (example[:, :3] == 0).all() and (example[:, 3:] > 0).all()
    with pytest.raises(BadRequest, match=r"does not count its last 2 steps alone: the others must be 0, those not"):
        checked_examples(graph, [words(3)])


def test_verify_with_a_length_as_a_user_would(tmp_path):
    path = tmp_path / "text.keras"
    text(keras, keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True)), keras.layers.GlobalAveragePooling1D()).save(path)
    told = CliRunner().invoke(app, ["verify", str(path), "--lengths", "-3"])
    assert told.exit_code == 0, told.output
    assert "The graph computes what the framework computes" in told.output
    refused = CliRunner().invoke(app, ["plan", str(path), "--lengths", "3", "--ignore-masks"])
    assert refused.exit_code == 1
