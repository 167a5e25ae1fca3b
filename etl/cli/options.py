"""Options that several commands share, each described once."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from etl.cli import completion
from etl.graph.selection import Selection

CHOICE = "What becomes the graph"
FIXED = "Value of an input that is an option and no data (ONNX), like sr=16000."


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


class Granularity(StrEnum):
    neuron = "neuron"
    channel = "channel"
    layer = "layer"


class VerifiedIn(StrEnum):
    store = "store"


class Mode(StrEnum):
    auto = "auto"
    live = "live"
    bulk = "bulk"


# readable: else a file without permission is a wrong usage to typer, not an error of one line
ModelFile = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="The model file: .h5, .keras ...; or a folder of tables, X.parquet/.", show_default=False, readable=False),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The model's name in the store, as `etl status` lists it.", show_default=False, autocompletion=completion.models
    ),
]
Rows = Annotated[Format, typer.Option("--format", help="How rows are printed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary, only results and errors.")]
Constant = Annotated[list[str] | None, typer.Option("--constant", help=FIXED, metavar="NAME=VALUE", show_default=False)]
Uri = Annotated[str | None, typer.Option("--uri", help="Neo4j's address. [default: NEO4J_URI, else the local Neo4j]", show_default=False)]

Architecture = Annotated[str | None, typer.Option(help="The model's JSON, where the file has weights only.", metavar="FILE", show_default=False)]


def shape(text: str) -> tuple[int, ...]:
    """`64,64,3` -> (64, 64, 3)."""
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no shape: write it like 64,64,3, without the batch axis", param_hint="--input-shape") from None


def shapes(texts: list[str]) -> tuple[tuple[int, ...], ...] | dict[str, tuple[int, ...]]:
    """Shapes in the order of the inputs, or by their names: `x=3,224,224`."""
    named = [text.rpartition("=") for text in texts]
    if not any(equals for _, equals, _ in named):
        return tuple(shape(text) for text in texts)
    if not all(equals for _, equals, _ in named):
        raise typer.BadParameter("give all shapes by name, or all in order", param_hint="--input-shape")
    return {name: shape(text) for name, _, text in named}


def constant(text: str) -> tuple[str, Any]:
    """`sr=16000` -> ("sr", 16000): a value is JSON where it parses as JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is no constant: write it like sr=16000", param_hint="--constant")
    try:
        return name, json.loads(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is no number and no list of numbers", param_hint="--constant") from None


def constants(texts: list[str] | None) -> dict[str, Any]:
    """What every --constant says."""
    return dict(constant(text) for text in texts or [])


def expression(text: str) -> tuple[str, str]:
    """`scale=x / 127.5 - 1` -> ("scale", "x / 127.5 - 1")."""
    name, equals, formula = text.partition("=")
    if not equals or not name or not formula.strip():
        raise typer.BadParameter(f"{text!r} says of no layer what it computes: write it like scale='x / 127.5 - 1'", param_hint="--lambda")
    return name, formula.strip()


def span(text: str) -> tuple[str | None, str | None]:
    """`conv_1..dense_0` -> ("conv_1", "dense_0"); either end may be left out."""
    first, dots, last = text.partition("..")
    if not dots or not (first or last):
        raise typer.BadParameter(f"{text!r} is no range of layers: write it like conv_1..dense_0, conv_1.. or ..dense_0", param_hint="--layers")
    return first or None, last or None


def selection(
    *,
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            help="Shape of an input, like 64,64,3; once for each input, in order or as NAME=64,64,3.",
            metavar="SHAPE",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Only the layers from one to another.", metavar="FROM..TO", show_default=False, rich_help_panel=CHOICE)
    ] = None,
    granularity: Annotated[Granularity, typer.Option(help="What a node stands for.", rich_help_panel=CHOICE)] = Granularity.neuron,
    min_weight: Annotated[
        float | None, typer.Option(help="Leave out edges with a smaller |weight|.", metavar="X", min=0, show_default=False, rich_help_panel=CHOICE)
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help="Only the K largest |weight| into each neuron.", metavar="K", min=1, show_default=False, rich_help_panel=CHOICE),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Merge BatchNormalization and lone Activation layers where that is exact.", rich_help_panel=CHOICE)
    ] = False,
    ignore_masks: Annotated[
        bool, typer.Option("--ignore-masks", help="Take masks (mask_zero, Masking) as absent: an approximation.", rich_help_panel=CHOICE)
    ] = False,
    lengths: Annotated[
        list[int] | None,
        typer.Option(
            help="How many steps of masked sequences count: 7, or -7 where padding is in front; once for all masked inputs, or for each in order.",
            metavar="STEPS",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="What the weights belong to, where the file has nothing else: the model's JSON or keras.applications:NAME; for PyTorch's weights "
            "a .pt2, or your own code that makes the module: package.module:callable?option=value, script.py:callable.",
            metavar="FILE",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    constant_input: Annotated[
        list[str] | None,
        typer.Option(
            "--constant",
            help=FIXED,
            metavar="NAME=VALUE",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
    lambda_layer: Annotated[
        list[str] | None,
        typer.Option(
            "--lambda",
            help="What a Lambda layer computes from its input x, like scale='x / 127.5 - 1'; of several inputs: 'abs(x[0] - x[1])'.",
            metavar="NAME=EXPRESSION",
            show_default=False,
            rich_help_panel=CHOICE,
        ),
    ] = None,
) -> Selection:
    """The shared options as one value."""
    return Selection(
        input_shapes=shapes(input_shape or []),
        layers=span(layers) if layers is not None else None,
        granularity=granularity.value,
        min_weight=min_weight,
        top_k=top_k,
        fold=fold,
        ignore_masks=ignore_masks,
        lengths=tuple(lengths or ()),
        architecture=architecture,
        constants=constants(constant_input),
        lambdas=dict(expression(text) for text in lambda_layer or []),
    )


def selects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `selection`; it gets what they say as its argument of that name."""
    chosen = signature(selection, eval_str=True).parameters
    command_parameters = [p for p in signature(command, eval_str=True).parameters.values() if p.name != "selection"]

    @wraps(command)
    def run(**arguments: Any) -> None:
        picked = {name: arguments.pop(name) for name in chosen}
        command(**arguments, selection=selection(**picked))

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*command_parameters, *chosen.values())]
    run.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads the options from here
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run
