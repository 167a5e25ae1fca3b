"""Stored queries: the files of cypher/analysis, one question each, checked against their headers and run."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def text(folder: str, name: str) -> str:
    """The text of cypher/<folder>/<name>.cypher."""
    return (resources.files("cypher") / folder / f"{name}.cypher").read_text("utf-8")
