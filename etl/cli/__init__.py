"""The command line: arguments, one library call per command, printing. Only here is anything printed.

One module a group of commands; what is slow to import is imported inside the commands.
"""

from __future__ import annotations

import os
import sys
from io import StringIO, TextIOWrapper
from typing import Annotated

import typer

from etl.cli import analysis, graph, output, plot, query, server, usage
from etl.cli import store as stored
from etl.errors import EtlError
from etl.extras import EXTRAS, missing
from etl.version import VERSION

app = typer.Typer(name="etl", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
for group in (graph, query, stored, analysis, plot, server):
    group.add_to(app)


def show_version(asked_for: bool) -> None:
    if asked_for:
        print(f"neuron-etl {VERSION}")
        raise typer.Exit


@app.callback(epilog="A first try:  `etl load model.h5`  then  `etl query summary model=model`")
def etl(version: Annotated[bool, typer.Option("--version", help="Say the version.", callback=show_version, is_eager=True)] = False) -> None:
    """A trained neural network as a graph of single neurons in Neo4j, exact to the last weight."""


LONGEST = 10_000  # characters of an error: some hundred layers without a rule


def main() -> int:
    """Run the command line; the exit code: 0 done, 1 an error of one line, 2 usage, 130 interrupted."""
    try:
        return run()
    except KeyboardInterrupt:
        return 130
    except EtlError as error:
        return failed(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        return failed(missing(error.name))
    except MemoryError:
        return failed("out of memory: `etl plan` says how large the graph is, and what would fit")
    except OSError as error:  # a full disk, a missing permission; what else is raised is a fault of ours and keeps its traceback
        return failed(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def run() -> int:
    """Run the command line, its output out."""
    sys.stdout, sys.stderr = sys.stdout or StringIO(), sys.stderr or StringIO()  # None where whoever called us closed them
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a model may be called é where the locale has no é
    try:
        code = app(prog_name="etl", standalone_mode=False)
    except usage.USAGE as error:
        if not usage.asks_for_help(error):
            return failed(usage.usage_message(error), 2)
        output.say(error.ctx.get_help())  # type: ignore[attr-defined]  # of click's
        return 2
    except BrokenPipeError:  # whoever reads what is printed has enough
        forget_stdout()
        return 1
    except SystemExit as end:  # of the shell's completion
        code = end.code
    if code:
        return code if isinstance(code, int) else 1
    try:
        sys.stdout.flush()
    except OSError:
        forget_stdout()
        raise
    return 0


def forget_stdout() -> None:
    """Print into nothing from now on: Python would try again when it ends, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def failed(message: str, code: int = 1) -> int:
    """Say what went wrong in one line, of a length that can be read: names in a file may be of any. Returns the exit code."""
    line = output.plain(message)
    print(f"error: {line if len(line) <= LONGEST else f'{line[:LONGEST]} ...'}", file=sys.stderr)
    return code
