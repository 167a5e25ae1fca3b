"""Commands that look into a model: measure, features, split."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import etl
from etl.cli.classes import Classes, read_classes, with_classes
from etl.cli.options import Architecture, Constant, Format, ModelFile, ModelName, Quiet, Rows, Uri, constants, shape
from etl.cli.output import plain, remark, show
from etl.cli.progress import running
from etl.cli.store import connected

Weighted = Annotated[bool, typer.Option("--weighted", help="eigenvector: follow the signed weights, which it leaves aside without this.")]


class Preset(StrEnum):
    """How a picture becomes numbers; see `PRESETS`."""

    imagenet = "imagenet"
    caffe = "caffe"
    symmetric = "symmetric"
    unit = "unit"
    none = "none"


MEASURES = {  # those of etl/analysis/measures, written out: importing them is slow
    "strength": "sum of the signed weights in and out",
    "average_neighbour_degree": "mean number of the neighbours' edges, by the weights to them",
    "bipartite_clustering": "how much of its neighbours it shares with their other neighbours, over weights above zero",
    "cliques": "number of neighbours over weights above zero",
    "current_flow_closeness": "1 / sum of the resistances to all others, edges conducting their signed weights",
    "subgraph": "closed walks through it, long ones counting less, over weights above zero",
    "harmonic": "sum of 1 / distance to all others, weights above zero being distances",
    "second_order": "standard deviation of a random walk's return times, over weights above zero",
    "eigenvector": "eigenvector centrality, along incoming edges",
    "pagerank": "PageRank, with |weight| as the weights",
    "betweenness": "share of the shortest paths that lead through it, in edges",
    "laplacian_spectrum": "eigenvalues of the directed Laplacian, ascending: one a row of the matrix, none of a neuron",
}
Measure = StrEnum("Measure", {name: name for name in MEASURES})  # type: ignore[misc]  # mypy wants the names written out


def add_to(app: typer.Typer) -> None:
    described = "\n".join(f"- {name}: {meaning}" for name, meaning in MEASURES.items())
    app.command(help=f"{measure.__doc__}\n{described}")(measure)
    for command in (features, split):
        app.command()(command)


def measure(
    *,
    name: ModelName,
    measure: Annotated[Measure, typer.Argument(metavar="MEASURE", help="One of those above.", show_default=False)],
    weighted: Weighted = False,
    write: Annotated[str | None, typer.Option(help="Store the values on the neurons too.", metavar="PROPERTY", show_default=False)] = None,
    classes: Classes = None,
    format: Rows = Format.table,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """One number a neuron: strengths, centralities and the like, of a model in the store.

    Example: `etl measure digits_cnn strength --write strength`
    """
    class_names = read_classes(classes)
    with connected(uri, f"Measuring {name}", quiet=quiet) as (store, shown):
        measured = store[name].measure(measure.value, weighted=weighted, write=write, progress=shown.count)
        rows, columns = with_classes(store, measured, measured.columns, class_names, name)
    show(rows, columns, format)
    if write is not None and not quiet:
        remark(f"written on the neurons of {plain(name)} as {write}")


def features(
    *,
    model: ModelFile,
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="A picture, or a .npy array that is taken as it is.", show_default=False, readable=False)
    ],
    layer: Annotated[list[str] | None, typer.Option(help="A layer to show. [default: up to six convolutions]", show_default=False)] = None,
    top: Annotated[int | None, typer.Option(help="The K channels with the largest mean. [default: the first 12]", metavar="K", min=1)] = None,
    preprocess: Annotated[
        Preset | None,
        typer.Option(
            help="imagenet: mean and deviation of its colours; caffe: its mean, blue first; symmetric: -1..1; unit: 0..1; none: 0..255. "
            "[default: as the architecture was trained, else unit]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to: .png, .svg, .pdf, or .npz for the arrays. [default: IMAGE_features.png]", show_default=False)
    ] = None,
    write: Annotated[
        str | None, typer.Option(help="Store all activations as `value` on the neurons of this model.", metavar="NAME", show_default=False)
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option(help="Where the file leaves it open, like 224,224,3.", metavar="SHAPE", show_default=False)
    ] = None,
    architecture: Architecture = None,
    constant_input: Constant = None,
    uri: Uri = None,
    format: Rows = Format.table,
    quiet: Quiet = False,
) -> None:
    """Draw what layers make of a picture: their feature maps.

    The framework itself runs the file for that: take only files that you trust.

    Example: `etl features digits_cnn.h5 seven.png --layer strokes --layer shapes`
    """
    from etl.analysis import feature_pictures
    from etl.analysis import features as maps

    shapes, prepared = (shape(input_shape),) if input_shape else (), preprocess and preprocess.value
    fixed = constants(constant_input)
    with running(f"Running {model} on {image}", quiet=quiet):
        computed = etl.features(model, image, preprocess=prepared, input_shapes=shapes, architecture=architecture, constants=fixed)
    names = maps.chosen(computed, layer or [])
    out = out or Path(f"{image.stem}_features.png")
    feature_pictures.draw(computed, names, top, out)
    if write is not None:
        with connected(uri, f"Writing the values of {write}", quiet=quiet) as (store, shown):
            store[write].set_values(computed, progress=shown.count)
    show([row for name in names for row in maps.rows(name, computed.maps(name), top)], ("layer", "channel", "mean", "min", "max"), format)
    if not quiet:
        remark(f"drawn in {plain(str(out))}" + (f", the picture prepared as {computed.preset}" if computed.preset else ""))


def split(
    *,
    model: ModelFile,
    at: Annotated[list[str], typer.Option(help="Cut after this layer; as often as wanted.", metavar="LAYER", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Folder for the parts: new, empty, or of an earlier split.", metavar="FOLDER", show_default=False, readable=False)
    ],
    allow_branches: Annotated[bool, typer.Option("--allow-branches", help="Cut inside branches too: parts with several inputs.")] = False,
    architecture: Architecture = None,
    constant_input: Constant = None,
    tag: Annotated[
        str | None, typer.Option(help="Number the parts on the Layer nodes (`part`) of this model in the store.", metavar="NAME", show_default=False)
    ] = None,
    uri: Uri = None,
    format: Rows = Format.table,
    quiet: Quiet = False,
) -> None:
    """Write a model as several, each of which takes what the one before it gives.

    The framework itself runs the file for that: split only files that you trust.

    Example: `etl split resnet50.h5 --at conv3_block4_out --out parts`
    """
    with running(f"Splitting {model}", quiet=quiet):
        written = etl.split(model, at, out, allow_branches=allow_branches, architecture=architecture, constants=constants(constant_input))
    if tag is not None:
        with connected(uri, quiet=quiet) as (store, _):
            store[tag].tag(written)
    rows: list[dict[str, Any]] = [
        {"part": number, "file": part.file, "layers": len(part.layers), "inputs": part.inputs, "outputs": part.outputs}
        for number, part in enumerate(written)
    ]
    if format is Format.table:
        rows = [row | {"inputs": ", ".join(row["inputs"]), "outputs": ", ".join(row["outputs"])} for row in rows]
    show(rows, ("part", "file", "layers", "inputs", "outputs"), format)
