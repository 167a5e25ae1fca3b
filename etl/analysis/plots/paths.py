"""Main paths into a neuron, drawn as a small network: layers from left to right, weights as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from etl.analysis.plots.figure import NEGATIVE, NEUTRAL, POSITIVE, Row, new, short, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def main_paths(rows: Sequence[Row], layers: Sequence[Row], goal: str, title: str) -> Figure:
    """rows of `strongest_paths`, at least one; layers: rows of `layers`; goal: what the last neuron is called."""
    weights = {
        (source, target): weight for row in rows for source, target, weight in zip(row["neurons"], row["neurons"][1:], row["weights"], strict=False)
    }
    within = {n: layer for row in rows for n in row["neurons"] for layer in layers if layer["begin"] <= n < layer["end"]}
    place = places(rows, within)
    columns = sorted({x for x, _ in place.values()})
    tallest = max(sum(x == column for x, _ in place.values()) for column in columns)
    told = len(columns) <= MOST_TOLD
    figure = new(min(max(2.0 * len(columns) + 1, 6), 2.0 * MOST_TOLD), max(0.62 * tallest + 1.9, 3.4) + (0 if told else 1.5), title)
    axes = figure.subplots()
    strongest = max(abs(weight) for weight in weights.values()) or 1.0
    for (source, target), weight in weights.items():
        (x, y), (x2, y2) = place[source], place[target]
        axes.plot([x, x2], [y, y2], color=POSITIVE if weight > 0 else NEGATIVE, linewidth=0.5 + 3.5 * abs(weight) / strongest, zorder=1)
        if told:
            axes.text((x + x2) / 2, (y + y2) / 2, f"{weight:.2g}", fontsize=7, ha="center", va="center", zorder=2, bbox=BOX)
    for neuron, (x, y) in place.items():
        axes.plot(x, y, "o", color="white", markeredgecolor=NEUTRAL, markersize=13 if told else 5, zorder=3)
        last = neuron == rows[0]["neurons"][-1]
        if not (told or last):
            continue
        called = goal if last else index(neuron, within[neuron])
        axes.annotate(called, (x, y), (0, -10), textcoords="offset points", ha="center", va="top", fontsize=7, bbox=BOX, zorder=4)
    axes.set_xticks(columns, [short(name) for name in dict.fromkeys(within[n]["name"] for n in sorted(place))], rotation=0 if told else 90)
    axes.set_xlabel("layer; below each neuron its place in it (row, column, channel)" if told else "layer")
    axes.set(yticks=[], xlim=(-0.5, max(columns) + 0.5), ylim=(-tallest / 2 - 0.35, tallest / 2 + 0.1))
    axes.spines["left"].set_visible(False)
    handles = [axes.plot([], [], color=colour, linewidth=2, label=label)[0] for colour, label in ((POSITIVE, "positive"), (NEGATIVE, "negative"))]
    axes.legend(handles=handles, title="weight", loc="upper right", frameon=False, fontsize=7, title_fontsize=7)
    return figure


MOST_TOLD = 14  # layers, each with the places of its neurons
BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}


def places(rows: Sequence[Row], within: Mapping[int, Row]) -> dict[int, tuple[float, float]]:
    """A column a layer, in it the neurons one below the other in the order of what they lead to, so that lines seldom cross."""
    names = list(dict.fromkeys(within[n]["name"] for n in sorted(within)))
    column = {n: names.index(within[n]["name"]) for n in within}
    leads: dict[int, list[int]] = {}
    for row in rows:
        for source, target in zip(row["neurons"], row["neurons"][1:], strict=False):
            leads.setdefault(source, []).append(target)
    found: dict[int, tuple[float, float]] = {}
    for x in range(len(names) - 1, -1, -1):
        mine = [n for n in within if column[n] == x]
        mine.sort(key=lambda n: (np.mean([found[t][1] for t in leads.get(n, ())] or [0]), -n), reverse=True)
        for number, n in enumerate(mine):
            found[n] = (float(x), (len(mine) - 1) / 2 - number)
    return found


def index(neuron: int, layer: Row) -> str:
    """Row, column, channel of a neuron in its layer."""
    at = np.unravel_index(neuron - layer["begin"], tuple(layer["shape"]) or (1,))
    return ", ".join(str(int(n)) for n in at)
