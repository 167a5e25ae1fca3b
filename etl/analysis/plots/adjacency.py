"""The adjacency matrix as a heat map: how many weights there are in each cell, and their mean on a red-blue scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.plots.blocks import MOST, blocks, follows
from etl.analysis.plots.figure import Row, new, short, styled
from etl.analysis.plots.scale import LayerScale, merged_layers, owners

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 6.2  # inches of a map
LEAST_ROOM = 0.03  # share of an axis that a layer's name needs


def scales(rows: Sequence[Row], layers: Sequence[Row], *, whole: bool) -> tuple[LayerScale, LayerScale]:
    """The axes of rows of `adjacency_bins`, for sources (down) and targets (across): all layers, or those that the rows name."""
    both = [{row[f"{end}_layer"] for row in rows} for end in ("source", "target")]
    down, across = (LayerScale.of([layer for layer in layers if whole or layer["name"] in names]) for names in both)
    return down, across


def corners(rows: Sequence[Row], down: LayerScale, across: LayerScale) -> NDArray[Any]:
    """Cells as rectangles on the axes: (rows, 4), left, right, top, bottom."""
    targets, sources = [row["target_layer"] for row in rows], [row["source_layer"] for row in rows]
    return np.column_stack(
        [
            across.place(targets, [row["target_begin"] for row in rows]),
            across.place(targets, [row["target_end"] for row in rows]),
            down.place(sources, [row["source_begin"] for row in rows]),
            down.place(sources, [row["source_end"] for row in rows]),
        ]
    )


@dataclass(frozen=True)
class Colours:
    """How mean weights become colours.

    usual   |mean| of a usual cell of a usual layer: colours follow asinh(mean / usual)
    limit   where the colours end
    most    the largest |mean|
    beyond  layers with larger means than the colours show, largest first
    """

    usual: float
    limit: float
    most: float
    beyond: tuple[str, ...]

    def remark(self) -> str:
        """What is beyond the ends of the colours; nothing where nothing is."""
        if not self.beyond:
            return ""
        more = f" and {len(self.beyond) - 2} more" if len(self.beyond) > 2 else ""
        return f"beyond ±{self.limit:.2g}, up to {self.most:.3g}: {', '.join(short(name) for name in self.beyond[:2])}{more}"


def colour_range(rows: Sequence[Row], layers: Sequence[Row]) -> Colours:
    """The colours for rows of `adjacency_bins`: made for layers with kernels, where there are any; the ones of pools and additions would drown them.

    layers: rows of `layers`. Colours end at the 99th percentile of the kernels' cells, of the layer where that is largest.
    """
    belongs = owners(layers)
    sizes: dict[str, list[float]] = {}
    for row in rows:
        sizes.setdefault(belongs[row["target_layer"]], []).append(abs(row["mean"]))
    kernels = {layer["name"] for layer in merged_layers(layers) if not follows(layer)} & sizes.keys() or sizes.keys()
    most = {name: max(cells) for name, cells in sizes.items()}
    largest = max(most.values()) or 1.0
    limit = max(float(np.percentile(sizes[name], 99)) for name in kernels) or largest
    limit = largest if largest < 1.5 * limit else limit
    usual = float(np.median([np.median(sizes[name]) for name in kernels]))
    beyond = sorted((name for name in most if most[name] > limit), key=lambda name: -most[name])
    return Colours(max(usual, limit / 1000), limit, largest, tuple(beyond))


def is_pair_each(rows: Sequence[Row]) -> bool:
    """Whether every cell is one pair of neurons."""
    return all(row["source_end"] - row["source_begin"] == row["target_end"] - row["target_begin"] == 1 for row in rows)


@styled
def heat_map(rows: Sequence[Row], layers: Sequence[Row], title: str, *, whole: bool = True) -> Figure:
    """rows of `adjacency_bins`, at least one; layers: rows of `layers`; whole: show all of them, also those without weights here."""
    from matplotlib import colormaps
    from matplotlib.colors import AsinhNorm, LinearSegmentedColormap, LogNorm

    down, across = scales(rows, layers, whole=whole)
    cells = corners(rows, down, across)
    edges, means = np.array([row["edges"] for row in rows]), np.array([row["mean"] for row in rows], float)
    range_of = colour_range(rows, layers)
    signed = AsinhNorm(range_of.usual, -range_of.limit, range_of.limit), "RdBu_r"
    if is_pair_each(rows) and edges.max() == 1:
        figure = new(SIDE + 1, SIDE, title)
        draw(figure.subplots(), cells, means, *signed, "weight", down, across, range_of.remark())
        return figure
    figure = new(2 * SIDE + 1, SIDE, title)
    left, right = figure.subplots(1, 2)
    colours_of_counts = LinearSegmentedColormap.from_list(
        "counts", colormaps["YlGnBu"](np.linspace(0.25, 1, 64))
    )  # its palest can't be told from nothing
    draw(left, cells, edges, LogNorm(1, max(edges.max(), 2)), colours_of_counts, "weights in a cell (count)", down, across)
    draw(right, cells, means, *signed, "mean weight in a cell", down, across, range_of.remark())
    return figure


def draw(
    axes: Axes,
    cells: NDArray[Any],
    values: NDArray[Any],
    norm: Any,
    colours: Any,
    label: str,
    down: LayerScale,
    across: LayerScale,
    beyond: str = "",
) -> None:
    """One map with its colour bar; beyond: what its colours don't show."""
    from matplotlib.collections import PolyCollection
    from matplotlib.ticker import ScalarFormatter

    left, right, top, bottom = cells.T
    polygons = np.stack([np.column_stack(pair) for pair in ((left, top), (right, top), (right, bottom), (left, bottom))], axis=1)
    shown = PolyCollection(list(polygons), array=values, norm=norm, cmap=colours, edgecolors="face", linewidths=0.2, rasterized=True)
    axes.add_collection(shown)
    axes.set(xlim=(0, 1), ylim=(1, 0), title=label, facecolor="0.97")
    axes.set_xlabel(axis_label("neurons that read", across))
    if label != "mean weight in a cell":  # which stands to the right of the counts
        axes.set_ylabel(axis_label("neurons that are read", down))
    name_layers(axes, down, across)
    signed = norm.vmin < 0
    ticks = marks(norm.linear_width, norm.vmax) if signed else counts(norm.vmax)
    form: Any = ScalarFormatter() if signed else "{x:,.0f}"
    bar = axes.figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.02, ticks=ticks, format=form, extend="both" if beyond else "neither")
    bar.ax.minorticks_off()
    if beyond:
        bar.set_label(beyond, fontsize=8)


def marks(usual: float, most: float) -> list[float]:
    """Round numbers on both sides of zero, up to the largest, and none closer to zero than can be told apart."""
    tens = 10.0 ** np.arange(np.floor(np.log10(usual)), np.ceil(np.log10(most)) + 1)
    sizes = [float(size) for size in np.outer(tens, [1, 3]).ravel() if usual / 2 <= size <= most * 1.0001]
    if len(sizes) < 2 and most not in sizes:
        digit = 10.0 ** (np.floor(np.log10(most)) - 1)
        sizes.append(float(f"{np.floor(most / digit * 1.0001) * digit:.2g}"))  # rounded up it would be beyond the end of the bar
    return [-size for size in reversed(sizes)] + [0.0, *sizes]


def counts(most: float) -> list[float]:
    """1, 10, 100 ... or 1, 2, 5, 10 ... where that is few."""
    tens = 10.0 ** np.arange(0, np.log10(most) + 1e-9)
    return [float(n) for n in (tens if len(tens) > 2 else np.outer(tens, [1, 2, 5]).ravel()) if n <= most]


def axis_label(neurons: str, scale: LayerScale) -> str:
    """What an axis shows, and at which scale."""
    if len(scale.layers) > 1:
        return f"{neurons}: {scale.neurons:,}, by layer\n(room by the square root of its size)"
    return f"{neurons}: the {scale.neurons:,} of {short(scale.layers[0]['name'])},\nin the order of their ids"


def name_layers(axes: Axes, down: LayerScale, across: LayerScale) -> None:
    """Names in the middle of each block of layers that has room for it, pale lines between blocks, below the data."""
    from matplotlib.ticker import MaxNLocator

    for scale, axis, line in ((across, axes.xaxis, axes.axvline), (down, axes.yaxis, axes.axhline)):
        if len(scale.layers) == 1:
            count = scale.neurons
            numbers = [int(n) for n in MaxNLocator(10, integer=True).tick_values(0, count - 1) if 0 <= n < count]
            axis.set_ticks([(n + 0.5) / count for n in numbers], [str(n) for n in numbers])
            continue
        edges, names = named_places(scale)
        for edge in edges:
            line(edge, color="0.88", linewidth=0.4, zorder=0.5)
        axis.set_ticks([place for place, _ in names], [name for _, name in names], rotation=90 if axis is axes.xaxis else 0, fontsize=8)
        axis.set_tick_params(length=0)


def named_places(scale: LayerScale) -> tuple[list[float], list[tuple[float, str]]]:
    """Where blocks of layers meet on an axis, and the names that it has room for, each with its place."""
    merged, borders = blocks(scale.layers, MOST), scale.borders
    ends = np.cumsum([0, *(len(block.layers) for block in merged)])
    middle = (borders[ends[1:]] + borders[ends[:-1]]) / 2
    return borders[ends[1:-1]].tolist(), [(float(middle[n]), short(merged[n].name)) for n in names_that_fit(middle)]


def names_that_fit(middle: NDArray[Any]) -> list[int]:
    """Which of the names fit: none closer to the one before than its own height. The last one always does."""
    chosen = [len(middle) - 1]
    for n in range(len(middle) - 2, -1, -1):
        if middle[chosen[-1]] - middle[n] >= LEAST_ROOM:
            chosen.append(n)
    return chosen[::-1]
