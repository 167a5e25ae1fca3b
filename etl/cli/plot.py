"""Pictures of a model in the store: `etl plot KIND NAME OUT`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli import completion
from etl.cli.analysis import Measure, Weighted
from etl.cli.classes import Classes, read_classes
from etl.cli.options import ModelName, Quiet, Uri
from etl.cli.output import say
from etl.cli.store import connected
from etl.errors import BadRequest

if TYPE_CHECKING:
    from etl.analysis.plots.model_plots import ModelPlots

EIGENVECTOR, SPECTRUM = Measure("eigenvector"), Measure("laplacian_spectrum")
PICTURE, PAGE = (".png", ".svg"), (".png", ".svg", ".html")

Out = Annotated[Path, typer.Argument(metavar="OUT", help="The picture: what its suffix says (.png, .svg).", show_default=False, readable=False)]
PageOut = Annotated[
    Path, typer.Argument(metavar="OUT", help="The picture: .png, .svg, or .html to zoom and point into.", show_default=False, readable=False)
]
OverviewOut = Annotated[Path, typer.Argument(metavar="OUT", help="The page: .html.", show_default=False, readable=False)]
Full = Annotated[bool, typer.Option("--full", help="Every layer by itself, however large the picture gets; else it fits on a screen.")]


def add_to(app: typer.Typer) -> None:
    plots = typer.Typer(no_args_is_help=True, help="Draw a model that is in the store: PNG, SVG or HTML, as the suffix says.")
    for command in (adjacency, weights, degrees, strengths, centrality, layers, paths, overview):
        plots.command()(command)
    app.add_typer(plots, name="plot")


def on_sheet(draw: Callable[[ModelPlots], Any], name: str, out: Path, suffixes: tuple[str, ...], uri: str | None, quiet: bool) -> None:
    """Draw, once it is known that the place can be written; say where the picture is."""
    from etl.analysis.plots import figure, interactive
    from etl.analysis.plots.model_plots import ModelPlots

    figure.check_place(out, suffixes)
    with connected(uri, f"Reading {name}", quiet=quiet) as (store, shown):
        drawn = draw(ModelPlots(store.connection, name, shown.count))
    if out.suffix == ".html":
        interactive.save(drawn, name, out)
    else:
        figure.save(drawn, out)
    if not quiet:
        say(f"Wrote {out}")


def adjacency(
    *,
    name: ModelName,
    out: PageOut,
    source: Annotated[
        str | None, typer.Option(help="Only weights out of this layer.", metavar="LAYER", show_default=False, autocompletion=completion.layers)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Only weights into this layer.", metavar="LAYER", show_default=False, autocompletion=completion.layers)
    ] = None,
    bins: Annotated[int, typer.Option(help="About how many cells a side has.", min=1, max=2000)] = 500,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Heat map of the adjacency matrix, or of one block of it: weights counted in cells, and their means.

    Example: `etl plot adjacency digits_cnn block.png --source pool --target digit`
    """

    def draw(plots: ModelPlots) -> Any:
        page = plots.adjacency_page if out.suffix == ".html" else plots.adjacency
        return page(source=source, target=target, bins=bins)

    on_sheet(draw, name, out, PAGE, uri, quiet)


def weights(
    *,
    name: ModelName,
    out: PageOut,
    layer: Annotated[
        str | None,
        typer.Option(help="One layer, with a histogram for each kernel.", metavar="LAYER", show_default=False, autocompletion=completion.layers),
    ] = None,
    bins: Annotated[int, typer.Option(help="Bins of each histogram.", min=1, max=1000)] = 50,
    full: Full = False,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Histograms of the stored weights: of every layer, or of one layer and each of its kernels.

    Example: `etl plot weights digits_cnn kernels.png --layer shapes`
    """

    def draw(plots: ModelPlots) -> Any:
        if out.suffix == ".html":
            return plots.weights_page(layer=layer, bins=bins)
        return plots.weights(layer=layer, bins=bins, full=full)

    on_sheet(draw, name, out, PAGE, uri, quiet)


def degrees(*, name: ModelName, out: Out, full: Full = False, uri: Uri = None, quiet: Quiet = False) -> None:
    """How many neurons have how many weights, in and out, layer by layer.

    Example: `etl plot degrees digits_cnn degrees.png`
    """

    on_sheet(lambda plots: plots.degrees(full=full), name, out, PICTURE, uri, quiet)


def strengths(*, name: ModelName, out: Out, full: Full = False, uri: Uri = None, quiet: Quiet = False) -> None:
    """How the sums of neurons' weights are distributed, in and out, layer by layer.

    Example: `etl plot strengths digits_cnn strengths.png`
    """

    on_sheet(lambda plots: plots.strengths(full=full), name, out, PICTURE, uri, quiet)


def centrality(
    *,
    name: ModelName,
    out: Out,
    measure: Annotated[Measure, typer.Option(help="The measure, as `etl measure` has them.", metavar="MEASURE")] = EIGENVECTOR,
    weighted: Weighted = False,
    classes: Classes = None,
    full: Full = False,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """A measure of all neurons, layer by layer, and of each neuron of the last layer with its class.

    Example: `etl plot centrality digits_cnn centrality.png --measure pagerank`
    """
    from etl.analysis.measures import measure_of

    names = read_classes(classes)
    if measure is SPECTRUM:
        raise BadRequest("laplacian_spectrum belongs to no neurons: choose another measure")
    measure_of(measure, weighted=weighted)  # what can't be weighted is said before anything is started

    def draw(plots: ModelPlots) -> Any:
        return plots.centrality(measure.value, weighted=weighted, classes=names, full=full)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def layers(*, name: ModelName, out: Out, full: Full = False, uri: Uri = None, quiet: Quiet = False) -> None:
    """The graph of the layers: which feeds which, and what each has.

    Example: `etl plot layers digits_cnn layers.svg`
    """

    on_sheet(lambda plots: plots.layer_graph(full=full), name, out, PICTURE, uri, quiet)


def paths(
    *,
    name: ModelName,
    out: Out,
    into: Annotated[
        str | None,
        typer.Option(
            help="A neuron, such as digit/4; or a class: its number, or its name in --classes.",
            metavar="CLASS",
            show_default=False,
            autocompletion=completion.neurons,
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer to start from.  [default: the inputs]", metavar="LAYER", show_default=False, autocompletion=completion.layers),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many paths.", min=1, max=40)] = 8,
    classes: Classes = None,
    full: Full = False,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """The strongest paths into a neuron (products of |weight|), drawn as a small network; one of a few neurons whole.

    Example: `etl plot paths digits_cnn paths.png --into digit/4`
    """
    names = read_classes(classes)

    def draw(plots: ModelPlots) -> Any:
        from etl.analysis.classes import class_names, classified

        plots.neurons()
        output = classified(plots.outputs(), names)
        called = class_names(output, names)
        if into is not None and "/" in into and into not in names:
            return plots.paths(into, names=called, layer=layer, limit=limit, full=full)
        neuron = output["begin"] + class_number(into, names, output["end"] - output["begin"])
        return plots.paths(neuron, names=called, layer=layer, limit=limit, full=full)

    on_sheet(draw, name, out, PICTURE, uri, quiet)


def overview(*, name: ModelName, out: OverviewOut, classes: Classes = None, uri: Uri = None, quiet: Quiet = False) -> None:
    """A page with the network at a glance: layers, sizes, weights, strongest paths, dead neurons, and the queries behind each.

    Example: `etl plot overview digits_cnn digits.html`
    """
    from etl.analysis.plots import figure
    from etl.analysis.plots.model_plots import ModelPlots
    from etl.analysis.plots.overview import page

    figure.check_place(out, (".html",))
    names = read_classes(classes)
    with connected(uri, f"Reading {name}", quiet=quiet) as (store, shown):
        text = page(ModelPlots(store.connection, name, shown.count), store.connection.browser, names)
    with figure.writing(out):
        out.write_text(text, "utf-8")
    if not quiet:
        say(f"Wrote {out}")


def class_number(into: str | None, names: list[str], count: int) -> int:
    """The class that is meant; without one, the last."""
    if into is None:
        return count - 1
    if into in names[:count]:
        return names.index(into)
    if into.isdecimal() and int(into) < count:
        return int(into)
    choices = f", or one of {', '.join(names[:count])}" if names else ""
    raise BadRequest(f"there is no class {into}: say a number from 0 to {count - 1}{choices}")
