"""Neo4j's classes as Java has them once they are loaded, kept in a file: made once for each Neo4j and each Java, it halves the time of a start.

The file is Java's ahead-of-time cache (JEP 483). Java takes it only where its own version and all jars are those it was made with, and does without
it elsewhere. Profiles of methods (JEP 515) are left out: those of a short run make what a long one compiles a third slower.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from etl.errors import EtlError
from etl.store.configuration import heap
from etl.store.fetch import MAIN_CLASS, Runtime

ROOM = 600_000_000  # bytes on the disk while it is made; a third of that stays
CLASSES_ALONE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTRecordTraining")
log = logging.getLogger("etl")


def make(runtime: Runtime, run: Callable[[tuple[str, ...]], None]) -> None:
    """Make the file unless it was tried before. Where that fails Neo4j goes without, and a warning says why.

    run  runs Neo4j for a moment with the flags it is given, besides its own, and does what is to go fast
    """
    from filelock import FileLock

    if runtime.classes.exists():
        return
    with FileLock(runtime.jars.with_name(f"{runtime.jars.name}.classes.lock")):
        if runtime.classes.exists():
            return
        recorded, made = runtime.jars / "recorded", runtime.jars / "classes.new"
        try:
            if (free := shutil.disk_usage(runtime.jars).free) < ROOM:
                raise OSError(f"it takes {ROOM / 1e6:.0f} MB, {free / 1e6:.0f} MB are free")
            run((*CLASSES_ALONE, "-XX:AOTMode=record", f"-XX:AOTConfiguration={recorded}"))
            assemble(runtime, recorded, made)
        except (EtlError, OSError, subprocess.SubprocessError) as error:
            log.warning("Neo4j will start at its usual pace: its classes can't be kept (%s); to try again, delete %s.", error, runtime.classes)
            made.write_bytes(b"")
        finally:
            recorded.unlink(missing_ok=True)
        made.replace(runtime.classes)


def assemble(runtime: Runtime, recorded: Path, made: Path) -> None:
    """From what was recorded to the file. Raises OSError with Java's last word where there is none."""
    options = (*heap(), *CLASSES_ALONE, "-XX:AOTMode=create", f"-XX:AOTConfiguration={recorded}", f"-XX:AOTCache={made}")
    command = runtime.command(MAIN_CLASS[runtime.version], flags=options)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    if done.returncode or not made.is_file():
        raise OSError((done.stdout.strip().splitlines() or ["Java said nothing"])[-1])
