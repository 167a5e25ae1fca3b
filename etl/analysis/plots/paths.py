"""Weights between single neurons, drawn as a small network: layers from left to right, in as many rows as a screen takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from etl.analysis.plots.blocks import Block, with_followers
from etl.analysis.plots.figure import NEGATIVE, NEUTRAL, POSITIVE, SCREEN, Row, new, printable, short, styled
from etl.analysis.plots.labels import Labels
from etl.analysis.plots.scale import merged_layers
from etl.store.addresses import address_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_ROW = 9  # columns side by side
PITCH, STEP = (1.5, 2.4), 0.62  # inches from column to column, least and most; from neuron to neuron
ABOVE, BELOW, MARGIN = 0.62, 0.34, 0.7  # inches: over a row for its names, under it, at its ends
NAME = 18  # characters of a layer's name over its column
Edges = Mapping[tuple[int, int], float]
Place = tuple[float, float]


@dataclass(frozen=True)
class Band:
    """One row of columns: their numbers, and where each of their neurons is, in inches from the picture's upper left corner."""

    columns: range
    places: Mapping[int, Place]
    top: float
    height: float


@styled
def main_paths(rows: Sequence[Row], layers: Sequence[Row], goal: str, title: str, *, full: bool = False) -> Figure:
    """rows of `strongest_paths`, at least one; layers: rows of `layers`.

    goal: what the last neuron is called; full: all rows of columns, however many.
    """
    neurons = sorted({n for row in rows for n in row["neurons"]})
    columns = columns_of(neurons, [Block(layer["name"], (layer,)) for layer in layers if layer["end"] > layer["begin"]])
    note = "Each line is a weight."
    if len(columns) > PER_ROW:
        columns = columns_of(neurons, with_followers(merged_layers(layers)))
        note = "A line is the product of weights: activations, normalizations, pools and additions (+1, +2 ...) are drawn with the layer before."
    edges = path_weights(rows, columns)
    if not edges:  # a path inside of one such group
        columns = columns_of(neurons, [Block(layer["name"], (layer,)) for layer in layers if layer["end"] > layer["begin"]])
        edges, note = path_weights(rows, columns), "Each line is a weight."
    return network(edges, columns, {rows[0]["neurons"][-1]: goal}, {}, title, note, full)


@styled
def whole_network(neurons: Sequence[Row], layers: Sequence[Row], names: Mapping[int, str], title: str) -> Figure:
    """neurons: rows of `small_network`; layers: rows of `layers`; names: what some neurons are called."""
    edges = {(source, neuron["id"]): weight for neuron in neurons for source, weight in neuron["inputs"]}
    columns = side_by_side(edges, [layer for layer in layers if layer["end"] > layer["begin"]])
    addresses = {n: address_of(n, layers) for block in columns if len(block.layers) > 1 for n in range(block.begin, block.end)}
    biases = {neuron["id"]: neuron["bias"] for neuron in neurons if neuron["bias"] is not None}
    return network(edges, columns, {**addresses, **names}, biases, title, "Each line is a weight; b is a neuron's bias.", full=True)


def side_by_side(edges: Edges, layers: Sequence[Row]) -> list[Block]:
    """Layers as columns, those that are as far from the inputs in one: a line to one of two outputs leads through no neuron of the other."""
    depths = dict[str, int]()
    for layer in layers:
        sources = {source for source, target in edges if layer["begin"] <= target < layer["end"]}
        read = [before["name"] for before in layers if any(before["begin"] <= source < before["end"] for source in sources)]
        depths[layer["name"]] = 1 + max((depths[name] for name in read), default=-1)
    alike = [tuple(group) for _, group in groupby(layers, lambda layer: depths[layer["name"]])]
    return [Block(", ".join(layer["name"] for layer in group), group) for group in alike]


def columns_of(neurons: Sequence[int], blocks: Sequence[Block]) -> list[Block]:
    """The blocks that some of the neurons are in, in their order."""
    begins = [block.begin for block in blocks]
    used = sorted({bisect_right(begins, n) - 1 for n in neurons})
    return [blocks[number] for number in used]


def column(neuron: int, columns: Sequence[Block]) -> int:
    return next(number for number, block in enumerate(columns) if block.begin <= neuron < block.end)


def path_weights(rows: Sequence[Row], columns: Sequence[Block]) -> dict[tuple[int, int], float]:
    """The weights of paths between the last neurons of columns, those inside of a column multiplied; of several ways between two, the strongest."""
    edges: dict[tuple[int, int], float] = {}
    for row in rows:
        neurons, places = row["neurons"], [column(n, columns) for n in row["neurons"]]
        ends = [step for step, place in enumerate(places) if place != (places[step + 1] if step + 1 < len(places) else None)]
        begin = 0
        for before, after in pairwise(ends):
            pair = neurons[before], neurons[after]
            edges[pair] = max(edges.get(pair, 0.0), prod(row["weights"][begin:after]), key=abs)
            begin = after
    return edges


def network(
    edges: Edges, columns: Sequence[Block], names: Mapping[int, str], biases: Mapping[int, float], title: str, note: str, full: bool
) -> Figure:
    """The picture: columns in rows, one below the other, each after the first beginning with the column that ended the one above."""
    bands = arranged(edges, columns, full)
    width = max(max(x for band in bands for x, _ in band.places.values()) + MARGIN + 0.2, 6.5)
    height = bands[-1].top + bands[-1].height + 0.45
    figure = new(width, height, title, full=full)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    labels = Labels()
    strongest = max(abs(weight) for weight in edges.values()) or 1.0
    shown = {n for band in bands for n in band.columns}
    for number, band in enumerate(bands):
        if number and band.columns[0] != bands[number - 1].columns[-1]:
            left_out = len(columns) - len(shown)
            axes.text(width / 2, band.top - 0.1, f"… {left_out} more layers in between: --full shows them …", ha="center", fontsize=8, color="0.4")
        draw_band(axes, band, edges, columns, names, biases, strongest, labels)
    sign = f"red: positive, blue: negative. {note}"
    axes.text(width / 2, height - 0.15, sign, ha="center", va="bottom", fontsize=8, color="0.35", wrap=False)
    return figure


def arranged(edges: Edges, columns: Sequence[Block], full: bool) -> list[Band]:
    """Columns in rows of equal length; without those in the middle where they are too many for a screen."""
    neurons = sorted({n for pair in edges for n in pair})
    within = {n: column(n, columns) for n in neurons}
    high = heights(edges, within)
    count = -(-max(len(columns) - 1, 1) // (PER_ROW - 1))
    per_row = -(-(len(columns) - 1) // count) + 1
    spans = [range(start, min(start + per_row, len(columns))) for start in range(0, max(len(columns) - 1, 1), per_row - 1)]
    pitch = min(max((SCREEN[0] - 2 * MARGIN - 0.2) / max(per_row - 1, 1), PITCH[0]), PITCH[1])
    tallest = [max(sum(within[n] == c for n in neurons) for c in span) for span in spans]
    needed = [ABOVE + BELOW + STEP * (most - 1) + 0.25 for most in tallest]
    spans_shown = list(range(len(spans)))
    while not full and len(spans_shown) > 2 and sum(needed[k] for k in spans_shown) + 1.1 > SCREEN[1]:
        spans_shown.pop(len(spans_shown) // 2)
    bands, top = list[Band](), 0.55
    for k in spans_shown:
        if bands and spans[k][0] != bands[-1].columns[-1]:
            top += 0.3
        middle = top + ABOVE + STEP * (tallest[k] - 1) / 2
        places = {n: (MARGIN + (within[n] - spans[k][0]) * pitch, middle - high[n] * STEP) for n in neurons if within[n] in spans[k]}
        bands.append(Band(spans[k], places, top, needed[k]))
        top += needed[k]
    return bands


def heights(edges: Edges, within: Mapping[int, int]) -> dict[int, float]:
    """How far above the middle of its column each neuron is, in the order of what they lead to, so that lines seldom cross."""
    leads: dict[int, list[int]] = {}
    for source, target in edges:
        leads.setdefault(source, []).append(target)
    high: dict[int, float] = {}
    for number in range(max(within.values()), -1, -1):
        mine = [n for n in within if within[n] == number]
        mine.sort(key=lambda n: (np.mean([high[t] for t in leads.get(n, ())] or [0]), -n), reverse=True)
        high |= {n: (len(mine) - 1) / 2 - place for place, n in enumerate(mine)}
    return high


def draw_band(
    axes: Axes,
    band: Band,
    edges: Edges,
    columns: Sequence[Block],
    names: Mapping[int, str],
    biases: Mapping[int, float],
    strongest: float,
    labels: Labels,
) -> None:
    """One row of columns: names above, lines with their weights, neurons with their places."""
    for number in band.columns:
        x = next(x for n, (x, _) in band.places.items() if column(n, columns) == number)
        block = columns[number]
        more = f" +{len(block.layers) - 1}" if len(block.layers) > 1 and block.name == block.layers[0]["name"] else ""
        axes.text(x, band.top + 0.12, short(block.name, NAME) + more, ha="center", va="center", fontsize=8)
        axes.text(x, band.top + 0.27, axis_words(block.layers[-1]), ha="center", va="center", fontsize=7, color="0.45")
    for neuron, place in band.places.items():
        labels.keep_free(place, 0.26, 0.26)
        layer = layer_of(neuron, columns)
        label = printable(names.get(neuron, index(neuron, layer))) + (f"\nb {biases[neuron]:.3g}" if neuron in biases else "")
        axes.plot(*place, "o", color="white", markeredgecolor=NEUTRAL, markersize=12, zorder=3)
        labels.beside(axes, label, (place[0], place[1] + 0.12))
    lines = [(pair, weight) for pair, weight in edges.items() if pair[0] in band.places and pair[1] in band.places]
    for (source, target), weight in lines:
        labels.line(band.places[source], band.places[target])
        draw_line(axes, band.places[source], band.places[target], weight, strongest)
    for (source, target), weight in sorted(lines, key=lambda line: -abs(line[1])):
        labels.on_line(axes, f"{weight:.2g}", band.places[source], band.places[target])
    left, right = MARGIN / 2, max(x for x, _ in band.places.values()) + MARGIN / 2
    for (source, target), weight in edges.items():  # lines that go on in another row end at the border of this one
        if source in band.places and target not in band.places and column(source, columns) != band.columns[-1]:
            draw_line(axes, band.places[source], (right, band.places[source][1]), weight, strongest, "--")
        if target in band.places and source not in band.places and column(target, columns) != band.columns[0]:
            draw_line(axes, (left, band.places[target][1]), band.places[target], weight, strongest, "--")


def draw_line(axes: Axes, start: Place, end: Place, weight: float, strongest: float, dashes: str = "-") -> None:
    colour = POSITIVE if weight > 0 else NEGATIVE
    axes.plot(*zip(start, end, strict=True), color=colour, linewidth=0.5 + 3 * abs(weight) / strongest, linestyle=dashes, zorder=1)


def layer_of(neuron: int, columns: Sequence[Block]) -> Row:
    return next(layer for block in columns for layer in block.layers if layer["begin"] <= neuron < layer["end"])


def axis_words(layer: Row) -> str:
    """What the numbers of a neuron's index are, in the layer's own words."""
    return layer.get("axes") or "index"


def index(neuron: int, layer: Row) -> str:
    """The place of a neuron in its layer."""
    at = np.unravel_index(neuron - layer["begin"], tuple(layer["shape"]) or (1,))
    return ",".join(str(int(n)) for n in at)
