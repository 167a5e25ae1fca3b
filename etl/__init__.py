"""neuron-etl: a trained neural network as a graph of single neurons in Neo4j."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl import version

if TYPE_CHECKING:
    from os import PathLike

    from etl.graph.trace import Graph

__version__ = version.VERSION


def read(source: str | PathLike[str] | Any, **options: Any) -> Graph:
    """A model as a graph, counted but not created: `etl.read("model.h5").to_networkx()`.

    source   a file, or a built keras.Model of Keras 3 or tf_keras; its weights are read when they are needed, so it must live as long
    options  which graph of it is wanted, as in `etl.graph.selection.Selection`: `input_shapes=[(64, 64, 3)]`, `layers=("conv_1", None)`,
             `fold=True` ...
    Raises BadFile, Unsupported, BadRequest.
    """
    import os
    from pathlib import Path

    from etl.graph.selection import Selection, graph_in, graph_of
    from etl.readers import read_keras_model

    selection = Selection(**options)
    return (
        graph_of(Path(source), selection)
        if isinstance(source, str | os.PathLike)
        else graph_in(read_keras_model(source, ignore_masks=selection.ignore_masks), selection)
    )
