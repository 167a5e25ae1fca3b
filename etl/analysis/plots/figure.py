"""Figures without a screen: one style for all of them, PNG or SVG by suffix, and none larger than a screen unless it is asked for in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from etl.errors import BadRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")
Row = dict[str, Any]
NEGATIVE, POSITIVE, NEUTRAL = "#2166ac", "#b2182b", "#555555"  # the ends of the red-blue scale
LONGEST = 28  # characters of a name on an axis
DPI = 110
SCREEN = (1600 / DPI, 1200 / DPI)  # inches
LARGEST = 32_000 / DPI  # inches: no renderer takes 65,536 pixels
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # names come from files: a dollar is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "neuron-etl",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in our style, whatever the user's matplotlibrc says, and leave that as it was."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            return draw(*args, **kwargs)

    return inside


def new(width: float, height: float, title: str, *, full: bool = False) -> Figure:
    """An empty figure, in inches: at most a screen, at most what can be drawn at all where it is to be full."""
    from matplotlib.figure import Figure

    widest, highest = (LARGEST, LARGEST) if full else SCREEN
    figure = Figure(figsize=(min(width, widest), min(height, highest)))
    figure.suptitle(title, fontsize=11)
    return figure


@styled
def save(figure: Figure, path: Path) -> None:
    """Write a figure as its suffix says; the same rows give the same bytes. Raises BadRequest where it can't be written."""
    with writing(path):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes a picture: raises BadRequest where the place can't be written to."""
    try:
        yield
    except OSError as error:
        raise BadRequest(f"{path} can't be written ({error.strerror}): choose another place") from error


def check_place(path: Path, suffixes: Sequence[str]) -> None:
    """Raises BadRequest where a picture can't be written there, before anything is asked."""
    if path.suffix not in suffixes:
        raise BadRequest(f"{path} must end in {' or '.join(suffixes)}: the suffix says what is written")
    if not path.parent.is_dir():
        raise BadRequest(f"{path.parent} is no folder: make it, or choose another place")


def short(name: str, longest: int = LONGEST) -> str:
    """A name that fits on an axis: its end says more than its beginning."""
    shown = printable(name)
    return shown if len(shown) <= longest else "…" + shown[1 - longest :]


def printable(name: str) -> str:
    """A name with nothing in it that is not to be seen."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def ridges(axes: Axes, groups: Sequence[tuple[str, Any]], bounds: Any, colours: Sequence[str]) -> None:
    """One histogram above the other, each as high as its largest bin: the first group at the top, its name on the axis."""
    import numpy as np

    for place, (_, values) in enumerate(groups):
        counts, _ = np.histogram(values, bounds)
        top = np.concatenate([counts, counts[-1:]]) / max(counts.max(), 1) * 0.85
        axes.fill_between(bounds, -place, -place + top, step="post", color=colours[place], linewidth=0)
        axes.axhline(-place, color="0.8", linewidth=0.5, zorder=0)
    axes.set_yticks([-place for place in range(len(groups))], [short(name) for name, _ in groups], verticalalignment="bottom")
    axes.set_ylim(-len(groups) + 0.9, 1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
