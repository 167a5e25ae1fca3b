"""Operators that move values and compute none. Shapes and sizes of live values are constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Value
from etl.rules.ids import axis_names, is_live, live
from etl.rules.primitives.elementwise import constant, neurons
from etl.rules.primitives.reductions import axes_of
from etl.rules.primitives.scatter import combined, overwritten
from etl.rules.primitives.tables import onehot
from etl.rules.scope import ZERO, Edges, Ids, Scope, Weights, bounded


def integers(value: Any, name: str) -> list[int]:
    """A constant of whole numbers, as a list."""
    return [int(number) for number in np.ravel(constant(value, name))]


def identity(here: Scope, x: Ids) -> Ids:
    """The same values."""
    return x


def dropout(here: Scope, x: Ids, ratio: Value | None = None, training_mode: Value | None = None, *, outputs: int = 1) -> Any:
    """The same values, at inference; then the mask, which keeps all of them."""
    if training_mode is not None and np.any(training_mode) and (ratio is None or np.any(ratio)):
        raise Unsupported("drops values at random: it was exported in training mode")
    return x if outputs == 1 else (x, np.ones(x.shape, bool))


def reshape(here: Scope, x: Ids, shape: Value, *, allowzero: int = 0) -> Ids:
    """The same places in C order in another shape; one axis may be -1, and 0 keeps an axis unless `allowzero`."""
    new_shape = [x.shape[k] if size == 0 and not allowzero else size for k, size in enumerate(integers(shape, "shape"))]
    return x.reshape(new_shape)


def flatten(here: Scope, x: Ids, *, axis: int = 1) -> Ids:
    """Two axes: those before `axis`, and the others."""
    front = axis if axis >= 0 else x.ndim + axis
    return x.reshape(prod(x.shape[:front]), -1)


def transpose(here: Scope, x: Ids, *, perm: Sequence[int] | None = None) -> Ids:
    """Axes in another order, reversed where none is given."""
    return np.transpose(x, perm)


def squeeze(here: Scope, x: Ids, axes: Value | None = None) -> Ids:
    """Without axes of one place."""
    return np.squeeze(x, None if axes is None else tuple(integers(axes, "axes")))


def unsqueeze(here: Scope, x: Ids, axes: Value) -> Ids:
    """With new axes of one place."""
    return np.expand_dims(x, tuple(integers(axes, "axes")))


def concat(here: Scope, *values: Value, axis: int) -> Ids:
    """Tensors one after another along an axis; constants among them are neurons of that bias."""
    return np.concatenate([neurons(here, value, f"constant_{number}") for number, value in enumerate(values)], axis)


def split(here: Scope, x: Ids, sizes: Value | None = None, *, axis: int = 0, num_outputs: int | None = None) -> tuple[Ids, ...]:
    """Pieces of an axis: of given sizes, or so many of the same, the last one smaller where it has to be."""
    size = x.shape[axis]
    if sizes is None:
        pieces = num_outputs or 1
        if not 0 < pieces <= max(size, 1):
            raise ValueError(f"{pieces:,} pieces of an axis of {size}")
        step = -(-size // pieces)
        return tuple(np.split(x, [step * k for k in range(1, pieces)], axis))
    piece_sizes = integers(sizes, "sizes")
    if sum(piece_sizes) != size:
        raise ValueError(f"pieces of {piece_sizes} from an axis of {size}")
    return tuple(np.split(x, np.cumsum(piece_sizes)[:-1], axis))


def slice_(here: Scope, x: Ids, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None) -> Ids:
    """From starts to ends by steps, counted from the end below zero."""
    begin, end = integers(starts, "starts"), integers(ends, "ends")
    along = list(range(len(begin))) if axes is None else integers(axes, "axes")
    by = [1] * len(begin) if steps is None else integers(steps, "steps")
    keys: list[Any] = [slice(None)] * x.ndim
    for axis, first, last, step in zip(along, begin, end, by, strict=True):
        size = x.shape[axis]
        if step < 0:
            first = min(first + size if first < 0 else first, size - 1)
            last = last + size if last < 0 else min(last, size)
            keys[axis % x.ndim] = slice(max(first, 0), last if last >= 0 else None, step)
        else:
            keys[axis % x.ndim] = slice(first, last, step)
    return x[tuple(keys)]


def gather(here: Scope, data: Value, indices: Value, *, axis: int = 0) -> Ids:
    """Chosen places of an axis; a table of constants is looked up by a live integer input, one-hot."""
    if not is_live(indices):
        return np.take(data, np.asarray(indices).astype(int), axis=axis)
    if is_live(data):
        raise Unsupported("picks places that depend on the example")
    return (
        looked_up(here, np.moveaxis(data, axis, 0), indices)
        if axis % data.ndim == 0
        else np.moveaxis(looked_up(here, np.moveaxis(data, axis, 0), indices), range(indices.ndim), range(axis, axis + indices.ndim))
    )


def looked_up(here: Scope, table: Weights, positions: Ids) -> Ids:
    """Rows of a table (n, ...) by positions, one-hot or computed: (...) -> (..., ...)."""
    flat = table.reshape(len(table), -1)
    rows = here.sum(Edges(onehot(here, positions, len(table), from_end=True)[..., None, :], flat.T))
    return rows.reshape(*positions.shape, *table.shape[1:])


def gather_elements(here: Scope, data: Ids, indices: Value, *, axis: int = 0) -> Ids:
    """Along an axis, the place that each index names."""
    places = np.asarray(constant(indices, "indices")).astype(int)
    kept = tuple(slice(None) if k == axis % data.ndim else slice(0, n) for k, n in enumerate(places.shape))
    return np.take_along_axis(data[kept], np.where(places < 0, places + data.shape[axis], places), axis)


def gather_nd(here: Scope, data: Ids, indices: Value, *, batch_dims: int = 0) -> Ids:
    """The places that the last axis of indices names, within each of the leading axes."""
    places = np.asarray(constant(indices, "indices")).astype(int)
    leading = np.indices(places.shape[:batch_dims])
    spread = [grid.reshape(*grid.shape, *(1,) * (places.ndim - 1 - batch_dims)) for grid in leading]
    return live(np.asarray(data)[(*spread, *np.moveaxis(places, -1, 0))])


def scatter_elements(here: Scope, data: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: str = "none") -> Ids:
    """Data in which each update replaces, or is joined to, the place along an axis that its index names."""
    places = np.asarray(constant(indices, "indices")).astype(int)
    grid: list[Any] = list(np.indices(places.shape))
    grid[axis % np.ndim(data)] = np.where(places < 0, places + np.shape(data)[axis], places)
    return updated(here, data, tuple(grid), updates, reduction)


def scatter_nd(here: Scope, data: Value, indices: Value, updates: Value, *, reduction: str = "none") -> Ids:
    """Data in which each update replaces, or is joined to, what the last axis of indices names."""
    places = np.asarray(constant(indices, "indices")).astype(int)
    inner = np.shape(data)[places.shape[-1] :]
    grid = [places_of_axis[(..., *(None,) * len(inner))] for places_of_axis in np.moveaxis(places, -1, 0)]
    inner_grid = [grid_part.reshape(*(1,) * (places.ndim - 1), *inner) for grid_part in np.indices(inner)]
    return updated(here, data, tuple(np.broadcast_arrays(*grid, *inner_grid)) if grid or inner_grid else (), updates, reduction)


def tensor_scatter(here: Scope, past: Value, update: Value, begins: Value | None = None, *, axis: int = -2, mode: str = "linear") -> Ids:
    """A cache in which an update of each example replaces the places of an axis from its own begin on; past the end around, where `circular`."""
    grid = list(np.indices(np.shape(update)))
    (at,) = axes_of(axis, np.ndim(past))
    if begins is not None:
        grid[at] = grid[at] + np.asarray(constant(begins, "write_indices")).astype(int).reshape(-1, *(1,) * (np.ndim(past) - 1))
    if mode == "circular":
        grid[at] = grid[at] % np.shape(past)[at]
    return updated(here, past, tuple(grid), update, "none")


def updated(here: Scope, data: Value, grid: tuple[Any, ...], updates: Value, reduction: str) -> Ids:
    """Updates at places of data: op of what is there and of all updates of that place."""
    flat_indices = (
        np.ravel_multi_index([index % n for index, n in zip(grid, np.shape(data), strict=True)], np.shape(data)) if grid else np.zeros((), int)
    )
    if reduction == "none":
        return overwritten(here, data, flat_indices, updates)
    op = {"add": "sum", "mul": "product", "max": "max", "min": "min"}.get(reduction)
    if op is None:
        raise Unsupported(f"has no rule for reduction={reduction!r}")
    return combined(here, op, data, flat_indices, updates)


def expand(here: Scope, x: Ids, shape: Value) -> Ids:
    """The same values repeated up to a shape."""
    return np.broadcast_to(x, bounded(np.broadcast_shapes(x.shape, bounded(tuple(integers(shape, "shape"))))))


def tile(here: Scope, x: Ids, repeats: Value) -> Ids:
    """The whole several times along each axis."""
    times = integers(repeats, "repeats")
    bounded([n * k for n, k in zip(x.shape, times, strict=True)])
    return np.tile(x, times)


def pad(here: Scope, x: Ids, pads: Value, value: Value | None = None, axes: Value | None = None, *, mode: str = "constant") -> Ids:
    """Places around: zeros, another number (neurons of that bias), or values of the tensor; numbers below zero cut."""
    amounts = integers(pads, "pads")
    along = list(range(x.ndim)) if axes is None else [axes_of(axis, x.ndim)[0] for axis in integers(axes, "axes")]
    ends = [(0, 0)] * x.ndim
    for k, axis in enumerate(along):
        ends[axis] = amounts[k], amounts[k + len(along)]
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, ends, strict=True))]
    ends = [(max(a, 0), max(b, 0)) for a, b in ends]
    bounded([n + sum(both) for n, both in zip(x.shape, ends, strict=True)])
    if not any(map(any, ends)):
        return x
    if mode != "constant":
        return np.pad(x, ends, mode=mode)  # type: ignore[call-overload]
    number = 0.0 if value is None or not np.size(value) else float(np.ravel(constant(value, "value"))[0])
    if not number:
        return np.pad(x, ends, constant_values=ZERO)
    border = here.sum(bias=number, part="border", shape=())
    wide = np.pad(x, ends, constant_values=int(border))
    return live(wide, axis_names(x))


def center_crop_pad(here: Scope, x: Ids, shape: Value, *, axes: Sequence[int] | None = None) -> Ids:
    """The middle of some axes, or padded zeros around them, up to a size."""
    along = list(range(x.ndim)) if axes is None else [axes_of(axis, x.ndim)[0] for axis in axes]
    ends = [(0, 0)] * x.ndim
    for axis, size in zip(along, integers(shape, "shape"), strict=True):
        more = size - x.shape[axis]
        ends[axis] = (more // 2, more - more // 2) if more >= 0 else (-(-more // 2), -(-more - (-more // 2)))
    return pad(here, x, np.array([a for a, _ in ends] + [b for _, b in ends]))


def shape_of(here: Scope, x: Ids, *, start: int = 0, end: int | None = None) -> Weights:
    """The shape, a constant."""
    return np.array(x.shape[start:end], np.int64)


def size_of(here: Scope, x: Ids) -> Weights:
    """The number of places, a constant."""
    return np.array(x.size, np.int64)


def depth_to_space(here: Scope, x: Ids, *, blocksize: int, mode: str = "DCR") -> Ids:
    """Channels laid out as blocks of places: (n, c b^2, h, w) -> (n, c, h b, w b)."""
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        return x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, -1, h * b, w * b)
    return x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * b, w * b)


def space_to_depth(here: Scope, x: Ids, *, blocksize: int, mode: str = "DCR") -> Ids:
    """Blocks of places laid out as channels: (n, c, h b, w b) -> (n, c b^2, h, w)."""
    n, c, h, w = x.shape
    b = blocksize
    blocks = x.reshape(n, c, h // b, b, w // b, b)
    return blocks.transpose(*((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))).reshape(n, -1, h // b, w // b)


def trilu(here: Scope, x: Ids, k: Value | None = None, *, upper: int = 1) -> Ids:
    """One triangle of each matrix, zeros elsewhere."""
    shift = 0 if k is None else integers(k, "k")[0]
    rows, columns = x.shape[-2:]
    below = np.tri(rows, columns, shift - 1 if upper else shift, dtype=bool)
    return np.where(below != bool(upper), x, ZERO)


def reverse_sequence(here: Scope, x: Ids, lengths: Value, *, batch_axis: int = 1, time_axis: int = 0) -> Ids:
    """Each sequence of the batch turned round up to its length."""
    ids = np.moveaxis(x, (batch_axis, time_axis), (0, 1))
    turned = np.stack([np.concatenate([ids[k, :n][::-1], ids[k, n:]]) for k, n in enumerate(integers(lengths, "lengths"))])
    return np.moveaxis(turned, (0, 1), (batch_axis, time_axis))


def compress(here: Scope, x: Ids, condition: Value, *, axis: int | None = None) -> Ids:
    """The places of an axis, or of all in C order, where a constant condition holds."""
    places = np.flatnonzero(constant(condition, "condition"))
    return x.reshape(-1)[places] if axis is None else np.take(x, places, axis=axis)


SHAPE: dict[str, Callable[..., Any]] = {
    "CenterCropPad": center_crop_pad,
    "Compress": compress,
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Dropout": dropout,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Identity": identity,
    "Pad": pad,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "TensorScatter": tensor_scatter,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
