"""The graph of a model's layers, drawn by Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from etl.analysis.plots.figure import Row, printable, short, writing
from etl.analysis.plots.scale import owners
from etl.errors import BadRequest

SECONDS = 300
FILLS = {"InputLayer": "#deebf7", "view": "#f7f7f7"}
OTHER = "#fee6ce"


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """rows of `layer_graph`. Raises BadRequest where Graphviz is not installed, or gives up."""
    program = shutil.which("dot")
    if program is None:
        raise BadRequest("the layer graph is drawn by Graphviz, which is not installed (no `dot`): install graphviz from your system's packages")
    form = path.suffix.removeprefix(".")
    try:
        done = subprocess.run([program, f"-T{form}", "-Gdpi=110"], input=dot(rows, title).encode(), capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadRequest(f"Graphviz did not finish within {SECONDS} s: the model has too many layers for a picture") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise BadRequest(f"Graphviz could not draw the layers: {said[0]}")
    with writing(path):
        path.write_bytes(done.stdout)


def dot(rows: Sequence[Row], title: str) -> str:
    """The layers in Graphviz' language: sublayers are drawn as part of their layer."""
    layers = {row["source"]["name"]: row["source"] for row in rows}
    shown = owners(list(layers.values()))
    number = {name: n for n, name in enumerate(dict.fromkeys(shown.values()))}
    lines = [
        "digraph layers {",
        f'graph [label={quoted(title)}, labelloc=t, rankdir=TB, nodesep=0.3, ranksep=0.3, fontname="DejaVu Sans", fontsize=12];',
        'node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=10, color="#777777", margin="0.15,0.07"];',
        'edge [color="#777777", arrowsize=0.7];',
    ]
    for name, n in number.items():
        neurons = sum(layer["end"] - layer["begin"] for each, layer in layers.items() if shown[each] == name)
        weights = sum(layer["edges"] for each, layer in layers.items() if shown[each] == name)
        lines.append(f"n{n} [label={label(layers[name], neurons, weights)}, fillcolor={quoted(fill(layers[name], neurons))}];")
    pairs = {(shown[row["source"]["name"]], shown[row["target"]["name"]]): None for row in rows if row["target"]}
    lines += [f"n{number[a]} -> n{number[b]};" for a, b in pairs if a != b]
    return "\n".join([*lines, "}"])


def label(layer: Row, neurons: int, weights: int) -> str:
    """Name; kind and shape; what it has."""
    shape = "x".join(str(n) for n in layer["shape"]) or "1"
    has = f"{neurons:,} neurons" + (f", {weights:,} weights" if weights else "") if neurons else "only moves values"
    return "<<B>" + escaped(short(layer["name"])) + f'</B><BR/>{escaped(layer["type"])} {shape}<BR/><FONT POINT-SIZE="8">{has}</FONT>>'


def fill(layer: Row, neurons: int) -> str:
    return FILLS.get(layer["type"], OTHER if neurons else FILLS["view"])


def escaped(text: str) -> str:
    """Text in an HTML-like label."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(text: str) -> str:
    """Text as a string of that language: nothing in a name ends it."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
