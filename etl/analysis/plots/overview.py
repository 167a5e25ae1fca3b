"""A model at a glance: one page that needs no network, by Jinja, its pictures inside as SVG; each part with the query behind it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from etl.analysis.classes import class_names, classified
from etl.analysis.plots.figure import DPI, Row, printable, styled
from etl.errors import QueryError
from etl.store.addresses import address_of
from etl.store.browser import examples, favourite
from etl.store.queries import find

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from etl.analysis.plots.model_plots import ModelPlots

FIRST = 20  # rows of a table that may be long


@dataclass
class Section:
    """A section of the page. command: what to type for it; link: to the query in Neo4j Browser; rows: a table."""

    title: str
    command: str
    link: str = ""
    remark: str = ""
    picture: str = ""
    rows: list[Row] = field(default_factory=list)


def page(plots: ModelPlots, browser: str | None, classes: Sequence[str] = ()) -> str:
    """The page of a model. browser: Neo4j Browser's address, where it is known; classes: names of an output's neurons."""
    from jinja2 import Environment

    (summary,) = plots.ask("summary")
    facts = f"{count(summary['neurons'], 'neuron')}, {count(summary['edges'], 'weight')}, {count(summary['parameters'], 'parameter')}"
    template = Environment(autoescape=True).from_string(resources.files(__package__).joinpath("overview.html").read_text("utf-8"))
    return template.render(name=printable(plots.name), facts=facts, sections=sections(plots, browser, classes), shown=shown)


def sections(plots: ModelPlots, browser: str | None, classes: Sequence[str] = ()) -> list[Section]:
    """Layer graph, sizes, weights, strongest paths, neurons that nobody reads; of a model that was loaded as layers only the first two."""

    values = examples(plots.store, plots.name)

    def behind(query: str) -> dict[str, Any]:
        return {"command": f"etl query {query} {quoted(f'model={plots.name}')}", "link": link(query, values, browser)}

    sizes = [{name: layer[name] for name in ("name", "type", "shape", "neurons", "edges", "parameters")} for layer in plots.layers]
    graph = Section("Layers", **behind("layer_graph"), picture=inline(plots.layer_graph()))
    built = [graph, Section("Sizes", **behind("layers"), rows=sizes)]
    if not any(layer["neurons"] for layer in plots.layers):
        return built
    try:
        if plots.ask("weight_histogram", bins=1):
            built.append(Section("Weights", **behind("weight_histogram"), picture=inline(plots.weights())))
    except QueryError as error:  # of channels, say: their weights are no stored numbers
        built.append(Section("Weights", **behind("weight_histogram"), remark=f"{error}"))
    output = classified(plots.outputs(), classes)
    last = output["end"] - 1
    paths = [{"product": row["product"], "path": row["path"]} for row in plots.ask("strongest_paths", neuron=last, limit=5)]
    if paths:
        names = class_names(output, classes)
        into = f"{names[last]} ({address_of(last, plots.layers)})" if names else address_of(last, plots.layers)
        built.append(Section(f"Strongest paths into {into}", **behind("strongest_paths"), picture=inline(plots.paths(last, names=names)), rows=paths))
    dead = plots.ask("dead_sources", limit=1_000_000)
    few = f" The first {FIRST} of them:" if len(dead) > FIRST else ""
    unread = f"Nobody reads {count(len(dead), 'neuron')}.{few}" if dead else "Each neuron is read by another, or is an output."
    built.append(Section("Dead neurons", **behind("dead_sources"), remark=unread, rows=dead[:FIRST]))
    return built


def link(query: str, values: Mapping[str, str], browser: str | None) -> str:
    """Neo4j Browser with the query in its editor. values: of the model, for its `:param` line."""
    return f"{browser}?{urlencode({'cmd': 'edit', 'arg': favourite(find(query), values)}, quote_via=quote)}" if browser else ""


@styled
def inline(figure: Figure) -> str:
    """A figure inside of a page, its letters as outlines: they look alike everywhere."""
    import matplotlib

    matplotlib.rcParams["svg.fonttype"] = "path"
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def count(number: int, noun: str) -> str:
    """`1 neuron`, `1,306 neurons`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quoted(text: str) -> str:
    """Text as a shell takes it."""
    from shlex import quote as shell

    return shell(printable(text))


def shown(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "x".join(map(str, value)) if isinstance(value, list) else printable(str(value))
