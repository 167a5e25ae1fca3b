"""Pictures of a model in the store: `etl plot KIND NAME OUT`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.analysis import Measure, Weighted
from etl.cli.options import ModelName, Quiet, Uri
from etl.cli.output import say
from etl.cli.progress import Display
from etl.cli.store import connected
from etl.errors import BadRequest

if TYPE_CHECKING:
    from etl.store import Store

PICTURE, PAGE = (".png", ".svg"), (".png", ".svg", ".html")

Out = Annotated[Path, typer.Argument(metavar="OUT", help="The picture: what its suffix says (.png, .svg).", show_default=False, readable=False)]
PageOut = Annotated[
    Path, typer.Argument(metavar="OUT", help="The picture: .png, .svg, or .html to zoom and point into.", show_default=False, readable=False)
]
Classes = Annotated[
    Path | None, typer.Option(help="Names of the classes, one a line, in the order of the last layer.", metavar="FILE", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    plots = typer.Typer(no_args_is_help=True, help="Draw a model that is in the store: PNG, SVG or HTML, as the suffix says.")
    for command in (adjacency, weights, degrees, strengths, centrality, layers, paths):
        plots.command()(command)
    app.add_typer(plots, name="plot")


class Sheet:
    """What a picture asks the store for, and where it goes."""

    def __init__(self, store: Store, name: str, out: Path, shown: Display) -> None:
        self.store, self.name, self.out, self.shown = store, name, out, shown
        self.layers = self.ask("layers")

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a stored query about this model."""
        from etl.store import queries

        return queries.run(self.store, query, {"model": self.name, **values})

    def neurons(self) -> int:
        count = sum(layer["neurons"] for layer in self.layers)
        if not count:
            raise BadRequest(f"{self.name} was loaded as layers only: `etl plot layers` draws those")
        return count


def on_sheet(draw: Callable[[Sheet], None], name: str, out: Path, suffixes: tuple[str, ...], uri: str | None, quiet: bool) -> None:
    """Draw, once it is known that the place can be written; say where the picture is."""
    from etl.analysis.plots.figure import check_place

    check_place(out, suffixes)
    with connected(uri, f"Reading {name}", quiet=quiet) as (store, shown):
        draw(Sheet(store.connection, name, out, shown))
    if not quiet:
        say(f"Wrote {out}")


def adjacency(
    *,
    name: ModelName,
    out: PageOut,
    source: Annotated[str | None, typer.Option(help="Only weights out of this layer.", metavar="LAYER", show_default=False)] = None,
    target: Annotated[str | None, typer.Option(help="Only weights into this layer.", metavar="LAYER", show_default=False)] = None,
    bins: Annotated[int, typer.Option(help="About how many cells a side has.", min=1, max=2000)] = 500,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Heat map of the adjacency matrix, or of one block of it: weights counted in cells, and their means.

    Example: `etl plot adjacency digits_cnn block.png --source pool --target digit`
    """

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import figure, interactive
        from etl.analysis.plots.adjacency import heat_map

        sheet.neurons()
        whole = source is None and target is None
        rows = sheet.ask("adjacency_bins", source=source, target=target, bins=bins)
        if not rows:
            ends = "" if whole else f" from {source or 'any layer'} to {target or 'any layer'}"
            raise BadRequest(f"{name} has no weights{ends}: `etl query layer_graph` shows which layer feeds which")
        title = f"{name}: adjacency matrix" + ("" if whole else f", {source or 'all layers'} to {target or 'all layers'}")
        if out.suffix == ".html":
            interactive.save(interactive.heat_map(rows, sheet.layers, title, whole=whole), title, out)
        else:
            figure.save(heat_map(rows, sheet.layers, title, whole=whole), out)

    on_sheet(draw, name, out, PAGE, uri, quiet)


def weights(
    *,
    name: ModelName,
    out: PageOut,
    layer: Annotated[str | None, typer.Option(help="One layer, with a histogram for each kernel.", metavar="LAYER", show_default=False)] = None,
    bins: Annotated[int, typer.Option(help="Bins of each histogram.", min=1, max=1000)] = 50,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Histograms of the stored weights: of every layer, or of one layer and each of its kernels.

    Example: `etl plot weights digits_cnn kernels.png --layer shapes`
    """

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import figure, histograms, interactive

        sheet.neurons()
        whole = sheet.ask("weight_histogram", layer=layer, bins=bins)
        if not whole:
            raise BadRequest(f"{name}: {layer or 'it'} has no stored weights to draw")
        title = f"{name}: stored weights" + (f" of {layer}" if layer else " of each layer")
        kernels = sheet.ask("kernel_histogram", layer=layer, bins=bins) if layer else []
        if out.suffix == ".html":
            page = interactive.kernel_histograms(whole, kernels, title) if layer else interactive.layer_histograms(whole, title)
            interactive.save(page, title, out)
        else:
            statistics = sheet.ask("weight_statistics", layer=layer)
            made = histograms.kernel_histograms(whole, kernels, statistics, title) if layer else histograms.layer_histograms(whole, statistics, title)
            figure.save(made, out)

    on_sheet(draw, name, out, PAGE, uri, quiet)


def degrees(*, name: ModelName, out: Out, uri: Uri = None, quiet: Quiet = False) -> None:
    """How many neurons have how many weights, in and out, layer by layer.

    Example: `etl plot degrees digits_cnn degrees.png`
    """

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import distributions, figure

        sheet.neurons()
        figure.save(distributions.degrees(sheet.ask("degree_distribution"), sheet.layers, f"{name}: degrees"), out)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def strengths(*, name: ModelName, out: Out, uri: Uri = None, quiet: Quiet = False) -> None:
    """How the sums of neurons' weights are distributed, in and out, layer by layer.

    Example: `etl plot strengths digits_cnn strengths.png`
    """

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import distributions, figure

        rows = sheet.ask("strength", limit=sheet.neurons())
        figure.save(distributions.strengths(rows, sheet.layers, f"{name}: strengths"), out)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def centrality(
    *,
    name: ModelName,
    out: Out,
    measure: Annotated[Measure, typer.Option(help="The measure, as `etl measure` has them.", metavar="MEASURE")] = Measure.eigenvector,
    weighted: Weighted = False,
    classes: Classes = None,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """A measure of all neurons, layer by layer, and of each neuron of the last layer with its class.

    Example: `etl plot centrality digits_cnn centrality.png --measure pagerank`
    """
    from etl.analysis.measures import measure_of

    names = read_classes(classes)
    if measure is Measure.laplacian_spectrum:
        raise BadRequest("laplacian_spectrum belongs to no neurons: choose another measure")
    compute = measure_of(measure, weighted=weighted)

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import distributions, figure
        from etl.store import stored_graph as stored

        sheet.neurons()
        edges = stored.edges(sheet.store, stored.span(sheet.store, name), sheet.shown.count)
        values = compute(*edges)
        label = ("weighted " if weighted else "") + measure.replace("_", " ")
        figure.save(distributions.centrality(values, sheet.layers, names, label, f"{name}: {label}, layer by layer"), out)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def layers(*, name: ModelName, out: Out, uri: Uri = None, quiet: Quiet = False) -> None:
    """The graph of the layers, drawn by Graphviz.

    Example: `etl plot layers digits_cnn layers.svg`
    """

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import layers

        layers.draw(sheet.ask("layer_graph"), f"{name}: layers", out)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def paths(
    *,
    name: ModelName,
    out: Out,
    into: Annotated[str | None, typer.Option(help="The class: its number, or its name in --classes.", metavar="CLASS", show_default=False)] = None,
    layer: Annotated[str | None, typer.Option(help="Layer to start from.  [default: the inputs]", metavar="LAYER", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="How many paths.", min=1, max=40)] = 8,
    classes: Classes = None,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """The strongest paths into a class (products of |weight|), drawn as a small network.

    Example: `etl plot paths digits_cnn paths.png --into 4`
    """
    names = read_classes(classes)

    def draw(sheet: Sheet) -> None:
        from etl.analysis.plots import figure
        from etl.analysis.plots.paths import main_paths

        sheet.neurons()
        last = [each for each in sheet.layers if each["neurons"]][-1]
        number = class_number(into, names, last["neurons"])
        rows = sheet.ask("strongest_paths", neuron=last["begin"] + number, layer=layer, limit=limit)
        if not rows:
            raise BadRequest(f"{name} has no path from {layer or 'an input'} to class {number}")
        goal = names[number] if number < len(names) else f"{last['name']} {number}"
        title = f"{name}: the {len(rows)} strongest paths into {goal}" + (f" from {layer}" if layer else "")
        figure.save(main_paths(rows, sheet.layers, goal, title), out)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def read_classes(path: Path | None) -> list[str]:
    """Names of classes, one a line; none without a file."""
    if path is None:
        return []
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} can't be read as a list of classes ({error}): write one name a line") from error


def class_number(into: str | None, names: list[str], count: int) -> int:
    """The class that is meant; without one, the last."""
    if into is None:
        return count - 1
    if into in names[:count]:
        return names.index(into)
    if into.isdecimal() and int(into) < count:
        return int(into)
    known = f", or one of {', '.join(names[:count])}" if names else ""
    raise BadRequest(f"there is no class {into}: say a number from 0 to {count - 1}{known}")
