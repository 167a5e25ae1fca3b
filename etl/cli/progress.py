"""How far a long command is: a bar with weights done, rate and time left where stderr is a terminal, a line per stage elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli.output import console, plain, remark

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def bar(title: str, *, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar; what it gives is called with what is counted (`weights`), how many are done and how many there are."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    target = console(stderr=True)
    counts = TextColumn("{task.completed:,} of {task.total:,} {task.fields[what]}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), counts, Rate(), TimeRemainingColumn())
    with Progress(*columns, console=target, transient=True, disable=quiet or not target.is_terminal, speed_estimate_period=10) as shown:
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            if not tasks and not quiet and not target.is_terminal:
                remark(title)
            if what not in tasks:
                tasks[what] = shown.add_task(plain(title), total=total, what=what)
            shown.update(tasks[what], completed=done, total=total)

        yield update


@contextmanager
def stages(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line for each stage of something whose end isn't known; what it gives is called with a stage's name."""
    target = console(stderr=True)
    if quiet:
        yield lambda _: None
    elif not target.is_terminal:
        yield remark
    else:
        with target.status("...") as status:
            yield lambda stage: status.update(plain(stage))
