"""Write docs/queries.md from the headers of the stored queries, and query_times.csv: `python docs/generate.py`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from etl.store.queries import REQUIRED, Query, queries

HEAD = """# Stored queries

Each is one file in `cypher/analysis/`. `etl query` lists them, `etl query NAME param=value ...` asks one. A value is JSON where it parses as JSON,
else text; `param=@file.json` reads it from a file. `model` may be left out where the store has one model only.

A parameter of type NEURON takes an address, layer and index (`digit/4`, `pool/2,2,15`: the same in every store and after every load), or an id. A
row that names a neuron has its id, layer and index. A path is one text, `pixels/2,2,0 -0.67-> strokes/2,2,0 ...`. `etl query NAME --help` shows what
stands here; `--classes FILE` adds the names of classes.

The same files run in Neo4j Browser: paste the `:param` line, then the file; there a neuron is its id. To add a question, put a file like these into
`$ETL_HOME/queries`, or into a folder that `--queries` names; its header is checked against its text. `etl query --cypher TEXT` runs any other
statement in a read transaction.

This page is made from the headers by `python docs/generate.py`.
"""

TIMES_HEAD = """## How long they take

Whole commands (two seconds or three are `etl query` itself, some more where a server has just started), each once, in the local Neo4j with its
default settings, on two cores; those for 63 million weights (and 8.6 million neurons) while other work shared them, which about doubled what they
took, but for `degrees`, `longest_path`, `path_count`, `strongest_paths` and `widest_path`, which had them alone. Questions about a layer are asked of
the one with the most weights; a model is compared with itself. `python benchmarks/queries.py MODEL ...` asks them all. What keeps a value for every
neuron (paths, `forward`) takes memory for that; where it is more than Neo4j's default has, it says so.
"""


TIMES = Path(__file__).with_name("query_times.csv")


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(query) for query in queries().values()), times()])


def times() -> str:
    """What `benchmarks/queries.py` measured."""
    names, *rows = csv.reader(TIMES.read_text("utf-8").splitlines())
    table = [names, ["---"] * len(names), *rows]
    return "\n".join([TIMES_HEAD, *("| " + " | ".join(map(cell, row)) + " |" for row in table), ""])


def section(query: Query) -> str:
    """One query: what it answers, what goes in, what comes out."""
    lines = [f"## {query.name}", "", f"**{query.title}.** {query.description}", ""]
    if query.writes:
        lines += [f"While it runs it writes the property `{query.writes}` on neurons, and removes it again.", ""]
    if query.needs:
        lines += [f"It reads the property `{query.needs}` of neurons, which another command writes.", ""]
    if query.not_with:
        options = ", ".join(f"`{option}`" for option in query.not_with)
        lines += [f"It refuses a model that was loaded with {options}: its answer would not be the network's.", ""]
    lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {p.name} | {p.type} | {'' if p.default is REQUIRED else json.dumps(p.default)} | {cell(p.meaning)} |" for p in query.parameters]
    lines += ["", "| column | type | meaning |", "|---|---|---|"]
    lines += [f"| {c.name} | {c.type} | {cell(c.meaning)} |" for c in query.columns]
    return "\n".join([*lines, "", "```", query.browser, "```", ""])


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).with_name("queries.md").write_text(page(), encoding="utf-8")
