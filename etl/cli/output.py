"""Rows on stdout, progress and remarks on stderr; colours where there is a terminal."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from etl.cli.options import Format
from etl.store.addresses import address

if TYPE_CHECKING:
    from rich.console import Console

COUNTS = frozenset(  # columns that say how many: written with thousands separators in tables, where ids and places are not
    "neurons edges parameters stored_neurons stored_edges weights paths calls values hops layers possible changed flipped zeroed zeros prunable "
    "prunable_edges degree in_min in_max out_min out_max".split()
)
LONG_TABLE_ROWS = 2000  # rows
FOLDED = 24  # characters: text that is longer may go on in the next line
GAP = "   "  # between columns
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


def counted(count: int, noun: str) -> str:
    """`1 neuron`, `1,306 neurons`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


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
    """Print rows under their column names, numbers to the right; one table below the other where the terminal is too narrow for all columns."""
    if len(rows) > LONG_TABLE_ROWS:
        long_table(rows, columns)
        return
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    target, cells = console(), {name: [cell(name, row.get(name)) for row in rows] for name in columns}
    numbers = {name for name in columns if any(is_number(row.get(name)) for row in rows)}
    widest = {name: max(map(cell_len, (name, *cells[name]))) for name in columns}
    least = {name: width if name in numbers else min(width, FOLDED) for name, width in widest.items()}
    for place, group in enumerate(column_groups(least, leading(cells), target.width)):
        printed_table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
        for name in group:
            right = name in numbers
            printed_table.add_column(Text(name), justify="right" if right else "left", overflow="fold", no_wrap=right, min_width=least[name])
        for number in range(len(rows)):
            printed_table.add_row(*(Text(cells[name][number]) for name in group), style=styles.get(number))
        with target.capture() as printed:
            target.print(printed_table)
        lines = printed.get().splitlines()
        if place:
            print()
        print(*(lines if target.is_terminal else map(str.rstrip, lines)), sep="\n")  # what goes into a file has no blanks at the ends of its lines


def column_groups(widths: Mapping[str, int], leading: int, width: int) -> list[list[str]]:
    """Columns in as few groups as fit side by side, each led by the `leading` columns, which say whose row it is."""
    columns = list(widths)
    groups = [columns[:leading]]
    for name in columns[leading:]:
        if sum(widths[column] + len(GAP) for column in groups[-1]) + widths[name] > width and len(groups[-1]) > leading:
            groups.append(columns[:leading])
        groups[-1].append(name)
    return groups


def leading(cells: Mapping[str, Sequence[str]]) -> int:
    """How many of the first columns tell the rows apart; one where none do."""
    columns = list(cells.values())
    return next((n for n in range(1, len(columns)) if len(set(zip(*columns[:n], strict=True))) == len(columns[0])), 1)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def long_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """The same without styles: Rich takes a minute for 50,000 rows."""
    shown = [[cell(name, row.get(name)) for row in rows] for name in columns]
    padded = []
    for name, cells, values in zip(columns, shown, ([row.get(name) for row in rows] for name in columns), strict=True):
        width = max(len(name), *map(len, cells))
        right = any(map(is_number, values))
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
    if isinstance(value, Mapping):
        return brief(value)
    return readable(value) if isinstance(value, list | tuple) else plain(str(value))


def brief(properties: Mapping[str, Any]) -> str:
    """A node or a relationship in a few words: `pool/2,2,15`, `pool (MaxPooling2D)`, a weight's number."""
    if {"id", "layer", "index"} <= properties.keys():
        return plain(address(properties["layer"], properties["index"]))
    if {"name", "type"} <= properties.keys():
        return plain(f"{properties['name']} ({properties['type']})")
    if "weight" in properties:
        return cell("weight", properties["weight"])
    return readable(properties) if properties else ""


def readable(value: Any) -> str:
    """JSON for a person: letters as they are, numbers as short as elsewhere in a table."""
    return plain(json.dumps(finite(rounded(value)), ensure_ascii=False, default=str))


def rounded(value: Any) -> Any:
    """The same structure with as many digits of its numbers as a table shows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: rounded(element) for name, element in value.items()}
    return [rounded(element) for element in value] if isinstance(value, list | tuple) else value


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
        return {str(key): finite(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [finite(element) for element in value]
    return value


def plain(text: str) -> str:
    """Names come from untrusted files: whatever could steer a terminal or break a line is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
