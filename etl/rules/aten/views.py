"""Operators that move values: each takes a tensor, live or constant, and returns where its values go. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import Value, all_live, numbers
from etl.rules.aten.windows import for_each, padded, seen
from etl.rules.ids import NOTHING, ZERO, is_live, live
from etl.rules.scope import Edges, Scope, bounded

OPEN_END = 2**63 - 1


def whole(number: Any) -> int:
    """A size, which may have been computed from another one."""
    return int(np.asarray(number).reshape(()))


def sizes(listed: Any) -> tuple[int, ...]:
    return tuple(whole(number) for number in (listed if isinstance(listed, list | tuple) else [listed]))


def axis_of(dim: Any, rank: int) -> int:
    return whole(dim) % max(rank, 1)


def unchanged(here: Scope, self: Value) -> Value:
    """The tensor itself."""
    return self


def dropout(here: Scope, input: Value = None, p: float = 0.5, train: bool = False, self: Value = None) -> Value:
    """The tensor itself: dropout is for training."""
    if train:
        raise Unsupported("drops values at random: it was exported in training mode; call model.eval() before the export")
    return input if self is None else self  # as the operators in place call it


def constant_output(here: Scope, self: Value) -> Value:
    """A constant that the model returns: neurons of that bias, which read nothing."""
    return self if is_live(self) else here.sum(bias=np.array(numbers(self)))


def view(here: Scope, self: Value, size: Any = None, shape: Any = None) -> Value:
    """The same values in another shape."""
    return np.reshape(self, sizes(size if size is not None else shape))


def view_as(here: Scope, self: Value, other: Value) -> Value:
    """The same values in the shape of another tensor."""
    return np.reshape(self, np.shape(other))


def flatten(here: Scope, self: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Some axes made one."""
    if np.ndim(self) == 0:
        return np.reshape(self, (1,))
    first, last = axis_of(start_dim, self.ndim), axis_of(end_dim, self.ndim)
    return np.reshape(self, (*self.shape[:first], -1, *self.shape[last + 1 :]))


def unflatten(here: Scope, self: Value, dim: int, sizes: Any) -> Value:
    """One axis made several."""
    at = axis_of(dim, self.ndim)
    return np.reshape(self, (*self.shape[:at], *map(whole, sizes), *self.shape[at + 1 :]))


def permute(here: Scope, self: Value, dims: Any) -> Value:
    """The axes in another order."""
    return np.transpose(self, sizes(dims))


def transpose(here: Scope, self: Value, dim0: int, dim1: int) -> Value:
    """Two axes exchanged."""
    return np.swapaxes(self, dim0, dim1) if self.ndim else self


def swapaxes(here: Scope, self: Value, axis0: int, axis1: int) -> Value:
    """Two axes exchanged."""
    return np.swapaxes(self, axis0, axis1)


def t(here: Scope, self: Value) -> Value:
    """Rows and columns exchanged."""
    return np.transpose(self)


def last_two(here: Scope, self: Value) -> Value:
    """The last two axes exchanged."""
    return np.swapaxes(self, -1, -2)


def movedim(here: Scope, self: Value, source: Any, destination: Any) -> Value:
    """Axes moved to other places."""
    return np.moveaxis(self, source, destination)


def select(here: Scope, self: Value, dim: int, index: Any) -> Value:
    """One place of an axis, which goes."""
    if is_live(index):
        raise Unsupported("selects a place that depends on the example")
    return self[(slice(None),) * axis_of(dim, self.ndim) + (whole(index),)]


def slice_(here: Scope, self: Value, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> Value:
    """Some places of an axis."""
    if is_live(start) or is_live(end):
        raise Unsupported("cuts at a place that depends on the example")
    begin = None if start is None else whole(start)
    stop = None if end is None or whole(end) >= OPEN_END else whole(end)
    return self[(slice(None),) * axis_of(dim, self.ndim) + (slice(begin, stop, whole(step)),)]


def narrow(here: Scope, self: Value, dim: int, start: Any, length: Any) -> Value:
    """Some places of an axis."""
    begin = whole(start) % (self.shape[axis_of(dim, self.ndim)] or 1)
    return slice_(here, self, dim, begin, begin + whole(length))


def unsqueeze(here: Scope, self: Value, dim: int) -> Value:
    """One axis more, of one place."""
    return np.expand_dims(self, dim)


def squeeze(here: Scope, self: Value, dim: Any = None) -> Value:
    """Axes of one place taken away: all of them, or those given."""
    if dim is None:
        return np.squeeze(self)
    gone = [axis_of(axis, self.ndim) for axis in (dim if isinstance(dim, list | tuple) else [dim])]
    gone = [axis for axis in gone if self.ndim and self.shape[axis] == 1]
    return np.squeeze(self, tuple(gone)) if gone else self


def expand(here: Scope, self: Value, size: Any, implicit: bool = False) -> Value:
    """Axes of one place repeated."""
    wanted = sizes(size)
    own = (1,) * (len(wanted) - self.ndim) + self.shape
    return np.broadcast_to(self, bounded([n if w == -1 else w for n, w in zip(own, wanted, strict=True)]))


def expand_as(here: Scope, self: Value, other: Value) -> Value:
    """Axes of one place repeated, to the shape of another tensor."""
    return np.broadcast_to(self, np.shape(other))


def broadcast_tensors(here: Scope, tensors: Sequence[Value]) -> list[Value]:
    """All in the shape that they have together."""
    shape = np.broadcast_shapes(*map(np.shape, tensors))
    return [np.broadcast_to(tensor, bounded(shape)) for tensor in tensors]


def repeat(here: Scope, self: Value, repeats: Any = None, dims: Any = None) -> Value:
    """The whole tensor repeated along each axis."""
    times = sizes(repeats if repeats is not None else dims)
    rank = max(len(times), self.ndim)
    own = (1,) * (rank - self.ndim) + self.shape
    bounded([n * k for n, k in zip(own, (1,) * (rank - len(times)) + times, strict=True)])
    return np.tile(self, times)


def repeat_interleave(here: Scope, self: Value, repeats: Any = None, dim: int | None = None, output_size: Any = None) -> Value:
    """Each place repeated along an axis."""
    if is_live(repeats):
        raise Unsupported("repeats places as often as the example says")
    if repeats is None:
        raise Unsupported("returns as many places as its input says")
    times = np.asarray(repeats)
    bounded((int(times.sum()) * (self.size if times.ndim == 0 else 1),))
    return np.repeat(self, times, axis=dim)


def cat(here: Scope, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors one after the other along an axis; a constant among them is neurons that read nothing."""
    parts = [part for part in all_live(here, tensors) if part.shape != (0,)]
    return np.concatenate(parts, axis=whole(dim))


def stack(here: Scope, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors one after the other along a new axis."""
    return np.stack(all_live(here, tensors), axis=dim)


def joined_along(axis: int, rank: int) -> Any:
    """A rule for hstack, vstack and dstack: tensors of at least `rank` axes along one of them."""

    def rule(here: Scope, tensors: Sequence[Value]) -> Value:
        """Tensors one after the other."""
        raised = [np.reshape(part, at_least(part, rank)) for part in all_live(here, tensors)]
        return np.concatenate(raised, axis=0 if raised[0].ndim == 1 else axis)

    return rule


def at_least(self: Value, rank: int) -> tuple[int, ...]:
    """A shape with enough axes: one before for two, one on each side for three."""
    shape = self.shape
    if rank >= 1 and len(shape) == 0:
        shape = (1,)
    if rank >= 2 and len(shape) == 1:
        shape = (1, *shape)
    return (*shape, 1) if rank == 3 and len(shape) == 2 else shape


def atleast(rank: int) -> Any:
    """A rule for tensors of at least so many axes."""

    def rule(here: Scope, self: Value) -> Value:
        """Axes of one place added."""
        return np.reshape(self, at_least(self, rank))

    return rule


def column_stack(here: Scope, tensors: Sequence[Value]) -> Value:
    """Vectors as columns."""
    raised = [np.reshape(part, (-1, 1)) if part.ndim < 2 else part for part in all_live(here, tensors)]
    return np.concatenate(raised, axis=1)


def pieces(self: Value, ends: Sequence[int], dim: int) -> list[Value]:
    return list(np.split(self, list(ends), axis=axis_of(dim, self.ndim)))


def chunk(here: Scope, self: Value, chunks: int, dim: int = 0) -> list[Value]:
    """An axis cut into pieces of one size, the last one smaller."""
    return split(here, self, -(-self.shape[axis_of(dim, self.ndim)] // whole(chunks)), dim)


def split(here: Scope, self: Value, split_size: Any = None, dim: int = 0, split_sizes: Any = None) -> list[Value]:
    """An axis cut into pieces of one size, or of those listed."""
    given = split_size if split_size is not None else split_sizes
    if isinstance(given, list | tuple):
        return pieces(self, np.cumsum(sizes(given))[:-1].tolist(), dim)
    n, step = self.shape[axis_of(dim, self.ndim)], whole(given)
    return pieces(self, range(step, n, step) if step else [], dim)


def tensor_split(
    here: Scope, self: Value, sections: Any = None, indices: Any = None, dim: int = 0, tensor_indices_or_sections: Any = None
) -> list[Value]:
    """An axis cut into so many pieces, or at the places listed."""
    if tensor_indices_or_sections is not None:
        raise Unsupported("cuts where a tensor says")
    at = axis_of(dim, self.ndim)
    return list(np.array_split(self, whole(sections) if sections is not None else list(sizes(indices)), axis=at))


def split_along(axis: int) -> Any:
    """A rule for hsplit, vsplit and dsplit."""

    def rule(here: Scope, self: Value, sections: Any = None, indices: Any = None) -> list[Value]:
        """An axis cut into so many pieces, or at the places listed."""
        return tensor_split(here, self, sections, indices, axis if self.ndim > axis else 0)

    return rule


def unbind(here: Scope, self: Value, dim: int = 0) -> list[Value]:
    """The places of an axis, each by itself."""
    return [select(here, self, dim, index) for index in range(self.shape[axis_of(dim, self.ndim)])]


def unfold(here: Scope, self: Value, dimension: int, size: Any, step: Any) -> Value:
    """Windows along an axis, on a new last axis."""
    at = axis_of(dimension, self.ndim)
    last = np.moveaxis(self, at, -1)
    windows = seen(last, (whole(size),), (whole(step),), (1,))
    return np.moveaxis(windows, -2, at)


def roll(here: Scope, self: Value, shifts: Any, dims: Any = ()) -> Value:
    """Values pushed along, those that leave coming in at the other end."""
    if not dims and dims != 0:
        return np.reshape(np.roll(np.reshape(self, (-1,)), sizes(shifts)[0]), self.shape)
    return np.roll(self, sizes(shifts), axis=sizes(dims))


def flip(here: Scope, self: Value, dims: Any) -> Value:
    """Axes turned around."""
    return np.flip(self, sizes(dims))


def flip_axis(axis: int) -> Any:
    """A rule for fliplr and flipud."""

    def rule(here: Scope, self: Value) -> Value:
        """An axis turned around."""
        return np.flip(self, axis)

    return rule


def rot90(here: Scope, self: Value, k: int = 1, dims: Any = (0, 1)) -> Value:
    """A quarter turn, k times."""
    first, second = sizes(dims)
    for _ in range(k % 4):
        self = np.flip(np.swapaxes(self, first, second), first)
    return self


def diagonal(here: Scope, self: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """A diagonal of two axes, on a new last one."""
    return np.diagonal(self, offset, dim1, dim2)


def diag(here: Scope, self: Value, diagonal: int = 0) -> Value:
    """The diagonal of a matrix, or a matrix with that diagonal."""
    if self.ndim == 2:
        return np.diagonal(self, diagonal)
    return diag_embed(here, self, diagonal)


def diag_embed(here: Scope, self: Value, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """Matrices with these diagonals, zero elsewhere."""
    n = self.shape[-1] + abs(offset)
    matrix = np.full(bounded((*self.shape[:-1], n, n)), ZERO) if is_live(self) else np.zeros(bounded((*self.shape[:-1], n, n)), self.dtype)
    matrix = live(matrix) if is_live(self) else matrix
    place = np.arange(self.shape[-1])
    matrix[..., place + max(-offset, 0), place + max(offset, 0)] = self
    return np.moveaxis(matrix, (-2, -1), (dim1, dim2))


def triangle(lower: bool) -> Any:
    """A rule for tril and triu."""

    def rule(here: Scope, self: Value, diagonal: int = 0) -> Value:
        """What is on one side of a diagonal; zero on the other."""
        rows, columns = self.shape[-2:]
        kept = np.tri(rows, columns, diagonal, dtype=bool) if lower else ~np.tri(rows, columns, diagonal - 1, dtype=bool)
        return np.where(kept, self, ZERO) if is_live(self) else np.where(kept, self, np.zeros((), self.dtype))

    return rule


def pad(here: Scope, self: Value, pad: Any, mode: str = "constant", value: float | None = None) -> Value:
    """More places around the last axes: zeros, another number, or what is there reflected, repeated or continued around."""
    pads = pairs(pad)
    if mode == "constant":
        return constant_pad(here, self, pads, float(value or 0))
    modes: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(self, widths(self, pads), mode=modes[mode])


def mode_pad(mode: str) -> Any:
    """A rule for reflection_pad and replication_pad."""

    def rule(here: Scope, self: Value, padding: Any) -> Value:
        """More places around the last axes, continued from what is there."""
        return pad(here, self, padding, mode)

    return rule


def constant_pad_nd(here: Scope, self: Value, pad: Any, value: float = 0) -> Value:
    """More places around the last axes, all of one number."""
    return constant_pad(here, self, pairs(pad), float(value))


def pairs(listed: Any) -> list[tuple[int, int]]:
    """(before, after) of each axis in order; ATen lists them from the last axis."""
    flat = sizes(listed)
    return [(flat[k], flat[k + 1]) for k in range(len(flat) - 2, -1, -2)]


def widths(self: Value, pads: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    bounded([*self.shape[: self.ndim - len(pads)], *(n + sum(pad) for n, pad in zip(self.shape[self.ndim - len(pads) :], pads, strict=True))])
    return [*((0, 0),) * (self.ndim - len(pads)), *pads]


def constant_pad(here: Scope, self: Value, pads: Sequence[tuple[int, int]], value: float) -> Value:
    if not is_live(self):
        wide = padded(live(np.arange(self.size).reshape(self.shape)), pads, NOTHING)
        return np.where(np.asarray(wide) >= 0, self.reshape(-1)[np.maximum(np.asarray(wide), 0)], np.asarray(value, self.dtype))
    if value == 0:
        return padded(self, pads, ZERO)
    wide = padded(self, pads, NOTHING)
    return here.sum(Edges(np.where(wide == NOTHING, ZERO, wide), over=0), bias=np.where(np.asarray(wide) == NOTHING, value, 0.0))


def pixel_shuffle(here: Scope, self: Value, upscale_factor: int) -> Value:
    """Channels spread over r x r places: (..., c r^2, h, w) -> (..., c, h r, w r)."""
    *lead, c, h, w = self.shape
    r = whole(upscale_factor)
    wide = np.reshape(self, (*lead, c // r**2, r, r, h, w))
    n = len(lead)
    return np.reshape(np.transpose(wide, (*range(n), n, n + 3, n + 1, n + 4, n + 2)), (*lead, c // r**2, h * r, w * r))


def pixel_unshuffle(here: Scope, self: Value, downscale_factor: int) -> Value:
    """r x r places gathered into channels: (..., c, h r, w r) -> (..., c r^2, h, w)."""
    *lead, c, h, w = self.shape
    r = whole(downscale_factor)
    wide = np.reshape(self, (*lead, c, h // r, r, w // r, r))
    n = len(lead)
    return np.reshape(np.transpose(wide, (*range(n), n, n + 2, n + 4, n + 1, n + 3)), (*lead, c * r**2, h // r, w // r))


def channel_shuffle(here: Scope, self: Value, groups: int) -> Value:
    """Channels dealt out from one group after the other."""
    wide = np.reshape(self, (self.shape[0], groups, -1, *self.shape[2:]))
    return np.reshape(np.swapaxes(wide, 1, 2), self.shape)


def im2col(here: Scope, self: Value, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Windows as columns: (n, c, h, w) -> (n, c kh kw, windows)."""
    ids = self if is_live(self) else live(np.arange(self.size).reshape(self.shape))
    raised = ids if ids.ndim == 4 else ids[None]
    size, steps, apart = (for_each(option, 2) for option in (kernel_size, stride, dilation))
    pads = [(p, p) for p in for_each(padding, 2)]
    windows = np.moveaxis(seen(padded(raised, pads, ZERO), size, steps, apart), (2, 3), (-2, -1))
    columns = np.reshape(windows, (raised.shape[0], raised.shape[1] * prod(size), -1))
    columns = columns if ids.ndim == 4 else columns[0]
    if is_live(self):
        return columns
    return np.where(np.asarray(columns) >= 0, numbers(self).reshape(-1)[np.maximum(np.asarray(columns), 0)], 0.0)


def col2im(here: Scope, self: Value, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Columns back in their windows, added up where those overlap: (n, c kh kw, windows) -> (n, c, h, w)."""
    if not is_live(self):
        raise Unsupported("folds a constant; there is a rule for live values only")
    raised = self if self.ndim == 3 else self[None]
    (h, w), size, steps, apart = (for_each(option, 2) for option in (output_size, kernel_size, stride, dilation))
    (top, left), taps = for_each(padding, 2), prod(size)
    wide_h, wide_w = h + 2 * top, w + 2 * left
    cells = live(np.arange(wide_h * wide_w).reshape(1, 1, wide_h, wide_w))
    windows = np.moveaxis(seen(cells, size, steps, apart), (2, 3), (-2, -1)).reshape(taps, -1)  # which cell each entry of a column is of
    order = np.argsort(np.asarray(windows).reshape(-1), kind="stable")
    cell = np.asarray(windows).reshape(-1)[order]
    first = np.searchsorted(cell, np.arange(wide_h * wide_w))
    rank = np.arange(len(cell)) - first[cell]
    table = np.full((wide_h * wide_w, int(rank.max()) + 1), -1)
    table[cell, rank] = order
    columns = np.reshape(raised, (raised.shape[0], -1, taps * raised.shape[-1]))
    flat = np.pad(columns, ((0, 0), (0, 0), (0, 1)), constant_values=NOTHING)
    source = flat[..., table.reshape(wide_h, wide_w, -1)[top : top + h, left : left + w]]
    image = here.sum(Edges(source), axes=(None, "channel", "row", "column"))
    return image if self.ndim == 3 else image[0]


def as_strided(here: Scope, self: Value, size: Any, stride: Any, storage_offset: Any = 0) -> Value:
    """Any places of a tensor that lies in C order."""
    place = np.asarray(whole(storage_offset or 0))
    for n, step in zip(sizes(size), sizes(stride), strict=True):
        place = place[..., None] + np.arange(n) * step
    return np.reshape(self, (-1,))[place]


def meshgrid(here: Scope, tensors: Sequence[Value], indexing: str = "ij") -> list[Value]:
    """Vectors along axes of their own."""
    rank, grids = len(tensors), []
    for axis, tensor in enumerate(tensors):
        shape = [1] * rank
        shape[axis] = -1
        grids.append(np.reshape(tensor, shape))
    grids = broadcast_tensors(here, grids)
    return [np.swapaxes(grid, 0, 1) for grid in grids] if indexing == "xy" and rank > 1 else grids
