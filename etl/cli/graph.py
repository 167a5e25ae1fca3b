"""Commands that turn a model file into a graph: plan, load, export, verify; and layers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.options import Format, Mode, ModelFile, Quiet, Rows, Uri, Where, selects
from etl.cli.output import plain, program, remark, say, show, to_json
from etl.cli.progress import bar, stages
from etl.cli.server import say_login
from etl.cli.store import connected
from etl.errors import BadRequest, EtlError
from etl.graph.selection import Selection, graph_of

Progress = Callable[[str, int, int], None]

if TYPE_CHECKING:
    from etl.graph.trace import Graph
    from etl.sinks.neo4j.live import Loaded

PLAN = ("name", "type", "shape", "neurons", "edges", "parameters", "density")


def add_to(app: typer.Typer) -> None:
    for command in (plan, load, export, verify):
        app.command()(selects(command))
    app.command()(layers)


def plan(*, model: ModelFile, selection: Selection, format: Rows = Format.table) -> None:
    """Say what a load would create, per layer and in all; creates nothing.

    Example: `etl plan model.h5 --input-shape 64,64,3`
    """
    show_plan(model, selection, graph_of(model, selection), format)


def show_plan(model: Path, selection: Selection, graph: Graph, form: Format) -> None:
    """The layers of a graph, its totals, what it would cost, and what would fit where it is too much."""
    from etl.graph import estimate

    densities = estimate.density(graph)
    rows = [{name: getattr(row, name) for name in PLAN[:-1]} | {"density": densities[row.name]} for row in graph.rows]
    cost = estimate.cost(graph.neurons, graph.edges)
    if form is Format.json:
        total = {"name": graph.model.name, "neurons": graph.neurons, "edges": graph.edges, "parameters": graph.parameters, "density": graph.density}
        say_json(total | {"store_bytes": cost.store_bytes, "load_seconds": cost.seconds, "layers": rows})
        return
    big = {row.position: "bold yellow" for row in estimate.biggest(graph)}
    views = {row.position: "dim" for row in graph.rows if not row.neurons}
    show(rows, PLAN, form, big | views)
    if form is Format.table:
        say()
        say(totals(graph), style="bold")
        if big:
            say("Most edges: " + ", ".join(f"{plain(row.name)} {row.edges / graph.edges:.0%}" for row in estimate.biggest(graph)))
        show_cost(model, selection, graph)


def totals(graph: Graph) -> str:
    name = plain(graph.model.name)
    return f"{name}: {graph.neurons:,} neurons, {graph.edges:,} edges, {graph.parameters:,} parameters, density {graph.density:.6g}"


def show_cost(model: Path, selection: Selection, graph: Graph) -> None:
    """Store size and time, and what would fit where there is no room or patience for them."""
    from etl.graph import estimate
    from etl.store import home

    cost, free = estimate.cost(graph.neurons, graph.edges), home.free_disk()
    say(f"In Neo4j: about {size(cost.store_bytes)} ({size(free)} free), loaded in about {duration(cost.seconds)}.")
    most = estimate.most_edges(free)
    if graph.edges <= most:
        return
    say()
    say(f"Too big to load: {most:,} edges would fit. Instead:", style="bold")
    offers = [{"option": o.option, "neurons": o.neurons, "edges": o.edges} for o in estimate.offers(model, selection, graph, most)]
    show(offers, ("option", "neurons", "edges"), Format.table)
    say("Without Neo4j, `etl export MODEL OUT.parquet/` streams it to any disk with room, in flat memory.")


def load(
    *,
    model: ModelFile,
    name: Annotated[str | None, typer.Option(help="The model's name in the store. [default: the file's stem]", show_default=False)] = None,
    mode: Annotated[Mode, typer.Option(help="live: over Bolt, into any server; bulk: Neo4j's import tool, into the local one.")] = Mode.auto,
    replace: Annotated[bool, typer.Option("--replace", help="In place of the model of that name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be created, as `etl plan` does.")] = False,
    selection: Selection,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Load a model into Neo4j. Interrupted, the same command goes on where it was.

    Example: `etl load model.h5 --name first_try`
    """
    from etl.readers import check_finite
    from etl.sinks.neo4j.mode import way

    graph = graph_of(model, selection)
    if dry_run:
        show_plan(model, selection, graph, Format.table)
        return
    check_finite(graph.model)
    name = graph.model.name if name is None else name
    if not name:
        raise BadRequest("--name is empty: give the model a name, or leave it out for the file's stem")
    try:
        with stages(quiet=quiet) as tell:
            run = way(graph, name, mode.value, replace=replace, uri=uri, tell=tell)
        with bar(f"Loading {name}", quiet=quiet) as progress:
            loaded = run(progress)
    except KeyboardInterrupt:
        remark("interrupted: the same command goes on where it was")
        raise
    if not quiet:
        say_loaded(loaded, uri or os.environ.get("NEO4J_URI"))


def say_loaded(loaded: Loaded, uri: str | None) -> None:
    """What was loaded, where to look at it, and what to ask first. uri: of the store, None for the local one."""
    from etl import store as stores

    how = {"loaded": "Loaded", "resumed": "Went on and loaded", "replaced": "Replaced", "unchanged": "Already there:"}[loaded.outcome]
    speed = "" if loaded.outcome == "unchanged" else f" in {duration(loaded.seconds)} ({loaded.edges / loaded.seconds:,.0f} weights/s)"
    say(f"{how} {plain(loaded.name)}: {loaded.neurons:,} neurons, {loaded.edges:,} weights{speed}.", style="bold")
    if uri is None:
        say_login(stores.status())
    else:
        say(f"Neo4j:    {uri}, with your user and password there")
    ask = f"{program()} query {{}} {quote(f'model={loaded.name}')}"
    say(f"Try:      {ask.format('layers')}")
    if loaded.edges:
        say(f"          {ask.format('strongest_inputs')} neuron={loaded.base + loaded.neurons - 1} limit=5")


def export(
    *,
    model: ModelFile,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="OUT.parquet/ (a folder), OUT.graphml, or OUT.npz (scipy's sparse adjacency).", show_default=False, readable=False
        ),
    ],
    for_import: Annotated[bool, typer.Option("--for-import", help="OUT becomes a folder for Neo4j's import tool.")] = False,
    selection: Selection,
    quiet: Quiet = False,
) -> None:
    """Write the graph to files; the suffix of OUT says which.

    Example: `etl export model.h5 model.parquet/`
    """
    from etl.readers import check_finite

    write = staged if for_import else sink(out)
    graph = graph_of(model, selection)
    check_finite(graph.model)
    with bar(f"Exporting {graph.model.name}", quiet=quiet) as progress:
        command = write(graph, out, progress)
    if not quiet:
        say(totals(graph))
        say(f"Written to {plain(str(out))}")
        if command:
            say(command)


def sink(out: Path) -> Callable[[Graph, Path, Progress], str | None]:
    """What writes files of that suffix."""
    if out.suffix == ".parquet":
        from etl.sinks import parquet

        return parquet.export
    if out.suffix == ".graphml":
        from etl.sinks import graphml

        return graphml.export
    if out.suffix == ".npz":
        from etl.sinks import npz

        return npz.export
    raise BadRequest(f"{out}: its suffix says nothing that can be written: call it .parquet, .graphml or .npz")


def staged(graph: Graph, out: Path, progress: Progress) -> str:
    """Write files for Neo4j's import tool; the command that takes them."""
    from etl.sinks.neo4j.import_files import stage

    if out.exists():
        raise BadRequest(f"{out} is there already: choose another name, or move it away")
    try:
        out.mkdir(parents=True)
        files = stage(graph, graph.model.name, out.absolute(), progress)
    except OSError as error:
        raise BadRequest(f"{out} can't be written ({error.strerror or error}): choose another place for it") from error
    command = join(("neo4j-admin", "database", "import", "full", *files.arguments, "neo4j"))
    return f"Import it into an empty database with: {command}\nThen load the same file there: what is left to do is to check it."


def verify(
    *,
    model: ModelFile,
    input: Annotated[
        list[Path] | None,
        typer.Option(
            help="Examples to compare on, one .npy an input. [default: two random ones]", metavar="X.npy", show_default=False, readable=False
        ),
    ] = None,
    within: Annotated[
        Where | None,
        typer.Option("--in", help="Let the stored query `forward` compute the outputs inside Neo4j.", show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --in store: the model's name there. [default: the file's stem]", show_default=False)] = None,
    selection: Selection,
    uri: Uri = None,
    format: Rows = Format.table,
    quiet: Quiet = False,
) -> None:
    """Run the graph forward and compare with the framework's own prediction, layer by layer.

    The framework itself runs the file for that: verify only files that you trust.

    Example: `etl verify model.h5`
    """
    from etl.analysis import verify as proof

    given = [proof.array(path) for path in input or ()]
    if within is None:
        compared = proof.verify(model, selection, given)
    else:
        with connected(uri, quiet=quiet) as store:
            compared = proof.verify_in_store(model, store, name, selection, given)
    wrong = [c for c in compared if not c.relative <= proof.TOLERANCE]
    styles = {number: "bold red" for number, c in enumerate(compared) if c in wrong}
    show([vars(c) for c in compared], ("layer", "type", "values", "error", "relative"), format, styles)
    if wrong:
        raise EtlError(
            f"{len(wrong)} of {len(compared)} layers differ by more than {proof.TOLERANCE:g} of their largest value, {wrong[0].layer} first"
        )
    if not quiet and format is Format.table:
        say()
        say(
            f"The graph computes what the framework computes: at most {max(c.relative for c in compared):.2g} of a layer's largest value apart.",
            style="bold",
        )


def layers(*, format: Rows = Format.table) -> None:
    """List every layer kind with a rule, and the options that it takes.

    Example: `etl layers`
    """
    from etl.rules.page import layer_rows

    rows = list(layer_rows())
    if format is Format.table:
        rows = [row | {"options": ", ".join(row["options"])} for row in rows]
    show(rows, ("family", "kind", "options"), format)


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
