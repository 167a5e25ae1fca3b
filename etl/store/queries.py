"""Stored queries: the files of cypher/analysis, one question each, with a header that says what goes in and what comes out.

// Title: the question in a few words
// What it answers, in as many lines as it takes.
// $model STRING          model name
// $neuron NEURON = null  neuron                  (an address such as digit/4 or pool/2,2,15, or an id; the statement gets the id)
// $limit INTEGER = 20    rows to return          (a value in JSON after = makes a parameter optional)
// -> id INTEGER          neuron                  (one line a column, in their order)
// writes: paths                                  (only where it writes: the scratch property that it leaves behind nowhere)
// not with: --layers --top-k                      (only where it would be wrong of a graph that was made with these options)
// needs: value                                   (only where it reads a property that other commands write)
// about: Paths                                   (what it belongs to: favourites in Browser are grouped by it)
// :param [{model, limit}] => {RETURN 'digits_cnn' AS model, 20 AS limit}     (to be copied into Neo4j Browser, where the same file then runs)

Browser has a shorter form, `:params {limit: 20}`, which sends 20.0: no number of rows.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cypher import text
from etl.errors import BadRequest, NotInStore, QueryError, did_you_mean, reason
from etl.store import home
from etl.store.addresses import address, neuron_id
from etl.store.models import models, not_in_store
from etl.store.transactions import Store

if TYPE_CHECKING:
    from neo4j import Transaction

PARAMETER = re.compile(r"\$(\w+) +((?:LIST OF )?[A-Z]+)(?: = (\S+))?(?: +(\S.*))?")
COLUMN = re.compile(r"-> (\w+) +((?:LIST OF )?[A-Z]+)(?: +(\S.*))?")
NOT_CODE = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
USED = re.compile(r"\$(\w+)")
REQUIRED: Any = object()
NEURON = "a neuron's address (layer/index, such as digit/4) or its id"
log = logging.getLogger("etl")


@dataclass(frozen=True)
class Parameter:
    """One parameter; `default` is REQUIRED where there is none."""

    name: str
    type: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Column:
    """One column of the answer; `meaning` ends with the unit in brackets where there is one."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Query:
    """A stored query. `writes` names its scratch property, None where it only reads; `needs` a property that other commands write, or None."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    writes: str | None
    needs: str | None
    browser: str
    text: str
    not_with: tuple[str, ...] = ()
    about: str = ""

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values for all parameters, of the declared types; `model` may be left out. Raises QueryError naming what is wrong."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in values:
            if name not in known:
                raise QueryError(f"{self.name} has no parameter {name}{did_you_mean(name, known)}: it takes {self.signature()}.")
        missing = [p.name for p in self.parameters if p.default is REQUIRED and p.name not in values and p.name != "model"]
        if missing:
            raise QueryError(f"{self.name} needs {', '.join(missing)}: it takes {self.signature()}.")
        bound = {p.name: p.default for p in self.parameters if p.default is not REQUIRED}
        for name, value in values.items():
            optional = known[name].default is None and value is None
            bound[name] = None if optional else coerce(value, known[name].type, f"{self.name}: {name}")
        return bound

    def signature(self) -> str:
        """`model STRING, limit INTEGER = 20`."""
        declarations = (f"{p.name} {p.type}" + ("" if p.default is REQUIRED else f" = {json.dumps(p.default)}") for p in self.parameters)
        return ", ".join(declarations) or "none"


@cache
def queries() -> dict[str, Query]:
    """All stored queries of the package by name, their headers checked against their texts."""
    names = sorted(f.name.removesuffix(".cypher") for f in (resources.files("cypher") / "analysis").iterdir() if f.name.endswith(".cypher"))
    return {name: parse(name, text("analysis", name)) for name in names}


def own_folder() -> Path:
    """`$ETL_HOME/queries`: files of one's own, like those of cypher/analysis. It need not be there."""
    return home.place() / "queries"


def own_queries(folder: Path | None = None) -> dict[str, Query]:
    """The queries in a folder by name; without one, of `own_folder()`. Raises QueryError for a wrong header, or a name that the package has."""
    place = folder or own_folder()
    if not place.is_dir():
        if folder is None:
            return {}
        raise BadRequest(f"{folder} is no folder: name one with .cypher files")
    parsed = {}
    for path in sorted(place.glob("*.cypher")):
        if path.stem in queries():
            raise QueryError(f"{path}: there is a query {path.stem} already; call yours otherwise")
        try:
            parsed[path.stem] = parse(path.stem, path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"{path} can't be read as text ({reason(error)})") from error
    return parsed


def find(name: str) -> Query:
    """The query of that name, of the package or one's own. Raises QueryError suggesting the nearest."""
    known = queries() if name in queries() else queries() | own_queries()
    if name not in known:
        raise QueryError(f"there is no query {name}{did_you_mean(name, known)}. All of them: etl query")
    return known[name]


def parse(name: str, source: str) -> Query:
    """A query from its file. Raises QueryError where header and text do not agree."""
    lines = source.splitlines()
    length = next((n for n, line in enumerate(lines) if not line.startswith("//")), len(lines))
    header = [line.removeprefix("//").strip() for line in lines[:length]]
    parameters, columns, description, browser = [], [], list[str](), ""
    properties = dict[str, str]()
    for line in header[1:]:
        if match := PARAMETER.fullmatch(line):
            declared, kind, default, meaning = match.groups()
            parameters.append(Parameter(declared, kind, REQUIRED if default is None else json.loads(default), meaning or ""))
        elif match := COLUMN.fullmatch(line):
            columns.append(Column(match[1], match[2], match[3] or ""))
        elif line.startswith(("writes:", "needs:", "not with:", "about:")):
            word, _, property = line.partition(":")
            properties[word] = property.strip()
        elif line.startswith(":param"):
            browser = line
        elif line.startswith(("$", "->")):
            raise QueryError(f"{name}: its header has a line that says nothing known: {line}")
        else:
            description.append(line)
    declared_names, used = [p.name for p in parameters], sorted(set(USED.findall(NOT_CODE.sub(" ", "\n".join(lines[length:])))))
    if sorted(declared_names) != used:
        raise QueryError(f"{name}: header declares {declared_names}, body uses {used}")
    if not columns:
        raise QueryError(f"{name}: its header names no column (// -> column TYPE  meaning)")
    return Query(
        name,
        header[0].rstrip("."),
        " ".join(description),
        tuple(parameters),
        tuple(columns),
        properties.get("writes"),
        properties.get("needs"),
        browser,
        source,
        tuple(properties.get("not with", "").split()),
        properties.get("about", ""),
    )


def coerce(value: Any, kind: str, where: str) -> Any:
    """A value as the declared type. Raises QueryError where it is another."""
    if kind.startswith("LIST OF "):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise QueryError(f"{where} is a {kind}, not {short(value)}")
        return [coerce(item, kind.removeprefix("LIST OF "), f"{where}: each value") for item in value]
    if kind == "STRING":
        return value if isinstance(value, str) else json.dumps(value)  # a name may look like a number
    if kind == "NEURON" and not isinstance(value, int | float):
        if isinstance(value, str) and "/" in value.strip("/"):
            return value
        raise QueryError(f"{where} is {NEURON}, not {short(value)}")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "FLOAT" and number:
        return float(value)
    if kind in ("INTEGER", "NEURON") and number and isfinite(value) and int(value) == value:
        if not -(2**63) <= value < 2**63:
            raise QueryError(f"{where} is too large: Neo4j's integers have 64 bits")
        return int(value)
    if kind == "BOOLEAN" and isinstance(value, bool):
        return value
    raise QueryError(f"{where} is {NEURON if kind == 'NEURON' else f'an {kind}' if kind == 'INTEGER' else f'a {kind}'}, not {short(value)}")


def short(value: Any) -> str:
    """A value as JSON, cut where it is long: a line of an error has no room for a picture."""
    written = json.dumps(value, default=str)
    return written if len(written) <= 60 else f"{written[:56]} ..."


def run(store: Store, wanted: str | Query, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The rows that a stored query gives, one dict a row. `model` may be left out where the store has one model.

    wanted  a query, or the name of one

    Raises QueryError for a wrong name or parameter, NotInStore for a model that isn't there.
    """
    query = find(wanted) if isinstance(wanted, str) else wanted
    bound = query.bind(values or {})
    if any(p.name == "model" for p in query.parameters):
        bound["model"] = present(store, bound.get("model"))
        check_selection(store, query, bound["model"])
        check_place(store, query, bound)

    columns = [column.name for column in query.columns]

    def rows(transaction: Transaction) -> list[dict[str, Any]]:
        result = transaction.run(query.text, bound)
        if list(result.keys()) != columns:
            raise QueryError(f"{query.name}: header declares the columns {columns}, the text returns {list(result.keys())}")
        return [{column: plain(record[column]) for column in columns} for record in result]

    answer = store.transact(rows, writes=query.writes is not None)
    if nothing(answer) and "model" in bound:
        explain_nothing(store, query, bound)
    return answer


def run_cypher(store: Store, statement: str, parameters: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of any statement, in a read transaction: what writes is refused. Raises StoreError with what the server says."""

    def answer(transaction: Transaction) -> tuple[list[str], list[dict[str, Any]]]:
        result = transaction.run(statement, dict(parameters))
        columns = list(result.keys())
        return columns, [{column: plain(record[column]) for column in columns} for record in result]

    return store.transact(answer, writes=False)


def present(store: Store, model: str | None) -> str:
    """The model that is meant, if it is there."""
    known = {row["name"]: row["state"] for row in models(store)}
    if model is None and len(known) == 1:
        model = next(iter(known))
    if not known:
        raise NotInStore("the store has no model yet: load one with etl load MODEL.")
    if model is None:
        raise QueryError(f"the store has several models: say model= one of {', '.join(known)}.")
    if model not in known:
        raise not_in_store(store, model)
    if known[model] != "COMPLETE":
        log.warning("%s is not complete: what is there counts, no more.", model)
    return model


def check_selection(store: Store, query: Query, model: str) -> None:
    """Raises QueryError where a model was loaded with options that make the answer another than the network's. Layers alone answer nothing."""
    (selection,) = [row["selection"] or "" for row in models(store) if row["name"] == model]
    wrong = [option for option in query.not_with if option in selection.split()]
    if wrong and "--granularity layer" not in selection:
        raise QueryError(f"{query.name} needs the whole network, and {model} was loaded with {selection}: load it without {' and '.join(wrong)}.")


def check_alike(store: Store, query: Query, model: str, other: str) -> None:
    """Raises QueryError where one of two models is a graph of neurons and the other is not: no layer of one is like a layer of the other."""
    granularity = {row["name"]: next(iter(re.findall(r"--granularity (\w+)", row["selection"] or "")), "neuron") for row in models(store)}
    if granularity[model] != granularity[other]:
        sizes = f"{model} of {granularity[model]}s, {other} of {granularity[other]}s"
        raise QueryError(f"{query.name} compares graphs of the same granularity, and these are two ({sizes}): load one of them like the other.")


def check_place(store: Store, query: Query, bound: dict[str, Any]) -> None:
    """Replace addresses by ids; say what a query would only answer with no rows: a layer, neuron or model that isn't there, too few inputs."""
    model, layers = bound["model"], store.read(text("analysis", "layers"), model=bound["model"])
    places = [p.name for p in query.parameters if p.type == "NEURON"]
    for name in places:
        if isinstance(bound[name], str) and not any(layer["neurons"] for layer in layers):
            raise QueryError(f"{query.name}: {model} was loaded as layers only: it has no neurons and no weights.")
        if isinstance(bound[name], str):
            bound[name] = neuron_id(bound[name], layers, model)
    names = {row["name"]: row["neurons"] for row in layers}
    for name in ("layer", "first", "second", "source", "target"):
        if isinstance(bound.get(name), str) and bound[name] not in names:
            raise QueryError(f"{model} has no layer {bound[name]}{did_you_mean(bound[name], names)}: etl query layers lists them.")
    begin, end = (layers[0]["begin"], layers[-1]["end"]) if layers else (0, 0)
    for name in places:
        if isinstance(bound.get(name), int) and not begin <= bound[name] < end:
            there = f"its ids are {begin} to {end - 1}" if begin < end else "it was loaded as layers only"
            raise QueryError(f"{query.name}: {model} has no neuron {bound[name]}: {there}.")
    for name, least in (("limit", 0), ("bins", 1)):
        if isinstance(bound.get(name), int) and bound[name] < least:
            raise QueryError(f"{query.name}: {name} must be at least {least}, not {bound[name]}")
    if "other" in bound:
        present(store, bound["other"])
        check_alike(store, query, model, bound["other"])
    size = sum(row["neurons"] for row in layers if row["type"] == "InputLayer")
    if "input" in bound and begin == end:
        raise QueryError(f"{query.name}: {model} was loaded as layers only: it has no neurons that could compute.")
    if "input" in bound and len(bound["input"]) != size:
        raise QueryError(f"{query.name}: {model} takes {size} input values (all inputs, in the order of ids), not {len(bound['input'])}.")


def nothing(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an answer says nothing: no row, or one without any value, as what is aggregated over nothing has."""
    return not rows or (len(rows) == 1 and all(value is None for value in rows[0].values()))


def explain_nothing(store: Store, query: Query, bound: Mapping[str, Any]) -> None:
    """Warn where an answer without values has a reason that is easily overlooked."""
    layers = {row["name"]: row for row in store.read(text("analysis", "layers"), model=bound["model"])}
    layer = layers.get(bound.get("layer") or "")
    if layers and not sum(row["neurons"] for row in layers.values()):
        log.warning("%s was loaded as layers only: it has no neurons and no weights.", bound["model"])
    elif layer and not layer["neurons"]:
        log.warning("%s (%s) has no neurons of its own, it only passes on others': ask for the layer before it.", layer["name"], layer["type"])
    elif any(p.name == "target" and p.type == "NEURON" for p in query.parameters):
        source = min(row["begin"] for row in layers.values()) if bound["source"] is None else bound["source"]
        target = max(row["end"] for row in layers.values()) - 1 if bound["target"] is None else bound["target"]
        log.warning(
            "no weights lead from neuron %s to neuron %s: choose with source= and target=, each a layer and an index such as digit/4.", source, target
        )
    elif query.needs:
        log.warning("no neuron of %s has the property %s: `etl features MODEL IMAGE --write NAME` gives it.", bound["model"], query.needs)


def plain(value: Any) -> Any:
    """What the driver gives as what can be printed: nodes and relationships as their properties, a path in one line."""
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Path):
        steps = (f" -{weight['weight']:.2g}-> {place(node)}" for weight, node in zip(value.relationships, value.nodes[1:], strict=True))
        return place(value.start_node) + "".join(steps)
    if isinstance(value, Node | Relationship):
        return {name: value[name] for name in sorted(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def place(node: Any) -> str:
    """A neuron's address; of another node its name."""
    return address(node["layer"], node["index"]) if "layer" in node and "index" in node else str(node.get("name", ""))
