"""Programs of Neo4j with their classes as Java has them once they are loaded, kept in a file: made once for each Neo4j and each Java.

It halves the time of a server's start, and takes a fifth off an import. The file is Java's ahead-of-time cache (JEP 483). Java takes it only where
its own version and all jars are those it was made with; elsewhere it is another file that is looked for, and made (see `Runtime.kept`).
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from etl.errors import EtlError
from etl.store import home as places
from etl.store.local.fetch import Runtime

ROOM = 600_000_000  # bytes on the disk while it is made; at most a third of that stays
CLASSES_ALONE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTRecordTraining")  # without profiles of methods (JEP 515)
log = logging.getLogger("etl")


def make(runtime: Runtime, main_class: str, run: Callable[[tuple[str, ...]], None], flags: tuple[str, ...] = ()) -> None:
    """Make a program's file unless it was tried before. Where that fails the program goes without, and a warning says why.

    run    runs the program for a moment with the flags it is given, besides its own, and lets it do what is to go fast
    flags  Java's, while the program is watched and while the file is made
    """
    from filelock import FileLock

    kept = runtime.kept(main_class)
    if kept.exists():
        return
    program = kept.stem.partition("-")[0]
    with FileLock(runtime.jars.with_name(f"{runtime.jars.name}.{program}.lock")):
        if kept.exists():
            return
        work = places.fresh(runtime.jars / f"{program}.work")  # one whose maker was killed may be there
        try:
            cache = watch(runtime, main_class, run, flags, work)
            for old in runtime.jars.glob(f"{program}-*.aot"):  # another Java's, or of other jars
                old.unlink()
            cache.replace(kept)
        finally:
            shutil.rmtree(work)


def watch(runtime: Runtime, main_class: str, run: Callable[[tuple[str, ...]], None], flags: tuple[str, ...], work: Path) -> Path:
    """The file, made in the folder `work`: empty where it can't be, which a warning says."""
    kept = runtime.kept(main_class)
    cache = work / kept.name
    try:
        if (free := shutil.disk_usage(work).free) < ROOM:
            raise OSError(f"it takes {ROOM / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")
        run((*flags, "-XX:AOTMode=record", f"-XX:AOTConfiguration={work / 'recorded'}"))
        assemble(runtime, main_class, flags, work / "recorded", cache)
    except (EtlError, OSError, subprocess.SubprocessError) as error:
        log.warning("Neo4j will work at its usual pace: %s can't be kept (%s); to try again, delete %s.", kept.stem, error, kept)
        cache.write_bytes(b"")
    return cache


def assemble(runtime: Runtime, main_class: str, flags: tuple[str, ...], recorded: Path, cache: Path) -> None:
    """From what was recorded to the file. Raises OSError with Java's last word where there is none."""
    command = runtime.command(main_class, flags=(*flags, "-XX:AOTMode=create", f"-XX:AOTConfiguration={recorded}", f"-XX:AOTCache={cache}"))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    if done.returncode or not cache.is_file():
        raise OSError((done.stdout.strip().splitlines() or ["Java said nothing"])[-1])
