"""neuron-etl: a trained neural network as a graph of single neurons in Neo4j."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from etl.graph import Graph

__version__ = "0.1.0"


def read(path: str | PathLike[str], **options: Any) -> Graph:
    """A model file as a graph, counted but not created: `etl.read("model.h5").to_networkx()`.

    options  which graph of it is wanted, as in `etl.selection.Selection`: `input_shapes=[(64, 64, 3)]`, `layers=("conv_1", None)`, `fold=True` ...
    Raises BadFile, Unsupported, BadRequest.
    """
    from pathlib import Path

    from etl.selection import Selection, graph_of

    return graph_of(Path(path), Selection(**options))
