"""Names of the classes that a model's outputs stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.errors import BadRequest, reason

if TYPE_CHECKING:
    from etl.api import Store

Row = Mapping[str, Any]
Classes = Annotated[
    Path | None,
    typer.Option(help="Names of the classes, one a line, in the order of the output that has so many.", metavar="FILE", show_default=False),
]


def read_classes(path: Path | None) -> list[str]:
    """Names of classes, one a line; none without a file."""
    if path is None:
        return []
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} can't be read as a list of classes ({reason(error)}): write one name a line") from error


def with_classes(
    store: Store, rows: Sequence[Row], columns: Sequence[str], classes: Sequence[str], model: str | None
) -> tuple[Sequence[Row], Sequence[str]]:
    """Rows with a column `class`, where they name neurons: of those of the output that has so many. Raises BadRequest where none has."""
    if not classes:
        return rows, columns
    from cypher import text
    from etl.analysis.classes import classified
    from etl.store.queries import present

    outputs = store.connection.read(text("plot", "outputs"), model=present(store.connection, model))
    layer = classified(outputs, classes) if outputs else {"name": None, "begin": 0, "end": 0, "shape": [], "numbers": []}
    with_class = [{**row, "class": class_of(row, layer, classes)} for row in rows]
    return (with_class, [*columns, "class"]) if not rows or any(map(names_neurons, rows)) else (rows, columns)


ENDS = (
    ("target_layer", "target_index"),
    ("layer", "index"),
    ("source_layer", "source_index"),
)  # columns that name a neuron, the one that reads first


def names_neurons(row: Row) -> bool:
    """Whether a row has an output's value, names neurons by layer and index, holds some, or a path of them."""
    by_place = any(row.keys() >= set(end) for end in (*ENDS, ("output", "position")))
    return by_place or isinstance(row.get("neurons"), list) or any(map(is_neuron, row.values()))


def is_neuron(value: Any) -> bool:
    return isinstance(value, Mapping) and {"layer", "index"} <= value.keys()


def class_of(row: Row, output: Row, classes: Sequence[str]) -> str | None:
    """The class of the output's neuron that a row is about: its own, or that at the end of its weight or path; None where it is about another."""
    place = row["position"] if row.get("output") in output["numbers"] else None
    named = [(row.get(layer), row.get(index)) for layer, index in ENDS] + [
        (n["layer"], n["index"]) for n in reversed(list(row.values())) if is_neuron(n)
    ]
    for layer, index in named:
        if place is None and layer == output["name"] and index:
            place = sum(n * prod(output["shape"][axis + 1 :]) for axis, n in enumerate(index))
    last = row["neurons"][-1] if isinstance(row.get("neurons"), list) and row["neurons"] else -1
    if place is None and output["begin"] <= last < output["end"]:
        place = last - output["begin"]
    return None if place is None else classes[place % len(classes)]
