"""How degrees, strengths and centralities are distributed over neurons, layer by layer; block by block where layers are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.classes import classified
from etl.analysis.plots.blocks import MOST, Block, blocks, colours, numbered
from etl.analysis.plots.figure import NEUTRAL, Row, new, ridges, short, styled
from etl.analysis.plots.scale import merged_layers, owners

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 40  # neurons of the last layer
BINS = 50
LABEL = 0.22  # of half an axis: the width of a number's label, and what is between it and the next
FEWEST_BARS = 4  # a layer of fewer has bars as thick as if there were so many
FEW = 10  # degrees, or neurons, that are counted one by one on an axis


@styled
def degrees(rows: Sequence[Row], layers: Sequence[Row], title: str, *, full: bool = False) -> Figure:
    """rows of `degree_distribution`; layers: rows of `layers`; full: each layer by itself, however many."""
    blocks = shown_blocks(layers, full)
    belongs, number = owners(layers), numbered(blocks)
    neurons: Counter[tuple[int, str, int]] = Counter()
    for row in rows:
        neurons[number[belongs[row["layer"]]], row["direction"], row["degree"]] += row["neurons"]
    figure = new(12, max(4.6, 0.75 + 0.19 * len(blocks)), title, full=full)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, direction, preposition in zip(panels, ("in", "out"), ("into", "out of"), strict=True):
        for place, (block, colour) in enumerate(zip(blocks, colours(blocks), strict=True)):
            points = sorted((degree, count) for (index, side, degree), count in neurons.items() if (index, side) == (place, direction))
            x, y = [degree for degree, _ in points], [count for _, count in points]
            axes.vlines(x, 0.5, y, color=colour, linewidth=1, alpha=0.5)
            axes.plot(x, y, "o", color=colour, markersize=5, label=short(block.name))
        axes.set(xlabel=f"weights {preposition} a neuron (count)", yscale="log", ylim=(0.5, 2 * max(neurons.values())))
        count_axes(axes, max(row["degree"] for row in rows), max(neurons.values()))
    panels[0].set_ylabel("neurons (count)")
    legend_title = "layer" if len(blocks) == len(merged_layers(layers)) else "layers"
    panels[1].legend(title=legend_title, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def count_axes(axes: Axes, degree: int, neurons: int) -> None:
    """Ticks at whole numbers: degrees to the right, neurons upwards on a logarithmic scale; few of either are labelled more closely."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    if degree > FEW:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(-0.2, 2 * degree + 1)
    else:
        axes.set_xlim(-0.2, degree + 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if neurons > 5 * FEW else (1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")


@styled
def strengths(rows: Sequence[Row], layers: Sequence[Row], title: str, *, full: bool = False) -> Figure:
    """rows of `strength` for all neurons; layers: rows of `layers`; full: each layer by itself, however many."""
    blocks = shown_blocks(layers, full)
    figure = new(11, height(blocks), title, full=full)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, direction in zip(panels, ("incoming", "outgoing"), strict=True):
        groups = grouped(((row["layer"], row[direction]) for row in rows), blocks, layers)
        ridges(axes, groups, bounds(np.concatenate([values for _, values in groups])), colours(blocks))
        axes.axvline(0, color="0.6", linewidth=0.6)
        axes.set_xlabel(f"sum of a neuron's {direction} weights")
    panels[0].set_ylabel(f"neurons (count, to each {what_rows_are(blocks)} own scale)")
    return figure


@styled
def centrality(
    values: NDArray[Any],
    layers: Sequence[Row],
    lasts: Sequence[Row],
    classes: Sequence[str],
    measure: str,
    title: str,
    *,
    full: bool = False,
) -> Figure:
    """How a measure is distributed, and its value for each neuron of the output layers.

    values   the measure of all neurons in the order of ids, NaN where undefined
    layers   rows of `layers`; lasts: those that the model returns
    classes  names for the neurons of the one that has so many
    full     each layer by itself, however many
    """
    first = layers[0]["begin"]
    blocks = shown_blocks(layers, full)
    groups = [(block.name, values[block.begin - first : block.end - first]) for block in blocks]
    groups = [(name, neurons[np.isfinite(neurons)]) for name, neurons in groups]
    bars = sum(min(layer["end"] - layer["begin"], MOST_BARS // len(lasts)) for layer in lasts)
    figure = new(11, max(height(blocks), 1.4 + 0.13 * bars + 0.9 * (len(lasts) - 1)), title, full=full)
    halves: Any = figure.subfigures(1, 2, width_ratios=[3, 2])
    left, right = halves
    distribution(left.subplots(), groups, blocks, measure)
    panels = np.atleast_1d(right.subplots(len(lasts), 1))
    for axes, layer in zip(panels, lasts, strict=True):
        class_names = classes if layer is classified(lasts, classes) else ()
        last_layer(axes, layer, values[layer["begin"] - first : layer["end"] - first], class_names, measure, MOST_BARS // len(lasts))
    return figure


def distribution(axes: Axes, groups: Sequence[tuple[str, NDArray[Any]]], blocks: Sequence[Block], measure: str) -> None:
    """A ridge a layer, on a logarithmic axis where values differ by more than three orders of magnitude."""
    all_values = np.concatenate([values for _, values in groups])
    sizes = np.abs(all_values[all_values != 0])
    if len(sizes) and sizes.max() > 1e3 * sizes.min():
        logarithmic(axes, groups, colours(blocks), all_values, floor=max(float(sizes.min()), float(sizes.max()) * 1e-12))
    else:
        ridges(axes, groups, bounds(all_values), colours(blocks))
    axes.set(xlabel=measure, ylabel=f"neurons (count, to each {what_rows_are(blocks)} own scale)", title="all layers")


def logarithmic(axes: Axes, groups: Sequence[tuple[str, NDArray[Any]]], fills: Sequence[str], all_values: NDArray[Any], floor: float) -> None:
    """Ridges on a logarithmic scale down to `floor`; where some values are negative, one to either side of zero."""
    upwards = np.geomspace(floor, np.abs(all_values).max(), BINS + 1)
    if all_values.min() < 0:
        axes.set_xscale("symlog", linthresh=floor, linscale=0.2)
        ridges(axes, groups, np.concatenate([-upwards[::-1], upwards]), fills)
        axes.set_xticks(powers(axes, floor, float(upwards[-1])))
    else:
        axes.set_xscale("log")
        ridges(axes, [(name, np.maximum(block_values, floor)) for name, block_values in groups], upwards, fills)
        if all_values.min() < floor:
            axes.text(0.01, 1.0, f"below {floor:.1g}: in the first bin", transform=axes.transAxes, fontsize=8, color="0.4")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0e}" if x else "0")


def powers(axes: Axes, least: float, most: float) -> list[float]:
    """Zero and powers of ten on both sides of it, as far from each other on the axis as their labels are wide."""
    place = axes.xaxis.get_transform().transform
    chosen, last = list[float](), np.inf
    for exponent in range(int(np.floor(np.log10(most))), int(np.ceil(np.log10(least))) - 1, -1):
        at = float(place([10.0**exponent])[0] / place([most])[0])
        if last - at >= LABEL and at >= LABEL:
            chosen, last = [10.0**exponent, *chosen], at
    return [*(-size for size in reversed(chosen)), 0.0, *chosen]


def last_layer(axes: Axes, layer: Row, values: NDArray[Any], classes: Sequence[str], measure: str, most: int) -> None:
    """A bar a neuron, with its class where that is known; the largest where they are many."""
    order = np.arange(len(values))
    if len(values) > most:
        order = np.sort(np.argsort(-np.nan_to_num(values), kind="stable")[:most])
    axes.barh(range(len(order)), np.nan_to_num(values[order]), color=NEUTRAL)
    axes.set_yticks(range(len(order)), [short(classes[n]) if n < len(classes) else str(n) for n in order.tolist()])
    axes.tick_params(axis="y", labelsize=9 if len(order) <= MOST else 7)
    axes.set_ylim(max(len(order), FEWEST_BARS) - 0.5, -0.5)
    remark = f" (the largest {most} of {len(values):,})" if len(values) > most else ""
    axes.set(xlabel=measure, ylabel="class" if classes else "unit", title=f"{short(layer['name'])}{remark}")


def shown_blocks(layers: Sequence[Row], full: bool) -> list[Block]:
    """The layers that have neurons, as blocks that fit on a screen."""
    return blocks(merged_layers(layers), None if full else MOST)


def grouped(values: Iterable[tuple[str, float]], blocks: Sequence[Block], layers: Sequence[Row]) -> list[tuple[str, NDArray[Any]]]:
    """Values by block, those of sublayers with their layer's."""
    belongs, number = owners(layers), numbered(blocks)
    groups: list[list[float]] = [[] for _ in blocks]
    for name, value in values:
        groups[number[belongs[name]]].append(value)
    return [(block.name, np.array(group)) for block, group in zip(blocks, groups, strict=True)]


def what_rows_are(blocks: Sequence[Block]) -> str:
    return "layer's" if all(len(block.layers) == 1 for block in blocks) else "row's"


def bounds(values: NDArray[Any]) -> NDArray[Any]:
    """Bins for all of these."""
    return np.histogram_bin_edges(values, BINS)


def height(blocks: Sequence[Block]) -> float:
    """Inches for a ridge a block, and for the bars of the last layer beside them."""
    return max(4.5, 1.6 + 0.36 * len(blocks))
