"""Where the program keeps things on disk: one folder that only the user can read."""

from __future__ import annotations

import os
from pathlib import Path

from etl.errors import FetchError


def home() -> Path:
    """`ETL_HOME`, or the platform's folder for a user's own files."""
    return private(place())


def place() -> Path:
    """Where that folder is, or would be: creates nothing."""
    return Path(os.environ.get("ETL_HOME") or _default()).expanduser().absolute()


def cache() -> Path:
    """Downloads: may be deleted while nothing runs."""
    return private(home() / "cache")


def neo4j() -> Path:
    """The local Neo4j's own home: configuration, logs and the store. May be deleted while nothing runs."""
    return private(home() / "neo4j")


def private(folder: Path) -> Path:
    """Create `folder` for the user alone; a folder that exists keeps its mode."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FetchError(f"{folder} can't be created ({error.strerror}): set ETL_HOME to a folder that can be written.") from error
    return folder


def _default() -> Path:
    from platformdirs import user_data_path

    return user_data_path("neuron-etl", appauthor=False)
