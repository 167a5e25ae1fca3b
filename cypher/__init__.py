"""Everything a person asks of a store or a load sends to it: one statement a file."""

from functools import cache
from importlib import resources


@cache
def text(folder: str, name: str) -> str:
    """The text of cypher/<folder>/<name>.cypher."""
    return (resources.files("cypher") / folder / f"{name}.cypher").read_text("utf-8")
