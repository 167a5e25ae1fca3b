"""Commands for the local Neo4j and its Browser: start, stop, status, open, style, favourites."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli import completion
from etl.cli.options import Format, ModelName, Quiet, Rows, Uri
from etl.cli.output import cell, plain, say, show, to_json
from etl.cli.progress import display

if TYPE_CHECKING:
    from etl.store import Server

STATUS = ("running", "uri", "browser", "username", "password_file", "pid", "version")


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The local Neo4j: start it, stop it, look at it.")
    for command in (start, stop, status, style, favourites):
        group.command()(command)
    group.command("open")(open_browser)
    app.add_typer(group, name="neo4j")


def start(*, quiet: Quiet = False) -> None:
    """Start the local Neo4j, fetched first if need be. It goes on running.

    Example: `etl neo4j start`
    """
    from etl import store

    with display(quiet=quiet) as shown:
        server = store.start(shown.stage)
    if not quiet:
        say(f"Neo4j {server.version} is running.")
        say_login(server)


def stop(*, quiet: Quiet = False) -> None:
    """Stop the local Neo4j; what is stored stays.

    Example: `etl neo4j stop`
    """
    from etl import store

    was = store.status()
    with display(quiet=quiet) as shown:
        if was.running:
            shown.stage("stopping Neo4j")
        store.stop()
    if not quiet:
        say("Neo4j is stopped." if was.running else "Neo4j was not running.")


def status(*, format: Rows = Format.table) -> None:
    """Say whether the local Neo4j is running, and where.

    Example: `etl neo4j status --format json`
    """
    from etl import store

    row = row_of(store.status())
    if format is Format.json:
        print(to_json(row))
    elif format is Format.csv:
        show([row], STATUS, format)
    else:
        show([{"property": name, "value": cell(name, value)} for name, value in row.items() if value is not None], ("property", "value"), format)


def style(name: ModelName, *, uri: Uri = None) -> None:
    """Print a style sheet for Neo4j Browser: a model's neurons coloured by layer and sized by role. Drop the file into Browser.

    Example: `etl neo4j style digits_cnn > digits_cnn.grass`
    """
    from etl.cli.store import connected
    from etl.store.browser import style

    with connected(uri, quiet=True) as (store, _):
        print(style(store.connection, name), end="")


def favourites(
    out: Annotated[Path, typer.Argument(metavar="OUT.zip", help="The file to write.", show_default=False, readable=False)],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A model in the store, whose names fill the parameters of each.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    *,
    uri: Uri = None,
    quiet: Quiet = False,
) -> None:
    """Write the stored queries to a zip file. Dropped into Neo4j Browser, they are favourites there.

    Example: `etl neo4j favourites queries.zip digits_cnn`
    """
    from etl.cli.store import connected
    from etl.store.browser import favourites, folder

    if name is None:
        count = favourites(out)
    else:
        with connected(uri, quiet=quiet) as (store, _):
            count = favourites(out, store.connection, name)
    if not quiet:
        say(f"{count:,} queries are in {plain(str(out))}: drop it into Neo4j Browser. One at a time, they are in {plain(str(folder()))}")


def open_browser(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The model that the query is about. [default: the one loaded last]",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    *,
    quiet: Quiet = False,
) -> None:
    """Open Neo4j Browser with a first query about a model in it; starts the local Neo4j if need be.

    Example: `etl neo4j open digits_cnn`
    """
    import webbrowser

    from etl import store
    from etl.store.browser import first_query

    with display(quiet=quiet) as shown:
        server = store.start(shown.stage)
        with store.connect(server.uri) as connected:
            address = first_page(server, first_query(connected, name))
    opened = has_display() and webbrowser.open(address)
    if not quiet or not opened:
        say(f"{'Opened' if opened else 'No browser here: open'} {address}")
        say_login(server)


def has_display() -> bool:
    """Whether a browser could show itself; else Python would start one in the terminal where there is one."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def first_page(server: Server, query: str) -> str:
    """Browser's address with the login filled in but for the password, and a query in the editor."""
    from urllib.parse import quote, urlencode

    scheme, _, host = (server.uri or "").partition("://")
    return f"{server.browser}?{urlencode({'connectURL': f'{scheme}://{server.username}@{host}', 'cmd': 'edit', 'arg': query}, quote_via=quote)}"


def say_login(server: Server) -> None:
    """Where Browser is and how to log in; never the password itself."""
    say(f"Browser:  {server.browser}")
    say(f"Log in:   user {server.username}, password in {plain(str(server.password_file))}")


def row_of(server: Server) -> dict[str, Any]:
    """A server as a row."""
    values = {name: getattr(server, name) for name in STATUS}
    return values | {"password_file": str(server.password_file)}
