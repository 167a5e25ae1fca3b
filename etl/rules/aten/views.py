"""The same values in another shape, in another order of axes, repeated, or some of them. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.values import Size, Sizes, Value, given, numbers
from etl.rules.ids import is_live
from etl.rules.scope import Scope, bounded

OPEN_END = 2**63 - 1


def integer(number: Size) -> int:
    """A size, which may have been computed from another one. Raises Unsupported for a live one."""
    if is_live(number):
        raise Unsupported("has a size that depends on the example")
    return int(np.asarray(number).reshape(()))


def sizes(listed: Sizes) -> tuple[int, ...]:
    return tuple(integer(number) for number in (listed if isinstance(listed, Sequence) else [listed]))


def axis_of(dim: Size, rank: int) -> int:
    """An axis counted from the front; a single number has one. Raises Unsupported where the tensor has no such axis."""
    axis, axes = integer(dim), max(rank, 1)
    if not -axes <= axis < axes:
        raise Unsupported(f"works along axis {axis}, but its input has {rank} axes")
    return axis % axes


def unchanged(here: Scope, self: Value) -> Value:
    """The tensor itself."""
    return self


def dropout(here: Scope, input: Value | None = None, p: float = 0.5, train: bool = False, self: Value | None = None) -> Value:
    """The tensor itself: dropout is for training."""
    if train:
        raise Unsupported("drops values at random: it was exported in training mode; call model.eval() before the export")
    return given(self, input)  # as the operators in place call it


def constant_output(here: Scope, self: Value) -> Value:
    """A constant that the model returns: neurons of that bias, which read nothing."""
    return self if is_live(self) else here.sum(bias=np.array(numbers(self)))


def view(here: Scope, self: Value, size: Sizes | None = None, shape: Sizes | None = None, dtype: str | None = None) -> Value:
    """The same values in another shape."""
    if dtype is not None:
        raise Unsupported(f"reads the bytes of numbers as {dtype}")
    return np.reshape(self, sizes(given(size, shape)))


def view_as(here: Scope, self: Value, other: Value) -> Value:
    """The same values in the shape of another tensor."""
    return np.reshape(self, np.shape(other))


def flatten(here: Scope, self: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Some axes made one."""
    if np.ndim(self) == 0:
        return np.reshape(self, (1,))
    first, last = axis_of(start_dim, self.ndim), axis_of(end_dim, self.ndim)
    return np.reshape(self, (*self.shape[:first], -1, *self.shape[last + 1 :]))


def unflatten(here: Scope, self: Value, dim: int, sizes: Sequence[Size]) -> Value:
    """One axis made several."""
    at = axis_of(dim, self.ndim)
    return np.reshape(self, (*self.shape[:at], *map(integer, sizes), *self.shape[at + 1 :]))


def permute(here: Scope, self: Value, dims: Sizes) -> Value:
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


def movedim(here: Scope, self: Value, source: Sizes, destination: Sizes) -> Value:
    """Axes moved to other places."""
    return np.moveaxis(self, sizes(source), sizes(destination))


def select(here: Scope, self: Value, dim: int, index: Size) -> Value:
    """One place of an axis, which goes."""
    if is_live(index):
        raise Unsupported("selects a place that depends on the example")
    return self[(slice(None),) * axis_of(dim, self.ndim) + (integer(index),)]


def slice_(here: Scope, self: Value, dim: int = 0, start: Size | None = None, end: Size | None = None, step: Size = 1) -> Value:
    """Some places of an axis."""
    if is_live(start) or is_live(end):
        raise Unsupported("cuts at a place that depends on the example")
    begin = None if start is None else integer(start)
    stop = None if end is None or integer(end) >= OPEN_END else integer(end)
    return self[(slice(None),) * axis_of(dim, self.ndim) + (slice(begin, stop, integer(step)),)]


def narrow(here: Scope, self: Value, dim: int, start: Size, length: Size) -> Value:
    """Some places of an axis."""
    begin = integer(start) % (self.shape[axis_of(dim, self.ndim)] or 1)
    return slice_(here, self, dim, begin, begin + integer(length))


def unsqueeze(here: Scope, self: Value, dim: int) -> Value:
    """One axis more, of one place."""
    return np.expand_dims(self, dim)


def squeeze(here: Scope, self: Value, dim: Sizes | None = None) -> Value:
    """Axes of one place taken away: all of them, or those given."""
    if dim is None:
        return np.squeeze(self)
    squeezed = [axis_of(axis, self.ndim) for axis in (dim if isinstance(dim, Sequence) else [dim])]
    squeezed = [axis for axis in squeezed if self.ndim and self.shape[axis] == 1]
    return np.squeeze(self, tuple(squeezed)) if squeezed else self


def expand(here: Scope, self: Value, size: Sizes, implicit: bool = False) -> Value:
    """Axes of one place repeated."""
    new_shape = sizes(size)
    old_shape = (1,) * (len(new_shape) - self.ndim) + self.shape
    return np.broadcast_to(self, bounded([n if w == -1 else w for n, w in zip(old_shape, new_shape, strict=True)]))


def expand_as(here: Scope, self: Value, other: Value) -> Value:
    """Axes of one place repeated, to the shape of another tensor."""
    return np.broadcast_to(self, np.shape(other))


def broadcast_tensors(here: Scope, tensors: Sequence[Value]) -> list[Value]:
    """All in the shape that they have together."""
    shape = np.broadcast_shapes(*map(np.shape, tensors))
    return [np.broadcast_to(tensor, bounded(shape)) for tensor in tensors]


def repeat(here: Scope, self: Value, repeats: Sizes | None = None, dims: Sizes | None = None) -> Value:
    """The whole tensor repeated along each axis."""
    times = sizes(given(repeats, dims))
    rank = max(len(times), self.ndim)
    own = (1,) * (rank - self.ndim) + self.shape
    bounded([n * k for n, k in zip(own, (1,) * (rank - len(times)) + times, strict=True)])
    return np.tile(self, times)


def repeat_interleave(here: Scope, self: Value, repeats: Sizes | None = None, dim: int | None = None, output_size: Sizes | None = None) -> Value:
    """Each place repeated along an axis."""
    if is_live(repeats):
        raise Unsupported("repeats places as often as the example says")
    if repeats is None:
        raise Unsupported("returns as many places as its input says")
    times = np.asarray(repeats)
    if times.dtype.kind not in "iu":
        raise ValueError(f"repeats places as often as {times.dtype} says, which is no whole number")
    bounded((int(times.sum()) * (self.size if times.ndim == 0 else 1),))
    return np.repeat(self, times, axis=dim)


def at_least(self: Value, rank: int) -> tuple[int, ...]:
    """A shape with enough axes: one before for two, one on each side for three."""
    shape = self.shape
    if rank >= 1 and len(shape) == 0:
        shape = (1,)
    if rank >= 2 and len(shape) == 1:
        shape = (1, *shape)
    return (*shape, 1) if rank == 3 and len(shape) == 2 else shape


def atleast(rank: int) -> Callable[..., Value]:
    """A rule for tensors of at least so many axes."""

    def rule(here: Scope, self: Value) -> Value:
        """Axes of one place added."""
        return np.reshape(self, at_least(self, rank))

    return rule


def roll(here: Scope, self: Value, shifts: Sizes, dims: Sizes = ()) -> Value:
    """Values pushed along, those that leave coming in at the other end."""
    if not dims and dims != 0:
        return np.reshape(np.roll(np.reshape(self, (-1,)), sizes(shifts)[0]), self.shape)
    return np.roll(self, sizes(shifts), axis=sizes(dims))


def flip(here: Scope, self: Value, dims: Sizes) -> Value:
    """Axes turned around."""
    return np.flip(self, sizes(dims))


def flip_axis(axis: int) -> Callable[..., Value]:
    """A rule for fliplr and flipud."""

    def rule(here: Scope, self: Value) -> Value:
        """An axis turned around."""
        return np.flip(self, axis)

    return rule


def rot90(here: Scope, self: Value, k: int = 1, dims: Sizes = (0, 1)) -> Value:
    """A quarter turn, k times."""
    first, second = sizes(dims)
    for _ in range(k % 4):
        self = np.flip(np.swapaxes(self, first, second), first)
    return self


def as_strided(here: Scope, self: Value, size: Sizes, stride: Sizes, storage_offset: Size | None = 0) -> Value:
    """Any places of a tensor that lies in C order."""
    place = np.asarray(integer(storage_offset or 0))
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
