"""Boxes cut from a layer: its neurons, and its edges in columns that still broadcast, and are written out an entry an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.graph.rows import Row
from etl.rules.scope import Ids, Weights

LEAST_RUN = 1 << 9  # places of windows with the same gaps, from which on it is worth to copy them on their own
FAR = 1 << 14  # entries of a column from which on it is worth to lay it out before it is copied
SHORT = 1 << 3  # times that an entry is repeated, up to which it is written so often on its own
FEW = 1 << 5  # places of a window that are laid out one by one
Box = tuple[slice, ...]
Columns = tuple[Ids, Ids, Weights, Ids | None]  # source, target, weight, parameter: flat


@dataclass(frozen=True)
class Block:
    """A box cut from the edges of one row of the layer table: columns that still broadcast against each other.

    parameter  places in the layer's stored arrays, or None where the weights are computed
    gaps       some sources are no neurons: those places are no edges
    over       how many of its last axes are operands of one neuron
    """

    row: Row
    source: Ids
    target: Ids
    weight: Weights
    parameter: Ids | None
    gaps: bool
    over: int = 0

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast(self.source, self.target, self.weight).shape

    @cached_property
    def real(self) -> NDArray[np.bool_]:
        """Which places are edges, in the source's own shape."""
        return self.source >= 0

    @cached_property
    def edges(self) -> int:
        """How many places are edges."""
        size = prod(self.shape)
        return int(np.count_nonzero(self.real)) * (size // self.source.size) if self.gaps else size

    def columns(self) -> Columns:
        """source, target, weight and parameter, flat, an entry an edge."""
        columns = self.broadcast()
        if self.gaps:
            flat = [room(self.edges, column.dtype) for column in columns]
            self.write(flat)
        else:
            flat = [written(column, self.shape) for column in columns]
        return flat[0], flat[1], flat[2], flat[3] if len(flat) > 3 else None

    def write(self, flat: Sequence[NDArray[Any]]) -> None:
        """The same, into arrays of as many entries: three, or four where it has parameters."""
        if self.gaps:
            if not self.write_runs(flat):
                self.write_places(flat)
            return
        for out, column in zip(flat, self.broadcast(), strict=True):
            spread(out.reshape(self.shape), column if column.size < FAR else laid_out(column))

    def broadcast(self) -> list[NDArray[Any]]:
        """Its columns, which broadcast."""
        return [self.source, self.target, self.weight, *([] if self.parameter is None else [self.parameter])]

    def write_places(self, flat: Sequence[NDArray[Any]]) -> None:
        """Columns without the gaps, place by place."""
        real = written(self.real, self.shape)
        for out, column in zip(flat, self.broadcast(), strict=True):
            np.compress(real, written(column, self.shape), out=out)

    def write_runs(self, flat: Sequence[NDArray[Any]]) -> bool:
        """The same, run by run of windows with the same gaps, several times as fast; False, and nothing is written, where runs are short."""
        shape, end = self.shape, len(self.shape) - self.over
        real, first = alike(self.real, 0, end)
        real, last = alike(real, end, len(shape))
        groups = (slice(0, first), slice(first, end), slice(end, last), slice(last, len(shape)))
        windows, filters, operands, channels = (prod(shape[group]) for group in groups)  # filters and channels: gaps are alike along them
        real = np.broadcast_to(real, (*shape[:first], *(1,) * (end - first), *shape[end:last], *(1,) * (len(shape) - last))).reshape(
            windows, operands
        )
        starts = [0, *changes(real), windows]
        if prod(shape) // (len(starts) - 1) < LEAST_RUN:
            return False
        parts = [laid_out(folded(column, shape, groups)) for column in self.broadcast()]
        done = 0
        for begin, end in pairwise(starts):
            kept = real[begin].nonzero()[0]
            run = (end - begin, filters, len(kept), channels)
            before, done = done, done + prod(run)
            for out, part in zip(flat, parts, strict=True):
                copy(out[before:done].reshape(run), part[begin:end] if len(part) > 1 else part, kept)
        return True


@dataclass(frozen=True)
class NeuronBlock:
    """Some neurons of one row of the layer table, their ids in order.

    op, activation  of all of them; None where nobody says
    bias            float64, NaN where there is none
    """

    row: Row
    op: str | None
    activation: str | None
    ids: Ids
    bias: Weights


def folded(column: NDArray[Any], shape: tuple[int, ...], groups: Sequence[slice]) -> NDArray[Any]:
    """A column with each group of axes made one, written out where it repeats along some axes of a group only."""
    wide = [size for group in groups for size in (column.shape[group] if prod(column.shape[group]) == 1 else shape[group])]
    sizes = [1 if prod(column.shape[group]) == 1 else prod(shape[group]) for group in groups]
    return np.broadcast_to(column, wide).reshape(sizes)


def alike(real: NDArray[np.bool_], begin: int, end: int) -> tuple[NDArray[np.bool_], int]:
    """Gaps with the last of those axes one long along which they are alike, and the first of these axes."""
    for axis in range(end - 1, begin - 1, -1):
        if real.shape[axis] > 1:
            lead = (slice(None),) * axis
            head = real[(*lead, slice(0, 1))]
            near = real[(*lead, slice(1, 2))] != head  # tells of most axes that they aren't
            if near.any() or (real[(*lead, slice(2, None))] != real[(*lead, slice(1, -1))]).any():
                return real, axis + 1
            real = head
    return real, begin


def changes(real: NDArray[np.bool_]) -> list[int]:
    """The rows of a table that differ from the row before."""
    flat, width = real.reshape(-1), real.shape[1]
    changed = np.zeros(len(real), bool)
    changed[(flat[width:] != flat[:-width]).nonzero()[0] // width + 1] = True
    rows: list[int] = changed.nonzero()[0].tolist()
    return rows


def copy(out: NDArray[Any], part: NDArray[Any], kept: NDArray[np.intp]) -> None:
    """The operands `kept` of some windows (windows, filters, operands, channels), repeated as often as `out` wants them."""
    if 1 < part.shape[2] > len(kept):
        if part.shape == (*out.shape[:2], part.shape[2], out.shape[3]):
            part.take(kept, 2, out, "clip")  # every mode is the same here, and this one needs no buffer
            return
        part = part.take(kept, 2)
    spread(out, part)


def written(column: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A column that broadcasts, written out flat; one that is whole already as it is."""
    near = laid_out(column)
    if near.size == prod(shape):
        return near.reshape(-1)
    wide = room(prod(shape), column.dtype)
    spread(wide.reshape(shape), near)
    return wide


def spread(out: NDArray[Any], column: NDArray[Any]) -> None:
    """Write out a column of as many axes that broadcasts; so often where it repeats a few times at the end, since NumPy's loops are short there."""
    axis = out.ndim
    while axis and column.shape[axis - 1] == 1:
        axis -= 1
    if not axis or not 1 < prod(out.shape[axis:]) <= SHORT:
        np.copyto(out, column)
        return
    column = column.reshape(column.shape[:axis])
    for place in np.ndindex(out.shape[axis:]):
        out[(..., *place)] = column


def laid_out(array: Any) -> Any:
    """The same array in C order."""
    if array.flags.c_contiguous:
        return array
    nearest = min((abs(stride), -axis) for axis, (size, stride) in enumerate(zip(array.shape, array.strides, strict=True)) if size > 1)
    behind = array.shape[1 - nearest[1] :]
    if array.size < FAR or prod(behind) == 1:
        return np.ascontiguousarray(array)
    if prod(behind) > FEW:
        return np.ascontiguousarray(array.copy(order="K"))  # first as it lies: far strides are slow
    near = room(array.size, array.dtype).reshape(array.shape)
    for place in np.ndindex(behind):  # a window's places, each for all channels as they lie
        near[(..., *place)] = array[(..., *place)]
    return near


def room(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array to write into, from Arrow's pool: it keeps the pages of batches that are gone, which the system would clear anew each time."""
    return np.frombuffer(pa.allocate_buffer(count * dtype.itemsize), dtype) if count else np.empty(0, dtype)
