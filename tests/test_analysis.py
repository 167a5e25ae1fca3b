"""The stored queries of analysis against NumPy on the file's own arrays, NetworkX and arithmetic: on a shipped network and small branching ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import networkx as nx
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from etl.analysis.measures import MEASURES
from etl.analysis.verify import verify_in_store
from etl.errors import BadRequest, NotInStore, QueryError
from etl.graph.selection import Selection, graph_in
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Model, Network, Tensor
from etl.network import cut_points as split
from etl.readers import read
from etl.sinks.memory import collect
from etl.sinks.neo4j import live as neo4j
from etl.store import Store, queries
from etl.store.models import models
from tests.conftest import clear
from tests.small import Spec, given, graph, layer

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Loaded:
    """A model in the store, and its tables as they were sent, with the store's ids."""

    store: Store
    name: str
    graph: Graph
    base: int

    def __post_init__(self) -> None:
        weights = collect(self.graph).weights
        for column in ("source", "target"):
            object.__setattr__(self, column, weights[column].to_numpy() + self.base)
        object.__setattr__(self, "weight", weights["weight"].to_numpy().astype(float))
        object.__setattr__(self, "parameter", weights["parameter"].fill_null(-1).to_numpy())

    def ask(self, query: str, **values: Any) -> Rows:
        return queries.run(self.store, query, {"model": self.name, **values})

    def span(self, layer: str) -> tuple[int, int]:
        (row,) = [row for row in self.graph.rows if row.name == layer]
        return row.begin + self.base, row.end + self.base

    def matrix(self, source: str, target: str) -> np.ndarray:
        """The block of the adjacency matrix, parallel weights added up."""
        (s, s_end), (t, t_end) = self.span(source), self.span(target)
        block = np.zeros((s_end - s, t_end - t))
        inside = (self.source >= s) & (self.source < s_end) & (self.target >= t) & (self.target < t_end)
        np.add.at(block, (self.source[inside] - s, self.target[inside] - t), self.weight[inside])
        return block

    def outputs(self) -> set[int]:
        return {int(n) + self.base for ids in self.graph.outputs for n in ids.reshape(-1) if n >= 0}

    def into(self) -> dict[int, list[tuple[int, float]]]:
        """Who feeds a neuron, with which weights."""
        found = defaultdict(list)
        for source, target, weight in zip(self.source.tolist(), self.target.tolist(), self.weight.tolist(), strict=True):
            found[target].append((source, weight))
        return found


def branching() -> Graph:
    """A residual block, a square (parallel weights), a crop that leaves neurons unused, two views in a row, a layer called on a sum of branches."""
    random = np.random.default_rng(3)

    def arrays(*shape: int) -> dict[str, Any]:
        return {"kernel": random.normal(size=shape).astype("f4"), "bias": random.normal(size=shape[-1:]).astype("f4")}

    specs: list[Spec] = [
        given("image", 5, 6, 2),
        ("stem", "Conv2D", {"padding": "same", "activation": "relu"}, arrays(3, 3, 2, 4), ["image"]),
        ("left", "Conv2D", {"padding": "same"}, arrays(3, 3, 4, 4), ["stem"]),
        ("add", "Add", {}, {}, ["stem", "left"]),
        ("act", "Activation", {"activation": "relu"}, {}, ["add"]),
        ("square", "Multiply", {}, {}, ["act", "act"]),
        ("crop", "Cropping2D", {"cropping": ((1, 0), (0, 2))}, {}, ["square"]),
        ("flat", "Flatten", {}, {}, ["crop"]),
        ("drop", "Dropout", {"rate": 0.5}, {}, ["flat"]),
        ("hidden", "Dense", {"activation": "tanh"}, arrays(64, 7), ["drop"]),
        ("side", "Dense", {}, arrays(64, 3), ["flat"]),
        ("both", "Concatenate", {}, {}, ["hidden", "side"]),
        ("top", "Dense", {"activation": "softmax"}, arrays(10, 5), ["both"]),
    ]
    return graph(specs, ["top"], sha256="branching")


def dense_chain(layers: int) -> Graph:
    """Each layer reads the sum of all before it: 2^(layers - 2) ways through the layers."""
    specs: list[Spec] = [given("l0", 1)]
    for n in range(1, layers):
        specs.append((f"l{n}", "Add", {}, {}, [f"l{k}" for k in range(n)]))
    return graph(specs, [f"l{layers - 1}"], sha256=f"chain {layers}")


@pytest.fixture(scope="module")
def shelf(store: Store) -> Iterator[dict[str, Loaded]]:
    """All models of this module, so that none but the first begins at 0."""
    clear(store)
    model = read(DIGITS)
    graphs = {
        "digits": graph_in(model),
        "branching": branching(),
        "pruned": graph_in(model, Selection(min_weight=0.2)),
        "layers": graph_in(model, Selection(granularity="layer")),
        "chain": dense_chain(40),
    }
    yield {name: Loaded(store, name, each, neo4j.load(each, store, name).base) for name, each in graphs.items()}
    clear(store)


@pytest.fixture(params=["digits", "branching"])
def loaded(request: pytest.FixtureRequest, shelf: dict[str, Loaded]) -> Loaded:
    return shelf[request.param]


@pytest.fixture
def digits(shelf: dict[str, Loaded]) -> Loaded:
    return shelf["digits"]


@pytest.fixture
def branch(shelf: dict[str, Loaded]) -> Loaded:
    return shelf["branching"]


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, np.ndarray]]:
    """The file's own arrays, read without the program."""
    with h5py.File(DIGITS) as file:
        found: dict[str, dict[str, np.ndarray]] = {}
        file["model_weights"].visititems(
            lambda name, one: (
                found.setdefault(name.split("/")[0], {}).update({name.rpartition("/")[2].partition(":")[0]: one[()]})
                if isinstance(one, h5py.Dataset)
                else None
            )
        )
    return found


def test_density(loaded: Loaded) -> None:
    whole, *layers = loaded.ask("density")
    n, m = loaded.graph.neurons, loaded.graph.edges
    assert whole == {"layer": None, "neurons": n, "edges": m, "possible": n * (n - 1), "density": m / (n * (n - 1))}
    for row in layers:
        begin, end = loaded.span(row["layer"])
        mine = loaded.source[(loaded.target >= begin) & (loaded.target < end)]
        read = sum(r.neurons for r in loaded.graph.rows if ((mine >= r.begin + loaded.base) & (mine < r.end + loaded.base)).any())
        assert (row["edges"], row["possible"]) == (len(mine), read * (end - begin))
        assert row["density"] == len(mine) / row["possible"]
    assert [row["layer"] for row in layers] == [row.name for row in loaded.graph.rows if row.edges]


def test_weight_statistics_are_numpys(digits: Loaded, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    rows = digits.ask("weight_statistics")
    assert [row["layer"] for row in rows if row["kernel"] is None] == ["strokes", "shapes", "digit"]
    for name in ("strokes", "shapes", "digit"):
        kernel, bias = (arrays[name][role].astype(float) for role in ("kernel", "bias"))
        whole, *kernels = [row for row in rows if row["layer"] == name]
        assert [row["kernel"] for row in kernels] == list(range(kernel.shape[-1]))
        check_statistics(whole, kernel)
        found = [whole[f"bias_{key}"] for key in ("mean", "std", "min", "max")]
        assert_allclose(found, [bias.mean(), bias.std(ddof=1), bias.min(), bias.max()], rtol=1e-12)
        assert whole["bias"] is None
        for row in kernels:
            check_statistics(row, kernel[..., row["kernel"]])
            assert row["bias"] == bias[row["kernel"]]
            assert row["bias_mean"] is row["bias_std"] is row["bias_min"] is row["bias_max"] is None
    assert digits.ask("weight_statistics", layer="shapes") == [row for row in rows if row["layer"] == "shapes"]
    assert digits.ask("weight_statistics", layer="pool") == []


def check_statistics(row: dict[str, Any], values: np.ndarray) -> None:
    expected = [values.size, values.mean(), values.std(ddof=1), values.min(), values.max()]
    assert_allclose([row[key] for key in ("weights", "mean", "std", "min", "max")], expected, rtol=1e-12)


def test_statistics_of_a_single_number(store: Store, shelf: dict[str, Loaded]) -> None:
    """A sample of one has no deviation: numpy's NaN is null."""
    one = graph([given("x", 1), ("y", "Dense", {}, {"kernel": [[2.0]], "bias": [3.0]}, ["x"])], ["y"], sha256="one")
    neo4j.load(one, store, "one", replace=True)
    whole, kernel = queries.run(store, "weight_statistics", {"model": "one"})
    assert (whole["mean"], whole["std"], whole["bias_mean"], whole["bias_std"]) == (2.0, None, 3.0, None)
    assert (kernel["mean"], kernel["std"], kernel["bias"]) == (2.0, None, 3.0)
    histogram = queries.run(store, "weight_histogram", {"model": "one", "bins": 3})
    assert [row["weights"] for row in histogram] == [1, 0, 0]


@pytest.mark.parametrize("bins", [50, 7, 1])
def test_histograms_are_numpys(digits: Loaded, arrays: dict[str, dict[str, np.ndarray]], bins: int) -> None:
    rows = digits.ask("weight_histogram", bins=bins)
    for name in ("strokes", "shapes", "digit"):
        check_histogram([row for row in rows if row["layer"] == name], arrays[name]["kernel"], bins)
    kernel = arrays["shapes"]["kernel"]
    check_histogram(digits.ask("weight_histogram", layer="shapes", kernel=3, bins=bins), kernel[..., 3], bins)
    kernels = digits.ask("kernel_histogram", layer="shapes", bins=bins)
    _, bounds = np.histogram(kernel.astype(float), bins)
    for number in range(16):
        counts, _ = np.histogram(kernel[..., number].astype(float), bounds)
        found = {row["bin"]: row["weights"] for row in kernels if row["kernel"] == number}
        assert found == {n: count for n, count in enumerate(counts) if count}
    assert_allclose([row["low"] for row in kernels], bounds[[row["bin"] for row in kernels]], rtol=1e-12)


def check_histogram(rows: Rows, values: np.ndarray, bins: int) -> None:
    counts, bounds = np.histogram(values.astype(float), bins)
    assert_array_equal([row["weights"] for row in rows], counts)
    assert [row["bin"] for row in rows] == list(range(bins))
    assert_allclose([row["low"] for row in rows] + [rows[-1]["high"]], bounds, rtol=1e-12, atol=1e-15)


def test_degree_distribution(loaded: Loaded) -> None:
    n, base = loaded.graph.neurons, loaded.base
    expected = {}
    for direction, ends in (("in", loaded.target), ("out", loaded.source)):
        degree = np.bincount(ends - base, minlength=n)
        for row in loaded.graph.rows:
            for value, count in Counter(degree[row.begin : row.end].tolist()).items():
                expected[row.name, direction, value] = count
    found = loaded.ask("degree_distribution")
    assert {(row["layer"], row["direction"], row["degree"]): row["neurons"] for row in found} == expected
    assert len(found) == len(expected)


def test_strength(loaded: Loaded) -> None:
    n = loaded.graph.neurons
    incoming = np.bincount(loaded.target - loaded.base, loaded.weight, n)
    outgoing = np.bincount(loaded.source - loaded.base, loaded.weight, n)
    rows = loaded.ask("strength", limit=n)
    ids = np.array([row["id"] for row in rows]) - loaded.base
    assert sorted(ids) == list(range(n))
    for key, expected in (("incoming", incoming), ("outgoing", outgoing), ("strength", incoming + outgoing)):
        assert_allclose([row[key] for row in rows], expected[ids], rtol=1e-9, atol=1e-12)
    sizes = [abs(row["strength"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert loaded.ask("strength", limit=3) == rows[:3]


@pytest.mark.parametrize("measure", ["average_neighbour_degree", "bipartite_clustering"])
def test_neighbours_as_measure_sees_them(loaded: Loaded, measure: str) -> None:
    n, base = loaded.graph.neurons, loaded.base
    expected = MEASURES[measure](n, loaded.source - base, loaded.target - base, loaded.weight)
    for row in loaded.graph.rows:
        if row.neurons:
            limit = min(40, row.neurons)
            found = loaded.ask(measure, layer=row.name, limit=limit)
            assert [each["id"] - base for each in found] == list(range(row.begin, row.begin + limit))
            values = [np.nan if each["value"] is None else each["value"] for each in found]
            assert_allclose(values, expected[row.begin : row.begin + limit], rtol=1e-9)


def test_cliques(loaded: Loaded) -> None:
    n, base = loaded.graph.neurons, loaded.base
    expected = MEASURES["cliques"](n, loaded.source - base, loaded.target - base, loaded.weight)
    rows = loaded.ask("cliques", limit=n)
    assert_array_equal([row["cliques"] for row in rows], expected[[row["id"] - base for row in rows]])
    assert len(rows) == n and [row["cliques"] for row in rows[:5]] == sorted(expected, reverse=True)[:5]


def test_combined_weights_are_a_matrix_product(branch: Loaded, digits: Loaded) -> None:
    check_product(branch, "hidden", "top", branch.matrix("square", "hidden") @ branch.matrix("hidden", "top"), "square")
    check_product(branch, "left", "add", branch.matrix("stem", "left") @ branch.matrix("left", "add"), "stem")
    check_product(digits, "pool", "digit", digits.matrix("shapes", "pool") @ digits.matrix("pool", "digit"), "shapes")


def check_product(loaded: Loaded, first: str, second: str, product: np.ndarray, source: str) -> None:
    rows = loaded.ask("combined_weights", first=first, second=second, limit=product.size)
    found = np.zeros_like(product)
    for row in rows:
        found[row["source"] - loaded.span(source)[0], row["target"] - loaded.span(second)[0]] = row["weight"]
    assert_allclose(found, product, rtol=1e-9, atol=1e-12)
    assert len({(row["source"], row["target"]) for row in rows}) == len(rows)
    sizes = [abs(row["weight"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert loaded.ask("combined_weights", first=first, second=second, limit=3) == rows[:3]


@pytest.mark.parametrize("view", ["crop", "flat", "drop"])
def test_views_stand_for_what_they_show(branch: Loaded, view: str) -> None:
    product = branch.matrix("act", "square") @ branch.matrix("square", "hidden")
    assert branch.ask("combined_weights", first=view, second="hidden", limit=product.size) == branch.ask(
        "combined_weights", first="square", second="hidden", limit=product.size
    )
    check_product(branch, "square", "hidden", product, "act")
    assert branch.ask("adjacency_block", source=view, target="hidden") == branch.ask("adjacency_block", source="square", target="hidden")
    rows = branch.ask("adjacency_block", source="both", target="top")
    assert {branch.ask("adjacency_block", source=each, target="top")[0]["source"] for each in ("hidden", "side")} <= {row["source"] for row in rows}
    assert len(rows) == 10 * 5


def test_adjacency_block(loaded: Loaded) -> None:
    source, target = {"digits": ("strokes", "shapes"), "branching": ("act", "square")}[loaded.name]
    (s, s_end), (t, t_end) = loaded.span(source), loaded.span(target)
    inside = (loaded.source >= s) & (loaded.source < s_end) & (loaded.target >= t) & (loaded.target < t_end)
    order = np.lexsort((loaded.source[inside], loaded.target[inside]))
    rows = loaded.ask("adjacency_block", source=source, target=target)
    for key in ("source", "target", "weight"):
        assert_array_equal([row[key] for row in rows], getattr(loaded, key)[inside][order])
    assert loaded.ask("adjacency_block", source=source, target=target, limit=10) == rows[:10]
    assert loaded.ask("adjacency_block", source=target, target=source) == []


@pytest.mark.parametrize("chosen", [{"bins": 40}, {"bins": 17}, {"source": 1, "target": 2, "bins": 50}, {"source": 1, "bins": 25}])
def test_adjacency_bins_hold_every_weight_once(loaded: Loaded, chosen: dict[str, Any]) -> None:
    names = {"digits": ["pixels", "strokes", "shapes"], "branching": ["image", "square", "hidden"]}[loaded.name]
    asked = {key: value if key == "bins" else names[value] for key, value in chosen.items()}
    rows = loaded.ask("adjacency_bins", **asked)
    inside = np.ones(len(loaded.weight), bool)
    for key, ends in (("source", loaded.source), ("target", loaded.target)):
        if key in asked:
            begin, end = loaded.span(asked[key])
            inside &= (ends >= begin) & (ends < end)
    assert sum(row["edges"] for row in rows) == inside.sum() > 0
    for row in rows:
        cell = inside & (loaded.source >= row["source_begin"]) & (loaded.source < row["source_end"])
        cell &= (loaded.target >= row["target_begin"]) & (loaded.target < row["target_end"])
        assert row["edges"] == cell.sum()
        assert_allclose(row["mean"], loaded.weight[cell].mean(), rtol=1e-9, atol=1e-12)
        for key in ("source", "target"):
            begin, end = loaded.span(row[f"{key}_layer"])
            assert begin <= row[f"{key}_begin"] < row[f"{key}_end"] <= end


@pytest.mark.parametrize("start", [None, 1])
@pytest.mark.parametrize(("query", "column"), [("strongest_paths", "product"), ("widest_path", "width")])
def test_best_paths(loaded: Loaded, query: str, column: str, start: int | None) -> None:
    """Of all paths the strongest, of each start the widest, by dynamic programming from the end; and each path is one, edge by edge."""
    layers = [row for row in loaded.graph.rows if row.neurons]
    first = layers[start or 0]
    limit, widest = first.neurons, query == "widest_path"
    target = loaded.span(layers[-1].name)[0] + 2
    found = loaded.ask(query, neuron=target, layer=None if start is None else first.name, limit=limit)

    into = loaded.into()
    best = {target: [np.inf if widest else 1.0]}
    for neuron in range(target, loaded.base - 1, -1):
        best[neuron] = sorted(best.get(neuron, []), reverse=True)[: 1 if widest else limit]
        for source, weight in into[neuron]:
            best.setdefault(source, []).extend(min(abs(weight), one) if widest else abs(weight) * one for one in best[neuron])
    begin = first.begin + loaded.base
    expected = sorted((one for n in range(begin, begin + limit) for one in best[n]), reverse=True)[:limit]
    assert_allclose([row[column] for row in found], expected, rtol=1e-12)
    assert not widest or len({row["neurons"][0] for row in found}) == len(found)
    assert loaded.name == "branching" or len({tuple(row["neurons"]) for row in found}) == len(found)  # there two edges may join a pair
    for row in found:
        hops = list(zip(row["neurons"], row["neurons"][1:], row["weights"], strict=False))
        assert row["neurons"][-1] == target and begin <= row["neurons"][0] < begin + limit
        assert row["path"].count("-> ") == len(hops)
        assert all((source, weight) in into[reader] for source, reader, weight in hops)
        sizes = [abs(weight) for *_, weight in hops]
        assert_allclose(row[column], min(sizes) if widest else np.prod(sizes), rtol=1e-12)
    assert_allclose([row[column] for row in loaded.ask(query, neuron=target, layer=None if start is None else first.name, limit=2)], expected[:2])


def test_one_start_may_have_several_of_the_strongest_paths(store: Store, shelf: dict[str, Loaded]) -> None:
    kernels = [[[3.0, -2.0], [0.5, 0.1]], [[1.0], [1.0]]]
    specs: list[Spec] = [given("x", 2), ("h", "Dense", {}, {"kernel": kernels[0]}, ["x"]), ("y", "Dense", {}, {"kernel": kernels[1]}, ["h"])]
    base = neo4j.load(graph(specs, ["y"], sha256="two ways"), store, "two ways", replace=True).base
    rows = queries.run(store, "strongest_paths", {"model": "two ways", "limit": 3})
    assert [(row["product"], [n - base for n in row["neurons"]]) for row in rows] == [(3.0, [0, 2, 4]), (2.0, [0, 3, 4]), (0.5, [1, 2, 4])]


def test_ties_do_not_multiply(shelf: dict[str, Loaded]) -> None:
    """All weights 1: every one of 2^38 ways is as good."""
    chain = shelf["chain"]
    for query, count in (("strongest_paths", 5), ("widest_path", 1)):
        rows = chain.ask(query)
        assert len({tuple(row["neurons"]) for row in rows}) == count
        for row in rows:
            assert row["neurons"][0] == chain.base and row["neurons"][-1] == chain.base + 39 and set(row["weights"]) == {1.0}


@pytest.mark.parametrize("query", ["receptive_field", "projective_field"])
def test_fields(loaded: Loaded, query: str) -> None:
    towards_inputs = query == "receptive_field"
    net = nx.MultiDiGraph()
    net.add_nodes_from(range(loaded.base, loaded.base + loaded.graph.neurons))
    net.add_edges_from(zip(loaded.source.tolist(), loaded.target.tolist(), strict=True))
    layers = [row for row in loaded.graph.rows if row.neurons]
    start = loaded.span(layers[2].name)[0] + 9
    reached = (nx.ancestors if towards_inputs else nx.descendants)(net, start)
    ends = set(range(loaded.base, loaded.base + layers[0].neurons)) if towards_inputs else loaded.outputs()
    rows = loaded.ask(query, neuron=start)
    assert [row["id"] for row in rows] == sorted(reached & ends)
    assert all(row["index"] == list(np.unravel_index(row["id"] - loaded.span(row["layer"])[0], shape_of(loaded, row["layer"]))) for row in rows)
    other = layers[1 if towards_inputs else 3]
    begin, end = loaded.span(other.name)
    assert [row["id"] for row in loaded.ask(query, neuron=start, layer=other.name)] == sorted(reached & set(range(begin, end)))
    assert loaded.ask(query, neuron=start, limit=2) == rows[:2]


def shape_of(loaded: Loaded, layer: str) -> tuple[int, ...]:
    return next(row.shape for row in loaded.graph.rows if row.name == layer)


def test_unused_neurons(loaded: Loaded) -> None:
    net = nx.MultiDiGraph()
    net.add_nodes_from(range(loaded.base, loaded.base + loaded.graph.neurons))
    net.add_edges_from(zip(loaded.source.tolist(), loaded.target.tolist(), strict=True))
    used = set(loaded.outputs()).union(*(nx.ancestors(net, n) for n in loaded.outputs()))
    rows = loaded.ask("unused_neurons")
    assert [row["id"] for row in rows] == sorted(set(net) - used)
    assert (len(rows) > 0) == (loaded.name == "branching")


def test_prunable_weights(digits: Loaded, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    small = np.float32(0.1)
    for row in digits.ask("prunable_weights", threshold=float(small)):
        kernel = arrays[row["layer"]]["kernel"]
        begin, end = digits.span(row["layer"])
        mine = np.abs(digits.weight[(digits.target >= begin) & (digits.target < end)])
        assert (row["parameters"], row["prunable"]) == (kernel.size, (np.abs(kernel) <= small).sum())
        assert (row["edges"], row["prunable_edges"]) == (len(mine), (mine <= small).sum())
        assert row["share"] == row["prunable"] / kernel.size


def test_compare_models(shelf: dict[str, Loaded], store: Store, arrays: dict[str, dict[str, np.ndarray]]) -> None:
    digits = shelf["digits"]
    for row in digits.ask("compare_models", other="digits"):
        assert (row["changed"], row["mean_change"], row["flipped"], row["zeroed"], row["max_bias_change"]) == (0, 0.0, 0, 0, 0.0)
    for row in digits.ask("compare_models", other="pruned"):
        kernel = arrays[row["layer"]]["kernel"].astype(float)
        gone = np.abs(kernel) < 0.2
        assert (row["parameters"], row["changed"], row["zeroed"], row["flipped"]) == (kernel.size, gone.sum(), gone.sum(), 0)
        assert_allclose([row["mean_change"], row["max_change"]], [np.abs(kernel * gone).mean(), np.abs(kernel * gone).max()], rtol=1e-12)
    back = shelf["pruned"].ask("compare_models", other="digits")
    assert [row["changed"] for row in back] == [row["changed"] for row in digits.ask("compare_models", other="pruned")]
    assert [row["zeroed"] for row in back] == [0, 0, 0]
    with pytest.raises(NotInStore, match="no model named nothing"):
        digits.ask("compare_models", other="nothing")


def test_compare_models_sees_biases_and_signs(store: Store, shelf: dict[str, Loaded]) -> None:
    for name, kernel, bias in (("before", [[1.0, -2.0, 3.0]], [0.0, 0.5, 1.0]), ("after", [[-1.0, -2.5, 0.0]], [0.25, 0.5, -1.0])):
        small = graph([given("x", 1), ("y", "Dense", {}, {"kernel": kernel, "bias": bias}, ["x"])], ["y"], sha256=name)
        neo4j.load(small, store, name, replace=True)
    (row,) = queries.run(store, "compare_models", {"model": "before", "other": "after"})
    counted = {"parameters": 3, "changed": 3, "flipped": 1, "zeroed": 1}
    assert row == {
        "layer": "y",
        "other": "y",
        "match": "name",
        **counted,
        "mean_change": pytest.approx(5.5 / 3),
        "max_change": 3.0,
        "max_bias_change": 2.0,
    }


def stacked(names: list[str], arrays: list[dict[str, Any]], kinds: list[str]) -> Graph:
    """Layers one after the other on four numbers."""
    before = ["x", *names]
    specs: list[Spec] = [given("x", 4)]
    specs += [
        (name, kind, {"epsilon": 0.25} if kind == "BatchNormalization" else {}, held, [before[n]])
        for n, (name, kind, held) in enumerate(zip(names, kinds, arrays, strict=True))
    ]
    return graph(specs, [names[-1]], sha256=str((names, kinds, arrays)))


def normalization(variance: list[float]) -> dict[str, Any]:
    return {"gamma": [1.0, 2.0, 1.0, 1.0], "beta": [0.0] * 4, "moving_mean": [1.0, 0.0, 0.0, 0.0], "moving_variance": variance}


def compared(store: Store, before: Graph, after: Graph) -> Rows:
    for name, made in (("before", before), ("after", after)):
        neo4j.load(made, store, name, replace=True)
    return queries.run(store, "compare_models", {"model": "before", "other": "after"})


def test_compare_models_shows_what_moved_in_a_normalization(store: Store, shelf: dict[str, Loaded]) -> None:
    """gamma / sqrt(variance + 1/4): 1 of every channel but the second (2) before; after, the first is 1/2, the second 1; beta - mean * that."""
    kernel = {"kernel": np.eye(4)}
    kinds = ["Dense", "BatchNormalization"]
    before, after = (stacked(["d", "n"], [kernel, normalization(v)], kinds) for v in ([0.75] * 4, [3.75, 3.75, 0.75, 0.75]))
    dense, moved = compared(store, before, after)
    assert (dense["layer"], dense["changed"], dense["parameters"]) == ("d", 0, 16)
    counted = {"parameters": 4, "changed": 2, "flipped": 0, "zeroed": 0}
    assert moved == {"layer": "n", "other": "n", "match": "name", **counted, "mean_change": 0.375, "max_change": 1.0, "max_bias_change": 0.5}


@pytest.mark.parametrize("names", [["dense_2", "dense_3"], ["dense_1", "dense_2"]])
def test_compare_models_matches_layers_that_were_numbered_on(store: Store, shelf: dict[str, Loaded], names: list[str]) -> None:
    """The second pair has a name in common, of another layer."""
    one, two = np.eye(4), np.full((4, 4), 2.0)
    arrays = [{"kernel": one}, {"kernel": two}]
    kinds = ["Dense", "Dense"]
    same = compared(store, stacked(["dense", "dense_1"], arrays, kinds), stacked(names, arrays, kinds))
    assert [(r["layer"], r["other"], r["match"], r["parameters"], r["changed"]) for r in same] == [
        ("dense", names[0], "place", 16, 0),
        ("dense_1", names[1], "place", 16, 0),
    ]
    other = compared(store, stacked(["dense", "dense_1"], arrays, kinds), stacked(names, [{"kernel": one}, {"kernel": two + one}], kinds))
    assert [(r["changed"], r["max_change"]) for r in other] == [(0, 0.0), (4, 1.0)]


def test_compare_models_says_what_it_did_not_match(store: Store, shelf: dict[str, Loaded]) -> None:
    """c is wider in the second, d stands in the second only, a has its name in both, b and e are alike; a pool has nothing to compare."""
    square, wide = {"kernel": np.eye(4)}, {"kernel": np.ones((4, 5))}
    before = stacked(["a", "b", "c"], [square, square, {"kernel": np.ones((4, 3))}], ["Dense"] * 3)
    after = stacked(["a", "e", "d", "c"], [square, square, square, wide], ["Dense"] * 4)
    rows = compared(store, before, after)
    assert {(r["layer"], r["other"], r["match"], r["changed"]) for r in rows} == {
        ("a", "a", "name", 0),
        ("b", "e", "place", 0),
        ("c", None, None, None),
        (None, "d", None, None),
        (None, "c", None, None),
    }
    folded = compared(store, folding(True), folding(False))
    assert {(r["layer"], r["other"], r["match"]) for r in folded} == {("d", None, None), (None, "d", None), (None, "n", None)}


def folding(fold: bool) -> Graph:
    model = stacked(["d", "n"], [{"kernel": np.eye(4)}, normalization([0.75] * 4)], ["Dense", "BatchNormalization"]).model
    return trace(model, fold=fold)


@pytest.mark.parametrize(
    ("selection", "written"),
    [
        (Selection(min_weight=0.2), "--min-weight 0.2"),
        (Selection(top_k=3), "--top-k 3"),
        (Selection(granularity="channel"), "--granularity channel"),
        (Selection(layers=("shapes", None)), "--layers shapes.."),
    ],
)
def test_what_needs_the_whole_network_refuses_another_by_name(store: Store, shelf: dict[str, Loaded], selection: Selection, written: str) -> None:
    made = graph_in(read(DIGITS), selection)
    neo4j.load(made, store, "part", replace=True)
    assert {row["name"]: row["selection"] for row in models(store) if row["name"] in ("part", "digits")} == {"digits": None, "part": written}
    for query, values in (("forward", {"input": [0.0] * 64}), ("contributions", {}), ("top_channels", {"layer": "shapes"})):
        with pytest.raises(QueryError, match=rf"{query} needs the whole network, and part was loaded with {written}: load it without --"):
            queries.run(store, query, {"model": "part", **values})
    with pytest.raises(BadRequest, match=f"part in the store is not the whole network: it was loaded with {written}"):
        verify_in_store(DIGITS, store, "part")
    if not selection.layers:
        with pytest.raises(QueryError, match="weight_statistics needs the whole network"):
            queries.run(store, "weight_statistics", {"model": "part"})
    assert queries.run(store, "summary", {"model": "part"})[0]["edges"] == made.edges


def test_sieves_that_leave_as_many_edges_are_other_graphs() -> None:
    """Weights 3, 2, -1, -1 into one neuron: the two strongest, or those of at least 2."""
    model = stacked(["d"], [{"kernel": np.array([[3.0], [2.0], [-1.0], [-1.0]])}], ["Dense"]).model
    one, two, whole = (graph_in(model, selection) for selection in (Selection(top_k=2), Selection(min_weight=2.0), Selection()))
    assert one.edges == two.edges == 2
    assert len({neo4j.fingerprint(each) for each in (one, two, whole)}) == 3


def test_values_of_an_example(digits: Loaded, caplog: pytest.LogCaptureFixture) -> None:
    assert digits.ask("contributions") == digits.ask("top_channels", layer="strokes") == []
    assert "etl features MODEL IMAGE --write NAME" in caplog.text
    values = np.random.default_rng(0).normal(size=digits.graph.neurons)
    digits.store.write("UNWIND range(0, size($v) - 1) AS i MATCH (n:Neuron {id: $base + i}) SET n.value = $v[i]", v=values.tolist(), base=digits.base)
    begin, _ = digits.span("digit")
    top = begin + int(np.argmax(values[begin - digits.base :]))
    mine = digits.target == top
    product = digits.weight[mine] * values[digits.source[mine] - digits.base]
    order = np.argsort(-np.abs(product))
    rows = digits.ask("contributions", limit=1000)
    assert [row["id"] for row in rows] == digits.source[mine][order].tolist()
    assert_allclose([row["contribution"] for row in rows], product[order], rtol=1e-12)
    assert rows == digits.ask("contributions", neuron=top, limit=1000) and len(digits.ask("contributions")) == 20

    maps = values[digits.span("shapes")[0] - digits.base : digits.span("shapes")[1] - digits.base].reshape(6, 6, 16)
    rows = digits.ask("top_channels", layer="shapes", limit=16)
    assert [row["channel"] for row in rows] == np.argsort(-maps.mean((0, 1))).tolist()
    for row in rows:
        one = maps[..., row["channel"]]
        assert (row["neurons"], row["at"][:2]) == (36, list(np.unravel_index(one.argmax(), one.shape)))
        assert_allclose([row["mean"], row["max"]], [one.mean(), one.max()], rtol=1e-12)
    digits.store.write("MATCH (n:Neuron {model: 'digits'}) REMOVE n.value")


def layer_net(loaded: Loaded) -> nx.DiGraph:
    net = nx.DiGraph()
    net.add_nodes_from(row.name for row in loaded.graph.rows)
    net.add_edges_from((source, row.name) for row in loaded.graph.rows for source in row.inputs)
    return net


@pytest.mark.parametrize("name", ["digits", "branching", "layers", "chain"])
def test_layers_above_and_cut_points(shelf: dict[str, Loaded], name: str) -> None:
    """A cut point is a layer without which NetworkX finds no way from the input to the output."""
    loaded = shelf[name]
    net, rows = layer_net(loaded), [row.name for row in loaded.graph.rows]
    for one in rows[:: max(1, len(rows) // 8)]:
        above = nx.descendants(net, one) | {one}
        assert [row["layer"] for row in loaded.ask("layers_above", layer=one)] == [each for each in rows if each in above]
    expected = []
    for one in rows:
        cut = net.copy()
        cut.remove_node(one)
        if one not in (rows[0], rows[-1]) and not nx.has_path(cut, rows[0], rows[-1]):
            expected.append(one)
    assert [row["layer"] for row in loaded.ask("cut_points")] == expected
    assert name == "layers" or split.cut_points(loaded.graph.model.network) == expected
    assert len(loaded.ask("layer_graph")) == max(net.number_of_edges() + sum(not d for _, d in net.out_degree()), 1)
    if name == "branching":
        assert expected == ["stem", "add", "act", "square", "crop", "flat", "both"]


def test_cut_points_of_shared_layers_several_inputs_and_steps(store: Store, shelf: dict[str, Loaded]) -> None:
    shared = {"kernel": np.ones((3, 3)), "bias": np.ones(3)}
    specs: list[Spec] = [
        given("a", 3),
        given("b", 3),
        ("one", "Dense", {}, shared, ["a"]),
        ("two", "Dense", {}, shared, ["b"]),
        ("sum", "Add", {}, {}, ["one", "two"]),
        ("norm", "LayerNormalization", {}, {"gamma": np.ones(3), "beta": np.ones(3)}, ["sum"]),
        ("idle", "Dense", {}, shared, ["norm"]),
        ("top", "Dense", {}, shared, ["norm"]),
    ]
    neo4j.load(graph(specs, ["top"], sha256="merge"), store, "merge", replace=True)
    assert [row["layer"] for row in queries.run(store, "cut_points", {"model": "merge"})] == ["sum", "norm"]
    assert [row["layer"] for row in queries.run(store, "layers_above", {"model": "merge", "layer": "sum"})] == ["sum", "norm", "idle", "top"]


def test_calls_of_a_shared_layer_are_one_layer(store: Store, shelf: dict[str, Loaded]) -> None:
    """Two inputs through one layer, as in a Siamese network, and one layer twice in a row: as `split` sees them."""
    inputs = Input("left", (3,)), Input("right", (3,))
    tower, again, top = (layer(name, "Dense", {}, {"kernel": np.ones((3, 3))}) for name in ("tower", "again", "top"))
    minus = Call(layer("minus", "Subtract", {}, {}), (Tensor(0), Tensor(1)))
    calls = (Call(tower, (Tensor(INPUT, 0),)), Call(tower, (Tensor(INPUT, 1),), number=1), minus)
    calls += (Call(again, (Tensor(2),)), Call(again, (Tensor(3),), number=1), Call(top, (Tensor(4),)))
    made = trace(Model("shared", Network(calls, inputs, (Tensor(5),)), "shared", "memory"))
    neo4j.load(made, store, "shared", replace=True)

    def ask(query: str, **values: Any) -> list[str]:
        return [row["layer"] for row in queries.run(store, query, {"model": "shared", **values})]

    assert ask("cut_points") == split.cut_points(made.model.network) == ["tower", "minus", "again"]
    for name in ("left", "right", "tower", "minus", "again", "top"):
        assert ask("layers_above", layer=name) == split.layers_above(made.model.network, name)
    assert ask("layers_above", layer="right") == ["right", "tower", "minus", "again", "top"]
    assert ask("layers_above", layer="again:1") == ["again", "top"]


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("combined_weights", {"first": "strokes", "second": "shape"}, r"no layer shape \(did you mean shapes\?\)"),
    ("adjacency_block", {"source": "pixel", "target": "strokes"}, r"no layer pixel \(did you mean pixels\?\)"),
    ("contributions", {"neuron": 1_000_000}, "digits has no neuron 1000000: its ids are"),
    ("strength", {"limit": -1}, "limit must be at least 0"),
    ("weight_histogram", {"bins": 0}, "bins must be at least 1"),
    ("weight_statistics", {"kernel": 1}, "no parameter kernel"),
]


@pytest.mark.parametrize(("query", "values", "message"), MISTAKES)
def test_a_mistake_is_named(digits: Loaded, query: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        digits.ask(query, **values)
    assert "\n" not in str(caught.value)


def test_an_empty_answer_is_explained(shelf: dict[str, Loaded], caplog: pytest.LogCaptureFixture) -> None:
    assert shelf["digits"].ask("strength", layer="flatten") == []
    assert "flatten (Flatten) has no neurons of its own" in caplog.text
    assert shelf["layers"].ask("strength") == []
    assert "loaded as layers only" in caplog.text
    caplog.clear()
    assert shelf["layers"].ask("longest_path") == [{"hops": None}]
    assert "loaded as layers only" in caplog.text
    first = shelf["digits"].base
    assert shelf["digits"].ask("shortest_path", source=first + 1, target=first) == []
    assert f"no weights lead from neuron {first + 1} to neuron {first}" in caplog.text
    with pytest.raises(QueryError, match="layers only"):
        shelf["layers"].ask("forward", input=[0.0])
    with pytest.raises(QueryError, match="layers only"):
        shelf["layers"].ask("strongest_inputs", neuron="digit/4")
    with pytest.raises(QueryError, match=r"same granularity, and these are two \(\w+ of neurons, \w+ of layers\)"):
        shelf["digits"].ask("compare_models", other=shelf["layers"].name)


def test_nothing_is_left_behind(shelf: dict[str, Loaded], store: Store) -> None:
    keys = {key for row in store.read("MATCH (n:Neuron) RETURN DISTINCT keys(n) AS keys") for key in row["keys"]}
    assert keys == {"id", "model", "layer", "index", "channel", "name", "op", "bias", "activation"}


def test_layers_above_in_inception(store: Store, shelf: dict[str, Loaded]) -> None:
    import keras

    from etl.readers import read_keras_model

    keras.backend.clear_session()  # names are counted through a process
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3))
    neo4j.load(graph_in(read_keras_model(model), Selection(granularity="layer")), store, "inception", replace=True)
    above = [row["layer"] for row in queries.run(store, "layers_above", {"model": "inception", "layer": "mixed9"})]
    named = ["mixed9", "mixed9_1", "mixed10", "concatenate_1", "average_pooling2d_8"]
    counted = [f"{kind}_{n}" for kind in ("conv2d", "batch_normalization", "activation") for n in range(85, 94)]
    assert sorted(above) == sorted(named + counted) and len(above) == 32
    cuts = [row["layer"] for row in queries.run(store, "cut_points", {"model": "inception"})]
    assert {f"mixed{n}" for n in range(10)} <= set(cuts) and "mixed9_1" not in cuts
