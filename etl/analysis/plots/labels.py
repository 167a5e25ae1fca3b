"""Where labels of lines and points go: beside what they name, over nothing else. Lengths in inches, as the picture's axes."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = tuple[float, float]
WIDTH, HEIGHT = 0.075, 0.13  # of a character of 7 points, with what is between it and the next
ALONG = (0.5, 0.36, 0.64, 0.25, 0.75, 0.18, 0.82)  # where on its line a label may be
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9}


class Labels:
    """What is taken already: rectangles (labels, neurons) and lines."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, float, float, float]] = []
        self._lines: list[tuple[Place, Place]] = []

    def keep_free(self, middle: Place, width: float, height: float) -> None:
        """No label will lie over this rectangle."""
        x, y = middle
        self._boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))

    def line(self, start: Place, end: Place) -> None:
        """Labels of other lines keep away from this one where they can."""
        self._lines.append((start, end))

    def beside(self, axes: Axes, text: str, top: Place) -> None:
        """Write a text under a point, whatever is there."""
        rows = text.split("\n")
        width, height = WIDTH * max(map(len, rows)), HEIGHT * len(rows)
        self.keep_free((top[0], top[1] + height / 2), width, height)
        axes.text(*top, text, ha="center", va="top", fontsize=7, bbox=PAPER, zorder=4)

    def on_line(self, axes: Axes, text: str, start: Place, end: Place) -> None:
        """Write a text on its line where it is free, as far from other lines as can be; nowhere, where there is no such place."""
        width, height = WIDTH * len(text), HEIGHT
        spots = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in ALONG]
        free = [spot for spot in spots if not self._taken(spot, width, height)]
        if not free:
            return
        other_lines = [line for line in self._lines if line != (start, end)]
        clear = min(width, 0.3)
        spot = max(free, key=lambda spot: min([clear, *(distance(spot, *line) for line in other_lines)]))
        self.keep_free(spot, width, height)
        axes.text(*spot, text, ha="center", va="center", fontsize=7, bbox=PAPER, zorder=2)

    def _taken(self, middle: Place, width: float, height: float) -> bool:
        x, y = middle
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        return any(left < r and l < right and top < b and t < bottom for l, t, r, b in self._boxes)  # noqa: E741


def distance(point: Place, start: Place, end: Place) -> float:
    """From a point to a line between two others."""
    (px, py), (x, y), (x2, y2) = point, start, end
    dx, dy = x2 - x, y2 - y
    along = ((px - x) * dx + (py - y) * dy) / ((dx * dx + dy * dy) or 1.0)
    along = min(max(along, 0.0), 1.0)
    return hypot(px - x - along * dx, py - y - along * dy)
