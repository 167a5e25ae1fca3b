"""A folder that is at its place when it is complete, and not before; what a killed writer left is taken up where it is the same work."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Resumable = Callable[[Path], bool]


def never(_: Path) -> bool:
    """Nothing half done is worth to be kept."""
    return False


@contextmanager
def in_place(folder: Path, resumable: Resumable = never) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when it is complete, and goes when it isn't.

    resumable  whether what is in a folder is a part of this very work: it stays where the work breaks, and is what the next one begins with
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder, partial, resumable)
    old = partial.with_suffix(".old")
    partial.mkdir(exist_ok=True)
    try:
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        if not resumable(partial):
            shutil.rmtree(partial, ignore_errors=True)


def sweep(folder: Path, partial: Path, resumable: Resumable) -> None:
    """Take up as `partial` what was left behind by one that was killed and can be gone on with; remove everything else of that kind."""
    import psutil

    for path in sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*.partial")):
        killed = re.fullmatch(r"\.(\d+)\.partial", path.name.removeprefix(f".{folder.name}"))
        if not killed or (path != partial and psutil.pid_exists(int(killed[1]))):
            continue
        if resumable(path) and (path == partial or not partial.exists()):
            path.rename(partial)
        else:
            shutil.rmtree(path, ignore_errors=True)


def has_unfinished(folder: Path) -> bool:
    """Whether unfinished work on a folder is beside it."""
    return any(folder.absolute().parent.glob(f".{glob.escape(folder.name)}.*.partial"))
