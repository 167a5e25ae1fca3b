"""What a command of the command line did."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Done(NamedTuple):
    """Exit code, and what stood on stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
