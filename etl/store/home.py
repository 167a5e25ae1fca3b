"""Where the program keeps things on disk: one folder that only the user can read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from etl.errors import FetchError


def home() -> Path:
    """`ETL_HOME`, or the platform's folder for a user's own files."""
    return private(place())


def place() -> Path:
    """Where that folder is, or would be: creates nothing."""
    return Path(os.environ.get("ETL_HOME") or _default()).expanduser().resolve()


def cache() -> Path:
    """Downloads: may be deleted while nothing runs."""
    return private(home() / "cache")


def neo4j() -> Path:
    """The local Neo4j's own home: configuration, logs and the store. May be deleted while nothing runs."""
    return private(home() / "neo4j")


def free_disk() -> int:
    """Free bytes where the local Neo4j has its store, or would have it. Creates nothing."""
    folder = place()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def private(folder: Path) -> Path:
    """Create `folder` for the user alone; a folder that exists keeps its mode."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FetchError(f"{folder} can't be created ({error.strerror}): set ETL_HOME to a folder that can be written.") from error
    if not os.access(folder, os.W_OK):
        raise FetchError(f"{folder} can't be written: set ETL_HOME to a folder of your own.")
    return folder


def fresh(folder: Path) -> Path:
    """An empty folder for the user alone, in the place of what was there."""
    if folder.exists():
        shutil.rmtree(folder)
    return private(folder)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment, all of it or nothing."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def _default() -> Path:
    from platformdirs import user_data_path

    return user_data_path("neuron-etl", appauthor=False)
