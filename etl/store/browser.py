"""What Neo4j Browser takes by drag and drop: a style sheet for a model, and the stored queries as favourites.

Neo4j Browser 5.24 takes one file at a time: .grass (a style sheet), .cypher (a favourite), .zip (its .cypher files, each a favourite).
The first line of a favourite is its name: it begins with what the query is about, since Browser makes no useful folders of a zip file.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from cypher import text
from etl.errors import BadRequest
from etl.store.models import models
from etl.store.palette import channels, layer_colours
from etl.store.queries import Query, present, queries
from etl.store.transactions import Store

Rules = dict[str, dict[str, str]]

INK, BLACK, PAPER, GREY, PALE = "#1B1B1F", "#000000", "#FFFFFF", "#6B7280", "#B8BEC8"
CAPTION = "{layer} {index}"  # the address, with a blank where Browser may go on in the next line: it cuts off a word that is wider than its neuron
DIAMETERS = {"input": "50px", "hidden": "60px", "output": "80px"}
UNSPEAKABLE = frozenset("\\\n\r\u2028\u2029")  # Browser reads a backslash in a selector with whatever follows as a dot, and stops at ends of lines
TEXT = {"text-color-external": INK, "text-color-internal": PAPER}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file knows: the same queries make the same bytes


def style(store: Store, model: str | None = None) -> str:
    """A style sheet (GraSS, in its JSON form) that colours a model's neurons by layer and sizes them by role. Raises NotInStore."""
    rows = store.read(text("browser", "labels"), model=present(store, model))
    return sheet([(row["label"], row["role"]) for row in rows])


def sheet(layers: list[tuple[str, str]]) -> str:
    """The style sheet for layers in their order, each a label and a role: input, hidden or output.

    JSON, because the form that looks like CSS has no way to write a label with a blank or a quote. Later rules go before earlier ones.
    """
    rules: Rules = {
        "node": {"diameter": "50px", **colours(GREY), "border-width": "2px", "font-size": "10px", "caption": "<id>"},
        "node.Model": {"diameter": "80px", **colours(INK), "caption": "{name}"},
        "node.Layer": {"diameter": "65px", **colours("#4C5A78"), "caption": "{name}"},
        "node.Neuron": {"diameter": DIAMETERS["hidden"], **colours(GREY), "caption": CAPTION},
        "relationship": {"color": PALE, "shaft-width": "1px", "font-size": "8px", "padding": "3px", **TEXT, "caption": "<type>"},
        "relationship.WEIGHT": {"color": PALE, "shaft-width": "2px", "caption": ""},  # a weight has too many digits for that
    }
    roles: dict[str, str] = {}
    for label, role in layers:
        roles[label] = role if roles.get(label) in (None, "hidden") else roles[label]
    for (label, role), fill in zip(roles.items(), layer_colours(len(roles)), strict=True):
        if not UNSPEAKABLE.intersection(label):
            rules[selector(label)] = {"diameter": DIAMETERS[role], **colours(fill), "caption": CAPTION}
    lines = (f"{json.dumps(name)}: {json.dumps(look)}" for name, look in rules.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def selector(label: str) -> str:
    r"""`node.label`, with the label's own dots as `\.`."""
    return "node." + label.replace(".", "\\.")


def colours(fill: str) -> dict[str, str]:
    """A fill with a darker border, and a text on it in black or white, whichever is easier to read."""
    border = "#" + "".join(f"{channel * 3 // 4:02X}" for channel in channels(fill))
    return {"color": fill, "border-color": border, "text-color-internal": max(BLACK, PAPER, key=lambda colour: contrast(colour, fill))}


def contrast(first: str, second: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2, contrast ratio)."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of #RRGGBB, from 0 to 1 (WCAG 2.2, relative luminance)."""
    values = [channel / 255 for channel in channels(colour)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def folder() -> Path:
    """Where the stored queries lie, one file each."""
    return Path(str(resources.files("cypher") / "analysis"))


def first_query(store: Store, model: str | None = None) -> str:
    """A query that draws what an output neuron of a model listens to, by default of the one loaded last; of the layers where none has neurons.

    The neuron is named by its id: names come from files, and Browser takes no parameters along with a text. Raises NotInStore.
    """
    loaded = [row["name"] for row in sorted(models(store), key=lambda row: str(row["loadedAt"] or "")) if row["state"] == "COMPLETE"]
    name = present(store, model) if model is not None else loaded[-1] if loaded else None
    outputs = store.read(text("browser", "output"), model=name)
    return text("browser", "first").replace("$target", str(outputs[0]["id"])) if outputs else text("browser", "layers")


def literal(value: Any) -> str:
    """A value as Cypher writes it. For texts that people copy: statements that are run here take names as parameters."""
    return "'" + json.dumps(value)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'" if isinstance(value, str) else json.dumps(value)


def examples(store: Store, model: str) -> dict[str, str]:
    """Values for the parameters of stored queries that fit a model, as expressions: its own names of layers, one of its neurons."""
    layers = store.read(text("analysis", "layers"), model=model)
    weighted = [row for row in layers if row["edges"]]
    size = sum(row["neurons"] for row in layers if row["type"] == "InputLayer")
    outputs = store.read(text("browser", "output"), model=model)
    values = {"model": literal(model), "other": literal(next((row["name"] for row in models(store) if row["name"] != model), model))}
    values["input"] = f"[i IN range(1, {size}) | 0.0]"
    if outputs and weighted:
        stored = [row for row in weighted if row["parameters"]] or weighted
        first, second = (weighted * 2)[-2]["name"], weighted[-1]["name"]
        names = {"layer": stored[-1]["name"], "first": first, "second": second, "source": first, "target": second}
        values |= {"neuron": str(outputs[0]["id"]), **{name: literal(layer) for name, layer in names.items()}}
    return values


def filled(query: Query, values: Mapping[str, str]) -> str:
    """The `:param` line of a query with the values of one model; what says null, or is no name, stays."""
    names, _, returned = query.browser.partition(" => ")
    pairs = re.findall(r"(\S.*?) AS (\w+)(?:, |$)", returned.removeprefix("{RETURN ").removesuffix("}"))
    wanted = (f"{value if value == 'null' else values.get(name, value)} AS {name}" for value, name in pairs)
    return f"{names} => {{RETURN {', '.join(wanted)}}}"


def favourite(query: Query, values: Mapping[str, str]) -> str:
    """The text of a query as a favourite: under a name that says what it is about, with parameters that fit a model."""
    statement = query.text.replace(f"// {query.browser}", f"// {filled(query, values)}") if values else query.text
    return statement.replace("// ", f"// {query.about}: ", 1)


def favourites(path: Path, store: Store | None = None, model: str | None = None) -> int:
    """Write the stored queries to a zip file for Browser; how many. Raises BadRequest where it can't be written.

    store, model  whose names fill the `:param` lines
    No folders in it: Browser would make one folder for each file, all of the same name.
    """
    if path.suffix != ".zip":
        raise BadRequest(f"Neo4j Browser knows a zip file by its name: call {path} something.zip.")
    try:
        return packed(path, examples(store, present(store, model)) if store is not None else {})
    except OSError as error:
        raise BadRequest(f"can't write {path}: {error.strerror or error}.") from error


def packed(path: Path, values: Mapping[str, str]) -> int:
    """The zip file itself."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for query in sorted(queries().values(), key=lambda query: (query.about, query.title)):
            archive.writestr(zipfile.ZipInfo(f"{query.name}.cypher", EPOCH), favourite(query, values), zipfile.ZIP_DEFLATED)
    return len(queries())
