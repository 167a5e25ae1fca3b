"""The contract's hard corners, each on a tiny model: what the tables say, and that they compute what the framework does."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest

from etl.errors import Unsupported
from etl.graph.batches import layer_table, neuron_batches, output_table, weight_batches
from etl.graph.trace import trace
from etl.readers import read_keras_model
from tests.oracle import check

kit = keras.layers


def rows_of(graph):
    """Each row of the layer table by name; their spans tile the ids."""
    rows = layer_table(graph).to_pylist()
    assert rows[0]["begin"] == 0 and rows[-1]["end"] == graph.neurons
    assert all(one["end"] == after["begin"] for one, after in pairwise(rows))
    assert len({row["name"] for row in rows}) == len(rows) and [row["position"] for row in rows] == list(range(len(rows)))
    return {row["name"]: row for row in rows}


def outputs_of(graph):
    return output_table(graph).to_pylist()


def refused(inputs, outputs):
    with pytest.raises(Unsupported) as caught:
        trace(read_keras_model(keras.Model(inputs, outputs)))
    return str(caught.value)


def test_lstm_that_returns_sequences_is_a_view_of_its_steps():
    x = keras.Input((3, 2), name="x")
    rows = rows_of(graph := check(keras.Model(x, kit.LSTM(2, return_sequences=True, name="lstm")(x))))
    parts = "input_gate forget_gate candidate output_gate kept written cell activated output".split()
    assert list(rows) == ["x", *(f"lstm/step_{step}/{part}" for step in range(3) for part in parts), "lstm"]
    assert rows["lstm"]["begin"] == rows["lstm"]["end"] and rows["lstm"]["shape"] == [3, 2] and rows["lstm"]["activation"] is None
    assert rows["lstm"]["inputs"] == [f"lstm/step_{step}/output" for step in range(3)]
    assert rows["lstm"]["parameters"] == 4 * (2 * 2 + 2 * 2 + 2) and rows["lstm/step_1/input_gate"]["parameters"] == 0
    assert rows["lstm/step_0/input_gate"]["inputs"] == ["x"] and rows["lstm/step_0/kept"]["inputs"] == ["lstm/step_0/forget_gate"]
    assert rows["lstm/step_1/kept"]["inputs"] == ["lstm/step_1/forget_gate", "lstm/step_0/cell"]
    ends = [rows[f"lstm/step_{step}/output"]["begin"] for step in range(3)]
    assert [one["id"] for one in outputs_of(graph)] == [end + unit for end in ends for unit in range(2)]


def test_a_product_with_a_zero_state_keeps_the_zero_as_its_bias():
    x = keras.Input((2, 2))
    graph = check(keras.Model(x, kit.LSTM(2, name="lstm")(x)))
    bias = {name: set() for name in ("lstm/step_0/kept", "lstm/step_1/kept", "lstm/step_0/written")}
    for one in (n for batch in neuron_batches(graph) for n in batch.to_pylist() if n["layer"] in bias):
        bias[one["layer"]].add(one["bias"])
    assert bias == {"lstm/step_0/kept": {0.0}, "lstm/step_1/kept": {None}, "lstm/step_0/written": {None}}


def test_the_last_step_carries_the_layer_s_own_name():
    x = keras.Input((3, 2))
    rows = rows_of(check(keras.Model(x, kit.LSTM(2, name="lstm")(x))))
    assert rows["lstm"]["type"] == "LSTM" and rows["lstm"]["end"] - rows["lstm"]["begin"] == 2 and "lstm/step_2/output" not in rows


def test_bidirectional_concat_reverses_the_backward_sequence():
    x = keras.Input((3, 2))
    graph = check(keras.Model(x, kit.Bidirectional(kit.SimpleRNN(1, return_sequences=True), name="both")(x)))
    rows = rows_of(graph)
    forward = [rows[f"both/forward/step_{step}/output"]["begin"] for step in range(3)]
    backward = [rows[f"both/backward/step_{step}/output"]["begin"] for step in range(3)]
    assert graph.outputs[0].tolist() == [[a, b] for a, b in zip(forward, reversed(backward), strict=True)]
    assert rows["both"]["begin"] == rows["both"]["end"]
    stored = list(read_keras_model(keras.Model(x, kit.Bidirectional(kit.SimpleRNN(1))(x))).network.calls[0].layer.stored())
    assert [one.begin for one in stored] == [0, 2, 3, 4, 6, 7]  # the backward half counts on


def test_zero_padding_counts_in_an_average_but_a_pool_s_own_padding_does_not():
    x = keras.Input((3, 2, 1))
    graph = check(keras.Model(x, kit.AveragePooling2D(2, padding="same", name="pool")(kit.ZeroPadding2D(((1, 1), (0, 1)))(x))))
    weights = [w for batch in weight_batches(graph) for w in batch.to_pylist()]
    assert rows_of(graph)["pool"]["edges"] == 6  # 5 x 3 places, of which 3 x 2 are neurons
    found = {(w["source"], w["target"] - graph.rows[-1].begin): w["weight"] for w in weights}
    # the last window of a line has one column, the last line one row
    assert found == {(0, 0): 0.25, (1, 0): 0.25, (2, 2): 0.25, (3, 2): 0.25, (4, 2): 0.25, (5, 2): 0.25}


def test_a_window_of_padded_zeros_alone_makes_neurons_without_edges():
    x = keras.Input((1, 1, 1))
    graph = check(keras.Model(x, kit.Conv2D(1, 1, activation="sigmoid", name="conv")(kit.ZeroPadding2D(1)(x))))
    assert rows_of(graph)["conv"]["edges"] == 1 and graph.rows[-1].neurons == 9
    assert {n["op"] for batch in neuron_batches(graph) for n in batch.to_pylist() if n["layer"] == "conv"} == {"sum"}


def test_a_model_that_ends_in_permute():
    x = keras.Input((3, 2, 2))
    graph = check(keras.Model(x, kit.Permute((3, 1, 2), name="turned")(kit.Conv2D(3, 1, name="conv")(x))))
    begin = rows_of(graph)["conv"]["begin"]
    wanted = begin + np.arange(3 * 2 * 3).reshape(3, 2, 3).transpose(2, 0, 1)
    assert outputs_of(graph) == [{"output": 0, "position": n, "id": int(i)} for n, i in enumerate(wanted.reshape(-1))]


def test_inputs_stand_in_the_model_s_own_order():
    first, second = keras.Input((2,), name="first"), keras.Input((3,), name="second")
    made = kit.Dense(2, name="dense")(first)
    graph = check(keras.Model([second, first], [kit.Add()([made, first]), second]))
    rows = rows_of(graph)
    assert list(rows)[:2] == ["second", "first"] and (rows["second"]["end"], rows["first"]["end"]) == (3, 5)
    assert rows["dense"]["inputs"] == ["first"]
    assert [one["id"] for one in outputs_of(graph) if one["output"] == 1] == [0, 1, 2]  # an input that is an output


def test_a_layer_called_again_makes_its_neurons_again():
    one, two, shared = keras.Input((4,), name="one"), keras.Input((4,), name="two"), kit.Dense(3, name="shared")
    graph = check(keras.Model([one, two], kit.Subtract()([shared(one), shared(two)])))
    rows = rows_of(graph)
    assert rows["shared"]["inputs"] == ["one"] and rows["shared:1"]["inputs"] == ["two"]
    assert (rows["shared"]["parameters"], rows["shared:1"]["parameters"], graph.parameters) == (15, 0, 15)
    assert {row.label for row in graph.rows if row.name.startswith("shared")} == {"shared"}
    places = {name: [] for name in ("shared", "shared:1")}
    for w in (w for batch in weight_batches(graph) for w in batch.to_pylist() if w["layer"] in places):
        places[w["layer"]].append(w["parameter"])
    assert places["shared"] == places["shared:1"] and sorted(places["shared"]) == list(range(12))


def test_a_nested_model_called_again():
    inner = keras.Sequential([keras.Input((3,), name="given"), kit.Dense(2, name="dense"), kit.ReLU(name="relu")], name="inner")
    outer = keras.Sequential([keras.Input((3,)), inner, kit.Dense(3, name="back")], name="outer")
    x = keras.Input((3,), name="x")
    rows = rows_of(check(keras.Model(x, kit.Concatenate()([outer(outer(x)), inner(x)]))))
    assert [name for name in rows if "dense" in name] == ["outer/inner/dense", "outer:1/inner/dense", "inner/dense"]
    assert rows["outer/inner"]["begin"] == rows["outer/inner"]["end"] and rows["outer/inner"]["inputs"] == ["outer/inner/relu"]
    assert rows["outer:1/inner/dense"]["parameters"] == 0 and rows["outer/inner/dense"]["parameters"] == 8


def test_an_output_that_is_a_padded_zero_has_no_id():
    x = keras.Input((2, 1))
    model = keras.Model(x, [kit.ZeroPadding1D((1, 2))(kit.Dense(1, name="dense")(x)), x])
    graph = check(model)
    begin = rows_of(graph)["dense"]["begin"]
    assert [one["id"] for one in outputs_of(graph) if one["output"] == 0] == [None, begin, begin + 1, None, None]


def test_integer_inputs_reach_a_table_through_views():
    x = keras.Input((2, 3), dtype="int32", name="x")
    moved = kit.Permute((2, 1))(kit.Dropout(0.5)(x))
    graph = check(keras.Model(x, kit.Embedding(4, 2, name="words")(kit.Reshape((6,))(moved))))
    rows = rows_of(graph)
    assert rows["x"]["shape"] == [2, 3, 4] and rows["x"]["end"] == 24 and rows["words"]["edges"] == 6 * 2 * 4
    first = [w["source"] for batch in weight_batches(graph) for w in batch.to_pylist()][: 3 * 8 : 8]
    assert first == [0, 12, 4]  # places (0, 0), (1, 0), (0, 1), one-hot over 4


def test_an_input_that_a_table_and_something_else_reads_is_of_whole_numbers():
    whole = keras.Input((3,), name="x", dtype="int32")
    graph = check(keras.Model(whole, [kit.Embedding(4, 2)(whole), kit.Dense(2, name="dense")(whole), kit.Reshape((3, 1))(whole)]))
    assert rows_of(graph)["dense"]["inputs"] == ["x/value"]
    x = keras.Input((3,), name="x")
    assert "dense reads an input that an Embedding reads as well" in refused(x, [kit.Embedding(4, 2)(x), kit.Dense(2, name="dense")(x)])
    assert "output 1 returns an input that an Embedding reads as well" in refused(x, [kit.Embedding(4, 2)(x), kit.Reshape((3, 1))(x)])


def test_two_tables_of_one_size_read_one_input():
    x = keras.Input((3,), dtype="int32")
    check(keras.Model(x, kit.Add()([kit.Embedding(4, 2)(x), kit.Embedding(4, 2)(x)])))


def test_everything_that_is_refused_is_named_at_once():
    x = keras.Input((3, 2))
    one = kit.LSTM(2, return_sequences=True, name="good")(kit.Masking(name="bad")(x))
    text = refused(x, [one, kit.Lambda(lambda t: t, name="code")(x)])
    assert "good (LSTM): reads the mask of bad" in text and "code (Lambda)" in text and "python -m etl layers" in text


def test_inputs_of_one_number_an_example():
    a, b = keras.Input((), name="a"), keras.Input((), name="b")
    rows = rows_of(graph := check(keras.Model([a, b], kit.Add(name="sum")([a, kit.Rescaling(2.0, name="twice")(b)]))))
    assert rows["sum"]["shape"] == [] and rows["sum"]["edges"] == 2 and rows["sum"]["inputs"] == ["a", "twice"]
    assert outputs_of(graph) == [{"output": 0, "position": 0, "id": 3}]
