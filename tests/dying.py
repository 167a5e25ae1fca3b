"""Tasks of Spark that go wrong. Every process of an executor imports this file: it imports what it needs, and no more."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import psutil

from etl.graph.slices import traced
from etl.sinks.parquet_parts import Task


def first_time(task: Task) -> bool:
    """Whether this is the first attempt at the fourth part of the weights."""
    if (task.part.table, task.part.number) != ("weights", 3):
        return False
    try:
        (task.folder.parent / "tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def dying(numbered: tuple[int, Task], how: Any) -> tuple[int, int | str]:
    """Write a part; at the first attempt at one of them, die in the middle of the file."""
    number, task = numbered
    if not first_time(task):
        return number, task()
    graph = traced(task.source)

    def batches() -> Iterator[Any]:
        for batch in task.part.batches(graph):
            yield batch
            how()

    return number, task.part.write(graph, task.folder, 1000, batches())


def raises(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    def how() -> None:
        raise OSError("the disk is away")

    return dying(numbered, how)


def killed(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    return dying(numbered, lambda: os.kill(os.getpid(), signal.SIGKILL))


def fails(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    number, task = numbered
    if number > 2:
        raise OSError("the disk is away")
    return number, task()


def killed_with_its_executor(numbered: tuple[int, Task]) -> tuple[int, int | str]:
    """Write a part; at the first attempt at one of them, end the executor's Java and this process."""

    def how() -> None:
        executor = next(process for process in psutil.Process().parents() if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()))
        executor.kill()
        os.kill(os.getpid(), signal.SIGKILL)

    return dying(numbered, how)
