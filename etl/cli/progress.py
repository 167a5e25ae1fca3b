"""How far a command is: on a terminal its stage, then a bar with what is done, the rate and the time left; elsewhere a line each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from etl.cli.output import console, plain, remark

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID
    from rich.status import Status


class Display:
    """What library calls are given to tell how far they are. title: what the counts are of."""

    def __init__(self, title: str, held: ExitStack, *, quiet: bool) -> None:
        self.title, self.held, self.quiet = title, held, quiet
        self.target = console(stderr=True)
        self.status: Status | None = None
        self.bar: Progress | None = None
        self.tasks: dict[str, TaskID | None] = {}

    def stage(self, name: str) -> None:
        """Something begins whose end isn't known."""
        if self.quiet:
            return
        if not self.target.is_terminal:
            remark(name)
            return
        self.held.close()  # one of the two at a time
        self.bar, self.tasks = None, {}
        self.status = self.held.enter_context(self.target.status(plain(name)))

    def count(self, what: str, done: int, total: int) -> None:
        """So many of something are done, of how many."""
        if self.quiet:
            return
        if not self.target.is_terminal:
            if not self.tasks:
                remark(self.title)
                self.tasks[what] = None  # said once
            return
        if self.bar is None:
            self.held.close()
            self.bar = self.held.enter_context(counting(self.target))
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(plain(self.title), total=total, what=what)
        task = self.tasks[what]
        assert task is not None
        self.bar.update(task, completed=done, total=total)


def counting(target: Console) -> Progress:
    """A bar."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    counts = TextColumn("{task.completed:,} of {task.total:,} {task.fields[what]}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), counts, Rate(), TimeRemainingColumn())
    return Progress(*columns, console=target, transient=True, speed_estimate_period=10)


@contextmanager
def display(title: str = "", *, quiet: bool) -> Iterator[Display]:
    """Show how far a call is: give it `stage` and `count`."""
    with ExitStack() as held:
        yield Display(title, held, quiet=quiet)
