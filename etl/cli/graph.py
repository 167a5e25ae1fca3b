"""Commands that turn a model file into a graph: plan, load, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.options import Format, ModelFile, Quiet, Rows, selects
from etl.cli.output import plain, say, show, to_json
from etl.cli.progress import weights
from etl.errors import BadRequest
from etl.selection import Selection, graph_of

if TYPE_CHECKING:
    from etl.graph import Graph

PLAN = ("name", "type", "shape", "neurons", "edges", "parameters", "density")


def add_to(app: typer.Typer) -> None:
    app.command()(selects(plan))
    app.command()(selects(export))


def plan(*, model: ModelFile, selection: Selection, format: Rows = Format.table) -> None:
    """Say what a load would create, per layer and in all; creates nothing.

    Example: `etl plan model.h5 --input-shape 64,64,3`
    """
    show_plan(model, selection, graph_of(model, selection), format)


def show_plan(model: Path, selection: Selection, graph: Graph, form: Format) -> None:
    """The layers of a graph, its totals, what it would cost, and what would fit where it is too much."""
    from etl import estimate

    densities = estimate.density(graph)
    rows = [{name: getattr(row, name) for name in PLAN[:-1]} | {"density": densities[row.name]} for row in graph.rows]
    cost = estimate.cost(graph.neurons, graph.edges)
    if form is Format.json:
        total = {"name": graph.model.name, "neurons": graph.neurons, "edges": graph.edges, "parameters": graph.parameters, "density": graph.density}
        say_json(total | {"store_bytes": cost.store_bytes, "load_seconds": cost.seconds, "layers": rows})
        return
    big = {number: "bold yellow" for number, row in enumerate(graph.rows) if estimate.is_big(row, graph)}
    views = {number: "dim" for number, row in enumerate(graph.rows) if not row.neurons}
    show(rows, PLAN, form, big | views)
    if form is Format.table:
        say()
        say(totals(graph), style="bold")
        show_cost(model, selection, graph)


def totals(graph: Graph) -> str:
    name = plain(graph.model.name)
    return f"{name}: {graph.neurons:,} neurons, {graph.edges:,} edges, {graph.parameters:,} parameters, density {graph.density:.6g}"


def show_cost(model: Path, selection: Selection, graph: Graph) -> None:
    """Store size and time, and what would fit where there is no room or patience for them."""
    from etl import estimate

    cost, free = estimate.cost(graph.neurons, graph.edges), estimate.room()
    say(f"In Neo4j: about {size(cost.store_bytes)} ({size(free)} free), loaded in about {duration(cost.seconds)}.")
    most = estimate.most_edges(free)
    if graph.edges <= most:
        return
    say()
    say(f"Too big to load: {most:,} edges would fit. Instead:", style="bold")
    offers = [{"option": o.option, "neurons": o.neurons, "edges": o.edges} for o in estimate.offers(model, selection, graph, most)]
    show(offers, ("option", "neurons", "edges"), Format.table)
    say("Without Neo4j, `etl export MODEL OUT.parquet/` streams it to any disk with room, in flat memory.")


def export(
    *,
    model: ModelFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to: OUT.parquet/, a folder.", show_default=False)],
    selection: Selection,
    quiet: Quiet = False,
) -> None:
    """Write the graph to files; the suffix of OUT says which.

    Example: `etl export model.h5 model.parquet/`
    """
    if out.suffix != ".parquet":
        raise BadRequest(f"{out}: its suffix says nothing that can be written; call it .parquet")
    from etl.sinks import parquet

    graph = graph_of(model, selection)
    with weights(f"Exporting {graph.model.name}", graph.edges, quiet=quiet) as advance:
        parquet.export(graph, out, advance)
    if not quiet:
        say(totals(graph))
        say(f"Written to {plain(str(out))}: model.json, layers, outputs, neurons/ and weights/ (docs/graph.md tells the columns).")


def say_json(value: Any) -> None:
    print(to_json(value))


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
