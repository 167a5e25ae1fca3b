"""Operators that take values from places, or put them there. The places are constants: where they depend on the example there is no fixed graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.aten.values import Value, as_live
from etl.rules.aten.views import axis_of, select, slice_
from etl.rules.ids import NOTHING, is_live
from etl.rules.scope import Edges, Scope, bounded

Rule = Callable[..., Any]
View = tuple[str, Mapping[str, Any], int]


def places(index: Any) -> NDArray[Any]:
    """A constant index. Raises Unsupported for a live one."""
    if is_live(index):
        raise Unsupported("takes places that depend on the example")
    return np.asarray(index)


def key_of(indices: Sequence[Any]) -> tuple[Any, ...]:
    """Indices of some axes as NumPy takes them, None meaning the whole axis."""
    return tuple(slice(None) if index is None else places(index) for index in indices)


def index(here: Scope, self: Value, indices: Sequence[Any]) -> Value:
    """The values at constant places."""
    return self[key_of(indices)]


def index_select(here: Scope, self: Value, dim: int, index: Any) -> Value:
    """Some places of an axis, in the order given."""
    return np.take(self, np.atleast_1d(places(index)), axis=axis_of(dim, self.ndim))


def take(here: Scope, self: Value, index: Any) -> Value:
    """Places of the whole tensor, counted in C order."""
    return np.reshape(self, (-1,))[places(index)]


def gather(here: Scope, self: Value, dim: int, index: Any, sparse_grad: bool = False) -> Value:
    """Along an axis, the place that a constant says, for each place of its."""
    at, where = axis_of(dim, self.ndim), places(index)
    grid: list[Any] = list(np.indices(where.shape, sparse=True))
    grid[at] = where
    return self[tuple(grid)]


def take_along_dim(here: Scope, self: Value, indices: Any, dim: int | None = None) -> Value:
    """The same, whose shapes broadcast."""
    if dim is None:
        return take(here, self, np.reshape(indices, (-1,)))
    return np.take_along_axis(self, places(indices), axis=dim)


def masked_select(here: Scope, self: Value, mask: Any) -> Value:
    """The values where a constant mask says so."""
    return np.broadcast_to(self, np.broadcast_shapes(self.shape, np.shape(mask)))[places(np.broadcast_to(mask, self.shape))]


def placed(here: Scope, self: Value, key: Any, values: Value) -> Value:
    """A copy with other values at some places, which may be live where the rest is constant and the other way round."""
    if is_live(self) or is_live(values):
        self, values = as_live(here, self, "constant"), as_live(here, values, "values")
        changed = self.copy()
        changed[key] = np.broadcast_to(values, np.asarray(changed)[key].shape)
        return changed
    changed = np.array(self)
    changed[key] = values
    return changed


def index_put(here: Scope, self: Value, indices: Sequence[Any], values: Value, accumulate: bool = False) -> Value:
    """A copy with other values at constant places, or with those added."""
    key = key_of(indices)
    if not accumulate:
        return placed(here, self, key, values)
    cells = np.arange(self.size).reshape(self.shape)[key]
    return added_at(here, self, cells, np.broadcast_to(values, cells.shape))


def added_at(here: Scope, self: Value, cells: NDArray[Any], values: Value, scale: float = 1.0) -> Value:
    """A copy with values added at places, which are counted in C order and may come again and again."""
    if not is_live(self) and not is_live(values):
        flat = np.array(self).reshape(-1)
        np.add.at(flat, cells.reshape(-1), np.asarray(values).reshape(-1) * scale)
        return flat.reshape(self.shape)
    values = np.reshape(as_live(here, values, "values"), (-1,))
    order = np.argsort(cells.reshape(-1), kind="stable")
    cell = cells.reshape(-1)[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    bounded((self.size, int(rank.max(initial=0)) + 1))
    table = np.full((self.size, int(rank.max(initial=0)) + 1), -1)
    table[cell, rank] = order
    source = np.pad(values, (0, 1), constant_values=NOTHING)[table].reshape(*self.shape, -1)
    if is_live(self):
        return here.sum(Edges(self, over=0), Edges(source, scale))
    return here.sum(Edges(source, scale), bias=np.asarray(self, np.float64))


def scatter_cells(self: Value, dim: int, index: Any) -> NDArray[Any]:
    """The places that an index names along an axis, counted in C order."""
    at, where = axis_of(dim, self.ndim), places(index)
    grid: list[Any] = list(np.indices(where.shape, sparse=True))
    grid[at] = where
    return np.arange(self.size).reshape(self.shape)[tuple(grid)]


def scatter(here: Scope, self: Value, dim: int, index: Any, src: Any = None, value: Any = None, reduce: str | None = None) -> Value:
    """A copy with other values at the places that an index names along an axis."""
    cells = scatter_cells(self, dim, index)
    if reduce is not None:
        raise Unsupported(f"has no rule for reduce={reduce!r}")
    given = value if src is None else src[tuple(slice(n) for n in cells.shape)]
    return placed(here, np.reshape(self, (-1,)), cells, given if np.ndim(given) else np.asarray(given)).reshape(self.shape)


def scatter_add(here: Scope, self: Value, dim: int, index: Any, src: Value) -> Value:
    """A copy with values added at the places that an index names along an axis."""
    cells = scatter_cells(self, dim, index)
    return added_at(here, self, cells, src[tuple(slice(n) for n in cells.shape)])


def along(self: Value, dim: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * axis_of(dim, self.ndim) + (np.atleast_1d(places(index)),)


def index_add(here: Scope, self: Value, dim: int, index: Any, source: Value, alpha: float = 1) -> Value:
    """A copy with slices added at some places of an axis."""
    cells = np.arange(self.size).reshape(self.shape)[along(self, dim, index)]
    return added_at(here, self, cells, np.broadcast_to(source, cells.shape), alpha)


def index_copy(here: Scope, self: Value, dim: int, index: Any, source: Value) -> Value:
    """A copy with other slices at some places of an axis."""
    return placed(here, self, along(self, dim, index), source)


def index_fill(here: Scope, self: Value, dim: int, index: Any, value: Any) -> Value:
    """A copy with a number at some places of an axis."""
    return placed(here, self, along(self, dim, index), value if is_live(value) else np.asarray(value))


def put(here: Scope, self: Value, index: Any, source: Value, accumulate: bool = False) -> Value:
    """A copy with other values at places counted in C order, or with those added."""
    return index_put(here, np.reshape(self, (-1,)), [index], source, accumulate).reshape(self.shape)


def fill_diagonal(here: Scope, self: Value, fill_value: Any, wrap: bool = False) -> Value:
    """A copy with a number on the diagonal."""
    if wrap or self.ndim != 2:
        raise Unsupported("has a rule for matrices without wrap=True only")
    place = np.arange(min(self.shape))
    return placed(here, self, (place, place), np.asarray(fill_value))


def masked_scatter(here: Scope, self: Value, mask: Any, source: Value) -> Value:
    """A copy with values one after the other where a constant mask says so."""
    where = np.broadcast_to(places(mask), self.shape)
    return placed(here, self, where, np.reshape(source, (-1,))[: np.count_nonzero(where)])


def slice_scatter(here: Scope, self: Value, src: Value, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Value:
    """A copy with another slice."""
    return into(here, self, src, lambda cells: slice_(here, cells, dim, start, end, step))


def select_scatter(here: Scope, self: Value, src: Value, dim: int, index: Any) -> Value:
    """A copy with another place of an axis."""
    return into(here, self, src, lambda cells: select(here, cells, dim, index))


def diagonal_scatter(here: Scope, self: Value, src: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """A copy with another diagonal."""
    return into(here, self, src, lambda cells: np.diagonal(cells, offset, dim1, dim2))


def into(here: Scope, self: Value, values: Value, view: Callable[[NDArray[Any]], NDArray[Any]]) -> Value:
    """A copy with other values where a view of the tensor's places leads."""
    cells = view(np.arange(self.size).reshape(self.shape))
    changed = placed(here, np.reshape(self, (-1,)), cells, values)
    return changed.reshape(self.shape)


def through(here: Scope, value: Any, views: Sequence[View]) -> Any:
    """What a chain of views makes of a tensor."""
    for kind, arguments, output in views:
        if kind in ("aten.to", "aten.type_as", "aten._to_copy"):  # of the same type, or it would be no view
            continue
        made = here.dialect.rule_of(kind)(here, value, **arguments)
        value = made[output] if isinstance(made, list | tuple) else made
    return value


def write(here: Scope, self: Value, value: Value, views: Sequence[View]) -> Value:
    """The tensor after something was written into a view of it: the other places as they were."""
    return into(here, self, value, lambda cells: through(here, cells, views))


def read(here: Scope, self: Value, views: Sequence[View]) -> Value:
    """A view of a tensor that was written to, as it is now."""
    return through(here, self, views)


def searchsorted(here: Scope, sorted_sequence: Any, self: Any, out_int32: bool = False, right: bool = False) -> Value:
    """Where constants would stand in a sorted constant."""
    return np.searchsorted(places(sorted_sequence), places(self), side="right" if right else "left")


def bucketize(here: Scope, self: Any, boundaries: Any, out_int32: bool = False, right: bool = False) -> Value:
    """Between which boundaries constants lie."""
    return np.searchsorted(places(boundaries), places(self), side="right" if right else "left")


def one_hot(here: Scope, self: Value, num_classes: int = -1) -> Value:
    """1 at the place that each integer names; the neurons behind an integer input."""
    if is_live(self):
        if num_classes < 0:
            raise Unsupported("has as many classes as the example says")
        return here.onehot(self, num_classes)
    width = int(np.max(self)) + 1 if num_classes < 0 else num_classes
    return np.eye(width, dtype=np.int64)[np.asarray(self)]


def sort(descending_default: bool = False) -> Rule:
    """A rule for sorting constants; live values in order are refused."""

    def rule(
        here: Scope, self: Value, dim: int = -1, descending: bool = descending_default, stable: bool | None = None, indices: bool = False
    ) -> Any:
        """Constants in order, and the places they had."""
        order = np.argsort(-places(self) if descending else places(self), axis=dim, kind="stable")
        return np.take_along_axis(np.asarray(self), order, axis=dim), order

    return rule
