"""What rules are called with beside ids and arrays, as files write it: see etl/rules/misfits.py for what these types are good for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from etl.rules.ids import Ids

Value: TypeAlias = Ids | NDArray[Any]  # the former where live, an array where constant
Numbers: TypeAlias = Sequence[float] | NDArray[Any]
PerAxis: TypeAlias = int | Sequence[int]  # one number for all axes, or one for each
SomeAxes: TypeAlias = int | Sequence[int]  # an axis, or several
Ends: TypeAlias = int | Sequence[int | Sequence[int]]  # around all axes, around each, or before and after each
GivenStates: TypeAlias = Ids | Sequence[Ids | Sequence[Ids]] | None  # of a recurrent layer, or of the cells of one


def flat_states(states: Any) -> Iterator[Ids]:
    """States in the order of the cells, however they are nested."""
    if isinstance(states, list | tuple):
        for state in states:
            yield from flat_states(state)
    elif states is not None:
        yield states
