"""The heat map and the histograms as one HTML file each, by Bokeh: all that it needs is in it, nothing is fetched when it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from etl.analysis.plots.adjacency import colour_range, corners, marks, named_places, scales
from etl.analysis.plots.figure import NEUTRAL, Row, printable, short, writing
from etl.analysis.plots.histograms import by_kernel, by_layer
from etl.analysis.plots.scale import LayerScale

SIDE = 620  # pixels of a map
CELL_TOOLTIP = [
    ("read", "@source_layer, neurons @source_begin to @source_last"),
    ("reads", "@target_layer, neurons @target_begin to @target_last"),
    ("weights", "@edges{0,0}"),
    ("mean weight", "@mean{0.0000}"),
]


def save(layout: Any, title: str, path: Path) -> None:
    """Write a page with everything in it."""
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    with writing(path):
        path.write_text(file_html(layout, INLINE, printable(title)), "utf-8")


def heat_map(rows: Sequence[Row], layers: Sequence[Row], title: str, *, whole: bool = True) -> Any:
    """What `adjacency.heat_map` draws, counts and means side by side, zoomed together."""
    from bokeh.layouts import column, row
    from bokeh.models import ColumnDataSource, FixedTicker, LinearColorMapper, LogColorMapper
    from bokeh.palettes import RdBu11, YlGnBu9
    from bokeh.plotting import figure

    down, across = scales(rows, layers, whole=whole)
    left, right, top, bottom = corners(rows, down, across).T
    columns = {name: [area[name] for area in rows] for name in ("source_layer", "target_layer", "source_begin", "target_begin", "edges", "mean")}
    lasts = {f"{end}_last": [area[f"{end}_end"] - 1 for area in rows] for end in ("source", "target")}
    range_of = colour_range(rows, layers)
    usual, limit = range_of.usual, range_of.limit
    shade = np.arcsinh(np.array(columns["mean"], float) / usual)
    cells = ColumnDataSource({"left": left, "right": right, "top": top, "bottom": bottom, "shade": shade, **columns, **lasts})
    counted = LogColorMapper(palette=YlGnBu9[-3::-1], low=1, high=max(*columns["edges"], 2))
    signed = LinearColorMapper(palette=RdBu11, low=-np.arcsinh(limit / usual), high=np.arcsinh(limit / usual))
    tools = "pan,wheel_zoom,box_zoom,reset,save"
    size = {"width": SIDE, "height": SIDE, "tools": tools, "active_drag": "box_zoom", "tooltips": CELL_TOOLTIP}
    first = figure(title="weights in a cell (count)", x_range=(0, 1), y_range=(1, 0), **size)
    second = figure(title="mean weight in a cell", x_range=first.x_range, y_range=first.y_range, **size)
    for panel, field, mapper in ((first, "edges", counted), (second, "shade", signed)):
        shown = panel.quad("left", "right", "top", "bottom", source=cells, line_color=None, fill_color={"field": field, "transform": mapper})
        bar = shown.construct_color_bar(width=10)
        if field == "shade":
            tick_labels = {float(np.arcsinh(mark / usual)): f"{mark:g}" for mark in marks(usual, limit)}
            bar.ticker, bar.major_label_overrides = FixedTicker(ticks=list(tick_labels)), tick_labels
        panel.add_layout(bar, "right")
        name_layers(panel, down, across)
    beyond = [written(f"Mean weights {range_of.remark()}", 13)] if range_of.beyond else []  # a title of a panel would be cut off at its side
    return column(written(title), row(first, second), *beyond)


def written(text: str, size: int = 16) -> Any:
    """A line over or under several panels; taken as text, not as HTML: names come from files. size: in pixels."""
    from bokeh.models import PreText

    return PreText(text=printable(text), styles={"font": f"{size}px sans-serif"})


def name_layers(panel: Any, down: LayerScale, across: LayerScale) -> None:
    """Names of blocks of layers in their middles, lines between them."""
    for scale, axis, grid in ((across, panel.xaxis, panel.xgrid), (down, panel.yaxis, panel.ygrid)):
        edges, names = named_places(scale)
        axis.ticker, axis.major_label_overrides, grid.ticker = [place for place, _ in names], dict(names), edges
    panel.xaxis.major_label_orientation = "vertical"
    panel.xaxis.axis_label, panel.yaxis.axis_label = "neurons that read, by layer", "neurons that are read, by layer"


def layer_histograms(rows: Sequence[Row], title: str) -> Any:
    """rows of `weight_histogram`."""
    return grid({printable(name): bins for name, bins in by_layer(rows).items()}, title, 3)


def kernel_histograms(layer_bins: Sequence[Row], kernels: Sequence[Row], title: str) -> Any:
    """rows of `weight_histogram` and of `kernel_histogram`; all panels zoom together."""
    panels = {"all kernels": list(layer_bins)} | {f"kernel {number}": bins for number, bins in by_kernel(kernels).items()}
    return grid(panels, title, 4, together=True)


def grid(panels: Mapping[str, Sequence[Row]], title: str, across: int, *, together: bool = False) -> Any:
    """A panel a histogram."""
    from bokeh.layouts import column, gridplot
    from bokeh.models import ColumnDataSource, NumeralTickFormatter
    from bokeh.plotting import figure

    drawn: list[Any] = []
    tips = [("weight", "@low{0.0000} to @high{0.0000}"), ("stored weights", "@weights{0,0}")]
    for name, bins in panels.items():
        shared = {"x_range": drawn[0].x_range} if together and drawn else {}
        panel = figure(title=short(name), width=320, height=240, tools="pan,xwheel_zoom,box_zoom,reset,save", tooltips=tips, **shared)
        source = ColumnDataSource({key: [row[key] for row in bins] for key in ("low", "high", "weights")})
        edge = {"line_color": NEUTRAL, "line_width": 3} if bins[0]["low"] == bins[0]["high"] else {"line_color": "white", "line_width": 0.3}
        panel.quad(left="low", right="high", top="weights", bottom=0, source=source, fill_color=NEUTRAL, **edge)
        panel.xaxis.axis_label, panel.yaxis.axis_label = "weight", "stored weights (count)"
        panel.yaxis.formatter = NumeralTickFormatter(format="0,0")
        drawn.append(panel)
    return column(written(title), gridplot(drawn, ncols=across))
