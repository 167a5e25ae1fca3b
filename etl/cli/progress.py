"""How far a long command is: a bar with weights done, rate and time left where stderr is a terminal, a line per stage elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from etl.cli.output import console, plain, remark


@contextmanager
def weights(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar for `total` weights; what it gives is called with the number of weights that were added."""
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    target = console(stderr=True)
    if not quiet and not target.is_terminal:
        remark(f"{title}: {total:,} weights")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,} weights"),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=target, transient=True, disable=quiet or not target.is_terminal, speed_estimate_period=10) as bar:
        task = bar.add_task(plain(title), total=total)
        yield lambda added: bar.advance(task, added)


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


def log_to_stderr() -> None:
    """Warnings of the program are lines on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger("etl").addHandler(handler)
