"""How degrees, strengths and centralities are distributed over neurons, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.plots.figure import NEUTRAL, Row, new, ridges, short, styled
from etl.analysis.plots.scale import owners, together

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 16  # layers in a legend
MOST_BARS = 40  # neurons of the last layer
BINS = 50


@styled
def degrees(rows: Sequence[Row], layers: Sequence[Row], title: str) -> Figure:
    """rows of `degree_distribution`; layers: rows of `layers`."""
    from matplotlib import colormaps

    belongs = owners(layers)
    found: Counter[tuple[str, str, int]] = Counter()
    for row in rows:
        found[belongs[row["layer"]], row["direction"], row["degree"]] += row["neurons"]
    names = [layer["name"] for layer in together(layers)]
    colours = dict(zip(names, colormaps["turbo"](np.linspace(0.05, 0.95, len(names))), strict=True))
    figure = new(11, 4.4, title)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, direction, what in zip(panels, ("in", "out"), ("into", "out of"), strict=True):
        for name in names:
            mine = sorted((degree, count) for (layer, way, degree), count in found.items() if (layer, way) == (name, direction))
            x, y = [degree for degree, _ in mine], [count for _, count in mine]
            axes.vlines(x, 0.5, y, color=colours[name], linewidth=1, alpha=0.5)
            axes.plot(x, y, "o", color=colours[name], markersize=5, label=short(name))
        axes.set(xlabel=f"weights {what} a neuron (count)", yscale="log", ylim=(0.5, 2 * max(found.values())))
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(-0.2, 2 * max(row["degree"] for row in rows) + 1)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
    panels[0].set_ylabel("neurons (count)")
    if len(names) <= MOST_NAMED:
        panels[1].legend(title="layer", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    else:
        panels[1].set_title(f"{len(names)} layers, from blue (input) to red (output)")
    return figure


@styled
def strengths(rows: Sequence[Row], layers: Sequence[Row], title: str) -> Figure:
    """rows of `strength` for all neurons; layers: rows of `layers`."""
    figure = new(11, height(layers), title)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, direction in zip(panels, ("incoming", "outgoing"), strict=True):
        groups = grouped([(row["layer"], row[direction]) for row in rows], layers)
        ridges(axes, groups, bounds(np.concatenate([values for _, values in groups])))
        axes.axvline(0, color="0.6", linewidth=0.6)
        axes.set_xlabel(f"sum of a neuron's {direction} weights")
    panels[0].set_ylabel("neurons (count, to each layer's own scale)")
    return figure


@styled
def centrality(values: NDArray[Any], layers: Sequence[Row], classes: Sequence[str], measure: str, title: str) -> Figure:
    """values  a measure of all neurons in the order of ids, NaN where undefined; layers: rows of `layers`; classes: names for the last layer's."""
    first = layers[0]["begin"]
    shown = together(layers)
    groups = [(layer["name"], values[layer["begin"] - first : layer["end"] - first]) for layer in shown]
    groups = [(name, part[np.isfinite(part)]) for name, part in groups]
    figure = new(11, height(layers), title)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    every = np.concatenate([part for _, part in groups])
    sizes = np.abs(every[every != 0])
    if len(sizes) and sizes.max() > 1e3 * sizes.min():
        logarithmic(left, groups, every, floor=max(float(sizes.min()), float(sizes.max()) * 1e-12))
    else:
        ridges(left, groups, bounds(every))
    left.set(xlabel=measure, ylabel="neurons (count, to each layer's own scale)", title="all layers")
    last = [layer for layer in layers if layer["end"] > layer["begin"]][-1]  # of a layer with sublayers the last of these
    last_layer(right, last, values[last["begin"] - first : last["end"] - first], classes, measure)
    return figure


def logarithmic(axes: Axes, groups: Sequence[tuple[str, NDArray[Any]]], every: NDArray[Any], floor: float) -> None:
    """Ridges on a logarithmic scale down to `floor`; where some values are negative, one to either side of zero."""
    from matplotlib.ticker import SymmetricalLogLocator

    upwards = np.geomspace(floor, np.abs(every).max(), BINS + 1)
    if every.min() < 0:
        axes.set_xscale("symlog", linthresh=floor, linscale=0.2)
        ticks = SymmetricalLogLocator(base=10, linthresh=floor, subs=[1.0])
        ticks.set_params(numticks=9)
        axes.xaxis.set_major_locator(ticks)
        ridges(axes, groups, np.concatenate([-upwards[::-1], upwards]))
    else:
        axes.set_xscale("log")
        ridges(axes, [(name, np.maximum(part, floor)) for name, part in groups], upwards)
        if every.min() < floor:
            axes.text(0.01, 1.0, f"below {floor:.1g}: in the first bin", transform=axes.transAxes, fontsize=7, color="0.4")
    axes.xaxis.set_major_formatter("{x:.0e}")


def last_layer(axes: Axes, layer: Row, values: NDArray[Any], classes: Sequence[str], measure: str) -> None:
    """A bar a neuron, with its class where that is known; the largest where they are many."""
    order = np.arange(len(values))
    if len(values) > MOST_BARS:
        order = np.sort(np.argsort(-np.nan_to_num(values))[:MOST_BARS])
    axes.barh(range(len(order)), np.nan_to_num(values[order]), color=NEUTRAL)
    axes.set_yticks(range(len(order)), [short(classes[n]) if n < len(classes) else str(n) for n in order.tolist()])
    axes.invert_yaxis()
    part = f" (the largest {MOST_BARS} of {len(values)})" if len(values) > MOST_BARS else ""
    axes.set(xlabel=measure, ylabel="class" if classes else "unit", title=f"{short(layer['name'])}{part}")


def grouped(values: Sequence[tuple[str, float]], layers: Sequence[Row]) -> list[tuple[str, NDArray[Any]]]:
    """Values by layer, in the order of layers, those of sublayers with their layer's."""
    found: dict[str, list[float]] = {layer["name"]: [] for layer in together(layers)}
    belongs = owners(layers)
    for name, value in values:
        found[belongs[name]].append(value)
    return [(name, np.array(part)) for name, part in found.items() if part]


def bounds(values: NDArray[Any]) -> NDArray[Any]:
    """Bins for all of these."""
    return np.histogram_bin_edges(values, BINS)


def height(layers: Sequence[Row]) -> float:
    """Inches for a ridge a layer."""
    return min(1.6 + 0.42 * len(together(layers)), 40)
