"""How far a command is: on a terminal its stage, then a bar with what is done, the rate and the time left; elsewhere a line every ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from etl.cli.output import console, duration, plain, remark

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID

SECONDS_BETWEEN_LINES = 10.0  # seconds between two lines


class ProgressLines:
    """What is going on, for those who look into a log: said when it begins, and again every ten seconds with how far it is.

    doing  what it is, None before anything is known
    said   whether it was said already
    """

    def __init__(self) -> None:
        self.doing: str | None = None
        self.shown = False
        self.began = monotonic()
        self.counted: tuple[str, int, int] | None = None
        self.ended = Event()
        self.ticking: Thread | None = None

    def begin(self, doing: str, *, quietly: bool = False) -> None:
        """Something begins. quietly: it may be over in a moment, and is said when it counts something, or when ten seconds have gone."""
        self.doing, self.began, self.counted, self.shown = doing, monotonic(), None, not quietly
        if not quietly:
            remark(doing)
        if self.ticking is None:
            self.ticking = Thread(target=self.tick, daemon=True)
            self.ticking.start()

    def count(self, title: str, unit: str, done: int, total: int) -> None:
        """So many are done; another title, or another kind of thing, begins anew."""
        if self.doing != title or not self.shown:
            self.begin(title)
        elif self.counted is not None and self.counted[0] != unit:
            self.began = monotonic()
        self.counted = unit, done, total

    def tick(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN_LINES):
            remark(self.line(monotonic() - self.began))

    def line(self, seconds: float) -> str:
        """How far it is after so many seconds."""
        if self.counted is None:
            return f"{self.doing}: {duration(seconds)} so far"
        unit, done, total = self.counted
        left = f", about {duration(seconds * (total - done) / done)} left" if 0 < done < total else ""
        over = f", finishing: {duration(seconds)} so far" if done >= total else ""
        return f"{self.doing}: {done:,} of {total:,} {unit} ({done / max(total, 1):.0%}){left}{over}"

    def end(self) -> None:
        self.ended.set()
        if self.ticking is not None:
            self.ticking.join()


class ProgressDisplay:
    """What library calls are given to tell how far they are. title: what the counts are of."""

    def __init__(self, title: str, open_contexts: ExitStack, lines: ProgressLines, *, quiet: bool) -> None:
        self.title, self.open_contexts, self.lines, self.quiet = title, open_contexts, lines, quiet
        self.target = console(stderr=True)
        self.bar: Progress | None = None
        self.tasks: dict[str, TaskID] = {}
        if title and not quiet and not self.target.is_terminal:
            lines.begin(title, quietly=True)

    def stage(self, name: str) -> None:
        """Something begins whose end isn't known."""
        if self.quiet:
            return
        if not self.target.is_terminal:
            self.lines.begin(name)
            return
        self.open_contexts.close()  # one of the two at a time
        self.bar, self.tasks = None, {}
        self.open_contexts.enter_context(waiting(self.target)).add_task(plain(name), total=None)

    def count(self, unit: str, done: int, total: int) -> None:
        """So many of something are done, of how many."""
        if self.quiet:
            return
        if not self.target.is_terminal:
            self.lines.count(self.title, unit, done, total)
            return
        if self.bar is None:
            self.open_contexts.close()
            self.bar = self.open_contexts.enter_context(counting(self.target))
        if unit not in self.tasks:
            self.tasks[unit] = self.bar.add_task(plain(self.title), total=total, unit=unit)
        self.bar.update(self.tasks[unit], completed=done, total=total)


def waiting(target: Console) -> Progress:
    """What is going on, and for how long."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), console=target, transient=True)


def counting(target: Console) -> Progress:
    """A bar."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    counts = TextColumn("{task.completed:,} of {task.total:,} {task.fields[unit]}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), counts, Rate(), TimeRemainingColumn())
    return Progress(*columns, console=target, transient=True, speed_estimate_period=10)


@contextmanager
def display(title: str = "", *, quiet: bool) -> Iterator[ProgressDisplay]:
    """Show how far a call is: give it `stage` and `count`."""
    lines = ProgressLines()
    try:
        with ExitStack() as open_contexts:
            yield ProgressDisplay(title, open_contexts, lines, quiet=quiet)
    finally:
        lines.end()


@contextmanager
def running(title: str, *, quiet: bool) -> Iterator[ProgressDisplay]:
    """Show that something runs which tells nothing of itself: a framework, say. Without a terminal it is said when ten seconds have gone."""
    with display(title, quiet=quiet) as shown:
        if shown.target.is_terminal:
            shown.stage(title)
        yield shown
