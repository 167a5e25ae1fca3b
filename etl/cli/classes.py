"""Names of the classes that a model's outputs stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.errors import BadRequest, reason

if TYPE_CHECKING:
    from etl.api import Store

Classes = Annotated[
    Path | None, typer.Option(help="Names of the classes, one a line, in the order of the last output.", metavar="FILE", show_default=False)
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
    store: Store, rows: Sequence[dict[str, Any]], columns: Sequence[str], classes: Sequence[str], model: str | None
) -> tuple[Sequence[dict[str, Any]], Sequence[str]]:
    """Rows with a column `class`, for neurons of the model's last output: their index, or the position of an output, counts the classes."""
    if not classes:
        return rows, columns
    from cypher import text
    from etl.store.queries import present

    layer = (store.connection.read(text("plot", "outputs"), model=present(store.connection, model)) or [{"name": None}])[-1]["name"]

    def name_of(row: dict[str, Any]) -> str | None:
        ends = (("layer", "index"), ("target_layer", "target_index"), ("source_layer", "source_index"))
        places = [row[index][-1:] for at, index in ends if row.get(at) == layer and row.get(index)]
        place = places[0][0] if places else row.get("position") if "output" in row else None
        return classes[place] if place is not None and place < len(classes) else None

    return [row | {"class": name_of(row)} for row in rows], [*columns, "class"]
