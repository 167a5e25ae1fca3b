"""Several processes of this machine for one export."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from etl.errors import EtlError
from etl.sinks.parquet_parts import Run, Task, run_by

LARGE = 20_000_000  # edges from which on starting processes pays


def jobs_for(edges: int) -> int:
    """How many processes an export of so many edges is worth: all cores that this process may use, or itself alone."""
    if edges < LARGE:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(jobs: int) -> Run:
    """Tasks run by so many new processes. Those whose worker was killed are run again by others."""

    def run(tasks: Sequence[Task]) -> Iterator[tuple[Task, int]]:
        waiting = list(tasks)
        while waiting:
            before = len(waiting)
            try:
                with ProcessPoolExecutor(min(jobs, before), get_context("spawn"), initializer=begin) as executor:
                    for task, rows in run_by(executor)(waiting.copy()):
                        waiting.remove(task)
                        yield task, rows
            except BrokenProcessPool:
                if len(waiting) == before:
                    raise EtlError(
                        "the processes of this export were killed before they finished a part, perhaps for want of memory: take --jobs 1"
                    ) from None

    return run


def begin() -> None:
    """In a new process: an interrupt is its parent's business, whose end is its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """A pool's processes would wait for work for ever where their parent was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
