"""Boxes cut from a layer: its neurons, and its edges in columns that still broadcast, and are written out an entry an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.graph.rows import Row
from etl.rules.scope import Ids, Weights

LEAST_RUN = 1 << 9  # places of windows with the same gaps, from which on it is worth to copy them on their own
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

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.source.shape, self.target.shape, self.weight.shape)

    def columns(self) -> Columns:
        """source, target, weight and parameter, flat, an entry an edge."""
        columns = [self.source, self.target, self.weight, *([] if self.parameter is None else [self.parameter])]
        flat = (self.runs(columns) or self.picked(columns)) if self.gaps else [written(column, self.shape) for column in columns]
        return flat[0], flat[1], flat[2], flat[3] if len(flat) > 3 else None

    def picked(self, columns: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Columns without the gaps, place by place."""
        real = written(self.source >= 0, self.shape)
        count = int(np.count_nonzero(real))
        return [np.compress(real, written(column, self.shape), out=room(count, column.dtype)) for column in columns]

    def runs(self, columns: Sequence[NDArray[Any]]) -> list[NDArray[Any]] | None:
        """The same, run by run of windows with the same gaps, several times as fast; None where runs are short."""
        shape = self.shape
        end = len(shape) - self.over
        begin = end
        while begin and self.source.shape[begin - 1] == 1 < shape[begin - 1]:
            begin -= 1
        groups = (slice(0, begin), slice(begin, end), slice(end, len(shape)))  # windows, filters that share them, operands
        windows, filters, operands = (prod(shape[group]) for group in groups)
        real = np.broadcast_to(folded(self.source, shape, groups)[:, 0] >= 0, (windows, operands))
        starts = [0, *(np.flatnonzero((real[1:] != real[:-1]).any(axis=1)) + 1), windows]
        if prod(shape) // (len(starts) - 1) < LEAST_RUN:
            return None
        parts = [folded(column, shape, groups) for column in columns]
        flat = [room(int(np.count_nonzero(real)) * filters, column.dtype) for column in columns]
        done = 0
        for begin, end in pairwise(starts):
            kept: Any = slice(None) if real[begin].all() else np.flatnonzero(real[begin])
            run = (end - begin, filters, np.count_nonzero(real[begin]))
            for out, part in zip(flat, parts, strict=True):
                some = part[begin:end] if part.shape[0] > 1 else part
                np.copyto(out[done : done + prod(run)].reshape(run), some if part.shape[2] == 1 else some[..., kept])
            done += prod(run)
        return flat


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


def written(column: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A column that broadcasts, written out flat; one that is whole already as it is."""
    near = laid_out(column)
    if near.size == prod(shape):
        return near.reshape(-1)
    wide = room(prod(shape), column.dtype)
    np.copyto(wide.reshape(shape), near)
    return wide


def laid_out(array: Any) -> Any:
    """The same array in C order."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array.copy(order="K"))  # first as it lies: far strides are slow


def room(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array to write into, from Arrow's pool: it keeps the pages of batches that are gone, which the system would clear anew each time."""
    return np.frombuffer(pa.allocate_buffer(count * dtype.itemsize), dtype) if count else np.empty(0, dtype)
