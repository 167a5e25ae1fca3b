"""Neo4j's import tool: builds a store from Parquet files, beside the one that is served."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from etl.errors import StoreError
from etl.store.local import configuration
from etl.store.local import server as local

STEP = re.compile(r"\d+% ∆")  # what the import tool prints after each twentieth of a phase
STEPS = 80  # in its four phases
SPARE_THREADS = 2  # besides one for each core: its stages wait for each other, and two cores finish a tenth earlier
LISTED = "\x1f"  # between the items of a list: names may hold any printable character
OPTIONS = (  # its defaults forgive bad rows; node records are numbered in the order of the rows, as our ids are
    "--input-type=parquet",
    "--id-type=actual",
    "--normalize-types=false",
    "--strict=true",
    "--bad-tolerance=0",
    "--array-delimiter=U+001F",
    "--path-pattern-style=none",
)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Staged:
    """Files in a folder: what the import tool is told of them, and what it must report.

    arguments  of `neo4j-admin database import full`, but the database's name
    """

    folder: Path
    arguments: tuple[str, ...]
    nodes: int
    relationships: int


def build(staged: Staged, folder: Path, progress: Progress, flags: tuple[str, ...] = ()) -> None:
    """Import staged files into a store of its own. Raises StoreError unless the tool reports exactly what was staged. flags: Java's."""
    configuration.write(folder, configuration.STORE)
    steps = 0

    def tell(line: str) -> None:
        nonlocal steps
        if STEP.search(line):
            steps = min(steps + 1, STEPS)
            progress("steps of the import", steps, STEPS)

    threads = f"--threads={(os.cpu_count() or 1) + SPARE_THREADS}"
    arguments = ("database", "import", "full", *staged.arguments, threads, "--overwrite-destination=true", local.DATABASE)
    done = local.admin(folder, *arguments, tell=tell, flags=flags)
    counts = {kind: int(count) for count, kind in re.findall(r"^\s*(\d+) (nodes|relationships)$", done.stdout, re.MULTILINE)}
    shutil.rmtree(staged.folder)
    if done.returncode or counts != {"nodes": staged.nodes, "relationships": staged.relationships}:
        reason = "another program ended it" if done.returncode < 0 else local.telling(done.stdout.splitlines())
        raise StoreError(f"the import tool made {counts or 'nothing'} ({reason}): the store is as it was; try again, or --mode live.")


def end_tools(folder: Path) -> None:
    """End every import tool that builds a store in that folder."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder / "import") in argument for argument in process.info["cmdline"] or ()):
            process.kill()
            process.wait()
