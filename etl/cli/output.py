"""Rows on stdout, progress and remarks on stderr; colours where there is a terminal."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from etl.cli.options import Format

if TYPE_CHECKING:
    from rich.console import Console

COUNTS = frozenset({"neurons", "edges", "parameters", "paths", "calls"})  # written with thousands separators in tables
MANY = 2000  # rows
WIDE = 10_000  # columns, where nothing limits them: what is piped is never cut

Row = Mapping[str, Any]


def console(*, stderr: bool = False) -> Console:
    """Rich's console on either stream: as wide as the terminal, without one as wide as needed."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else WIDE, highlight=False, markup=False, emoji=False)


def program() -> str:
    """How this program was called: what a person who reads a hint can type again."""
    return "python -m etl" if sys.argv[0].endswith("__main__.py") else "etl"


def say(text: str = "", *, style: str | None = None) -> None:
    """A line for a person, on stdout."""
    console().print(text, style=style, soft_wrap=True)


def remark(text: str) -> None:
    """A line about what is going on, on stderr."""
    console(stderr=True).print(plain(text), style="dim", soft_wrap=True)


def show(rows: Iterable[Row], columns: Sequence[str], form: Format, styles: Mapping[int, str] | None = None) -> None:
    """Print rows as a table, CSV with a header, or one JSON array of objects.

    styles  row number -> style, for tables
    """
    if form is Format.json:
        print(to_json([{name: row.get(name) for name in columns} for row in rows]))
    elif form is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([for_csv(row.get(name)) for name in columns] for row in rows)
    else:
        table(list(rows), columns, styles or {})


def table(rows: Sequence[Row], columns: Sequence[str], styles: Mapping[int, str]) -> None:
    """Print rows under their column names, numbers to the right."""
    if len(rows) > MANY:
        long_table(rows, columns)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        values = [row.get(name) for row in rows]
        right = any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        made.add_column(Text(name), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for number, row in enumerate(rows):
        made.add_row(*(Text(cell(name, row.get(name))) for name in columns), style=styles.get(number))
    console().print(made)


def long_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """The same without styles: Rich takes a minute for 50,000 rows."""
    shown = [[cell(name, row.get(name)) for row in rows] for name in columns]
    padded = []
    for name, cells, values in zip(columns, shown, ([row.get(name) for row in rows] for name in columns), strict=True):
        width = max(len(name), *map(len, cells))
        right = any(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        padded.append([text.rjust(width) if right else text.ljust(width) for text in (name, *cells)])
    sys.stdout.writelines("  ".join(line).rstrip() + "\n" for line in zip(*padded, strict=True))


def cell(column: str, value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if column in COUNTS else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return plain(to_json(value) if isinstance(value, list | tuple | Mapping) else str(value))


def for_csv(value: Any) -> Any:
    """A value as CSV holds it: lists and maps as JSON, nothing where there is none."""
    if isinstance(value, list | tuple | Mapping):
        return to_json(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def to_json(value: Any) -> str:
    """JSON that every parser takes: what is not a finite number is null, what JSON doesn't know is text."""
    return json.dumps(finite(value), allow_nan=False, default=str)


def finite(value: Any) -> Any:
    """The same structure with null for NaN and infinities, which JSON has no words for."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value


def plain(text: str) -> str:
    """Names come from untrusted files: whatever could steer a terminal or break a line is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
