"""The table of all rules as rows and as a page: `python -m etl.rules.layers_page > docs/layers.md`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from etl.activations import BEYOND, FUNCTIONS
from etl.network import Layer
from etl.rules.binding import accepted
from etl.rules.dialect import Dialect
from etl.rules.dialects import DIALECTS
from etl.rules.keras import FAMILIES, REFUSED
from etl.rules.keras.activation_names import ALIASES, COMPOSED
from etl.rules.keras.nodes import NODES
from etl.rules.misfits import signature_of
from etl.rules.scope import Weights

HEAD = """# Layers

Every kind of layer that has a graph, with what it becomes and the options and weights that its rule takes. An option that is not in its row and
could change the result is refused by name, before anything is loaded; what only matters in training (initializers, regularizers, rates of
dropout, seeds) is left out. `python -m etl layers` prints the same table. To add a layer: [adding-a-layer.md](adding-a-layer.md).

The words: a *view* moves values and makes no neurons; *edges (..., k)* are what neurons of shape (...) read, k each; shapes leave the batch out.
Names in `code` style after a colon are sublayers: `layer/name`. Formulas of neurons: [graph.md](graph.md).

This page is made from the rules themselves: `python -m etl.rules.layers_page > docs/layers.md`.
"""

INPUTS = """## Models and inputs

`Sequential`, `Functional` and models within models are not in the table: they are walked through, however deep they are nested. `InputLayer` makes
one neuron for each place of an input; for each category of each place where an Embedding or another encoding looks the input up. Old names
(`Convolution2D`, `AvgPool2D`, `SyncBatchNormalization`, `LSTMV2` ...) are read as the new ones.
"""

OPERATIONS = """What stands between layers in functional models: `op:` and the class of `keras.ops` (files of Keras 3) or TensorFlow's function
(Keras 2). Axes count the batch; an operation along axis 0 mixes examples and is refused. A constant becomes a weight or a bias.
"""

ACTIVATIONS = """## Activations

An activation is a function of Keras 3's `keras.activations`, written as a call with the arguments that are not its defaults: `relu(max_value=6.0)`.
"""

MISSING = """## Refused

These have no graph, and a model with one of them is refused with the reason.
"""


def layer_rows() -> Iterator[dict[str, Any]]:
    """A row for each kind with a rule: family, kind, names of its options and of its weights, what it makes."""
    for family, rules in FAMILIES.items():
        for kind, rule in rules.items():
            yield {"family": family, "kind": kind, "options": list(options(rule)), "weights": weights(rule), "makes": makes(rule)}
    for dialect in other_dialects():
        for family, table_of in dialect.families.items():
            for kind, rule in table_of.items():
                row = {"kind": kind, "options": list(options(rule)), "weights": weights(rule), "makes": makes(rule)}
                yield {"family": f"{dialect.title}: {family}", **row}


def other_dialects() -> list[Dialect]:
    """The dialects of other frameworks than Keras."""
    return [dialect for name, dialect in DIALECTS.items() if not name.startswith("keras")]


def makes(rule: Callable[..., Any]) -> str:
    """The first line of a rule's docstring."""
    return (rule.__doc__ or "").strip().split("\n")[0]


STORED = (Weights, Weights | None)  # types of what is no option: stored arrays,
INNER = (Layer, tuple[Layer, ...])  # and layers inside
INTERNAL = ("part", "length", "query_length", "value_length", "key_length")  # what another rule tells it, or the user about masks; in no file


def options(rule: Callable[..., Any]) -> dict[str, str]:
    """The options that a rule takes, each with its default where it has one."""
    parameters = signature_of(rule).parameters
    keyword_options = {n: p for n in accepted(rule) if (p := parameters[n]).kind is p.KEYWORD_ONLY and p.annotation not in (*STORED, *INNER)}
    return {n: n if p.default in (p.empty, None) else f"{n}={p.default!r}" for n, p in keyword_options.items() if n not in INTERNAL}


def weights(rule: Callable[..., Any]) -> list[str]:
    """Names of the stored arrays that a rule takes."""
    parameters = signature_of(rule).parameters
    return [name for name in accepted(rule) if parameters[name].annotation in STORED]


def layers_page() -> str:
    """The whole page."""
    sections = [HEAD, INPUTS]
    for family, rules in FAMILIES.items():
        operations = family == "Operations"
        sections += [f"## {family}\n", *([OPERATIONS] if operations else []), table(rules), *([nodes()] if operations else [])]
    sections += [ACTIVATIONS, activations(), MISSING, refusals(REFUSED)]
    for dialect in other_dialects():
        sections += [f"# {dialect.title}\n"]
        for family, rows in dialect.families.items():
            sections += [f"## {dialect.title}: {family.lower()}\n", table(rows)]
        sections += [f"## {dialect.title}: refused\n", refusals(dialect.refused)]
    return "\n".join(sections)


def table(rules: Mapping[str, Callable[..., Any]]) -> str:
    """One family: kinds that share a rule share a row."""
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for kind, rule in rules.items():
        row = makes(rule), ", ".join(f"`{option}`" for option in options(rule).values()), ", ".join(f"`{option}`" for option in weights(rule))
        kinds.setdefault(row, []).append(kind)
    with_weights = any(weights_text for _, _, weights_text in kinds)
    lines = ["| kind | what it makes | options |" + (" weights |" if with_weights else ""), "|---|---|---|" + ("---|" if with_weights else "")]
    for (text, option_text, weights_text), names in kinds.items():
        lines.append(f"| {', '.join(names)} | {cell(text)} | {option_text} |" + (f" {weights_text} |" if with_weights else ""))
    return "\n".join([*lines, ""])


def nodes() -> str:
    return f"Operations that a `TensorFlowOpLayer` may hold: {', '.join(f'`{name}`' for name in sorted(NODES))}.\n"


def activations() -> str:
    """The activations by name, with arguments, and those that are written out."""
    lines = ["| activation | arguments |", "|---|---|"]
    for name, arguments in FUNCTIONS.items():
        if name not in BEYOND:
            lines.append(f"| {name} | {', '.join(f'`{k}`' if v is ... else f'`{k}={v!r}`' for k, v in arguments.items())} |")
    lines += ["", f"Beyond those, operations and formulas use {', '.join(f'`{name}`' for name in FUNCTIONS if name in BEYOND)}."]
    lines += [f"Other names for the same: {', '.join(f'`{other}` for `{name}`' for other, name in ALIASES.items())}.", ""]
    lines += ["Written out as several steps:", "", *(f"- `{name}`: {makes(rule)}" for name, rule in COMPOSED.items()), ""]
    return "\n".join(lines)


def refusals(refused: Mapping[str, str]) -> str:
    return "\n".join(["| kind | why |", "|---|---|", *(f"| {kind} | It {cell(why)}. |" for kind, why in refused.items()), ""])


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(layers_page())
