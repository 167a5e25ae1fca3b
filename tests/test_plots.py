"""Pictures: what they show compared with NumPy on the tables, what they say, and that they open."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from numpy.testing import assert_allclose, assert_array_equal

from etl.analysis.measures import MEASURES
from etl.analysis.plots import adjacency, distributions, figure, histograms, interactive, layers, paths
from etl.analysis.plots.blocks import blocks, with_followers
from etl.analysis.plots.model_plots import ModelPlots
from etl.analysis.plots.scale import LayerScale
from etl.cli import main
from etl.graph.selection import Selection, graph_in
from etl.readers import read
from etl.sinks.memory import collect
from etl.sinks.neo4j import live as neo4j
from etl.store import Store, queries
from tests.conftest import clear
from tests.small import convolutional

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
EVIL = '</script><b>x$_\\frac{"'
NAMES = ("pixels", "strokes", "shapes", "pool", "digit")
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def shelf(store: Store) -> Iterator[Store]:
    clear(store)
    model = read(DIGITS)
    neo4j.load(convolutional(names={"conv_0": EVIL}), store, "evil")
    neo4j.load(graph_in(model), store, "digits")
    neo4j.load(graph_in(model, Selection(granularity="layer")), store, "bare")
    neo4j.load(graph_in(model, Selection(granularity="channel")), store, "channels")
    yield store
    clear(store)


@pytest.fixture
def ask(shelf: Store) -> Callable[..., list[dict[str, Any]]]:
    return lambda query, model="digits", **values: queries.run(shelf, query, {"model": model, **values})


@pytest.fixture
def run(shelf: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["etl", "plot", *map(str, arguments)])
        code = main()
        return code, "".join(capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def kernels() -> dict[str, np.ndarray]:
    with h5py.File(DIGITS) as file:
        found = {}
        file["model_weights"].visititems(lambda name, one: found.update({name.split("/")[0]: one[()]}) if "kernel" in name else None)
    return found


def test_a_scale_gives_large_layers_more_room_and_small_ones_enough() -> None:
    spans = (("a", 7, 10_007), ("view", 10_007, 10_007), ("b", 10_007, 10_008))
    scale = LayerScale.of([{"name": name, "type": "Dense", "begin": begin, "end": end} for name, begin, end in spans])
    assert_allclose(scale.borders, [0, 100 / (101 * (100 / 101 + 0.03)), 1])
    assert_allclose(scale.place(["a", "a", "b", "a"], [7, 10_007, 10_008, 5_007]), [0, scale.borders[1], 1, scale.borders[1] / 2])


@pytest.mark.parametrize("chosen", [{}, {"source": "strokes", "target": "shapes"}, {"target": "digit"}])
def test_a_heat_map_shows_every_weight_in_its_place(ask: Callable[..., Any], chosen: dict[str, str]) -> None:
    """Each weight of the file's graph is looked up in the drawn cells: counts and means agree with what is found there."""
    rows, table = ask("adjacency_bins", bins=60, **chosen), ask("layers")
    made = adjacency.heat_map(rows, table, "title", whole=not chosen)
    weights = collect(graph_in(read(DIGITS))).weights
    base = table[0]["begin"]
    source, target, weight = (weights[name].to_numpy() for name in ("source", "target", "weight"))
    owner = np.searchsorted([row["end"] - base for row in table], np.arange(table[-1]["end"] - base), side="right")
    name = np.array([row["name"] for row in table])[owner]
    kept = np.array([chosen.get("source", s) == s and chosen.get("target", t) == t for s, t in zip(name[source], name[target], strict=True)])
    source, target, weight = source[kept], target[kept], weight[kept].astype(float)
    down, across = adjacency.scales(rows, table, whole=not chosen)
    y, x = down.place(name[source], source + base + 0.5), across.place(name[target], target + base + 0.5)
    left, right = made.axes[:2]
    counted, meant = (next(c for c in axes.collections if isinstance(c, PolyCollection)) for axes in (left, right))
    assert counted.get_array().sum() == len(weight)
    for path, count, mean in zip(counted.get_paths(), counted.get_array(), meant.get_array(), strict=True):
        (x0, y0), (x1, y1) = path.vertices.min(axis=0), path.vertices.max(axis=0)
        inside = (x0 < x) & (x < x1) & (y0 < y) & (y < y1)
        assert inside.sum() == count
        assert_allclose(mean, weight[inside].mean(), atol=1e-12)
    assert [axes.get_title() for axes in (left, right)] == ["weights in a cell (count)", "mean weight in a cell"]
    assert left.get_ylabel().startswith("neurons that are read") and left.get_xlabel().startswith("neurons that read")
    if not chosen:
        assert [text.get_text() for text in left.get_xticklabels()] == [text.get_text() for text in left.get_yticklabels()] == list(NAMES)


def test_blue_is_negative_and_red_positive(ask: Callable[..., Any]) -> None:
    """One cell a weight: no counts to show, the sign is a colour."""
    made = adjacency.heat_map(ask("adjacency_bins", source="pool", target="digit", bins=400), ask("layers"), "title", whole=False)
    axes = made.axes[0]
    (cells,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    assert axes.get_title() == "weight" and len(made.axes) == 2 and cells.get_array().size == 1440
    cells.update_scalarmappable()
    red, _, blue, _ = cells.get_facecolor().T
    sign = np.sign(cells.get_array())
    strong = np.abs(cells.get_array()) > 0.1
    assert_array_equal(np.sign(red - blue)[strong], sign[strong])


def test_histograms_show_numpys_counts(ask: Callable[..., Any], kernels: dict[str, np.ndarray]) -> None:
    statistics = ask("weight_statistics")
    made = histograms.layer_histograms(ask("weight_histogram"), statistics, "title")
    for axes, name in zip(made.axes, ("strokes", "shapes", "digit"), strict=True):
        values = kernels[name].astype(float)
        check_bars(axes, *np.histogram(values, 50))
        assert axes.get_title() == f"{name}: {values.size:,} weights\nmean {values.mean():.3g}, std {values.std(ddof=1):.3g}"
    assert (made.get_supxlabel(), made.get_supylabel()) == ("weight", "stored weights (count)")

    rows = ask("weight_histogram", layer="shapes"), ask("kernel_histogram", layer="shapes"), ask("weight_statistics", layer="shapes")
    first, *panels = histograms.kernel_histograms(*rows, "title").axes
    values = kernels["shapes"].astype(float)
    counts, bounds = np.histogram(values, 50)
    check_bars(first, counts, bounds)
    assert len(panels) == 16
    for number, axes in enumerate(panels):
        counts, _ = np.histogram(values[..., number], bounds)
        check_bars(axes, counts[counts > 0], bounds[:-1][counts > 0])
        assert axes.get_title() == f"kernel {number}"


def check_bars(axes: Any, counts: np.ndarray, bounds: np.ndarray) -> None:
    (left, bottom), (_, top) = bars(axes)
    assert_array_equal(top, counts)
    assert_array_equal(bottom, 0)
    assert_allclose(left, bounds[: len(counts)], rtol=1e-12)


def bars(axes: Any) -> tuple[np.ndarray, np.ndarray]:
    """The bars of a histogram: their lower left corners and their upper right ones, each as (x, y)."""
    (drawn,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    corners = np.array([path.vertices for path in drawn.get_paths()])
    return corners.min(axis=1).T, corners.max(axis=1).T


def test_degrees_and_strengths(ask: Callable[..., Any]) -> None:
    weights, table = collect(graph_in(read(DIGITS))).weights, ask("layers")
    made = distributions.degrees(ask("degree_distribution"), table, "title")
    n, base = 1306, table[0]["begin"]
    for axes, end in zip(made.axes, ("target", "source"), strict=True):
        degree = np.bincount(weights[end].to_numpy(), minlength=n)
        lines = {line.get_label(): line.get_xydata() for line in axes.lines}
        assert tuple(lines) == NAMES
        for row in table:
            if row["neurons"]:
                expected = np.unique(degree[row["begin"] - base : row["end"] - base], return_counts=True)
                assert_array_equal(lines[row["name"]], np.column_stack(expected))
    assert [axes.get_xlabel() for axes in made.axes] == ["weights into a neuron (count)", "weights out of a neuron (count)"]

    made = distributions.strengths(ask("strength", limit=n), table, "title")
    assert [text.get_text() for text in made.axes[0].get_yticklabels()] == list(NAMES)
    for axes, end in zip(made.axes, ("target", "source"), strict=True):
        strength = np.bincount(weights[end].to_numpy(), weights["weight"].to_numpy(), n)
        bounds = np.histogram_bin_edges(strength, 50)
        for place, (ridge, row) in enumerate(zip(axes.collections, [row for row in table if row["neurons"]], strict=True)):
            counts, _ = np.histogram(strength[row["begin"] - base : row["end"] - base], bounds)
            steps = np.append(counts, 0) / counts.max() * 0.85 - place
            assert_allclose(np.unique(ridge.get_paths()[0].vertices[:, 1].round(9)), np.unique(steps.round(9)))


@pytest.mark.parametrize("degree", [1, 2, 9, 300])
@pytest.mark.parametrize("neurons", [1, 2, 7, 60, 20_000])
def test_ticks_of_degrees_are_whole_numbers(degree: int, neurons: int) -> None:
    """Whatever there is of neurons and degrees, and no formula instead of a number."""
    spans = [("in", "InputLayer", 0, neurons), ("out", "Dense", neurons, neurons + 1)]
    nodes = [{"name": name, "type": kind, "begin": begin, "end": end, "edges": 1, "shape": [end - begin]} for name, kind, begin, end in spans]
    told = [
        {"layer": "in", "direction": "out", "degree": degree, "neurons": neurons},
        {"layer": "out", "direction": "in", "degree": degree, "neurons": 1},
    ]
    made = distributions.degrees(told, nodes, "title")
    made.canvas.draw()
    left, right = made.axes
    for at, axis, least, most in ((0, left.xaxis, 0, degree), (0, right.xaxis, 0, degree), (1, left.yaxis, 1, neurons)):
        low, high = axis.get_view_interval()
        labels = [label for label in axis.get_ticklabels(which="both") if low <= label.get_position()[at] <= high]
        texts = [label.get_text() for label in labels if label.get_text()]
        assert texts and all(re.fullmatch(r"\d{1,3}(,\d{3})*", text) for text in texts), texts
        assert str(least) in texts and (at == 1 or most > 10 or str(most) in texts)


@pytest.mark.parametrize("measure", ["strength", "eigenvector"])
def test_centrality_names_the_classes(ask: Callable[..., Any], measure: str) -> None:
    weights = collect(graph_in(read(DIGITS))).weights
    values = MEASURES[measure](1306, *(weights[name].to_numpy() for name in ("source", "target", "weight")))
    classes = [f"a {n}" for n in range(10)]
    made = distributions.centrality(values, ask("layers"), ask("layers")[-1:], classes, measure, "title")
    left, right = made.axes
    assert [text.get_text() for text in left.get_yticklabels()] == list(NAMES)
    assert [text.get_text() for text in right.get_yticklabels()] == classes
    assert_allclose([bar.get_width() for bar in right.patches], values[-10:])
    assert (left.get_xlabel(), right.get_ylabel(), right.get_title()) == (measure, "class", "digit")


def test_numbers_on_a_logarithmic_axis_of_both_signs_keep_their_distance() -> None:
    """Down to a floor that is far from or near to the largest; zero is among them."""
    layers = [{"name": "x", "type": "Dense", "begin": 0, "end": 400, "shape": [400], "parameters": 1}]
    for floor in (1e-9, 2e-4, 7e-3):
        values = np.random.default_rng(0).choice([-1.0, 1.0], 400) * np.geomspace(floor, 9, 400)
        left, _ = distributions.centrality(values, layers, layers, [], "rank", "title").axes
        left.figure.canvas.draw()
        boxes = [label.get_window_extent() for label in left.get_xticklabels()]
        assert len(boxes) >= 3 and all(a.x1 < b.x0 for a, b in pairwise(boxes)) and 0.0 in left.get_xticks()


def test_centralities_of_both_signs_have_a_logarithmic_scale(ask: Callable[..., Any]) -> None:
    """Every value is in a bin: those of -1e-6 and 1e-6 are told apart."""
    values = np.random.default_rng(0).choice([-1.0, 1.0], 1306) * np.geomspace(1e-6, 1, 1306)
    left, _ = distributions.centrality(values, ask("layers"), ask("layers")[-1:], [], "rank", "title").axes
    assert left.get_xscale() == "symlog"
    first, last = left.transData.transform([(-1e-6, 0), (1e-6, 0)])[:, 0]
    assert last - first > 5 and left.get_xlim()[0] <= -1 and left.get_xlim()[1] >= 1


def test_main_paths_are_a_network(ask: Callable[..., Any]) -> None:
    """Each weight of the paths is a line of its colour between two neurons, all of which say where they are."""
    rows, table = ask("strongest_paths", limit=6), ask("layers")
    axes = paths.main_paths(rows, table, "nine", "title").axes[0]
    edges = {(s, t): w for row in rows for s, t, w in zip(row["neurons"], row["neurons"][1:], row["weights"], strict=False)}
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    dots = {tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    assert len(dots) == len({n for pair in edges for n in pair}) and len(lines) == len(edges)
    assert {tuple(end) for line in lines for end in line.get_xydata()} == dots
    signs = [to_hex(line.get_color()) for line in lines]
    assert signs == [figure.POSITIVE if weight > 0 else figure.NEGATIVE for weight in edges.values()]
    said = [text.get_text() for text in axes.texts]
    assert {"nine", *NAMES} <= set(said)
    first = rows[0]["neurons"][0] - table[0]["begin"]
    assert ",".join(map(str, np.unravel_index(first, (8, 8, 1)))) in said


def test_a_line_of_folded_layers_is_the_product_of_its_weights() -> None:
    """A deep chain: every second layer is a normalization, drawn with the dense layer before it."""
    kinds = [("x", "InputLayer", 0), *((f"{kind}_{n}", kind, 5) for n in range(12) for kind in ("Dense", "BatchNormalization"))]
    table = [
        {"name": name, "type": kind, "begin": n, "end": n + 1, "neurons": 1, "edges": 1, "parameters": stored, "shape": [1]}
        for n, (name, kind, stored) in enumerate(kinds)
    ]
    weights = np.random.default_rng(5).normal(size=24).tolist()
    row = {"neurons": list(range(25)), "weights": weights}
    columns = paths.columns_of(range(25), with_followers(table))
    edges = paths.path_weights([row], columns)
    assert [part.name for part in columns] == ["x", *(f"Dense_{n}" for n in range(12))]
    assert list(edges) == [(0, 2), *((n, n + 2) for n in range(2, 24, 2))]
    assert_allclose(list(edges.values()), np.prod(np.reshape(weights, (12, 2)), axis=1))
    made = paths.main_paths([row], table, "end", "title")
    assert tuple(made.get_size_inches()) <= figure.SCREEN and "Dense_11 +1" in [text.get_text() for text in made.axes[0].texts]


def test_layers_become_blocks_by_what_their_names_share() -> None:
    def named(*names: str, parameters: int = 1) -> list[dict[str, Any]]:
        return [{"name": name, "type": "Conv2D", "begin": n, "end": n + 1, "parameters": parameters} for n, name in enumerate(names)]

    blocks_of_two = named(*(f"block_{n}_{part}" for n in range(20) for part in ("expand", "project")))
    assert [part.name for part in blocks(blocks_of_two, 24)] == [f"block_{n}" for n in range(20)]
    counted = blocks(named("conv2d", *(f"conv2d_{n}" for n in range(1, 60))), 24)
    assert [part.name for part in counted][:2] == ["conv2d … conv2d_2", "conv2d_3 … conv2d_5"] and len(counted) == 20
    assert [part.name for part in blocks(named(*(f"features.{n}.{m}" for n in range(9) for m in range(9))), 24)] == [
        f"features.{n}" for n in range(9)
    ]
    assert [len(part.layers) for part in blocks(blocks_of_two, None)] == [1] * 40


def deep(count: int) -> list[dict[str, Any]]:
    """Rows of `layers` of a residual network: blocks of three, the third of which adds what the block before gave."""
    kinds = [("image", "InputLayer", 0), *((f"stage_{n}_{part}", kind, stored) for n in range(count) for part, kind, stored in PARTS)]
    return [
        {"name": name, "type": kind, "begin": 40 * n, "end": 40 * n + 40, "neurons": 40, "edges": 80, "parameters": stored, "shape": [8, 5]}
        for n, (name, kind, stored) in enumerate(kinds)
    ]


def ends(end: str, layer: dict[str, Any]) -> dict[str, Any]:
    """One end of a row of `adjacency_bins`: a whole layer."""
    return {f"{end}_layer": layer["name"], f"{end}_begin": layer["begin"], f"{end}_end": layer["end"]}


PARTS = (("conv_with_a_long_name_of_its_own", "Conv2D", 9), ("norm", "BatchNormalization", 4), ("add", "Add", 0))


@pytest.mark.parametrize("count", [1, 3, 8, 20, 100])
def test_pictures_of_deep_networks_fit_on_a_screen_and_no_text_lies_on_another(count: int) -> None:
    table = deep(count)
    rng = np.random.default_rng(count)
    feeds = [(n, n + 1) for n in range(len(table) - 1)] + [(n, n + 3) for n in range(0, len(table) - 3, 3)]
    graph = [{"source": table[n], "target": table[m]} for n, m in feeds] + [{"source": table[-1], "target": None}]
    cells = [{"edges": 80, "mean": float(rng.normal())} | ends("source", table[a]) | ends("target", table[b]) for a, b in feeds]
    ways = [[40 * n + int(rng.integers(40)) for n in range(len(table))] for _ in range(8)]
    path_rows = [{"neurons": way, "weights": rng.normal(size=len(table) - 1).tolist()} for way in ways]
    told = [{"layer": row["name"], "direction": way, "degree": 2, "neurons": 40} for row in table for way in ("in", "out")]
    strong = [{"layer": row["name"], "incoming": float(rng.normal()), "outgoing": 1.0} for row in table]
    for made in (
        adjacency.heat_map(cells, table, "title"),
        layers.layer_graph(graph, "title"),
        paths.main_paths(path_rows, table, "goal", "title"),
        distributions.degrees(told, table, "title"),
        distributions.strengths(strong, table, "title"),
        distributions.centrality(rng.random(40 * len(table)), table, table[-1:], [], "rank", "title"),
    ):
        width, height = made.get_size_inches() * figure.DPI
        assert width <= 1600.5 and height <= 1200.5
        check_texts(made)


def check_texts(made: Any) -> None:
    """All texts that are drawn are inside of the picture, none over another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    made.set_dpi(figure.DPI)
    canvas, draw, boxes = FigureCanvasAgg(made), Text.draw, dict[Any, Any]()

    def noted(text: Text, renderer: Any) -> None:
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            boxes[text] = text.get_window_extent(renderer).padded(-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        canvas.draw()
    whole, earlier = made.bbox.padded(1), list[Any]()
    for text, box in boxes.items():
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1, text
        assert not [other for other in earlier if box.overlaps(boxes[other])], text
        earlier.append(text)


def test_the_layer_graph_is_the_models(ask: Callable[..., Any]) -> None:
    made = layers.layer_graph(ask("layer_graph"), "title")
    said = [text.get_text() for text in made.axes[0].texts]
    assert said[::3] == ["pixels", "strokes", "shapes", "pool", "flatten", "dropout", "digit"]
    assert said[4:9] == ["Conv2D 8x8x8", "512 neurons, 3,872 weights", "shapes", "Conv2D 6x6x16", "576 neurons, 41,472 weights"]
    assert said[14] == "only moves values" and said[2] == "64 neurons"


def recurrent() -> list[dict[str, Any]]:
    """Rows of `layers` of a small LSTM."""
    spans = [
        ("x", "InputLayer", 0, 2),
        ("lstm/step_0/gate", "sum", 2, 5),
        ("lstm/step_1/gate", "sum", 5, 8),
        ("lstm", "LSTM", 8, 12),
        ("y", "Dense", 12, 14),
    ]
    return [
        {"name": name, "type": kind, "begin": begin, "end": end, "edges": end - begin, "shape": [end - begin]} for name, kind, begin, end in spans
    ]


def test_sublayers_are_drawn_as_their_layer() -> None:
    nodes = recurrent()
    rows = [{"source": one, "target": other} for one, other in zip(nodes, [*nodes[1:], None], strict=True)]
    every, pairs = layers.whole_layers(rows)
    assert [layer["name"] for layer in every] == ["x", "lstm", "y"] and pairs == [("x", "lstm"), ("lstm", "y")]
    assert "10 neurons, 10 weights" in [text.get_text() for text in layers.layer_graph(rows, "title").axes[0].texts]
    scale = LayerScale.of(nodes)
    assert [(layer["name"], layer["begin"], layer["end"]) for layer in scale.layers] == [("x", 0, 2), ("lstm", 2, 12), ("y", 12, 14)]
    assert_allclose(scale.place(["lstm/step_1/gate", "lstm"], [7, 7]), [(scale.borders[1] + scale.borders[2]) / 2] * 2)

    told = [{"layer": row["name"], "direction": way, "degree": 3, "neurons": row["end"] - row["begin"]} for row in nodes for way in ("in", "out")]
    made = distributions.degrees(told, nodes, "title")
    assert {line.get_label(): line.get_xydata().tolist() for line in made.axes[1].lines} == {"x": [[3, 2]], "lstm": [[3, 10]], "y": [[3, 2]]}
    assert made.axes[1].get_ylim()[1] > 10
    made = distributions.centrality(np.arange(14.0), nodes, nodes[-1:], [], "rank", "title")
    assert [bar.get_width() for bar in made.axes[1].patches] == [12, 13]


def test_weights_that_steps_share_are_drawn_once_and_equal_ones_are_seen() -> None:
    def bins(layer: str, low: float, high: float, *weights: int) -> list[dict[str, Any]]:
        step = (high - low) / len(weights)
        return [{"layer": layer, "bin": n, "low": low + n * step, "high": low + (n + 1) * step, "weights": w} for n, w in enumerate(weights)]

    rows = [*bins("lstm/step_0/gate", 0, 1, 2, 3), *bins("lstm/step_1/gate", 0, 1, 2, 3), *bins("other", 0, 1, 2, 3), *bins("norm", 1, 1, 4, 0)]
    assert list(histograms.by_layer(rows)) == ["lstm/step_0/gate", "other", "norm"]
    statistics = [{"layer": row["layer"], "kernel": None, "weights": 5, "mean": 1.0, "std": None} for row in rows]
    made = histograms.layer_histograms(rows, statistics, "title")
    assert made.axes[2].get_title() == "norm: 5 weights\nmean 1, std undefined"
    (left, _), (right, top) = bars(made.axes[2])
    assert top.tolist() == [4, 0] and right[0] - left[0] > 0.005


KINDS: list[tuple[str, list[str], list[str]]] = [
    ("adjacency", ["--bins", "80"], ["adjacency matrix", "mean weight in a cell", *NAMES]),
    ("adjacency", ["--source", "pool", "--target", "digit"], ["adjacency matrix, pool to digit", "the 144 of pool"]),
    ("weights", [], ["strokes: 72 weights", "stored weights (count)"]),
    ("weights", ["--layer", "shapes"], ["stored weights of shapes", "kernel 15"]),
    ("degrees", [], ["weights into a neuron (count)", *NAMES]),
    ("strengths", [], ["sum of a neuron's incoming weights", *NAMES]),
    ("centrality", ["--measure", "pagerank"], ["pagerank", *NAMES]),
    ("centrality", ["--weighted"], ["weighted eigenvector", *NAMES]),
    ("paths", ["--into", "4"], ["strongest paths into digit/4", *NAMES]),
    ("layers", [], [*NAMES, "flatten", "MaxPooling2D"]),
]


@pytest.mark.parametrize(("kind", "options", "said"), KINDS)
def test_every_picture_is_written(run: Run, tmp_path: Path, kind: str, options: list[str], said: list[str]) -> None:
    code, out = run(kind, "digits", tmp_path / "a.svg", *options)
    assert code == 0 and f"Wrote {tmp_path / 'a.svg'}\n" in out
    text = (tmp_path / "a.svg").read_text("utf-8").replace("&#39;", "'").replace("&apos;", "'")
    assert all(one in text for one in said)
    assert run(kind, "digits", tmp_path / "a.png", *options, "--quiet") == (0, "")
    height, width = imread(tmp_path / "a.png").shape[:2]
    assert min(height, width) > 200
    if kind in ("adjacency", "weights"):
        assert run(kind, "digits", tmp_path / "b.svg", *options, "--quiet")[0] == 0
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_from_files_are_only_text(run: Run, tmp_path: Path) -> None:
    for kind, options in (("adjacency", []), ("weights", []), ("weights", ["--layer", EVIL]), ("degrees", []), ("paths", []), ("layers", [])):
        code, out = run(kind, "evil", tmp_path / "a.svg", *options)
        assert code == 0, out
        assert "</script><b>" not in (tmp_path / "a.svg").read_text("utf-8")


def test_outputs_of_a_small_network_are_side_by_side() -> None:
    """No line to one output leads through another's neurons, and each is called by its address or its class."""
    layers = [
        {"name": name, "type": kind, "begin": begin, "end": end, "shape": [end - begin], "axes": "unit", "parameters": 1}
        for name, kind, begin, end in (("in", "InputLayer", 0, 2), ("trunk", "Dense", 2, 4), ("class", "Dense", 4, 6), ("box", "Dense", 6, 7))
    ]
    reads = {2: (0, 1), 3: (0, 1), 4: (2, 3), 5: (2, 3), 6: (2, 3)}
    neurons = [{"id": n, "bias": None, "inputs": [[source, 0.5] for source in reads.get(n, ())]} for n in range(7)]
    texts = [text.get_text() for text in paths.whole_network(neurons, layers, {4: "cat"}, "title").axes[0].texts]
    assert {"class, box", "cat", "class/1", "box/0", "unit"} <= set(texts) and not any("+1" in text for text in texts)
    assert [part.name for part in paths.side_by_side({(s, t): 0.5 for t in reads for s in reads[t]}, layers)] == ["in", "trunk", "class, box"]


def test_the_ends_of_colours_are_named_within_them() -> None:
    for most in (0.9271, 0.5, 6.86, 0.0399, 123.0):
        ticks = adjacency.marks(most / 1.5, most)
        assert ticks[-1] <= most * 1.001 and ticks[-1] > 0.8 * most, (most, ticks)


def test_a_page_says_what_is_beyond_its_colours_on_a_line_of_its_own() -> None:
    """Names as long as MobileNet's are cut off in the title of a panel."""
    from bokeh.models import PreText, Title

    name = "expanded_conv_depthwise_relu_of_the_first_block"
    spans = (("x", "InputLayer", 0, 2, 0), ("kernel", "Dense", 2, 4, 6), (name, "ReLU", 4, 6, 0))
    layers = [{"name": n, "type": t, "begin": b, "end": e, "shape": [e - b], "parameters": p} for n, t, b, e, p in spans]
    places = (("x", 0, "kernel", 2, 0.1), ("x", 1, "kernel", 3, -0.1), ("kernel", 2, name, 4, 1.0), ("kernel", 3, name, 5, 1.0))
    rows = [
        {"source_layer": s, "source_begin": a, "source_end": a + 1, "target_layer": t, "target_begin": b, "target_end": b + 1, "edges": 1, "mean": w}
        for s, a, t, b, w in places
    ]
    page = interactive.heat_map(rows, layers, "title")
    assert {title.text for title in page.select({"type": Title})} == {"weights in a cell (count)", "mean weight in a cell"}
    assert any(note.text.startswith("Mean weights beyond ±0.1, up to 1: ") for note in page.select({"type": PreText}))


def test_paths_in_python_take_an_address(shelf: Store) -> None:
    plots = ModelPlots(shelf, "digits")
    first = plots.layers[0]["begin"]
    for drawn in (plots.paths("digit/4"), plots.paths(first + 1300)):
        assert drawn.get_suptitle().endswith("paths into digit/4") and "unit" in [text.get_text() for text in drawn.axes[0].texts]
    assert "channel" in [text.get_text() for text in ModelPlots(shelf, "channels").paths("digit/4").axes[0].texts]
    assert plots.paths("digit/4", "four").get_suptitle().endswith("into four")


def test_classes_have_names(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]), "utf-8")
    assert run("paths", "digits", tmp_path / "a.svg", "--into", "four", "--classes", file)[0] == 0
    assert "strongest paths into four" in (tmp_path / "a.svg").read_text("utf-8")
    assert run("centrality", "digits", tmp_path / "b.svg", "--classes", file)[0] == 0
    assert run("overview", "digits", tmp_path / "c.html", "--classes", file)[0] == 0
    assert "Strongest paths into nine (digit/9)" in (tmp_path / "c.html").read_text("utf-8")
    assert all(f">{name}<" in (tmp_path / "b.svg").read_text("utf-8") for name in ("zero", "nine"))
    assert "say a number from 0 to 9, or one of zero, one" in run("paths", "digits", tmp_path / "a.svg", "--into", "ten", "--classes", file)[1]


MISTAKES: list[tuple[list[str], str]] = [
    (["adjacency", "digits", "a.pdf"], "a.pdf must end in .png or .svg or .html"),
    (["degrees", "digits", "a.html"], "must end in .png or .svg"),
    (["degrees", "digits", "nowhere/a.png"], "nowhere is no folder"),
    (["adjacency", "digits", "a.png", "--source", "digit", "--target", "pixels"], "no weights from digit to pixels"),
    (["adjacency", "digits", "a.png", "--source", "stroke"], "did you mean strokes?"),
    (["weights", "digits", "a.png", "--layer", "pool"], "pool has no stored weights"),
    (["paths", "digits", "a.png", "--into", "10"], "there is no class 10: say a number from 0 to 9"),
    (["paths", "digits", "a.png", "--classes", "missing.txt"], "missing.txt can't be read as a list of classes"),
    (["centrality", "digits", "a.png", "--measure", "laplacian_spectrum"], "belongs to no neurons"),
    (["centrality", "digits", "a.png", "--measure", "strength", "--weighted"], "strength has no other form with --weighted"),
    (["degrees", "bare", "a.png"], "loaded as layers only"),
    (["degrees", "nothing", "a.png"], "no model named nothing"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_a_mistake_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, out = run(*arguments, "--quiet")
    assert code == 1 and message in out and out.startswith("error: ") and out.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on the path (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("chromium")
    flags = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update"
    for flag in [*flags.split(), "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--window-size=1400,900"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # type: ignore[arg-type]
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.mark.parametrize(
    ("kind", "model", "options", "panels"),
    [
        ("adjacency", "digits", [], 2),
        ("adjacency", "evil", ["--target", EVIL], 2),
        ("weights", "evil", [], 4),
        ("weights", "digits", ["--layer", "strokes"], 9),
    ],
)
def test_pages_open_by_themselves(run: Run, chrome: Chrome, tmp_path: Path, kind: str, model: str, options: list[str], panels: int) -> None:
    """No error in the console, nothing fetched, all panels drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    assert run(kind, model, tmp_path / "a.html", *options, "--quiet") == (0, "")
    chrome.get((tmp_path / "a.html").as_uri())
    drawn = "return window.Bokeh && Bokeh.index.roots?.[0]?.model && Bokeh.documents[0].is_idle"
    WebDriverWait(chrome, 60).until(lambda page: page.execute_script(drawn))
    names = chrome.execute_script("return Bokeh.documents[0].roots()[0].select({type: 'Figure'}).length")
    assert names == panels
    assert [entry for entry in chrome.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")] == []
    assert chrome.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert json.loads(chrome.execute_script("return JSON.stringify([...document.querySelectorAll('body > b')].length)")) == 0


@pytest.mark.parametrize(("model", "titles"), [("digits", 5), ("evil", 5), ("bare", 2), ("channels", 5)])
def test_the_overview_is_a_page_of_its_own(run: Run, chrome: Chrome, tmp_path: Path, model: str, titles: int) -> None:
    """Everything is in it, all pictures are seen, names are text, and each part says its query."""
    assert run("overview", model, tmp_path / "a.html", "--quiet") == (0, "")
    chrome.get((tmp_path / "a.html").as_uri())
    headings = [heading.text for heading in chrome.find_elements("css selector", "h2")]
    assert len(headings) == titles and headings[:2] == ["Layers", "Sizes"]
    pictures = chrome.execute_script("return [...document.images].map(image => image.complete && image.naturalWidth > 100)")
    assert pictures and all(pictures)
    assert [entry for entry in chrome.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")] == []
    assert chrome.execute_script("return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))") == []
    assert chrome.execute_script("return [...document.querySelectorAll('b')].length") == 0
    commands = [command.text for command in chrome.find_elements("css selector", ".behind code")]
    assert commands[:2] == [f"etl query {name} model={model}" for name in ("layer_graph", "layers")]
    links = chrome.execute_script("return [...document.links].map(link => decodeURIComponent(link.href))")
    assert len(links) == titles and all(f"RETURN '{model}' AS model" in link for link in links)
    if model == "channels":
        assert "was loaded with --granularity channel" in chrome.page_source
    if model == "digits":
        assert "1,306 neurons, 47,360 weights" in chrome.find_element("css selector", "h1 + p").text
        assert "Each neuron is read by another, or is an output." in chrome.page_source and "Strongest paths into digit/9" in headings
