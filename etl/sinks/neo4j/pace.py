"""How long loads took on this machine beside what was expected, so that the next estimates are this machine's own."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING

from etl.graph.estimate import Pace, cost
from etl.store import home

if TYPE_CHECKING:
    from etl.graph.protocol import Graph

FROM = 500_000  # neurons and weights
KEPT = 5  # of each way: a machine changes, and is busy now and then


def known() -> Pace:
    """The pace of the last loads into the local Neo4j; that of the measured machine where there were none. Creates nothing."""
    return Pace(**{mode: median(factors) for mode, factors in _kept().items() if factors})


def remember(way: str, graph: Graph, seconds: float) -> None:
    """A load from nothing has ended, `live` or `bulk`. What a small one takes says little of the next one's rate, and is forgotten."""
    if graph.neurons + graph.edges < FROM:
        return
    expected, kept = cost(graph), _kept()
    kept[way] = [*kept[way], round(seconds / (expected.live_seconds if way == "live" else expected.bulk_seconds), 3)][-KEPT:]
    home.write_private(home.home() / "pace.json", json.dumps(kept))


def _kept() -> dict[str, list[float]]:
    kept: dict[str, list[float]] = {"live": [], "bulk": []}
    try:
        saved = json.loads((home.place() / "pace.json").read_text("utf-8"))
        return {mode: [float(factor) for factor in saved[mode]] for mode in kept}
    except (OSError, ValueError, KeyError, TypeError):
        return kept  # none yet, or not as this version writes it: estimates are the better for it, nothing depends on it
