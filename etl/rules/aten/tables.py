"""Tables that integer inputs look up. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import Value, check_size, multiply, numbers, subtract
from etl.rules.ids import NOTHING, axis_names, is_live
from etl.rules.primitives.tables import onehot
from etl.rules.scope import Edges, Scope


def embedding(here: Scope, weight: Value, indices: Value, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False) -> Value:
    """Each position of an integer input, one-hot, times the table: (...) -> (..., d); edges (..., d, n). Computed positions are compared first."""
    if not is_live(indices):
        return weight[np.asarray(indices)]
    if is_live(weight):
        raise Unsupported("looks up a table that depends on the example")
    return here.sum(Edges(onehot(here, indices, weight.shape[0])[..., None, :], weight.T), axes=(*axis_names(indices), "channel"))


def embedding_renorm(here: Scope, self: Value, indices: Value, max_norm: float, norm_type: float) -> Value:
    """A table whose rows are no longer than max_norm; of a live position all rows, since it may be any."""
    if is_live(self):
        raise Unsupported("rescales a table that depends on the example")
    lengths = np.linalg.norm(self, float(norm_type), axis=1, keepdims=True)
    scale = np.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1.0)
    read = np.ones(len(self), bool) if is_live(indices) else np.isin(np.arange(len(self)), indices)
    return np.where(read[:, None], self * scale, self)


MEAN, LARGEST = 1, 2  # of a bag; 0 is its sum


def embedding_bag(
    here: Scope,
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> Any:
    """Sums, means or maxima of bags of table rows: `rows` of all positions, then one neuron for each bag and column.

    The row `padding_idx` counts nothing: how many others a bag has depends on the example, so a mean is divided by their number (`others`).
    """
    if is_live(offsets) or is_live(weight):
        raise Unsupported("has bags or a table that depend on the example")
    if offsets.ndim != 1 or weight.ndim != 2:
        raise ValueError(f"has offsets of {offsets.ndim} axes and a table of {weight.ndim}")
    begins = [int(begin) for begin in np.asarray(offsets)] + ([] if include_last_offset else [indices.size])
    chosen: Any = onehot(here.part("rows"), indices, len(weight)) if is_live(indices) else None
    padding = None if padding_idx is None or padding_idx < 0 else padding_idx
    table = numbers(weight)
    if padding is not None:
        table = np.where(np.arange(len(table))[:, None] == padding, np.finfo(np.float32).min if mode == LARGEST else 0.0, table)
    rows: Value = here.sum(Edges(chosen[..., None, :], table.T), part="rows") if is_live(indices) else table[np.asarray(indices)]
    if per_sample_weights is not None:
        rows = multiply(here, rows, np.expand_dims(per_sample_weights, 1), part="weighted")
    counted = None if padding is None else subtract(here, 1.0, chosen[:, padding], part="others") if is_live(indices) else indices != padding
    bags = list(pairwise(begins))
    if not is_live(rows):
        return bagged_constants(rows, counted, bags, mode), *(np.zeros(0),) * 3
    bag_rows = side_by_side(rows, bags)
    if mode == LARGEST:
        empty = np.array([np.nan if last > first else 0.0 for first, last in bags])[:, None]
        best = here.max(Edges(bag_rows), bias=empty if (empty == 0).any() else None, part=None if counted is None else "largest")
        if counted is None:
            return best, *(np.zeros(0),) * 3
        not_empty = here.max(Edges(side_by_side(counted[:, None], bags)), bias=0.0, part="some")
        return here.product(Edges(best, over=0), Edges(not_empty, over=0)), *(np.zeros(0),) * 3
    if mode == MEAN and counted is not None:
        total = here.sum(Edges(bag_rows), part="sum")
        count = here.sum(Edges(side_by_side(counted[:, None], bags)), part="count")
        share = here.max(Edges(count, over=0), bias=1.0, activation="reciprocal", part="share")
        return here.product(Edges(total, over=0), Edges(share, over=0)), *(np.zeros(0),) * 3
    shares: Any = 1 / np.array([max(last - first, 1) for first, last in bags], dtype=np.float64)[:, None, None] if mode == MEAN else 1.0
    return here.sum(Edges(bag_rows, shares)), *(np.zeros(0),) * 3


def side_by_side(rows: Value, bags: Sequence[tuple[int, int]]) -> Value:
    """The rows of each bag on a last axis, NOTHING where a bag has fewer than the largest: (positions, columns) -> (bags, columns, most)."""
    longest = max(last - first for first, last in bags)
    parts = [np.pad(rows[first:last], ((0, longest - (last - first)), (0, 0)), constant_values=NOTHING) for first, last in bags]
    return np.swapaxes(np.stack(parts), 1, 2)


def bagged_constants(rows: Any, counted: Any, bags: Sequence[tuple[int, int]], mode: int) -> Any:
    """The same of constant positions."""
    values = []
    for first, last in bags:
        bag = rows[first:last] if counted is None else rows[first:last][np.asarray(counted[first:last]) != 0]
        if not len(bag):
            values.append(np.zeros(rows.shape[1:]))
        else:
            values.append(bag.max(0) if mode == LARGEST else bag.sum(0) / (len(bag) if mode == MEAN else 1))
    return np.stack(values)


def one_hot(here: Scope, self: Value, num_classes: int = -1) -> Value:
    """1 at the place that each integer names: the neurons behind an integer input, or comparisons of a computed one with each place."""
    if is_live(self):
        if num_classes < 0:
            raise Unsupported("has as many classes as the example says")
        return onehot(here, self, num_classes, None)
    width = int(np.max(self)) + 1 if num_classes < 0 else num_classes
    check_size((np.size(self), width))
    return (np.asarray(self)[..., None] == np.arange(width)).astype(np.int64)
