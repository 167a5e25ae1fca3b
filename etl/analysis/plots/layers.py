"""The graph of a model's layers: boxes in columns, from the input at the upper left to the output; as blocks of layers where they are many.

Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981), by igraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.analysis.plots.blocks import Block, blocks
from etl.analysis.plots.figure import SCREEN, Row, new, printable, short, styled
from etl.analysis.plots.scale import merged_layers, owners
from etl.store.palette import channels, layer_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 2.35, 0.6  # of a box, in inches
BESIDE, UNDER = 0.3, 0.26  # between boxes
TITLE, MARGIN = 0.55, 0.25
MOST = 60  # boxes that could be on a screen
VIEW = "#B8BEC8"
GREY = "0.45"
Place = tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """Where boxes and lines are, in inches from the upper left corner.

    boxes   the middle of each block
    lines   of each connection, as points from the lower edge of one box to the upper edge of another
    """

    boxes: list[Place]
    lines: list[list[Place]]
    width: float
    height: float


@styled
def layer_graph(rows: Sequence[Row], title: str, *, full: bool = False) -> Figure:
    """rows of `layer_graph`; full: every layer by itself, however many."""
    file_layers, pairs = whole_layers(rows)
    most: int | None = None if full else MOST
    while True:
        drawn = blocks(file_layers, most)
        plan = arranged(len(drawn), block_pairs(drawn, pairs))
        if most is None or most <= 4 or (plan.width <= SCREEN[0] and plan.height <= SCREEN[1]):
            break
        most = min(most, len(drawn)) * 4 // 5
    figure = new(max(plan.width, 4.5), plan.height, title, full=full)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    left = (max(plan.width, 4.5) - plan.width) / 2
    axes.set(xlim=(-left, max(plan.width, 4.5) - left), ylim=(plan.height, 0))
    axes.set_axis_off()
    colour = dict(zip([layer["name"] for layer in merged_layers(file_layers)], layer_colours(len(merged_layers(file_layers))), strict=True))
    for points in plan.lines:
        arrow(axes, points)
    for block, place in zip(drawn, plan.boxes, strict=True):
        draw_box(axes, block, place, next((colour[layer["name"]] for layer in block.layers if layer["name"] in colour), VIEW))
    return figure


def whole_layers(rows: Sequence[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    """The layers of the file in their order, each with its sublayers' neurons and weights, and which feeds which."""
    nodes = {row["source"]["name"]: row["source"] for row in rows}
    belongs = owners(list(nodes.values()))
    have = {layer["name"]: layer for layer in merged_layers(list(nodes.values()))}
    file_layers = [nodes[name] | have.get(name, {}) for name in dict.fromkeys(belongs.values())]
    pairs = {(belongs[row["source"]["name"]], belongs[row["target"]["name"]]): None for row in rows if row["target"]}
    return file_layers, [pair for pair in pairs if pair[0] != pair[1]]


def block_pairs(drawn: Sequence[Block], pairs: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Which block feeds which, by their numbers."""
    number = {layer["name"]: n for n, block in enumerate(drawn) for layer in block.layers}
    feeds = dict.fromkeys((number[source], number[target]) for source, target in pairs)
    return [(source, target) for source, target in feeds if source != target]


def arranged(count: int, pairs: Sequence[tuple[int, int]]) -> Plan:
    """Boxes in ranks, each below all that feed it; the ranks in columns as high as a screen."""
    from igraph import Graph

    ranks = [0] * count
    for source, target in sorted(pairs):  # numbers are a topological order
        ranks[target] = max(ranks[target], ranks[source] + 1)
    layout = Graph(count, list(pairs), directed=True).layout_sugiyama(layers=ranks, hgap=WIDTH + BESIDE, vgap=1, maxiter=200)
    bends = [[(float(x), round(y)) for x, y in sorted(points, key=lambda point: point[1])] for points in layout.edge_routing]
    boxes = [(float(x), rank) for (x, _), rank in zip(layout.coords, ranks, strict=True)]
    highest = max(ranks, default=0) + 1
    per_column = max(1, int((SCREEN[1] - TITLE - MARGIN + UNDER) / (HEIGHT + UNDER)))
    per_column = -(-highest // -(-highest // per_column))
    columns, width = list[Column](), MARGIN
    for number in range(-(-highest // per_column)):
        across = [x for x, rank in (*boxes, *(point for points in bends for point in points)) if rank // per_column == number]
        columns.append(Column(width - min(across) + WIDTH / 2, width + max(across) - min(across) + WIDTH + BESIDE / 2))
        width += max(across) - min(across) + WIDTH + BESIDE
    wrapped = WrappedRanks(columns, per_column)
    lines = [wrapped.line([boxes[source], *points, boxes[target]]) for (source, target), points in zip(pairs, bends, strict=True)]
    height = TITLE + min(per_column, highest) * (HEIGHT + UNDER) - UNDER + MARGIN
    return Plan([wrapped.place(*box) for box in boxes], lines, width - BESIDE + MARGIN, height)


@dataclass(frozen=True)
class Column:
    """shift: added to a place across the unwrapped picture; gutter: the middle of the gap to the next column."""

    shift: float
    gutter: float


@dataclass(frozen=True)
class WrappedRanks:
    """Ranks cut into columns of `per_column`."""

    columns: list[Column]
    per_column: int

    def place(self, x: float, rank: int) -> Place:
        return x + self.columns[rank // self.per_column].shift, TITLE + HEIGHT / 2 + (rank % self.per_column) * (HEIGHT + UNDER)

    def line(self, route: Sequence[tuple[float, int]]) -> list[Place]:
        """A route, rank by rank, as points: from a column to the next it goes through the gap between them."""
        points: list[Place] = []
        for number, (x, rank) in enumerate(route):
            here, y = self.place(x, rank)
            half = HEIGHT / 2 if number in (0, len(route) - 1) else 0.18
            if points and rank % self.per_column == 0:
                gutter, (above, lowest) = self.columns[rank // self.per_column - 1].gutter, points[-1]
                low, high = lowest + UNDER / 2, y - HEIGHT / 2 - UNDER / 2
                points += [(above, low), (gutter, low), (gutter, high), (here, high)]
            points += [(here, y - half), (here, y + half)]
        return points[1:-1]


def arrow(axes: Axes, points: Sequence[Place]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    axes.add_patch(
        FancyArrowPatch(path=Path(list(points)), arrowstyle="-|>,head_width=2.5,head_length=4", color=GREY, linewidth=0.9, fill=True, zorder=1)
    )


def draw_box(axes: Axes, block: Block, place: Place, colour: str) -> None:
    """Name; kind and shape; what it has."""
    from matplotlib.patches import FancyBboxPatch

    (x, y), pale = place, "#" + "".join(f"{round(255 - (255 - block) * 0.28):02X}" for block in channels(colour))
    corner = (x - WIDTH / 2 + 0.06, y - HEIGHT / 2 + 0.06)
    axes.add_patch(FancyBboxPatch(corner, WIDTH - 0.12, HEIGHT - 0.12, "round,pad=0.06", facecolor=pale, edgecolor=colour, linewidth=1.2, zorder=2))
    last = block.layers[-1]
    shape = "x".join(str(n) for n in last["shape"]) or "1"
    kind = last["type"] if len(block.layers) == 1 else f"{len(block.layers)} layers to"
    neurons = sum(layer["end"] - layer["begin"] for layer in block.layers)
    weights = sum(layer["edges"] for layer in block.layers)
    has = f"{count(neurons, 'neuron')}" + (f", {count(weights, 'weight')}" if weights else "") if neurons else "only moves values"
    axes.text(x, y - 0.17, short(block.name), ha="center", va="center", fontsize=8, fontweight="bold", zorder=3)
    axes.text(x, y + 0.01, printable(f"{short(kind, 22)} {shape}"), ha="center", va="center", fontsize=8, zorder=3)
    axes.text(x, y + 0.18, has, ha="center", va="center", fontsize=7, color="0.3", zorder=3)


def count(number: int, noun: str) -> str:
    """`1 neuron`, `1,306 neurons`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
