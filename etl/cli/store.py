"""Commands on what is in the store: query, status, delete."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import etl
from etl.cli.options import Format, ModelName, Quiet, Rows, Uri
from etl.cli.output import plain, program, remark, say, show
from etl.cli.progress import Display, display
from etl.errors import BadRequest

if TYPE_CHECKING:
    from etl.store.queries import Query

MODELS = ("name", "state", "neurons", "edges", "parameters", "format", "selection", "sha256", "loadedAt")


def add_to(app: typer.Typer) -> None:
    app.command(context_settings={"help_option_names": []})(query)  # its own --help explains stored queries too
    for command in (status, delete):
        app.command()(command)


@contextmanager
def connected(uri: str | None, title: str = "", *, quiet: bool = False) -> Iterator[tuple[etl.Store, Display]]:
    """The store that is meant: the one at `uri`, else NEO4J_URI's, else the local one, started if need be; and how far calls on it are."""
    with display(title, quiet=quiet) as shown, etl.connect(uri, stage=shown.stage) as store:
        yield store, shown


def names(incomplete: str) -> Iterator[tuple[str, str]]:
    """Names of stored queries, for the shell's completion."""
    from etl.store.queries import queries

    yield from ((name, found.title) for name, found in queries().items() if name.startswith(incomplete))


def query(
    *,
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A stored query; without one, all are listed.", autocompletion=names)] = None,
    params: Annotated[
        list[str] | None,
        typer.Argument(metavar="PARAM=VALUE", help="Values are JSON where they parse as JSON, else text; PARAM=@FILE.json reads one."),
    ] = None,
    cypher: Annotated[
        str | None,
        typer.Option(help="Any statement in place of a stored query, in a read transaction: its text, a .cypher file, or -.", metavar="TEXT|FILE|-"),
    ] = None,
    format: Rows = Format.table,
    uri: Uri = None,
    quiet: Quiet = False,
    help: Annotated[bool, typer.Option("--help", help="Show this message; with NAME, what it answers, takes and returns.")] = False,
) -> None:
    """Ask a stored query; without a name, list them.

    Example: `etl query layers model=digits_cnn`
    """
    from etl.store import queries

    if help:
        explain(queries.find(name)) if name and cypher is None else say(context.get_help())
        return
    if cypher is not None:
        asked, values = statement(cypher), bound(([name] if name else []) + (params or []), set())
    elif name is None:
        show([{"name": each, "title": found.title} for each, found in queries.queries().items()], ("name", "title"), format)
        return
    else:
        stored = queries.find(name)
        asked, values = name, bound(params or [], {p.name for p in stored.parameters if p.type == "STRING"})
        stored.bind(values)  # what is wrong with them is said before anything is started
    with connected(uri, quiet=quiet) as (store, _):
        rows = store.query(asked, **values)
    show(rows, rows.columns, format)


def explain(stored: Query) -> None:
    """What a stored query answers, what it takes and what it returns."""
    from etl.store.queries import REQUIRED

    say(f"{stored.name}: {stored.title}", style="bold")
    say(stored.description)
    say()
    parameters = [
        {"parameter": p.name, "type": p.type, "default": "" if p.default is REQUIRED else json.dumps(p.default), "meaning": p.meaning}
        for p in stored.parameters
    ]
    show(parameters, ("parameter", "type", "default", "meaning"), Format.table)
    say()
    show([{"column": c.name, "type": c.type, "meaning": c.meaning} for c in stored.columns], ("column", "type", "meaning"), Format.table)
    say()
    say(f"Example:  {program()} query {stored.name} " + " ".join(f"{p.name}=..." for p in stored.parameters if p.default is REQUIRED))


def statement(cypher: str) -> str:
    """The text of a statement: as given, in a file, or on stdin. Raises BadRequest where there is none."""
    if cypher == "-":
        text = sys.stdin.read()
    elif "\n" not in cypher and Path(cypher).suffix == ".cypher":
        try:
            text = Path(cypher).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadRequest(f"{cypher} can't be read as a statement ({error})") from error
    else:
        text = cypher
    if " " not in text.strip():
        raise BadRequest(f"{cypher} is no statement: write it like 'MATCH (m:Model) RETURN m.name', or name a file that ends in .cypher")
    return text


def bound(params: Sequence[str], texts: Collection[str]) -> dict[str, Any]:
    """All parameters of a query by name."""
    values = dict[str, Any]()
    for given, value in (parameter(text, texts) for text in params):
        if given in values:
            raise typer.BadParameter(f"{given} is given twice", param_hint="PARAM=VALUE")
        values[given] = value
    return values


def parameter(text: str, texts: Collection[str]) -> tuple[str, Any]:
    """`limit=5` -> ("limit", 5); `layer=conv_1` -> ("layer", "conv_1"); `input=@x.json` -> what the file holds.

    texts  names of the parameters that are text: a model may be called 7
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r}: write parameters as name=value", param_hint="PARAM=VALUE")
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


def status(*, format: Rows = Format.table, uri: Uri = None, quiet: Quiet = False) -> None:
    """List the models in the store: state, the file's sha256, counts.

    Example: `etl status --format json`
    """
    with connected(uri, quiet=quiet) as (store, _):
        models = store.models()
    if format is Format.table and not models:
        say(f"No models yet. To load one: {program()} load MODEL")
        return
    show(models if format is not Format.table else shortened(models), MODELS, format)


def shortened(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with a sha256 and a time short enough to look at."""
    return [model | {"sha256": model["sha256"][:12], "loadedAt": str(model["loadedAt"] or "").split(".")[0].replace("T", " ")} for model in models]


def delete(
    *, name: ModelName, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False, uri: Uri = None, quiet: Quiet = False
) -> None:
    """Delete a model and all that belongs to it from the store; nothing else.

    Example: `etl delete digits_cnn --yes`
    """
    with connected(uri, quiet=quiet) as (store, _):
        if not yes:
            confirm(f"Delete {plain(name)} from {store.uri}?")
        store.delete(name)
    if not quiet:
        say(f"Deleted {plain(name)}.")


def confirm(question: str) -> None:
    """Go on after a yes; raises BadRequest where nobody can be asked, leaves with 1 after a no."""
    if not sys.stdin.isatty():
        raise BadRequest("nobody is there to ask: say --yes to delete without a question")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        remark("nothing was deleted")
        raise typer.Exit(1)
