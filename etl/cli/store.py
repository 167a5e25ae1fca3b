"""Commands on the models in the store: status, save, delete; and the connection that commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import etl
from etl.cli.options import Architecture, Format, ModelName, Quiet, Rows, Uri
from etl.cli.output import counted, plain, program, remark, say, show
from etl.cli.progress import ProgressDisplay, display
from etl.errors import BadRequest

MODELS = ("name", "state", "neurons", "edges", "parameters", "stored_neurons", "stored_edges", "format", "selection", "sha256", "loadedAt")


def add_to(app: typer.Typer) -> None:
    for command in (status, save, delete):
        app.command()(command)


@contextmanager
def connected(uri: str | None, title: str = "", *, quiet: bool = False) -> Iterator[tuple[etl.Store, ProgressDisplay]]:
    """The store that is meant: the one at `uri`, else NEO4J_URI's, else the local one, started if need be; and how far calls on it are."""
    with display(title, quiet=quiet) as shown, etl.connect(uri, stage=shown.stage) as store:
        yield store, shown


def status(*, format: Rows = Format.table, uri: Uri = None, quiet: Quiet = False) -> None:
    """List the models in the store: state, the file's sha256, counts; of a load that hasn't ended, what is stored of it.

    Example: `etl status --format json`
    """
    with connected(uri, "Asking for the models", quiet=quiet) as (store, _):
        models = store.models()
    if format is Format.table and not models:
        say(f"No models yet. To load one: {program()} load MODEL")
        return
    if format is Format.table:
        columns = [name for name in MODELS if not name.startswith("stored_") or any(row[name] is not None for row in models)]
        show(shortened(models), columns, format)
    else:
        show(models, MODELS, format)


def shortened(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with a sha256 and a time short enough to look at."""
    return [model | {"sha256": model["sha256"][:12], "loadedAt": str(model["loadedAt"] or "").split(".")[0].replace("T", " ")} for model in models]


def save(
    *,
    name: ModelName,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write: .h5 or .keras.", show_default=False, readable=False)],
    source: Annotated[
        Path, typer.Option("--from", help="The file that the model was loaded from.", metavar="MODEL", show_default=False, readable=False)
    ],
    architecture: Architecture = None,
    format: Rows = Format.table,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Write a model back as a Keras file, with the weights and biases that its graph has now: a weight that is gone becomes 0.

    The suffix of the file it came from needs no framework. In the other one of .h5 and .keras Keras writes it, and runs the file for that.

    Example: `etl save digits_cnn pruned.h5 --from digits_cnn.h5`
    """
    with connected(uri, f"Comparing {name} with {source}", quiet=quiet) as (store, shown):
        saved = store[name].save(out, source=source, architecture=architecture, progress=shown.count)
    show([vars(row) for row in saved], ("layer", "parameters", "changed", "zeros"), format)
    if not quiet:
        changed, parameters = (sum(getattr(row, column) for row in saved) for column in ("changed", "parameters"))
        differ = f"{changed:,} of {counted(parameters, 'parameter')} {'differs' if changed == 1 else 'differ'}"
        remark(f"written to {plain(str(out))}: {differ} from {plain(str(source))}")


def delete(
    *, name: ModelName, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False, uri: Uri = None, quiet: Quiet = False
) -> None:
    """Delete a model and all that belongs to it from the store; nothing else.

    Example: `etl delete digits_cnn --yes`
    """
    from etl.store.models import check_deletable

    with connected(uri, f"Deleting {name}", quiet=quiet) as (store, shown):
        if not yes:
            check_deletable(store.connection, name)
            confirm(f"Delete {plain(name)} from {store.uri}?")
        store.delete(name, shown.count)
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
