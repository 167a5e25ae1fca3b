"""Commands that turn a model file into a graph: plan, load, export, verify; and layers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from math import prod
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

import etl
from etl.cli.options import Format, Mode, ModelFile, Quiet, Rows, Uri, VerifiedIn, selects
from etl.cli.output import counted, duration, plain, program, remark, say, show, to_json
from etl.cli.progress import display, running
from etl.cli.server import say_login
from etl.errors import BadRequest, EtlError
from etl.graph.selection import Selection
from etl.store.addresses import address

if TYPE_CHECKING:
    from etl.analysis.comparison import Comparison
    from etl.sinks.neo4j.live import Loaded

BIG = 0.1  # share of all edges from which on a layer is called big
PLAN = ("name", "type", "shape", "neurons", "edges", "parameters", "density")


def add_to(app: typer.Typer) -> None:
    for command in (plan, load, export, verify):
        app.command()(selects(command))
    app.command()(layers)


def plan(*, model: ModelFile, selection: Selection, format: Rows = Format.table) -> None:
    """Say what a load would create, per layer and in all; creates nothing.

    Example: `etl plan model.h5 --input-shape 64,64,3`
    """
    show_plan(read(model, selection).plan(), format)


def read(model: Path, selection: Selection) -> etl.Graph:
    """The graph that is asked for."""
    return etl.read(model, **vars(selection))


def show_plan(plan: etl.Plan, form: Format) -> None:
    """The layers of a graph, its totals, what it would cost, and what would fit where it is too much."""
    if form is Format.json:
        print(to_json(asdict(plan)))
        return
    big = sorted((row for row in plan.layers if row["edges"] > BIG * plan.edges), key=lambda row: -row["edges"])
    styles = {number: "bold yellow" if row in big else "dim" for number, row in enumerate(plan.layers) if row in big or not row["neurons"]}
    show(plan.layers, PLAN, form, styles)
    if form is Format.table:
        say()
        say(totals(plan), style="bold")
        if big:
            say("Most edges: " + ", ".join(f"{plain(row['name'])} {row['edges'] / plan.edges:.0%}" for row in big))
        show_cost(plan)


def totals(plan: etl.Plan) -> str:
    sizes = ", ".join(counted(getattr(plan, f"{noun}s"), noun) for noun in ("neuron", "edge", "parameter"))
    return f"{plain(plan.name)}: {sizes}, density {plan.density:.6g}"


def show_cost(plan: etl.Plan) -> None:
    """Store size and time, and what would fit where there is no room or patience for them."""
    say(f"In Neo4j: about {size(plan.store_bytes)} ({size(plan.free_bytes)} free), loaded in about {duration(plan.load_seconds)}.")
    if plan.fetch_bytes:
        say(f"The first load also fetches Neo4j ({size(plan.fetch_bytes)}) and prepares it, once.")
    if plan.edges <= plan.fitting_edges:
        return
    say()
    if plan.lacking:
        say(f"Too big to load: it {plan.lacking}; about {plan.fitting_edges:,} edges would fit. Instead:", style="bold")
    else:
        say("It can be loaded, but no query over the whole of it answers in minutes. Instead:", style="bold")
    offers = [{"option": o.option, "neurons": o.neurons, "edges": o.edges, "": "at most" if o.most else ""} for o in plan.smaller]
    show(offers, ("option", "neurons", "edges", ""), Format.table)
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
    graph = read(model, selection)
    if dry_run:
        show_plan(graph.plan(), Format.table)
        return
    if name == "":
        raise BadRequest("--name is empty: give the model a name, or leave it out for the file's stem")
    try:
        with display(f"Loading {name or graph.name}", quiet=quiet) as shown, etl.connect(uri, stage=shown.stage) as store:
            loaded = store.load(graph, name, mode=mode.value, replace=replace, progress=shown.count)
    except KeyboardInterrupt:
        remark("interrupted: the same command goes on where it was")
        raise
    if not quiet:
        say_loaded(loaded, last_neuron(graph, loaded), uri or os.environ.get("NEO4J_URI"))


def last_neuron(graph: etl.Graph, loaded: Loaded) -> str:
    """The address of the last neuron, such as a class; its id where the layer's shape gives no addresses."""
    layers = [layer for layer in graph.layers.to_pylist() if layer["end"] > layer["begin"]]
    shape = (layers[-1]["shape"] or [1]) if layers else []
    if layers and prod(shape) == layers[-1]["end"] - layers[-1]["begin"]:
        return address(layers[-1]["name"], [size - 1 for size in shape])
    return str(loaded.base + loaded.neurons - 1)


def say_loaded(loaded: Loaded, last: str, uri: str | None) -> None:
    """What was loaded, where to look at it, and what to ask first. last: its last neuron; uri: of the store, None for the local one."""
    from etl import store as stores

    outcome = {"loaded": "Loaded", "resumed": "Went on and loaded", "replaced": "Replaced", "unchanged": "Already there:"}[loaded.outcome]
    rate = f" ({counted(round(loaded.edges / loaded.seconds), 'weight')}/s)" if loaded.edges else ""
    speed = "" if loaded.outcome == "unchanged" else f" in {duration(loaded.seconds)}{rate}"
    say(f"{outcome} {plain(loaded.name)}: {counted(loaded.neurons, 'neuron')}, {counted(loaded.edges, 'weight')}{speed}.", style="bold")
    if uri is None:
        say_login(stores.status())
    else:
        say(f"Neo4j:    {uri}, with your user and password there")
    ask = f"{program()} query {{}} {quote(f'model={loaded.name}')}"
    say(f"Try:      {ask.format('layers')}")
    if loaded.edges:
        say(f"          {ask.format('strongest_inputs')} {quote(f'neuron={last}')} limit=5")


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
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes that write OUT.parquet/ together; the files are the same. [default: one a core, from 20 million edges on]",
            metavar="N",
            min=1,
            show_default=False,
        ),
    ] = None,
    selection: Selection,
    quiet: Quiet = False,
) -> None:
    """Write the graph to files; the suffix of OUT says which. Killed, an export of Parquet goes on with what is finished when it is asked for again.

    Example: `etl export model.h5 model.parquet/`
    """
    if for_import and (jobs or 1) > 1:
        raise BadRequest("--jobs is for OUT.parquet/ alone: files for the import tool are written by one process")
    graph = read(model, selection)
    try:
        with display(f"Exporting {graph.name}", quiet=quiet) as shown:
            prepared = graph.save_for_import(out, progress=shown.count) if for_import else None
            if prepared is None:
                graph.save(out, jobs=jobs, progress=shown.count)
    except KeyboardInterrupt as interrupt:
        for note in getattr(interrupt, "__notes__", ()):
            remark(note)
        raise
    if not quiet:
        say(totals(graph.plan()))
        say(f"Written to {plain(str(out))}")
        if prepared is not None:
            say(f"Import it into an empty database with: {prepared.command}")
            say("Then load the same file there: what is left to do is to check it.")


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
        VerifiedIn | None,
        typer.Option("--in", help="Let the stored query `forward` compute the outputs inside Neo4j.", show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option(help="With --in store: the model's name there. [default: the file's stem]", show_default=False)] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Let Keras run the code of Lambda layers that is in the file.")] = False,
    selection: Selection,
    uri: Uri = None,
    format: Rows = Format.table,
    quiet: Quiet = False,
) -> None:
    """Run the graph forward and compare with the framework's own prediction, layer by layer.

    The framework itself runs the file for that: verify only files that you trust.

    Example: `etl verify model.h5`
    """
    from etl.analysis.comparison import TOLERANCE
    from etl.analysis.verify import array

    inputs, options = [array(path) for path in input or ()], vars(selection)
    with (
        running(f"Comparing {model} with its framework", quiet=quiet) as shown,
        etl.connect(uri, stage=shown.stage) if within else nullcontext() as store,
    ):
        compared = etl.verify(model, inputs=inputs, store=store, name=name, trust=trust, **options)
    wrong = [c for c in compared if not c.right]
    styles = {number: "bold red" for number, c in enumerate(compared) if c in wrong}
    show([vars(c) for c in compared], ("layer", "type", "values", "error", "relative", "arithmetic", "noise"), format, styles)
    if compared.untold and not quiet:
        remark("not compared, since the framework doesn't tell what they compute: " + plain(", ".join(compared.untold)))
    if wrong:
        raise EtlError(f"{len(wrong)} of {len(compared)} layers differ by more than {TOLERANCE:g} of their largest value, {wrong[0].layer} first")
    if not quiet and format is Format.table:
        say()
        say(
            f"The graph computes what the framework computes: at most {max(c.relative for c in compared):.2g} of a layer's largest value apart.",
            style="bold",
        )
        say_noise(compared)


def say_noise(compared: Sequence[Comparison]) -> None:
    """Where the framework's own float32 is not worth the comparison."""
    noisy = [c for c in compared if c.noise is not None]
    if noisy:
        names = plain(", ".join(c.layer for c in noisy))
        precision = "compared in float64" if noisy[0].arithmetic == "float64" else "compared with that in mind"
        noise = max(c.noise or 0 for c in noisy)
        say(f"The framework's own rounding in float32 moves {names} by up to {noise:.2g} of the largest value: {precision}.")


def layers(*, format: Rows = Format.table) -> None:
    """List every layer kind with a rule, and the options that it takes.

    Example: `etl layers`
    """
    rows = etl.layer_kinds()
    if format is Format.table:
        rows = [row | {"options": ", ".join(row["options"])} for row in rows]
    show(rows, ("family", "kind", "options"), format)


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
