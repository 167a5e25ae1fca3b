"""`etl query`: the stored queries, one's own, and any other Cypher."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.classes import Classes, read_classes, with_classes
from etl.cli.completion import stored_names
from etl.cli.options import Format, Quiet, Rows, Uri
from etl.cli.output import plain, say, show
from etl.cli.store import connected
from etl.errors import BadRequest, QueryError, did_you_mean, reason

if TYPE_CHECKING:
    from etl.store.queries import Query

QUERIES = "PARAM=VALUE"


def add_to(app: typer.Typer) -> None:
    app.command(add_help_option=False)(query)


def names(incomplete: str) -> Iterator[tuple[str, str]]:
    """Names of queries, for the shell's completion."""
    yield from ((name, stored.title) for name, stored in all_queries(None).items() if name.startswith(incomplete))


def values(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Parameters of the query, then values of one: models, layers and neurons' layers of a store that runs; for the shell's completion."""
    stored = all_queries(None).get(context.params.get("name") or "")
    if stored is None:
        return
    name, equals, begun = incomplete.partition("=")
    if not equals:
        yield from (f"{p.name}=" for p in stored.parameters if p.name.startswith(name))
        return
    kind = next((p.type for p in stored.parameters if p.name == name), None)
    chosen = [text.partition("=")[2] for text in context.params.get("params") or () if text.startswith("model=")]
    for value in stored_names(name, kind, chosen[0] if chosen else None):
        if value.startswith(begun):
            yield f"{name}={value}"


def all_queries(folder: Path | None) -> dict[str, Query]:
    """The package's queries and one's own, by name."""
    from etl.store.queries import own_queries, queries

    return queries() | own_queries() | (own_queries(folder) if folder else {})


def query(
    context: typer.Context,
    *,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A stored query; without one, all are listed.", autocompletion=names)] = None,
    params: Annotated[
        list[str] | None,
        typer.Argument(
            metavar=QUERIES,
            help="Values are JSON where they parse as JSON, else text; PARAM=@FILE.json reads one. A neuron is layer/index (digit/4), or an id.",
            autocompletion=values,
        ),
    ] = None,
    cypher: Annotated[
        str | None,
        typer.Option(help="Run this statement instead; a .cypher file, or - for standard input.", metavar="TEXT", show_default=False),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="A folder with queries of your own, besides $ETL_HOME/queries.", metavar="DIR", show_default=False, readable=False),
    ] = None,
    classes: Classes = None,
    format: Rows = Format.table,
    uri: Uri = None,
    quiet: Quiet = False,
    help: Annotated[bool, typer.Option("--help", help="Show this, or what a query answers.")] = False,
) -> None:
    """Ask a stored query, or anything in Cypher; without either, list the queries. `etl query NAME --help` explains one.

    Example: `etl query strongest_inputs model=digits_cnn neuron=digit/4`
    """
    if help:
        say(context.get_help()) if name is None else explain(query_named(name, queries))
        return
    from etl.store import queries as stored_queries

    class_names = read_classes(classes)
    if cypher is not None:
        statement, words = statement_of(cypher), [text for text in (name, *(params or ())) if text is not None]
        bound = parameters(words, ())
        with connected(uri, "Asking Neo4j", quiet=quiet) as (store, _):
            columns, rows = stored_queries.run_cypher(store.connection, statement, bound)
            show(*with_classes(store, rows, columns, class_names, bound.get("model")), format)
        return
    if name is None:
        listed = all_queries(queries)
        show([{"name": query_name, "title": stored.title} for query_name, stored in listed.items()], ("name", "title"), format)
        return
    stored = query_named(name, queries)
    bound = parameters(params or (), {p.name for p in stored.parameters if p.type == "STRING"})
    stored.bind(bound)  # what is wrong with them is said before anything is started
    with connected(uri, f"Asking {name}", quiet=quiet) as (store, _):
        rows = stored_queries.run(store.connection, stored, bound)
        show(*with_classes(store, rows, printed(stored, format), class_names, bound.get("model")), format)


def query_named(name: str, folder: Path | None) -> Query:
    """A query by its name. Raises QueryError suggesting the nearest."""
    queries = all_queries(folder)
    if name not in queries:
        raise QueryError(f"there is no query {name}{did_you_mean(name, queries)}. All of them: etl query")
    return queries[name]


def printed(stored: Query, format: Format) -> list[str]:
    """The columns to print: a table says a path once, as text, and leaves its lists to csv and json."""
    path = format is Format.table and any(column.type == "PATH" for column in stored.columns)
    return [column.name for column in stored.columns if not (path and column.type.startswith("LIST OF"))]


def explain(stored: Query) -> None:
    """What a query answers, what it takes and gives."""
    from etl.store.queries import REQUIRED

    say(stored.title, style="bold")
    if stored.description:
        say(stored.description)
    say()
    rows = [
        {"parameter": p.name, "type": p.type, "default": "" if p.default is REQUIRED else json.dumps(p.default), "meaning": p.meaning}
        for p in stored.parameters
    ]
    show(rows, ("parameter", "type", "default", "meaning"), Format.table)
    say()
    show([{"column": c.name, "type": c.type, "meaning": c.meaning} for c in stored.columns], ("column", "type", "meaning"), Format.table)
    say()
    needed = " ".join(f"{p.name}={'LAYER/INDEX' if p.type == 'NEURON' else p.name.upper()}" for p in stored.parameters if p.default is REQUIRED)
    say(f"etl query {stored.name} {needed}".rstrip())


def statement_of(cypher: str) -> str:
    """The text of a statement: as given, in a file, or on standard input. Raises BadRequest where there is none."""
    text = cypher
    if cypher == "-":
        text = sys.stdin.read()
    elif "\n" not in cypher and cypher.endswith(".cypher"):
        try:
            text = Path(cypher).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"{cypher} can't be read as a statement ({reason(error)})") from error
    if " " not in text.strip():
        raise BadRequest(f"{cypher} is no statement: write it like 'MATCH (m:Model) RETURN m.name', or name a file that ends in .cypher")
    return text


def parameters(texts: Sequence[str], strings: Collection[str]) -> dict[str, Any]:
    """Parameters by name. strings: names of those that are text."""
    bound = dict[str, Any]()
    for name, value in (parameter(text, strings) for text in texts):
        if name in bound:
            raise typer.BadParameter(f"{name} is given twice", param_hint=QUERIES)
        bound[name] = value
    return bound


def parameter(text: str, texts: Collection[str]) -> tuple[str, Any]:
    """`limit=5` -> ("limit", 5); `layer=conv_1` -> ("layer", "conv_1"); `input=@x.json` -> what the file holds.

    texts  names of the parameters that are text: a model may be called 7
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{plain(repr(text))}: write parameters as name=value", param_hint=QUERIES)
    if value.startswith("@"):
        return name, from_file(Path(value[1:]))
    try:
        parsed = json.loads(value)
    except ValueError:
        return name, value
    return name, value if name in texts and not isinstance(parsed, str) else parsed


def from_file(path: Path) -> Any:
    """The value in a JSON file."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadRequest(f"{path} can't be read ({error.strerror}): check the path after the @") from error
    except ValueError as error:
        raise BadRequest(f"{path} holds no JSON ({error}): write the value as JSON") from error
