"""Recurrent layers against the framework, their edges by arithmetic, and their formulas against loops in NumPy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import Unsupported
from etl.graph.trace import trace
from etl.network import INPUT, Tensor
from etl.readers import read_keras_model
from tests.handmade import forward, graph_of, layer
from tests.oracle import check

both = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])


def sequential(package, shape, one):
    return package.Sequential([package.Input(shape), one])


def lstm_edges(t, n, u):
    """Per step four gates, two products, their sum, its activation and a product; step 0 has no edges from its zero states."""
    return t * (4 * u * n + 2 * u + 2 * u + u + 2 * u) + (t - 1) * (4 * u * u + 2 * u) + u


def gru_edges(t, n, u):
    """Per step two gates and the candidate, r (U h), z h, 1 - z, (1 - z) g and their sum."""
    return t * (3 * u * n + 2 * u + u + u + 2 * u + 2 * u) + (t - 1) * (3 * u * u + 2 * u) + u


def gru_before_edges(t, n, u):
    """The same with U (r h): the candidate reads u products at every step, also those with a zero state."""
    return t * (3 * u * n + u * u + u + 2 * u + 2 * u) + (t - 1) * 2 * u * u + 2 * (2 * u * (t - 1) + u)


def rnn_edges(t, n, u):
    return t * u * n + (t - 1) * u * u


LAYERS = [
    ("SimpleRNN", {}, rnn_edges(5, 4, 3)),
    ("SimpleRNN", {"return_sequences": True, "activation": "relu", "go_backwards": True}, rnn_edges(5, 4, 3)),
    ("LSTM", {}, lstm_edges(5, 4, 3)),
    ("LSTM", {"return_sequences": True, "recurrent_activation": "hard_sigmoid"}, None),
    ("LSTM", {"return_sequences": True, "go_backwards": True, "use_bias": False}, lstm_edges(5, 4, 3)),
    ("LSTM", {"activation": "softsign", "recurrent_activation": "tanh", "unroll": True, "dropout": 0.5}, lstm_edges(5, 4, 3)),
    ("GRU", {}, gru_edges(5, 4, 3)),
    ("GRU", {"return_sequences": True, "use_bias": False}, gru_edges(5, 4, 3)),
    ("GRU", {"reset_after": False, "return_sequences": True, "go_backwards": True}, gru_before_edges(5, 4, 3)),
]


@both
@pytest.mark.parametrize(("kind", "options", "edges"), LAYERS)
def test_layers(kind, options, edges, package):
    graph = check(sequential(package, (5, 4), getattr(package.layers, kind)(3, **options)))
    assert edges is None or graph.edges == edges


@both
@pytest.mark.parametrize(
    ("shape", "kind", "options"),
    [
        ((4, 5, 3), "ConvLSTM1D", {"kernel_size": 3}),
        ((3, 5, 6, 2), "ConvLSTM2D", {"kernel_size": (3, 2), "strides": (2, 1), "padding": "same", "return_sequences": True}),
        ((3, 5, 6, 2), "ConvLSTM2D", {"kernel_size": 2, "dilation_rate": 2, "go_backwards": True}),
        ((2, 3, 4, 3, 2), "ConvLSTM3D", {"kernel_size": 2, "return_sequences": True}),
    ],
)
def test_convolutional_layers(shape, kind, options, package):
    check(sequential(package, shape, getattr(package.layers, kind)(2, **options)))


def test_convolutional_edges_by_arithmetic():
    """Three places see all of a window of 3; the state's window sees 2, 3 and 2 of them."""
    t, c, f = 4, 3, 2
    gates, states = 4 * f * 3 * 3 * c, 4 * f * (2 + 3 + 2) * f
    rest = t * 3 * f * (2 + 2 + 1 + 2) + (t - 1) * 3 * f * 2 + 3 * f
    one = layer("ConvLSTM1D", {"kernel": np.ones((3, c, 4 * f)), "recurrent_kernel": np.ones((3, f, 4 * f))}, recurrent_activation="sigmoid")
    assert graph_of(one, (t, 5, c)).edges == t * gates + (t - 1) * states + rest


def test_convolutional_channels_first():
    rng = np.random.default_rng(1)
    arrays = {"kernel": rng.normal(size=(2, 2, 3, 8)), "recurrent_kernel": rng.normal(size=(2, 2, 2, 8)), "bias": rng.normal(size=8)}
    options = {"padding": "same", "return_sequences": True, "return_state": True, "recurrent_activation": "sigmoid", "strides": [2, 1]}
    x, h, c = rng.normal(size=(3, 5, 4, 3)), rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2))
    states = {"initial_state": [Tensor(INPUT, 1), Tensor(INPUT, 2)]}
    last = graph_of(layer("ConvLSTM2D", arrays, **options), x.shape, h.shape, c.shape, given=states, outputs=3)
    x1, h1, c1 = (np.moveaxis(one, -1, -3) for one in (x, h, c))
    first = graph_of(layer("ConvLSTM2D", arrays, data_format="channels_first", **options), x1.shape, h1.shape, c1.shape, given=states, outputs=3)
    for found, want in zip(forward(first, x1, h1, c1), forward(last, x, h, c), strict=True):
        np.testing.assert_allclose(found, np.moveaxis(want, -1, -3), rtol=1e-12)


def cells(package):
    kit = package.layers
    return [
        kit.LSTMCell(3),
        [kit.GRUCell(2), kit.LSTMCell(3), kit.SimpleRNNCell(4)],
        [kit.LSTMCell(3, name="same"), kit.LSTMCell(3, name="same_again")],
        kit.GRUCell(3, reset_after=False),
    ]


@both
@pytest.mark.parametrize("number", range(4))
def test_cells(number, package):
    check(sequential(package, (4, 3), package.layers.RNN(cells(package)[number], return_sequences=number % 2 == 1)))


def test_cells_called_by_themselves():
    kit, x, h, c = keras.layers, *(keras.Input((3,)) for _ in range(3))
    made, [_, after] = kit.LSTMCell(3)(x, [h, c])
    graph = check(keras.Model([x, h, c], [made, after, kit.GRUCell(3)(made, [after])[0]]))
    assert [o.shape for o in graph.outputs] == [(3,)] * 3


def test_names_of_stacked_cells():
    graph = trace(read_keras_model(sequential(keras, (2, 3), keras.layers.RNN(cells(keras)[1], name="rnn"))))
    names = [row.name for row in graph.rows]
    assert "rnn/step_0/cell_0/update_gate" in names and "rnn/step_1/cell_1/cell" in names and "rnn/step_0/output" in names
    assert names[-1] == "rnn" and graph.rows[-1].neurons == 4


@pytest.mark.parametrize(
    ("package", "merge_mode", "sequences"),
    [
        *((keras, mode, sequences) for mode in ("concat", "sum", "mul", "ave", None) for sequences in (False, True)),
        (tf_keras, "concat", True),
        (tf_keras, "ave", False),
        (tf_keras, None, True),
    ],
)
def test_bidirectional(package, merge_mode, sequences):
    inner = package.layers.GRU(2, return_sequences=sequences, reset_after=False)
    x = package.Input((3, 2))
    check(package.Model(x, package.layers.Bidirectional(inner, merge_mode=merge_mode)(x)))


@both
@pytest.mark.parametrize("case", ["lstm", "cell", "backward", "states", "convolutional"])
def test_bidirectional_around(case, package):
    kit = package.layers
    options = {"merge_mode": "concat"}
    inner = {
        "lstm": lambda: kit.LSTM(2, return_sequences=True),
        "cell": lambda: kit.RNN(kit.SimpleRNNCell(3), return_sequences=True),
        "backward": lambda: kit.SimpleRNN(2, return_sequences=True),
        "states": lambda: kit.LSTM(2, return_state=True),
        "convolutional": lambda: kit.ConvLSTM1D(2, 2, padding="same", return_sequences=True),
    }[case]()
    if case == "backward":
        options["backward_layer"] = kit.SimpleRNN(2, return_sequences=True, go_backwards=True, activation="sigmoid")
    if case == "states":
        options["merge_mode"] = "sum"
    x = package.Input((4, 5, 3) if case == "convolutional" else (4, 3))
    graph = check(package.Model(x, kit.Bidirectional(inner, **options)(x)))
    assert len(graph.outputs) == (5 if case == "states" else 1)


@both
def test_states_in_and_out(package):
    """An encoder's states begin a decoder; both of a decoder's own come out."""
    kit = package.layers
    one, two = package.Input((4, 3)), package.Input((2, 5))
    _, h, c = kit.LSTM(3, return_state=True)(one)
    decoded = kit.LSTM(3, return_sequences=True, return_state=True, name="decoder")(two, initial_state=[h, c])
    again = kit.GRU(3, return_state=True)(decoded[0], initial_state=c)
    graph = check(package.Model([one, two], [*decoded, *again]))
    assert [o.shape for o in graph.outputs] == [(2, 3), (3,), (3,), (3,), (3,)]
    (row,) = [row for row in graph.rows if row.name == "decoder"]
    assert row.begin == row.end and set(row.inputs) == {"decoder/step_0/output", "decoder/step_1/output", "decoder/step_1/cell"}


@both
def test_bidirectional_is_given_states(package):
    kit = package.layers
    x, *states = package.Input((4, 3)), *(package.Input((2,)) for _ in range(4))
    made = kit.Bidirectional(kit.LSTM(2, return_sequences=True))(x, initial_state=states)
    check(package.Model([x, *states], made))


@both
def test_time_distributed(package):
    kit = package.layers
    inner = package.Sequential([package.Input((4, 3)), kit.Conv1D(2, 2, activation="relu", name="conv"), kit.Flatten(), kit.Dense(3, name="dense")])
    x = package.Input((3, 4, 3))
    nested = kit.TimeDistributed(inner, name="td")(x)
    graph = check(package.Model(x, kit.TimeDistributed(kit.Dense(2, activation="tanh"))(nested)))
    names = [row.name for row in graph.rows]
    assert names[:4] == [names[0], "td/step_0/conv", "td/step_0/dense", "td/step_1/conv"]
    assert graph.parameters == 2 * 3 * 2 + 2 + 6 * 3 + 3 + 3 * 2 + 2


@both
def test_time_distributed_around_recurrent(package):
    kit = package.layers
    x = package.Input((2, 3, 4))
    check(package.Model(x, kit.TimeDistributed(kit.Bidirectional(kit.LSTM(2)))(x)))


def test_a_table_looked_up_at_each_step():
    x = keras.Input((2, 3), dtype="int32")
    inner = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(5, 2), keras.layers.LSTM(2)])
    graph = check(keras.Model(x, keras.layers.TimeDistributed(inner)(x)))
    assert graph.rows[0].neurons == 2 * 3 * 5


@both
@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
def test_state_across_calls_is_that_of_the_first_call(kind, package):
    """A layer that keeps its state begins with zeros: the graph is the first call's."""
    check(package.Sequential([package.Input(batch_shape=(1, 3, 2)), getattr(package.layers, kind)(2, stateful=True)]))


def test_what_is_refused_inside_a_wrapper_is_named():
    kit = keras.layers
    inner = keras.Sequential([keras.Input((2,)), kit.Dense(2), kit.Lambda(lambda x: x, name="code")], name="inner")
    model = keras.Sequential([keras.Input((3, 2)), kit.TimeDistributed(inner, name="td")])
    with pytest.raises(Unsupported, match=r"td \(TimeDistributed\): holds inner \(Sequential\): holds code \(Lambda\): "):
        trace(read_keras_model(model))


def test_time_major_and_constants_are_refused():
    model = tf_keras.Sequential([tf_keras.Input((3, 2)), tf_keras.layers.LSTM(2, time_major=True)])
    with pytest.raises(Unsupported, match="time_major=True"):
        trace(read_keras_model(model))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_loop(x, kernel, recurrent, bias, h, c):
    outputs = []
    for one in x:
        i, f, g, o = np.split(one @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs), h, c


@settings(deadline=None, max_examples=20)
@given(
    steps=st.integers(1, 4),
    n=st.integers(1, 3),
    units=st.integers(1, 3),
    backwards=st.booleans(),
    sequences=st.booleans(),
    state=st.booleans(),
    begun=st.booleans(),
)
def test_lstm_is_its_formula(steps, n, units, backwards, sequences, state, begun):
    rng = np.random.default_rng(steps + 10 * n + 100 * units)
    arrays = {"kernel": rng.normal(size=(n, 4 * units)), "recurrent_kernel": rng.normal(size=(units, 4 * units)), "bias": rng.normal(size=4 * units)}
    one = layer("LSTM", arrays, return_sequences=sequences, return_state=state, go_backwards=backwards)
    x, h, c = rng.normal(size=(steps, n)), *(rng.normal(size=(2, units)) if begun else np.zeros((2, units)))
    given_states = {"initial_state": [Tensor(INPUT, 1), Tensor(INPUT, 2)]} if begun else {}
    inputs = [x, h, c] if begun else [x]
    graph = graph_of(one, *(i.shape for i in inputs), given=given_states, outputs=3 if state else 1)
    outputs, h, c = lstm_loop(x[::-1] if backwards else x, *arrays.values(), h, c)
    wanted = [outputs if sequences else h, *([h, c] if state else [])]
    for found, want in zip(forward(graph, *inputs), wanted, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-9)
    assert (graph.rows[-1].neurons == units) == (not sequences and not state)


@pytest.mark.parametrize(("kind", "count", "rows"), [("LSTM", 4, 8), ("GRU", 3, 6)])
@pytest.mark.parametrize("n", [3, 2])
def test_cudnn_layers(kind, count, rows, n):
    """tf_keras itself turns CuDNN's arrays into its own; the graph of a CuDNN layer computes the same from the arrays as they are."""
    from tf_keras.src.saving.legacy.hdf5_format import _convert_rnn_weights

    rng = np.random.default_rng(3)
    units = 3
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((n, count * units), (units, count * units), (rows * units,))]
    native = getattr(tf_keras.layers, kind)(units, return_sequences=True)
    model = sequential(tf_keras, (4, n), native)
    native.set_weights(_convert_rnn_weights(native, arrays))
    x = rng.normal(size=(4, n)).astype(np.float32)
    one = layer(
        f"CuDNN{kind}", dict(zip(("kernel", "recurrent_kernel", "bias"), arrays, strict=True)), dialect="keras2", units=units, return_sequences=True
    )
    (found,) = forward(graph_of(one, x.shape), x)
    np.testing.assert_allclose(found, np.asarray(model(x[None]))[0], rtol=1e-4, atol=1e-6)
