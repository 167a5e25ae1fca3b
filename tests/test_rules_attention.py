"""Attention against the framework, its edges by arithmetic, and its formula in NumPy."""

from __future__ import annotations

import tracemalloc

import keras
import numpy as np
import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import Unsupported
from etl.graph.trace import trace
from etl.readers import read, read_keras_model
from tests.handmade import forward, graph_of, layer
from tests.oracle import check

both = pytest.mark.parametrize("package", [keras, tf_keras], ids=["keras3", "keras2"])


def model(package, shapes, call):
    inputs = [package.Input(shape) for shape in shapes]
    return package.Model(inputs if len(inputs) > 1 else inputs[0], call(package.layers, *inputs))


def attention_edges(queries, keys, heads, depth, width):
    """Products of pairs of numbers and their sum, the share times each value and its sum."""
    return queries * keys * heads * (2 * depth + depth + 2 * width + width)


HEADS = {
    "self": ([(5, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3)(x, x)),
    "causal": ([(5, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
    "scores": (
        [(5, 4), (6, 3)],
        lambda kit, x, y: kit.MultiHeadAttention(2, 3, value_dim=2, output_shape=(3, 2))(x, y, return_attention_scores=True),
    ),
    "key": ([(5, 4), (6, 3), (6, 2)], lambda kit, x, y, z: kit.MultiHeadAttention(2, 3, use_bias=False, dropout=0.5)(x, y, key=z)),
    "all by name": ([(5, 4), (3, 2)], lambda kit, x, y: kit.MultiHeadAttention(2, 3)(query=x, value=y)),
    "plane": ([(3, 2, 4), (2, 2, 3)], lambda kit, x, y: kit.MultiHeadAttention(2, 3)(x, y)),
    "second axis": ([(3, 5, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x, return_attention_scores=True)),
    "first axis": ([(3, 2, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3, attention_axes=(1,))(x, x, use_causal_mask=True)),
    "two of three": ([(2, 3, 2, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3, attention_axes=(3, 1))(x, x)),
}


@both
@pytest.mark.parametrize("case", HEADS)
def test_multi_head_attention(case, package):
    check(model(package, *HEADS[case]))


def test_edges_and_names_of_multi_head_attention():
    graph = check(model(keras, *HEADS["self"]))
    rows = graph.rows[1:]
    parts = ["query", "key", "value", "products", "scores", "weighted", "context"]
    assert [row.name for row in rows] == [*(f"{rows[-1].name}/{part}" for part in parts), rows[-1].name]
    assert graph.edges == 3 * 5 * 4 * 6 + attention_edges(5, 5, 2, 3, 3) + 5 * 6 * 4
    assert rows[4].shape == (2, 5, 5) and rows[4].activation == "softmax"
    assert graph.parameters == 3 * (4 * 6 + 6) + 6 * 4 + 4


def test_causal_attention_makes_neurons_for_allowed_pairs_only():
    graph = check(model(keras, *HEADS["causal"]))
    sizes = {row.name.rpartition("/")[2]: row.neurons for row in graph.rows[1:]}
    assert sizes["products"] == 2 * 15 * 3 and sizes["scores"] == sizes["exponential"] == sizes["softmax"] == 2 * 15
    assert sizes["largest"] == sizes["share"] == 2 * 5


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"sliding_window": 2}, {"return_attention_scores": True}),
        ({"sliding_window": 3}, {"use_causal_mask": True}),
        ({"use_gate": True, "value_dim": 5}, {}),
    ],
)
def test_later_options_of_multi_head_attention(options, asked):
    check(model(keras, [(5, 4)], lambda kit, x: kit.MultiHeadAttention(2, 3, **options)(x, x, **asked)))


@pytest.mark.parametrize(
    ("shapes", "options", "asked"),
    [
        ([(5, 4)], {}, {}),
        ([(5, 4), (6, 4)], {}, {"use_causal_mask": True, "return_attention_scores": True}),
        ([(5, 4)], {"use_gate": True, "sliding_window": 3, "use_bias": False}, {}),
    ],
)
def test_group_query_attention(shapes, options, asked):
    check(model(keras, shapes, lambda kit, *x: kit.GroupQueryAttention(3, 4, 2, **options)(x[0], x[-1], **asked)))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' own, in saving
def test_group_query_attention_from_a_file(tmp_path):
    made = model(keras, [(3, 4)], lambda kit, x: kit.GroupQueryAttention(3, 2, 1, use_gate=True)(x, x))
    graph = check(made)
    made.save(tmp_path / "gqa.keras")
    read_again = read(tmp_path / "gqa.keras").network.stored()
    for array, other in zip(read_again, graph.model.network.stored(), strict=True):
        assert (array.role, array.begin) == (other.role, other.begin)
        np.testing.assert_array_equal(array.read(), other.read())


SINGLE = {
    "dot": ([(5, 4), (6, 4)], "Attention", {}, {}),
    "scaled": ([(5, 4), (6, 3), (6, 4)], "Attention", {"use_scale": True}, {"use_causal_mask": True, "return_attention_scores": True}),
    "concat": ([(5, 4), (6, 4)], "Attention", {"score_mode": "concat"}, {}),
    "scaled concat": ([(5, 4), (6, 4)], "Attention", {"score_mode": "concat", "use_scale": True}, {"return_attention_scores": True}),
    "additive": ([(5, 4), (6, 4)], "AdditiveAttention", {}, {}),
    "additive, causal": ([(5, 4), (6, 3), (6, 4)], "AdditiveAttention", {"use_scale": False}, {"use_causal_mask": True}),
}


@both
@pytest.mark.parametrize("case", SINGLE)
def test_single_attention(case, package):
    shapes, kind, options, asked = SINGLE[case]
    check(model(package, shapes, lambda kit, *x: getattr(kit, kind)(**options)(list(x), **asked)))


def test_a_scale_knows_its_parameter():
    one = layer("Attention", {"scale": np.float32(0.5)}, use_scale=True)
    graph = graph_of(one, (2, 3), (4, 3))
    from etl.graph.batches import weight_batches

    weights = next(iter(weight_batches(graph))).to_pylist()
    assert {w["parameter"] for w in weights if w["layer"] == "layer/scores"} == {0}
    assert {w["parameter"] for w in weights if w["layer"] != "layer/scores"} == {None}


def test_a_mask_that_is_a_tensor_is_refused():
    x, m = keras.Input((3, 4), name="x"), keras.Input((3, 3), name="m", dtype="bool")
    made = keras.layers.MultiHeadAttention(1, 2, name="mha")(x, x, attention_mask=m)
    with pytest.raises(Unsupported, match=r"mha \(MultiHeadAttention\): has a tensor as mask, so .*--ignore-masks"):
        trace(read_keras_model(keras.Model([x, m], made)))
    graph = trace(read_keras_model(keras.Model([x, m], made), ignore_masks=True))
    assert [row.name for row in graph.rows][:3] == ["x", "m", "mha/query"]


def test_queries_that_may_see_no_key_are_refused():
    made = model(keras, [(6, 4), (2, 4)], lambda kit, x, y: kit.MultiHeadAttention(1, 2, sliding_window=2)(x, y))
    with pytest.raises(Unsupported, match="may see no key"):
        trace(read_keras_model(made))


def test_a_causal_mask_along_another_axis_is_refused():
    made = model(keras, [(3, 3, 4)], lambda kit, x: kit.MultiHeadAttention(1, 2, attention_axes=(2,))(x, x, use_causal_mask=True))
    with pytest.raises(Unsupported, match=r"mask along the axes \[2\]"):
        trace(read_keras_model(made))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@settings(deadline=None, max_examples=25)
@given(
    queries=st.integers(1, 4),
    keys=st.integers(1, 4),
    heads=st.integers(1, 3),
    depth=st.integers(1, 3),
    causal=st.booleans(),
    masked=st.booleans(),
)
def test_multi_head_attention_is_its_formula(queries, keys, heads, depth, causal, masked):
    rng = np.random.default_rng(queries + 10 * keys + 100 * heads + 1000 * depth)
    roles = {"query": (2, heads, depth), "key": (3, heads, depth), "value": (3, heads, depth), "output": (heads, depth, 2)}
    w = {f"{name}_kernel": rng.normal(size=shape) for name, shape in roles.items()}
    mask = rng.random((1, queries, keys)) < 0.6
    mask[..., 0] = True
    asked = {"use_causal_mask": causal, **({"attention_mask": mask} if masked else {})}
    x, y = rng.normal(size=(queries, 2)), rng.normal(size=(keys, 3))
    (found,) = forward(graph_of(layer("MultiHeadAttention", w), x.shape, y.shape, given=asked), x, y)

    q, k, v = (np.einsum("pn,nhd->hpd", one, w[f"{name}_kernel"]) for one, name in ((x, "query"), (y, "key"), (y, "value")))
    scores = q @ k.swapaxes(1, 2) / np.sqrt(depth)
    scores = np.where(np.tri(queries, keys, dtype=bool) | (not causal), scores, -np.inf)
    scores = np.where(mask | (not masked), scores, -np.inf)
    np.testing.assert_allclose(found, np.einsum("hqd,hdo->qo", softmax(scores) @ v, w["output_kernel"]), rtol=1e-9)


def test_memory_is_that_of_one_layer_whatever_their_number():
    def peak(layers):
        x = seen = keras.Input((48, 8))
        for _ in range(layers):
            seen = keras.layers.MultiHeadAttention(2, 24)(seen, seen)
        model = read_keras_model(keras.Model(x, seen))
        tracemalloc.start()
        graph = trace(model)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert graph.neurons > layers * 2 * 48 * 48 * 24 * 2  # products of queries and keys, of shares and values
        return highest

    assert peak(4) < 1.5 * peak(1)
