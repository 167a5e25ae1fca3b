"""The process that practises Neo4j's programs in the background, once the command that started a server has ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from etl.store import home as places
from etl.store.local import server as local
from etl.store.local.class_training import train, trained
from etl.store.local.fetch import Runtime

TOP = Path(__file__).parents[3]  # the folder with the package, which need not be installed
CODE = f"from {__name__} import main; main()"  # not -m: the package has imported this module already
AUTOGROUP = Path("/proc/self/autogroup")  # Linux may share time out between sessions: then niceness counts within one alone
LEAST = getattr(psutil, "IDLE_PRIORITY_CLASS", 19)  # Windows' priority, or the niceness elsewhere


def begin(runtime: Runtime) -> None:
    """Start it, unless there is nothing to practise or it runs already."""
    if trained(runtime) or any(running()):
        return
    command = [sys.executable, "-c", CODE, str(places.cache()), runtime.version, str(os.getpid())]
    with (places.private(places.cache() / "practice") / "log").open("wb") as output:
        process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    process.returncode = 0  # it outlives us: no warning about a child that still runs


def end() -> None:
    """End it with all that it started, if it runs. The next start begins it again."""
    for trainer in running():
        with suppress(psutil.NoSuchProcess):
            trainer.suspend()  # it starts nothing from here on
            processes = [*trainer.children(recursive=True), trainer]
            for process in processes:
                process.kill()
            for process in processes:
                local.ends(process)
        shutil.rmtree(places.cache() / "practice", ignore_errors=True)


def running() -> Iterator[psutil.Process]:
    """The process, if there is one for this folder of downloads."""
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[2:4] == [CODE, str(places.cache())]:
            yield process


def main() -> None:
    """Wait for the process that began this one, then practise with what others leave of the machine."""
    _, version, starter = sys.argv[1:]
    with suppress(psutil.NoSuchProcess):  # it may have ended
        process = psutil.Process(int(starter))
        while not local.ends(process):
            pass
    psutil.Process().nice(LEAST)
    with suppress(OSError):  # elsewhere there is no such file, or a kernel that takes nothing in it: niceness is all then
        AUTOGROUP.write_text(str(LEAST))
    train(version)
