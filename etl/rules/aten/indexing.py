"""Operators that take values from places, or put them there. The places are constants: where they depend on the example there is no fixed graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.aten import logic
from etl.rules.aten.values import Operand, Size, Value, add, as_live, given
from etl.rules.aten.values import value as as_value
from etl.rules.aten.views import axis_of, select, slice_
from etl.rules.ids import is_live
from etl.rules.misfits import called
from etl.rules.primitives.scatter import combined
from etl.rules.primitives.tables import onehot, picked
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]
View = tuple[str, Mapping[str, Any], int]


def places(index: Operand) -> NDArray[Any]:
    """A constant index. Raises Unsupported for a live one."""
    if is_live(index):
        raise Unsupported("takes places that depend on the example")
    return np.asarray(index)


def key_of(indices: Sequence[Value | None]) -> tuple[Any, ...]:
    """Indices of some axes as NumPy takes them, None meaning the whole axis."""
    return tuple(slice(None) if index is None else places(index) for index in indices)


def at_places(here: Scope, self: Value, indices: Sequence[Value | None]) -> Value:
    """The values at constant places; along one axis at a place that is computed from whole numbers of inputs, such as the end of a text."""
    flowing = [axis for axis, place in enumerate(indices) if is_live(place)]
    if len(flowing) != 1:
        return self[key_of(indices)]
    (at,) = flowing
    position, size = whole_position(here, given(indices[at])), self.shape[at]
    constant_places = {axis: places(place) for axis, place in enumerate(indices) if place is not None and axis != at}
    indexed_axes = [axis for axis, place in enumerate(indices) if place is not None]
    shape = np.broadcast_shapes(position.shape, *(place.shape for place in constant_places.values()))
    front = np.moveaxis(self, indexed_axes, range(len(indexed_axes)))  # the axes that are named, then the others
    key: list[Any] = [np.arange(size) if axis == at else np.broadcast_to(constant_places[axis], shape)[..., None] for axis in indexed_axes]
    rows = front[tuple(key)]
    if len(indexed_axes) == 1:
        rows = np.broadcast_to(rows, (*shape, *rows.shape))
    chosen = onehot(here, np.broadcast_to(position, shape), size, from_end=True)
    values = picked(here, rows, chosen)
    adjacent = indexed_axes == list(range(indexed_axes[0], indexed_axes[-1] + 1))
    return np.moveaxis(values, range(len(shape)), range(indexed_axes[0], indexed_axes[0] + len(shape))) if adjacent else values


def whole_position(here: Scope, position: Value) -> Value:
    """A live position. Raises Unsupported where it depends on more than whole numbers of inputs."""
    if not here.tape.lookups.counts(position):
        places(position)
    return position


def index_select(here: Scope, self: Value, dim: int, index: Operand) -> Value:
    """Some places of an axis, in the order given."""
    if is_live(index):
        return at_places(here, self, [*(None,) * axis_of(dim, self.ndim), np.reshape(index, (-1,))])
    where = np.atleast_1d(places(index))
    if where.dtype.kind not in "iub":
        raise ValueError(f"takes places that are no whole numbers but {where.dtype}")
    return np.take(self, where, axis=axis_of(dim, self.ndim))


def take(here: Scope, self: Value, index: Operand) -> Value:
    """Places of the whole tensor, counted in C order."""
    if is_live(index):
        return at_places(here, np.reshape(self, (-1,)), [index])
    return np.reshape(self, (-1,))[places(index)]


def gather(here: Scope, self: Value, dim: int, index: Operand, sparse_grad: bool = False) -> Value:
    """Along an axis, the place that a constant says, for each place of its."""
    at = axis_of(dim, self.ndim)
    if is_live(index):
        return gathered(here, self, at, index)
    where = places(index)
    grid: list[Any] = list(np.indices(where.shape, sparse=True))
    grid[at] = where
    return self[tuple(grid)]


def gathered(here: Scope, self: Value, axis: int, position: Value) -> Value:
    """The same where the place is computed from whole numbers of inputs; constants that are equal along the axis need none."""
    cut = np.moveaxis(self[tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(position.shape))], axis, -1)
    if not is_live(self) and np.asarray(self).dtype.kind in "iub" and (cut == cut[..., :1]).all():
        return np.moveaxis(np.broadcast_to(cut[..., :1], (*cut.shape[:-1], position.shape[axis])), -1, axis)
    chosen = onehot(here, np.moveaxis(whole_position(here, position), axis, -1), self.shape[axis])
    return np.moveaxis(picked(here, np.broadcast_to(cut[..., None, :], chosen.shape), chosen), -1, axis)


def take_along_dim(here: Scope, self: Value, indices: Value, dim: int | None = None) -> Value:
    """The same, whose shapes broadcast."""
    if dim is None:
        return take(here, self, np.reshape(indices, (-1,)))
    return np.take_along_axis(self, places(indices), axis=dim)


def masked_select(here: Scope, self: Value, mask: Value) -> Value:
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


def index_put(here: Scope, self: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False) -> Value:
    """A copy with other values at constant places, or with those added. A live mask chooses between both, place by place."""
    if len(indices) == 1 and is_live(indices[0]) and np.shape(indices[0]) == self.shape[: np.ndim(indices[0])] and np.ndim(values) == 0:
        mask = np.reshape(indices[0], (*np.shape(indices[0]), *(1,) * (self.ndim - np.ndim(indices[0]))))
        return logic.where(here, mask, add(here, self, values, part="raised") if accumulate else values, self)
    key = key_of(indices)
    if not accumulate:
        return placed(here, self, key, values)
    flat_indices = np.arange(self.size).reshape(self.shape)[key]
    return joined_at(here, "sum", self, flat_indices, values)


JOIN: dict[str, tuple[str, np.ufunc]] = {
    **dict.fromkeys(("sum", "add", "mean"), ("sum", np.add)),
    **dict.fromkeys(("prod", "multiply"), ("product", np.multiply)),
    "amax": ("max", np.maximum),
    "amin": ("min", np.minimum),
}


def joined_at(
    here: Scope, reduce: str, self: Value, flat_indices: NDArray[Any], values: Value, *, scale: float = 1.0, include_self: bool = True
) -> Value:
    """A copy in which values are added to (`sum`), or otherwise joined with, what is at their places, which may come again and again."""
    if reduce not in JOIN:
        raise Unsupported(f"has no rule for reduce={reduce!r}")
    op, ufunc = JOIN[reduce]
    if is_live(self) or is_live(values):
        return combined(here, op, self, flat_indices, values, scale=scale, mean=reduce == "mean", include=include_self)
    flat, positions = np.array(self).reshape(-1), flat_indices.reshape(-1)
    if not include_self:
        limits = np.finfo(flat.dtype) if flat.dtype.kind == "f" else np.iinfo(flat.dtype)
        flat[positions] = {"sum": 0, "product": 1, "max": limits.min, "min": limits.max}[op]
    new_values = np.broadcast_to(values, flat_indices.shape).reshape(-1)
    ufunc.at(flat, positions, new_values if scale == 1 else new_values * scale)
    if reduce == "mean":
        places, counts = np.unique(positions, return_counts=True)
        flat[places] = flat[places] / (counts + include_self)
    return flat.reshape(self.shape)


def scatter_indices(self: Value, dim: int, index: Operand) -> NDArray[Any]:
    """The places that an index names along an axis, counted in C order."""
    at, where = axis_of(dim, self.ndim), places(index)
    grid: list[Any] = list(np.indices(where.shape, sparse=True))
    grid[at] = where
    return np.arange(self.size).reshape(self.shape)[tuple(grid)]


def scatter(
    here: Scope, self: Value, dim: int, index: Operand, src: Value | None = None, value: Operand | None = None, reduce: str | None = None
) -> Value:
    """A copy with other values at the places that an index names along an axis, or with those added or multiplied."""
    flat_indices = scatter_indices(self, dim, index)
    new_values = as_value(given(value)) if src is None else src[tuple(slice(n) for n in flat_indices.shape)]
    if reduce is not None:
        return joined_at(here, reduce, self, flat_indices, new_values)
    return placed(here, np.reshape(self, (-1,)), flat_indices, new_values).reshape(self.shape)


def scatter_add(here: Scope, self: Value, dim: int, index: Operand, src: Value) -> Value:
    """A copy with values added at the places that an index names along an axis."""
    return scatter_reduce(here, self, dim, index, src, "sum")


def scatter_reduce(here: Scope, self: Value, dim: int, index: Operand, src: Value, reduce: str, include_self: bool = True) -> Value:
    """A copy in which the places that an index names along an axis hold the sum, product, mean, largest or smallest of all that is put there."""
    flat_indices = scatter_indices(self, dim, index)
    return joined_at(here, reduce, self, flat_indices, src[tuple(slice(n) for n in flat_indices.shape)], include_self=include_self)


def along(self: Value, dim: int, index: Operand) -> tuple[Any, ...]:
    return (slice(None),) * axis_of(dim, self.ndim) + (np.atleast_1d(places(index)),)


def index_add(here: Scope, self: Value, dim: int, index: Operand, source: Value, alpha: float = 1) -> Value:
    """A copy with slices added at some places of an axis."""
    flat_indices = np.arange(self.size).reshape(self.shape)[along(self, dim, index)]
    return joined_at(here, "sum", self, flat_indices, source, scale=alpha)


def index_reduce(here: Scope, self: Value, dim: int, index: Operand, source: Value, reduce: str, include_self: bool = True) -> Value:
    """A copy in which some places of an axis hold the product, mean, largest or smallest of all slices that are put there."""
    flat_indices = np.arange(self.size).reshape(self.shape)[along(self, dim, index)]
    return joined_at(here, reduce, self, flat_indices, source, include_self=include_self)


def index_copy(here: Scope, self: Value, dim: int, index: Operand, source: Value) -> Value:
    """A copy with other slices at some places of an axis."""
    return placed(here, self, along(self, dim, index), source)


def index_fill(here: Scope, self: Value, dim: int, index: Operand, value: Operand) -> Value:
    """A copy with a number at some places of an axis."""
    return placed(here, self, along(self, dim, index), as_value(value))


def put(here: Scope, self: Value, index: Value, source: Value, accumulate: bool = False) -> Value:
    """A copy with other values at places counted in C order, or with those added."""
    return index_put(here, np.reshape(self, (-1,)), [index], source, accumulate).reshape(self.shape)


def fill_diagonal(here: Scope, self: Value, fill_value: Operand, wrap: bool = False) -> Value:
    """A copy with a number on the diagonal."""
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1]:
        raise Unsupported("has no rule for wrap=True of more rows than columns")
    place = np.arange(min(self.shape))
    return placed(here, self, (place,) * self.ndim, as_value(fill_value))


def masked_scatter(here: Scope, self: Value, mask: Value, source: Value) -> Value:
    """A copy with values one after the other where a constant mask says so."""
    where = np.broadcast_to(places(mask), self.shape)
    return placed(here, self, where, np.reshape(source, (-1,))[: np.count_nonzero(where)])


def slice_scatter(here: Scope, self: Value, src: Value, dim: int = 0, start: Size | None = None, end: Size | None = None, step: Size = 1) -> Value:
    """A copy with another slice."""
    return with_view_replaced(here, self, src, lambda flat_indices: slice_(here, flat_indices, dim, start, end, step))


def select_scatter(here: Scope, self: Value, src: Value, dim: int, index: Size) -> Value:
    """A copy with another place of an axis."""
    return with_view_replaced(here, self, src, lambda flat_indices: select(here, flat_indices, dim, index))


def diagonal_scatter(here: Scope, self: Value, src: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """A copy with another diagonal."""
    return with_view_replaced(here, self, src, lambda flat_indices: np.diagonal(flat_indices, offset, dim1, dim2))


def with_view_replaced(here: Scope, self: Value, values: Value, view: Callable[[NDArray[Any]], NDArray[Any]]) -> Value:
    """A copy with other values where a view of the tensor's places leads."""
    flat_indices = view(np.arange(self.size).reshape(self.shape))
    changed = placed(here, np.reshape(self, (-1,)), flat_indices, values)
    return changed.reshape(self.shape)


def viewed(here: Scope, value: Any, views: Sequence[View]) -> Any:
    """What a chain of views makes of a tensor."""
    for kind, arguments, output in views:
        if kind in ("aten.to", "aten.type_as", "aten._to_copy"):  # of the same type, or it would be no view
            continue
        outputs = called(here.dialect.rule_of(kind), here, [value], arguments)
        value = outputs[output] if isinstance(outputs, list | tuple) else outputs
    return value


def write(here: Scope, self: Value, value: Value, views: Sequence[View]) -> Value:
    """The tensor after something was written into a view of it: the other places as they were."""
    return with_view_replaced(here, self, value, lambda flat_indices: viewed(here, flat_indices, views))


def read(here: Scope, self: Value, views: Sequence[View]) -> Value:
    """A view of a tensor that was written to, as it is now."""
    return viewed(here, self, views)


def searchsorted(
    here: Scope,
    sorted_sequence: Value,
    self: Operand,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
) -> Value:
    """Where a value would stand in a sorted constant: how many boundaries are below it, or not above it where `right`."""
    edges, behind = places(sorted_sequence), right or side == "right"
    if sorter is not None:
        edges = np.take_along_axis(edges, places(sorter), -1)
    if not is_live(self):
        return counted(np.asarray(self), edges, behind)
    values = np.expand_dims(self, -1)
    rows = edges if edges.ndim == 1 else np.expand_dims(edges, -2)
    if behind:
        above = logic.greater(here, rows, values, part="above")
        return here.sum(Edges(above, -1.0), bias=float(edges.shape[-1]))
    return here.sum(Edges(logic.greater(here, values, rows, part="beyond")))


def counted(values: NDArray[Any], edges: NDArray[Any], behind: bool) -> NDArray[Any]:
    """The same of constants."""
    if edges.ndim == 1:
        return np.asarray(np.searchsorted(edges, values, side="right" if behind else "left"))
    rows, wide = np.expand_dims(edges, -2), np.expand_dims(values, -1)
    return np.asarray(((rows <= wide) if behind else (rows < wide)).sum(-1))


def bucketize(here: Scope, self: Operand, boundaries: Value, out_int32: bool = False, right: bool = False) -> Value:
    """Between which boundaries a value lies: how many are below it, or not above it where `right`."""
    return searchsorted(here, boundaries, self, out_int32, right)


def sort(descending_default: bool = False) -> Rule:
    """A rule for sorting constants; live values in order are refused."""

    def rule(
        here: Scope, self: Value, dim: int = -1, descending: bool = descending_default, stable: bool | None = None, indices: bool = False
    ) -> Any:
        """Constants in order, and the places they had."""
        values = places(self)
        if descending:  # from behind, for a negative would wrap around; what is alike keeps its order
            order = values.shape[dim] - 1 - np.flip(np.argsort(np.flip(values, dim), axis=dim, kind="stable"), dim)
        else:
            order = np.argsort(values, axis=dim, kind="stable")
        return np.take_along_axis(np.asarray(self), order, axis=dim), order

    return rule
