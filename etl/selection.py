"""What of a model becomes the graph: the options that `plan`, `load`, `export` and `verify` share, and the one way from a file to a graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import BadRequest

if TYPE_CHECKING:
    from etl.graph import Graph


@dataclass(frozen=True)
class Selection:
    """Which graph of a model is wanted; without anything: every neuron and every weight.

    input_shapes  one a model input, without the batch axis
    layers        first and last layer of a range; an end left open is None
    granularity   `neuron`, `channel` or `layer`
    min_weight    edges with a smaller |weight| are left out
    top_k         only the k edges with the largest |weight| into each neuron
    fold          merge BatchNormalization and lone Activation layers into the layer before
    architecture  what describes the layers of a file with weights only: see `etl.readers.read`
    """

    input_shapes: tuple[tuple[int, ...], ...] = ()
    layers: tuple[str | None, str | None] | None = None
    granularity: str = "neuron"
    min_weight: float | None = None
    top_k: int | None = None
    fold: bool = False
    architecture: str | None = None


def graph_of(path: Path, selection: Selection = Selection()) -> Graph:
    """Read a file and trace its graph: counted, not created. Raises BadFile, Unsupported, BadRequest."""
    from etl.graph import trace
    from etl.readers import read

    waiting = {
        "--layers": selection.layers,
        "--granularity": selection.granularity != "neuron",
        "--min-weight": selection.min_weight,
        "--top-k": selection.top_k,
        "--fold": selection.fold,
    }
    asked = [option for option, value in waiting.items() if value]
    if asked:
        raise BadRequest(f"{', '.join(asked)} can't be done yet: leave it out")
    return trace(read(path, selection.architecture), selection.input_shapes)
