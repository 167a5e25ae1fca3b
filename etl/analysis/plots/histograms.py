"""Histograms of stored weights, per layer and per kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from etl.analysis.plots.figure import NEUTRAL, Row, new, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS, MOST_KERNELS = 42, 64  # panels that can still be read on a screen
FEW_LAYERS = 12  # in rows of three


def by_layer(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of `weight_histogram` by layer, in order; of the steps and calls of one layer that use the same weights only the first."""
    rows_by_layer: dict[str, list[Row]] = {}
    for row in rows:
        rows_by_layer.setdefault(row["layer"], []).append(row)
    first: dict[Any, str] = {}
    for name, bins in rows_by_layer.items():
        layer = name.partition("/")[0].partition(":")[0]
        first.setdefault((layer, *((row["low"], row["high"], row["weights"]) for row in bins)), name)
    return {name: rows_by_layer[name] for name in first.values()}


def by_kernel(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """Rows of `kernel_histogram` by kernel, in order."""
    rows_by_kernel: dict[int, list[Row]] = {}
    for row in rows:
        rows_by_kernel.setdefault(row["kernel"], []).append(row)
    return rows_by_kernel


def mean_and_std(statistics: Row) -> str:
    """A row of `weight_statistics` in a line."""
    std = statistics["std"]
    return f"mean {statistics['mean']:.3g}, std {'undefined' if std is None else format(std, '.3g')}"


@styled
def layer_histograms(rows: Sequence[Row], statistics: Sequence[Row], title: str, *, full: bool = False) -> Figure:
    """A panel for each layer. rows of `weight_histogram`, statistics of `weight_statistics`; full: however many."""
    all_layers = by_layer(rows)
    layers = dict(list(all_layers.items())[: None if full else MOST_LAYERS])
    statistics_by_layer = {row["layer"]: row for row in statistics if row["kernel"] is None}
    across = min(len(layers), 3 if len(layers) <= FEW_LAYERS else 6)
    title += f" (the first {len(layers)} of {len(all_layers)}: --full shows them all)" if len(all_layers) > len(layers) else ""
    down = math.ceil(len(layers) / across)
    few = len(layers) <= FEW_LAYERS
    figure = new((3.6 if few else 2.35) * across + 0.4, (2.4 if few else 1.45) * down + 0.5, title, full=full)
    panels = figure.subplots(down, across, squeeze=False)
    for axes, (name, bins) in zip(panels.flat, layers.items(), strict=False):
        bars(axes, bins, NEUTRAL)
        axes.set_title(
            f"{short(name)}: {statistics_by_layer[name]['weights']:,} weights\n{mean_and_std(statistics_by_layer[name])}", fontsize=10 if few else 7
        )
        axes.tick_params(labelsize=9 if few else 7)
    finish(figure, panels, len(layers))
    return figure


@styled
def kernel_histograms(layer_bins: Sequence[Row], kernels: Sequence[Row], statistics: Sequence[Row], title: str, *, full: bool = False) -> Figure:
    """The layer's own histogram, and a small one for each kernel.

    Rows of `weight_histogram`, `kernel_histogram` and `weight_statistics`; full: all kernels, however many.
    """
    chosen = dict(list(by_kernel(kernels).items())[: None if full else MOST_KERNELS])
    numbers = {row["kernel"]: row for row in statistics}
    across = min(8, len(chosen))
    down = math.ceil(len(chosen) / across)
    small = 1.35 if down < 6 else 1.03
    figure = new(max(1.5 * across, 5) + 0.6, 2.6 + small * down, title, full=full)
    halves: Any = figure.subfigures(2, 1, height_ratios=[2.6, small * down])
    above, below = halves
    axes = above.subplots()
    bars(axes, layer_bins, NEUTRAL)
    axes.set(xlabel="weight", ylabel="stored weights (count)", title=f"all {numbers[None]['weights']:,} weights, {mean_and_std(numbers[None])}")
    panels = below.subplots(down, across, squeeze=False)  # not shared: matplotlib would look through all of them for each
    for panel, (kernel, bins) in zip(panels.flat, chosen.items(), strict=False):
        bars(panel, bins, NEUTRAL)
        panel.axvline(numbers[kernel]["mean"], color="C1", linewidth=1)
        panel.set_title(f"kernel {kernel}", fontsize=7, pad=2)
        panel.tick_params(labelsize=7)
    panels.flat[0].set_xlim(layer_bins[0]["low"], layer_bins[-1]["high"] or None)
    highest = max(panel.get_ylim()[1] for panel in panels.flat[: len(chosen)])
    for panel in panels.flat[: len(chosen)]:
        panel.set(xlim=panels.flat[0].get_xlim(), ylim=(0, highest))
        panel.label_outer()
    for panel in panels.flat[len(chosen) :]:
        panel.set_visible(False)
    total = len(by_kernel(kernels))
    first = f"the first {len(chosen)} of {total} kernels" if total > len(chosen) else f"each of {total} kernels"
    below.supxlabel(f"weight, {first} (orange: its mean)", fontsize=9)
    below.supylabel("weights (count)", fontsize=9)
    return figure


def bars(axes: Axes, bins: Sequence[Row], colour: str) -> None:
    """The bins as they are: all of them one artist, which is drawn many times as fast as one for each."""
    import numpy as np
    from matplotlib.collections import PolyCollection
    from matplotlib.ticker import MaxNLocator

    thinnest = 0.01 * max(1.0, abs(bins[0]["low"]))  # where all weights are equal, bins have no width
    same = bins[0]["high"] == bins[0]["low"]
    corners = np.zeros((len(bins), 4, 2))
    corners[:, :2, 0] = [[row["low"]] for row in bins]
    corners[:, 2:, 0] = [[row["low"] + thinnest if same else row["high"]] for row in bins]
    corners[:, 1:3, 1] = [[row["weights"]] for row in bins]
    drawn = PolyCollection(list(corners), facecolors=colour, linewidths=0)
    drawn.sticky_edges.y.append(0)  # no margin below
    axes.add_collection(drawn)
    axes.autoscale_view()
    axes.axvline(0, color="0.7", linewidth=0.6, zorder=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def finish(figure: Figure, panels: Any, used: int) -> None:
    """Labels along the outside, nothing in unused panels."""
    for axes in panels.flat[used:]:
        axes.set_visible(False)
    figure.supxlabel("weight", fontsize=9)
    figure.supylabel("stored weights (count)", fontsize=9)
