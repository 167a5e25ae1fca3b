"""Dense, EinsumDense and Embedding against the framework and NumPy, their edges by arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import BadFile, Unsupported
from etl.graph.batches import layer_table, neuron_batches, output_table, weight_batches
from etl.rules.primitives.einsum import spelled
from tests.forward import run
from tests.handmade import forward, graph_of, layer
from tests.oracle import check

both = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])


def sequential(package, shape, *layers):
    return package.Sequential([package.Input(shape), *layers])


@both
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4)])
@pytest.mark.parametrize("options", [{"activation": "relu"}, {"use_bias": False}, {"activation": "softmax"}])
def test_dense(shape, options, package):
    graph = check(sequential(package, shape, package.layers.Dense(3, **options)))
    assert graph.edges == np.prod(shape) * 3


EQUATIONS = [
    ("abc,cd->abd", (None, 3), "d", None, (5, 4)),
    ("...x,xy->...y", 3, "y", "tanh", (5, 4)),
    ("...x,xy->...y", 3, "y", None, (2, 5, 4)),
    ("ab...,bc->ac...", (3,), "c", None, (5, 4)),
    ("abc,bcd->ad", (3,), None, None, (5, 4)),
    ("abc,cde->abde", (None, 3, 2), "de", "softmax", (5, 4)),
    ("abcd,cde->aecb", (6, 4, 5), "eb", None, (5, 4, 3)),
    ("abc,bc->abc", (5, 4), "b", None, (5, 4)),
]


@both
@pytest.mark.parametrize(("equation", "output", "bias", "activation", "shape"), EQUATIONS)
def test_einsum_dense(equation, output, bias, activation, shape, package):
    one = package.layers.EinsumDense(equation, output_shape=output, bias_axes=bias, activation=activation)
    check(sequential(package, shape, one))


def test_einsum_dense_that_mixes_examples_is_refused():
    one = layer("EinsumDense", {"kernel": np.ones((4, 2))}, equation="abc,cd->bad")
    with pytest.raises(Unsupported, match="lets the examples of a batch meet"):
        graph_of(one, (3, 4))


def test_spelled():
    assert spelled("...ij,jk", (3, 2)) == (["Aij", "jk"], "Aik")
    assert spelled("a b..., bc -> ac...", (4, 2)) == (["abAB", "bc"], "acAB")
    assert spelled("a...,...a->...", (3, 2)) == (["aAB", "Ba"], "AB")


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_einsum_dense_is_numpy_s_einsum(data):
    """Any letters for the input and the kernel, any of them in the output."""
    letters = "bcdefg"
    sizes = {c: data.draw(st.integers(1, 3)) for c in letters}
    seen = "".join(data.draw(st.permutations(letters))[: data.draw(st.integers(1, 3))])
    kernel = "".join(data.draw(st.permutations(letters))[: data.draw(st.integers(1, 3))])
    both_ = sorted(set(seen + kernel))
    out = "".join(data.draw(st.permutations(both_))[: data.draw(st.integers(0, len(both_)))])
    rng = np.random.default_rng(5)
    x, w = (rng.normal(size=[sizes[c] for c in term]) for term in (seen, kernel))
    graph = graph_of(layer("EinsumDense", {"kernel": w}, equation=f"a{seen},{kernel}->a{out}"), x.shape)
    (found,) = forward(graph, x)
    np.testing.assert_allclose(found, np.einsum(f"{seen},{kernel}->{out}", x, w), rtol=1e-9, atol=1e-12)
    rebuilt = np.full(w.size, np.nan)
    for batch in weight_batches(graph):
        rebuilt[batch["parameter"].to_numpy()] = batch["weight"].to_numpy()
    np.testing.assert_array_equal(rebuilt, w.reshape(-1))


@both
def test_embedding(package):
    kit = package.layers
    graph = check(package.Sequential([package.Input((5,), dtype="int32"), kit.Embedding(7, 3), kit.Dense(2)]))
    assert graph.rows[0].shape == (5, 7) and graph.rows[0].neurons == 35
    assert graph.edges == 5 * 3 * 7 + 5 * 2 * 3


def test_the_largest_table_says_how_wide_an_input_is():
    x = keras.Input((4,), dtype="int32")
    small, large = keras.layers.Embedding(3, 2, name="small")(x), keras.layers.Embedding(6, 2, name="large")(x)
    model = keras.Model(x, [small, large])
    graph = check(model, inputs=[np.array([0, 2, 1, 2])])
    assert {row.name: row.edges for row in graph.rows[1:]} == {"small": 4 * 2 * 3, "large": 4 * 2 * 6}


def test_tables_of_a_float_input_and_of_a_single_position():
    (found,) = forward(graph_of(layer("Embedding", {"embeddings": np.arange(6.0).reshape(3, 2)}), ()), np.array([0, 1, 0]))
    np.testing.assert_array_equal(found, [2.0, 3.0])


def test_a_table_of_computed_values_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.ReLU(), keras.layers.Embedding(4, 2, name="words")])
    with pytest.raises(Unsupported, match=r"words \(Embedding\): it looks up values that are computed"):
        check(model)


@pytest.mark.parametrize(
    ("kind", "arrays", "options", "shape"),
    [
        ("Dense", {"kernel": (1, 2)}, {}, (3,)),
        ("Dense", {"kernel": (3, 2)}, {}, (1,)),
        ("EinsumDense", {"kernel": (1, 2)}, {"equation": "abc,cd->abd"}, (4, 3)),
        ("SimpleRNN", {"kernel": (1, 2), "recurrent_kernel": (2, 2)}, {}, (4, 3)),
    ],
)
def test_arrays_that_do_not_fit_are_a_broken_file(kind, arrays, options, shape):
    """Where one side is 1, NumPy would broadcast."""
    with pytest.raises(BadFile, match=rf"layer \({kind}\) does not fit"):
        graph_of(layer(kind, {role: np.ones(size) for role, size in arrays.items()}, **options), shape)


def test_float64_stays():
    rng = np.random.default_rng(4)
    w = rng.normal(size=(3, 2))
    graph = graph_of(layer("Dense", {"kernel": w}), (3,))
    import pyarrow as pa

    weights = pa.Table.from_batches(weight_batches(graph))
    assert weights["weight"].to_pylist() == w.T.reshape(-1).tolist() and weights["parameter"].to_pylist() == [0, 2, 4, 1, 3, 5]
    (found,) = run(layer_table(graph), pa.Table.from_batches(neuron_batches(graph)), weights, output_table(graph), [np.ones(3)])
    np.testing.assert_allclose(found, w.sum(axis=0), rtol=1e-14)
