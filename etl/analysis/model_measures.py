"""Measures of a model in the store: its edges read, one number a neuron computed, and that written back where it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.analysis.measures import SPECTRUM, measure_of
from etl.errors import BadRequest
from etl.store import stored_graph
from etl.store.transactions import Store

Progress = Callable[[str, int, int], None]


def measured(
    store: Store, name: str, measure: str, *, weighted: bool = False, write: str | None = None, progress: Progress = lambda *_: None
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows of id, layer, index and value, in the order of ids, value None where undefined (of the spectrum: number and value); and their columns.

    weighted  along the weights, of a measure that leaves them aside
    write     a property that the values are stored in
    Raises BadRequest for a measure that there isn't or a property that can't be, NotInStore, Conflict for a model that is there in part.
    """
    compute = measure_of(measure, weighted=weighted)
    if write is not None:
        if measure == SPECTRUM:
            raise BadRequest(f"{SPECTRUM} belongs to no neurons: leave out --write")
        stored_graph.check_property(write)
    model = stored_graph.span(store, name)
    edges = stored_graph.edges(store, model, progress)
    values = compute(*edges)
    if write is not None:
        stored_graph.write(store, model, write, values, progress)
    numbers = [None if value != value else value for value in values.tolist()]  # NaN: undefined
    if measure == SPECTRUM:
        return [{"number": n, "value": value} for n, value in enumerate(numbers)], ("number", "value")
    places = zip(model.places(), numbers, strict=True)
    return [{"id": model.base + n, **place, "value": value} for n, (place, value) in enumerate(places)], ("id", "layer", "index", "value")
