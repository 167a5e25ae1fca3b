"""What a selection does to a graph: folding keeps the outputs, channels are joined by their kernels' norms, a range of layers is a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from etl.activations import FUNCTIONS as NAMED
from etl.errors import BadRequest
from etl.graph import batches as extract
from etl.graph.coarsening import channel_graph, layer_graph
from etl.graph.forward import FUNCTIONS, forward, outputs
from etl.graph.pruning import pruned
from etl.graph.selection import Selection, graph_in
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Array, Call, Input, Layer, Model, Network, Tensor
from etl.readers import read
from tests.forward import activate
from tests.oracle import Tables, difference


def stored(role: str, values: np.ndarray, begin: int = 0) -> Array:
    return Array(role, values.shape, values.dtype, begin, lambda: values)


def layer(name: str, kind: str, options: dict[str, object] | None = None, **arrays: np.ndarray) -> Layer:
    begins = np.cumsum([0, *(a.size for a in arrays.values())])
    return Layer(name, kind, options or {}, tuple(stored(role, a, int(b)) for (role, a), b in zip(arrays.items(), begins, strict=False)))


DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(3, 2, 3, 4)).astype(np.float32)
GROUPED = RNG.normal(size=(1, 1, 2, 6)).astype(np.float32)
DENSE = RNG.normal(size=(4 * 3 * 6, 5)).astype(np.float32)
NORM = {
    "gamma": RNG.uniform(0.5, 2, 4).astype(np.float32),
    "beta": RNG.normal(size=4).astype(np.float32),
    "moving_mean": RNG.normal(size=4).astype(np.float32),
    "moving_variance": RNG.uniform(0.5, 2, 4).astype(np.float32),
}


def network() -> Model:
    """input (6, 4, 3) -> conv -> bn -> relu -> (conv again over the groups, and the pool of a branch) -> flatten -> dense -> softmax."""
    chain = [
        layer("conv", "Conv2D", kernel=KERNEL, bias=np.arange(4, dtype=np.float32)),
        layer("bn", "BatchNormalization", {"epsilon": 0.01}, **NORM),
        layer("relu", "Activation", {"activation": "relu"}),
        layer("grouped", "Conv2D", {"groups": 2}, kernel=GROUPED),
        layer("tanh", "Activation", {"activation": "tanh"}),
        layer("flatten", "Flatten"),
        layer("dense", "Dense", kernel=DENSE),
        layer("softmax", "Activation", {"activation": "softmax"}),
    ]
    calls = [Call(one, (Tensor(n - 1) if n else Tensor(INPUT),)) for n, one in enumerate(chain)]
    return Model("m", Network(tuple(calls), (Input("pixels", (6, 4, 3)),), (Tensor(len(chain) - 1),)), "0" * 64, "memory")


def run(graph: Graph, x: np.ndarray) -> np.ndarray:
    (made,) = outputs(graph, forward(graph, [x[None]]))
    return made[0]


X = RNG.normal(size=(6, 4, 3))


def by_hand() -> np.ndarray:
    """The same network in plain numpy."""
    conv = np.array([[np.tensordot(X[i : i + 3, j : j + 2], KERNEL.astype(float), 3) for j in range(3)] for i in range(4)]) + np.arange(4)
    bn = (conv - NORM["moving_mean"]) / np.sqrt(NORM["moving_variance"] + 0.01) * NORM["gamma"] + NORM["beta"]
    relu = np.maximum(bn, 0)
    grouped = np.concatenate([relu[..., :2] @ GROUPED[0, 0, :, :3], relu[..., 2:] @ GROUPED[0, 0, :, 3:]], -1)
    dense = np.tanh(grouped).reshape(-1) @ DENSE.astype(float)
    return np.exp(dense) / np.exp(dense).sum()


def test_forward_is_the_arithmetic() -> None:
    graph = trace(network())
    assert difference(run(graph, X), by_hand()) < 1e-6
    assert difference(Tables(graph).run([X])[0], by_hand()) < 1e-6


def test_forward_is_the_same_however_batches_are_cut() -> None:
    graph = trace(network())
    whole = forward(graph, [X[None]])
    for rows in (1, 7, 100):
        np.testing.assert_allclose(forward(graph, [X[None]], rows), whole, rtol=1e-12)


def test_fold_keeps_the_outputs_and_merges_what_only_scales_shifts_or_activates() -> None:
    plain, folded = trace(network()), trace(network(), fold=True)
    assert {row.name: row.neurons for row in plain.rows} == {
        "pixels": 72, "conv": 48, "bn": 48, "relu": 48, "grouped": 72, "tanh": 72, "flatten": 0, "dense": 5, "softmax": 5,
    }  # fmt: skip
    assert {row.name: row.neurons for row in folded.rows if row.neurons} == {"pixels": 72, "conv": 48, "grouped": 72, "dense": 5}
    assert {row.name: row.activation for row in folded.rows if row.neurons} == {
        "pixels": "linear", "conv": "relu", "grouped": "tanh", "dense": "softmax",
    }  # fmt: skip
    assert folded.parameters == plain.parameters
    assert difference(run(folded, X), by_hand()) < 1e-6
    assert difference(Tables(folded).run([X])[0], by_hand()) < 1e-6


def test_fold_leaves_neurons_alone_that_somebody_else_reads() -> None:
    model = network()
    read_twice = replace(model, network=replace(model.network, outputs=(Tensor(7), Tensor(0), Tensor(3))))
    folded = trace(read_twice, fold=True)
    assert {row.name for row in folded.rows if row.neurons} == {"pixels", "conv", "bn", "grouped", "tanh", "dense"}
    made = outputs(folded, forward(folded, [X[None]]))
    want = outputs(graph := trace(read_twice), forward(graph, [X[None]]))
    for found, wanted in zip(made, want, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_channels_are_joined_by_the_norms_of_their_kernels() -> None:
    graph = channel_graph(trace(network()))
    assert {row.name: (row.neurons, row.edges) for row in graph.rows} == {
        "pixels": (3, 0), "conv": (4, 12), "bn": (4, 4), "relu": (4, 4),
        "grouped": (6, 12), "tanh": (6, 6), "flatten": (0, 0), "dense": (5, 30), "softmax": (5, 5),
    }  # fmt: skip
    tables = Tables(graph)
    begin = {row.name: row.begin for row in graph.rows}

    def matrix(name: str, reads: str, shape: tuple[int, int]) -> np.ndarray:
        found = np.zeros(shape)
        mine = tables.weights.filter(np.array(tables.weights["layer"].to_pylist()) == name)
        found[mine["source"].to_numpy() - begin[reads], mine["target"].to_numpy() - begin[name]] = mine["weight"].to_numpy()
        return found

    np.testing.assert_allclose(matrix("conv", "pixels", (3, 4)), np.sqrt((KERNEL**2).sum((0, 1))), rtol=1e-6)
    np.testing.assert_allclose(matrix("dense", "tanh", (6, 5)), np.sqrt((DENSE.reshape(12, 6, 5) ** 2).sum(0)), rtol=1e-6)
    np.testing.assert_allclose(np.diag(matrix("bn", "conv", (4, 4))), NORM["gamma"] / np.sqrt(NORM["moving_variance"] + 0.01), rtol=1e-6)
    groups = np.zeros((4, 6))
    groups[:2, :3], groups[2:, 3:] = np.abs(GROUPED[0, 0, :, :3]), np.abs(GROUPED[0, 0, :, 3:])
    np.testing.assert_allclose(matrix("grouped", "relu", (4, 6)), groups, rtol=1e-6)


def test_channel_weights_that_differ_by_position_count_with_their_largest() -> None:
    """A 'same' average pool of 3x3 windows: 1/9 inside, 1/4 at a corner, where the norm is largest: sqrt(4 * (1/4)^2) = 1/2."""
    pool = layer("pool", "AveragePooling2D", {"pool_size": 3, "strides": 1, "padding": "same"})
    calls = (Call(pool, (Tensor(INPUT),)),)
    graph = channel_graph(trace(Model("m", Network(calls, (Input("x", (4, 5, 2)),), (Tensor(0),)), "", "memory")))
    weights = Tables(graph).weights
    assert weights["source"].to_pylist() == [0, 1]
    assert weights["target"].to_pylist() == [2, 3]
    np.testing.assert_allclose(weights["weight"].to_numpy(), 0.5)


def test_a_layer_graph_is_the_topology() -> None:
    graph = layer_graph(trace(network()))
    assert (graph.neurons, graph.edges) == (0, 0)
    assert [(row.name, row.inputs) for row in graph.rows][-3:] == [("flatten", ("tanh",)), ("dense", ("flatten",)), ("softmax", ("dense",))]


def test_a_range_of_layers_is_a_model_that_reads_what_came_before() -> None:
    whole = trace(network())
    part = graph_in(network(), Selection(layers=("relu", "grouped")))
    assert [(row.name, row.type, row.neurons) for row in part.rows] == [
        ("bn", "InputLayer", 48),
        ("relu", "Activation", 48),
        ("grouped", "Conv2D", 72),
    ]
    values = forward(whole, [X[None]])
    rows = {row.name: row for row in whole.rows}
    given = values[:, rows["bn"].begin : rows["bn"].end].reshape(1, 4, 3, 4)
    np.testing.assert_allclose(
        outputs(part, forward(part, [given]))[0].reshape(-1), values[0, rows["grouped"].begin : rows["grouped"].end], rtol=1e-12
    )


@pytest.mark.parametrize("ends", [("relo", None), ("dense", "conv")])
def test_a_range_that_is_none_is_refused(ends: tuple[str, str | None]) -> None:
    with pytest.raises(BadRequest, match=r"did you mean relu|no path leads"):
        graph_in(network(), Selection(layers=ends))


@pytest.mark.parametrize(("least", "most"), [(0.5, 0), (0.0, 3), (0.4, 2)])
def test_sieve_keeps_the_heavy_and_the_strongest(least: float, most: int) -> None:
    whole, few = Tables(trace(network())).weights, pruned(trace(network()), min_weight=least, top_k=most)
    wanted = set()
    rows = list(zip(whole["source"].to_pylist(), whole["target"].to_pylist(), whole["weight"].to_pylist(), strict=True))
    for target in {target for _, target, _ in rows}:
        into = sorted(((-abs(w), n) for n, (_, t, w) in enumerate(rows) if t == target and abs(w) >= least))
        wanted |= {rows[n] for _, n in (into[:most] if most else into)}
    found = Tables(few).weights
    assert sorted(zip(*(found[c].to_pylist() for c in ("source", "target", "weight")), strict=True)) == sorted(wanted)
    assert few.edges == len(wanted) == sum(batch.num_rows for batch in extract.weight_batches(few, 10))


@pytest.mark.parametrize("name", sorted(NAMED))
def test_activations_are_those_of_keras(name: str) -> None:
    domains = {**dict.fromkeys(("sqrt", "rsqrt", "log", "reciprocal", "power"), (0.1, 4)), **dict.fromkeys(("arcsin", "arccos"), (-1, 1))}
    x = np.linspace(*domains.get(name, (-4, 4)), 33).reshape(3, 11)
    written = [name]
    if NAMED[name]:
        given = [f"{k}={(not v) if isinstance(v, bool) else 0.25 + n}" for n, (k, v) in enumerate(NAMED[name].items())]
        written = [*(written if name not in ("threshold", "power") else []), f"{name}({', '.join(given)})"]
    for one in written:
        from etl.graph.forward import activate as ours

        np.testing.assert_allclose(ours(one, x).reshape(-1), activate(one, x.reshape(-1), x.shape), rtol=2e-6, atol=1e-7)


def test_every_named_activation_can_be_run() -> None:
    assert set(FUNCTIONS) == set(NAMED)


CIFAR = Path(__file__).parents[2] / "shared/data/CIFAR-10_CNN5.h5"


@pytest.mark.skipif(not CIFAR.exists(), reason=f"{CIFAR} is absent")
def test_a_channel_graph_of_a_real_network() -> None:
    from etl.graph.selection import graph_of

    graph = graph_of(CIFAR, Selection(granularity="channel"))
    assert (graph.neurons, graph.edges) == (3 + 32 + 32 + 64 + 64 + 64 + 64 + 10, 3 * 32 + 32 + 32 * 64 + 64 + 64 * 64 + 64 * 64 + 640)


@pytest.mark.parametrize(
    ("selection", "written"),
    [
        (Selection(), None),
        (Selection(architecture="a.json"), None),
        (Selection(input_shapes=((8, 8, 1),)), None),
        (Selection(fold=True), "--fold"),
        (Selection(layers=("strokes", None), top_k=3), "--layers strokes.. --top-k 3"),
        (Selection(granularity="channel", min_weight=0.05), "--granularity channel --min-weight 0.05"),
    ],
)
def test_a_graph_says_which_options_made_it_other_than_the_network(selection: Selection, written: str | None) -> None:
    assert selection.written(read(DIGITS)) == written
    if selection.architecture is None:
        assert graph_in(read(DIGITS), selection).selection == written


def test_a_shape_that_the_file_leaves_open_makes_no_other_network() -> None:
    model = Model("m", Network((), (Input("x", (None, 8, 1)), Input("y", (4,))), ()), "", "memory")
    assert Selection(input_shapes=((5, 8, 1), (4,))).written(model) is None
    assert Selection(input_shapes=((5, 6, 1), (4,))).written(model) == "--input-shape 5,6,1 --input-shape 4"


def test_axes_that_are_known_in_part_are_learnt_once() -> None:
    """A BatchNormalization names an input's channels and nothing else: the search for rows to name ends there."""
    from etl.network import INPUT, Call, Input, Model, Network, Tensor
    from tests.handmade import layer

    ones = np.ones(3, np.float32)
    norm = layer("BatchNormalization", {"moving_mean": ones, "moving_variance": ones}, center=False, scale=False)
    found = trace(Model("m", Network((Call(norm, (Tensor(INPUT),)),), (Input("x", (4, 5, 3)),), (Tensor(0),)), "", "memory"))
    assert [row.axes for row in found.rows] == ["?,?,channel", "?,?,channel"]
