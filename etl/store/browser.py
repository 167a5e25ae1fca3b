"""What Neo4j Browser takes by drag and drop: a style sheet for a model, and the stored queries as favourites.

Neo4j Browser 5.24 takes one file at a time: .grass (a style sheet), .cypher (a favourite), .zip (its .cypher files, each a favourite).
The first line of a favourite is its name.
"""

from __future__ import annotations

import json
import zipfile
from importlib import resources
from pathlib import Path

from cypher import text
from etl.errors import BadRequest
from etl.store.palette import channels, layer_colours
from etl.store.queries import present, queries
from etl.store.transactions import Store

Rules = dict[str, dict[str, str]]

INK, BLACK, PAPER, GREY, PALE = "#1B1B1F", "#000000", "#FFFFFF", "#6B7280", "#B8BEC8"
DIAMETERS = {"input": "40px", "hidden": "50px", "output": "80px"}
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
        "node": {"diameter": "50px", **colours(GREY), "border-width": "2px", "font-size": "11px", "caption": "<id>"},
        "node.Model": {"diameter": "80px", **colours(INK), "caption": "{name}"},
        "node.Layer": {"diameter": "65px", **colours("#4C5A78"), "caption": "{name}"},
        "node.Neuron": {"diameter": DIAMETERS["hidden"], **colours(GREY), "caption": "{index}"},
        "relationship": {"color": PALE, "shaft-width": "1px", "font-size": "8px", "padding": "3px", **TEXT, "caption": "<type>"},
        "relationship.WEIGHT": {"color": PALE, "shaft-width": "2px", "caption": ""},  # a weight has too many digits for that
    }
    roles: dict[str, str] = {}
    for label, role in layers:
        roles[label] = role if roles.get(label) in (None, "hidden") else roles[label]
    for (label, role), fill in zip(roles.items(), layer_colours(len(roles)), strict=True):
        if not UNSPEAKABLE.intersection(label):
            rules[selector(label)] = {"diameter": DIAMETERS[role], **colours(fill), "caption": "{index}"}
    lines = (f"{json.dumps(name)}: {json.dumps(look)}" for name, look in rules.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def selector(label: str) -> str:
    r"""`node.label`, with the label's own dots as `\.`."""
    return "node." + label.replace(".", "\\.")


def colours(fill: str) -> dict[str, str]:
    """A fill with a darker border, and a text on it in black or white, whichever is easier to read."""
    border = "#" + "".join(f"{channel * 3 // 4:02X}" for channel in channels(fill))
    return {"color": fill, "border-color": border, "text-color-internal": max(BLACK, PAPER, key=lambda colour: contrast(colour, fill))}


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, from 1 to 21 (WCAG 2.2, contrast ratio)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of #RRGGBB, from 0 to 1 (WCAG 2.2, relative luminance)."""
    values = [channel / 255 for channel in channels(colour)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def folder() -> Path:
    """Where the stored queries lie, one file each."""
    return Path(str(resources.files("cypher") / "analysis"))


def favourites(path: Path) -> int:
    """Write the stored queries to a zip file for Browser; how many. Raises BadRequest where it can't be written.

    No folders in it: Browser would make one folder for each file, all of the same name.
    """
    if path.suffix != ".zip":
        raise BadRequest(f"Neo4j Browser knows a zip file by its name: call {path} something.zip.")
    try:
        return packed(path)
    except OSError as error:
        raise BadRequest(f"can't write {path}: {error.strerror or error}.") from error


def packed(path: Path) -> int:
    """The zip file itself."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, query in queries().items():
            archive.writestr(zipfile.ZipInfo(f"{name}.cypher", EPOCH), query.text, zipfile.ZIP_DEFLATED)
    return len(queries())
