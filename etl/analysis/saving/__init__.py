"""A model in the store as a file again: the file it came from, with the weights and biases that the graph has now.

    1. the graph of the file is made again, whole, as it was loaded but for weights that were left out
    2. each edge and each bias of it is compared with the store's: what differs is a number of the file, or can't be written back
    3. a copy of the file gets those numbers; whatever is not in the graph (an optimizer's state, say) stays

Exact: a number that nobody changed keeps its bits. What can't be written back is an error that names all of it; nothing is written then.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cypher import text
from etl.analysis.saving.comparison import Comparison, Range, compare
from etl.analysis.saving.rewriting import Change, rewrite
from etl.errors import BadFile, BadRequest, Conflict
from etl.graph.selection import Selection, graph_in, read_selected, selection_of
from etl.graph.traced import Graph
from etl.network import Model
from etl.readers.hdf5 import Dataset
from etl.sinks.atomic_file import in_place
from etl.sinks.protocol import Progress, silent
from etl.store import stored_graph
from etl.store.stored_graph import Span
from etl.store.transactions import Store

MOST_NAMED = 5  # faults that an error names
SUFFIXES = {"keras-h5": (".h5", ".hdf5"), "keras-zip": (".keras",)}  # of whole models, by format


@dataclass(frozen=True)
class Saved:
    """What one layer's numbers became. changed: how many are not the file's; zeros: how many are 0 now."""

    layer: str
    parameters: int
    changed: int
    zeros: int


def save(store: Store, name: str, source: Path, out: Path, *, architecture: str | None = None, progress: Progress = silent) -> list[Saved]:
    """Write the model `name` as `out`, a copy of `source` with the numbers that the graph has: one row a layer that has any.

    source        the file that the model was loaded from
    architecture  as it was loaded with, where the file has weights only
    Raises BadRequest for another file, format or suffix and for graphs of channels or layers; Conflict naming what can't be written back.
    """
    model, written = stored_graph.span(store, name), store.read(text("save", "model"), name=name)[0]
    check_formats(name, written["format"], source, out)
    selection = selection_of(written["selection"], architecture)
    if selection.granularity != "neuron":
        raise BadRequest(
            f"{name} is a graph of {selection.granularity}s, whose weights are no numbers of the file: load it with --granularity neuron"
        )
    graph = whole_graph(model, source, selection)
    compared = compare(store, model, graph, progress)
    refuse(name, compared)
    changes = {key: change_of(stored_range) for key, stored_range in compared.ranges.items()}
    write(graph.model, source, out, [change for change in changes.values() if change is not None])
    return summary(graph, changes)


def check_formats(name: str, stored: str, source: Path, out: Path) -> None:
    """Raises BadRequest where no file can become of the model, or not under that name."""
    if stored not in (*SUFFIXES, "weights"):
        raise BadRequest(f"{name} was loaded from {stored}: only Keras files (.h5, .keras) can be written back")
    if out.resolve() == source.resolve():
        raise BadRequest(f"{out} is the file that the model came from, which stays as it is: choose another name")
    suffixes = [suffix for several in SUFFIXES.values() for suffix in several] if stored in SUFFIXES else [ending(source)]
    if not out.name.endswith(tuple(suffixes)) or source.suffix == ".json":
        raise BadRequest(f"{out}: a model of {source.name} is written as {' or '.join(suffixes)}, in one piece")


def ending(path: Path) -> str:
    """How the name of a file of weights ends: Keras goes by it."""
    return ".weights.h5" if path.name.endswith(".weights.h5") else path.suffix


def whole_graph(model: Span, source: Path, selection: Selection) -> Graph:
    """The graph of the file as it was loaded, with the weights that were too small to be. Raises BadRequest where it is not the one in the store."""
    described = read_selected(source, selection)
    if described.sha256 != model.sha256:
        raise BadRequest(
            f"{source} is not the file that {model.name} was loaded from: its sha256 begins with {described.sha256[:12]}, "
            f"the model's with {model.sha256[:12]}; name that file with --from"
        )
    shapes = selection.input_shapes or open_shapes(described, model)
    graph = graph_in(described, replace(selection, input_shapes=shapes, min_weight=None, top_k=None))
    stored = [(layer["name"], layer["begin"], layer["end"]) for layer in model.layers]
    if stored != [(row.name, row.begin, row.end) for row in graph.rows]:
        raise BadRequest(f"{source} gives another graph now than the one in the store, which another version of this program made: load it again")
    return graph


def open_shapes(described: Model, model: Span) -> Mapping[str, tuple[int, ...]]:
    """Shapes of the inputs that the file leaves open, as they were loaded."""
    shapes = {layer["name"]: tuple(layer["shape"]) for layer in model.layers}
    wanting = [
        model_input
        for model_input in described.network.inputs
        if model_input.name in shapes and (model_input.shape is None or None in model_input.shape)
    ]
    return {model_input.name: shapes[model_input.name][: len(model_input.shape or shapes[model_input.name])] for model_input in wanting}


def refuse(name: str, compared: Comparison) -> None:
    """Raises Conflict naming whatever the store says that no number of the file can say."""
    problems = [f"{layer}: {fault} ({count:,})" for (layer, fault), count in compared.faults.items()]
    problems += [disagreement(stored_range) for stored_range in compared.ranges.values() if (stored_range.low < stored_range.high).any()]
    if problems:
        more = f"; and {len(problems) - MOST_NAMED:,} more" if len(problems) > MOST_NAMED else ""
        raise Conflict(f"{name} can't be written back: {'; '.join(problems[:MOST_NAMED])}{more}")


def disagreement(stored_range: Range) -> str:
    """Numbers whose edges say different things."""
    array, apart = stored_range.array, np.flatnonzero(stored_range.low < stored_range.high)
    first = ",".join(map(str, np.unravel_index(apart[0], array.shape)))
    low, high = (float(end[apart[0]]) for end in (stored_range.low, stored_range.high))
    return (
        f"{stored_range.layer}: {len(apart):,} of {array.size:,} numbers of its {array.role} are shared by edges that say different things, "
        f"{array.role}[{first}] first ({low:.6g} to {high:.6g}): change all edges of a parameter alike"
    )


def change_of(stored_range: Range) -> Change | None:
    """What the store changed of one array; None where nothing. Raises Conflict where the file has the array in another layout."""
    array = stored_range.array
    values = stored_range.low.astype(array.dtype)
    at = np.flatnonzero((stored_range.low == stored_range.high) & (values != array.read().reshape(-1)))
    if not len(at):
        return None
    if not isinstance(array.read, Dataset):
        raise Conflict(
            f"{stored_range.layer}: its {array.role} has the layout of Keras 1, Theano or CuDNN in the file: save the file in Keras, and load that"
        )
    return Change(array.read.container, array.read.place, at, values[at])


def write(model: Model, source: Path, out: Path, changes: Sequence[Change]) -> None:
    """The file with its changes, in its own format or, by its framework, in the other one."""
    if out.name.endswith(SUFFIXES.get(model.format, (ending(source),))):
        with in_place(out) as file:
            rewrite(source, file, changes)
        return
    from etl.frameworks.keras import convert

    with TemporaryDirectory() as folder:
        copy, converted_file = Path(folder) / source.name, Path(folder) / f"model{out.suffix}"
        with copy.open("wb") as file:
            rewrite(source, file, changes)
        convert(copy, model, converted_file)
        check_same(copy, converted_file)
        with in_place(out) as file, converted_file.open("rb") as converted:
            shutil.copyfileobj(converted, file)


def check_same(first: Path, second: Path) -> None:
    """Raises BadFile where two files don't hold the same numbers, bit for bit."""
    from etl.readers import read

    arrays = [
        [(layer.name, array.role, array.read()) for layer in read(path).network.every_layer() for array in layer.arrays] for path in (first, second)
    ]
    for (name, role, first_array), (_, _, second_array) in zip(*arrays, strict=True):
        if first_array.tobytes() != second_array.tobytes():
            raise BadFile(f"the framework changes {role} of layer {name} when it writes {second.suffix}: save as {first.suffix} instead")


def summary(graph: Graph, changes: Mapping[Any, Change | None]) -> list[Saved]:
    """What became of each layer of the file that has numbers."""
    rows, counted = [], set[Any]()
    for layer in graph.model.network.layers():
        parameters = changed = zeros = 0
        for array in layer.stored():
            if array.read in counted:  # layers may share an array
                continue
            counted.add(array.read)
            values, change = array.read().reshape(-1), changes.get(array.read)
            if change is not None:
                values = values.copy()
                values[change.at] = change.values
                changed += len(change.at)
            parameters, zeros = parameters + array.size, zeros + int(np.count_nonzero(values == 0))
        if parameters:
            rows.append(Saved(layer.name, parameters, changed, zeros))
    return rows
