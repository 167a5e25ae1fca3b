"""Live values: ids of neurons in the shape of the tensor that they compute, with the names of its axes.

    ids.reshape(8, 8, 3)      what moves values moves ids, and carries the axes' names along: ("row", "column", "channel")
    np.concatenate([a, b])    of live values is live
    ids + 1                   is a plain array: ids are no numbers to compute with

What flows through a network is live if and only if it is of this type; plain arrays, of whatever type, are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from etl.errors import TooLarge, Unsupported

ZERO = -1  # a padded zero: a value, but nobody computes it
NOTHING = -2  # no value at all: a window's part outside the image
MOST_NEURONS = 2**28  # of one layer: their ids alone are 2 GiB
MOST_AXES = 32  # that NumPy has in its older versions
Axes: TypeAlias = tuple[str | None, ...]


class Live(np.ndarray[Any, np.dtype[np.int64]]):
    """An int64 array of ids. `axes` names each axis, None where nobody knows what it is."""

    axes: Axes

    def __array_finalize__(self, other: Any) -> None:
        self.axes = (None,) * self.ndim

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        if any(isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f") for value in inputs):
            raise Unsupported("combines constants with what depends on the example in a way that has no rule")
        keywords = {name: plain(value) for name, value in keywords.items()}
        return getattr(ufunc, method)(*map(plain, inputs), **keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        if function in GROWS:
            bounded((GROWS[function](*args, **keywords),))
        result = (pad if function is np.pad else function)(*plain(args), **plain(keywords))
        if function not in MOVES:
            return result
        carried = MOVES[function]
        if isinstance(result, list | tuple):
            return type(result)(live(element, carried(*args, **keywords)) for element in result)
        return live(result, carried(*args, **keywords))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, np.ndarray | tuple):
            bounded((picked_count(self.shape, key if isinstance(key, tuple) else (key,)),))
        return live(super().__getitem__(key), indexed(self, key))  # also a single id, which NumPy makes a number of

    def __len__(self) -> int:
        if not self.ndim:
            raise ValueError("reads along an axis of a single number, which has none")  # NumPy's TypeError would be one of ours
        return super().__len__()

    def __iter__(self) -> Any:
        return (self[place] for place in range(len(self)))

    def reshape(self, *shape: Any, **keywords: Any) -> Any:
        ids = super().reshape(*shape, **keywords)
        return with_axes(ids, reshaped(self, ids.shape))

    def transpose(self, *axes: Any) -> Any:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return np.transpose(self, order)

    @property
    def T(self) -> Any:  # noqa: N802 - numpy's own name
        return np.transpose(self)

    def swapaxes(self, first: Any, second: Any) -> Any:
        return np.swapaxes(self, first, second)

    def copy(self, order: Any = "C") -> Any:
        return with_axes(super().copy(order), self.axes)


if TYPE_CHECKING:
    Ids: TypeAlias = NDArray[np.int64]  # numpy's own functions are declared to return plain arrays, whatever they are given
else:
    Ids = Live


def bounded(shape: Sequence[int]) -> Sequence[int]:
    """The same shape. Raises TooLarge where ids of it are too many to hold: a file may ask for any padding or size, and for any number of axes."""
    if len(shape) > MOST_AXES:
        raise TooLarge(f"more than {MOST_AXES} axes")
    if prod(max(abs(int(size)), 1) for size in shape) > MOST_NEURONS:  # also where another size of the shape is none
        raise TooLarge(f"more than {MOST_NEURONS:,} neurons in one layer")
    return shape


def live(values: Any, axes: Axes | None = None) -> Ids:
    """An array of ids as live values."""
    ids = np.asarray(values, dtype=np.int64).view(Live)
    return ids if axes is None or len(axes) != ids.ndim else with_axes(ids, axes)


def with_axes(ids: Ids, axes: Sequence[str | None]) -> Any:
    """The same ids under these names of axes."""
    same = ids.view(Live)
    same.axes = tuple(axes)
    return same


def is_live(value: Any) -> TypeGuard[Ids]:
    """Whether a value flows through the network; all else is constant."""
    return isinstance(value, Live)


def zeros(shape: Sequence[int]) -> Ids:
    """Padded zeros, which are values like any other."""
    return live(np.full(tuple(shape), ZERO))


def without_repeats(ids: Any) -> Any:
    """The same with one place of each axis along which all places hold the same ids in the same memory."""
    array = np.asarray(ids)
    return array[tuple(slice(0, 1) if stride == 0 and size > 1 else slice(None) for size, stride in zip(array.shape, array.strides, strict=True))]


def pad(ids: NDArray[Any], width: Any, *options: Any, **keywords: Any) -> NDArray[Any]:
    """np.pad, which writes axes that share their ids, and are not padded, down once."""
    widths = np.broadcast_to(np.asarray(width), (ids.ndim, 2))
    if 0 not in ids.strides or not ids.size:
        return np.pad(ids, width, *options, **keywords)
    cut = tuple(slice(0, 1) if stride == 0 and not any(ends) else slice(None) for stride, ends in zip(ids.strides, widths, strict=True))
    shape = [size + int(sum(ends)) for size, ends in zip(ids.shape, widths, strict=True)]
    return np.broadcast_to(np.pad(ids[cut], width, *options, **keywords), shape)


def plain(value: Any) -> Any:
    """The same without the type: an array of numbers, also in lists and tuples."""
    if isinstance(value, Live):
        return value.view(np.ndarray)
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    return value


def axis_names(value: Any) -> Axes:
    return value.axes if isinstance(value, Live) else (None,) * np.ndim(value)


def indexed(ids: Ids, key: Any) -> Axes:
    """The axes that ids[key] has: slices keep theirs, numbers take them away, None adds one."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(index, np.ndarray | list | bool | np.bool_) and np.ndim(index) != 1 for index in keys):
        return ()
    if sum(isinstance(index, np.ndarray | list) for index in keys) > 1 or any(
        isinstance(index, np.ndarray) and index.dtype.kind == "b" for index in keys
    ):
        return ()
    if not any(index is Ellipsis for index in keys):
        keys.append(Ellipsis)
    dots = next(place for place, index in enumerate(keys) if index is Ellipsis)
    indexed_count = sum(index is not None for index in keys) - 1
    keys[dots : dots + 1] = [slice(None)] * (ids.ndim - indexed_count)
    names = iter(axis_names(ids))
    return tuple(None if index is None else name for index in keys for name in ((None,) if index is None else (next(names),)) if not is_number(index))


def is_number(key: Any) -> bool:
    return isinstance(key, int | np.integer)


def reshaped(ids: Ids, shape: Sequence[int]) -> Axes:
    """A reshape keeps the names of equal leading and trailing axes; axes of one place come and go."""
    old = [(size, name) for size, name in zip(ids.shape, axis_names(ids), strict=True) if size != 1 or name]
    first, last = 0, 0
    names: list[str | None] = [None] * len(shape)
    new = [place for place, size in enumerate(shape) if size != 1]
    sizes = [shape[place] for place in new]
    old = [(size, name) for size, name in old if size != 1]
    while first < min(len(old), len(new)) and old[first][0] == sizes[first]:
        names[new[first]] = old[first][1]
        first += 1
    while last < min(len(old), len(new)) - first and old[-1 - last][0] == sizes[-1 - last]:
        names[new[-1 - last]] = old[-1 - last][1]
        last += 1
    if len(shape) == ids.ndim and tuple(shape) == ids.shape:
        return axis_names(ids)
    return tuple(names)


def common_axes(arrays: Sequence[Any]) -> Axes:
    """The names that several arrays of one rank agree on; who has none does not disagree."""
    ranks = [axis_names(array) for array in arrays]
    agreed = []
    for names in zip(*ranks, strict=True):
        known = {name for name in names if name}
        agreed.append(known.pop() if len(known) == 1 else None)
    return tuple(agreed)


def axes_of_first(ids: Any, *others: Any, **keywords: Any) -> Axes:
    return axis_names(ids)


def _transposed(ids: Any, axes: Any = None) -> Axes:
    names = axis_names(ids)
    return tuple(names[axis] for axis in (axes if axes is not None else reversed(range(len(names)))))


def _numbers(array: Any) -> Any:
    """An array that says where each of its axes went: axis k is k + 2 long."""
    return np.broadcast_to(0, tuple(range(2, np.ndim(array) + 2)))


def _followed(function: Callable[..., Any]) -> Callable[..., Axes]:
    """The axes after a function that moves, adds or drops axes, from what it does to an array whose sizes tell its axes apart."""

    def carried(ids: Any, *args: Any, **keywords: Any) -> Axes:
        names = axis_names(ids)
        return tuple(names[size - 2] if size > 1 else None for size in function(_numbers(ids), *args, **keywords).shape)

    return carried


def _squeezed(ids: Any, axis: Any = None) -> Axes:
    removed = {k for k, size in enumerate(np.shape(ids)) if size == 1} if axis is None else {a % np.ndim(ids) for a in np.atleast_1d(axis)}
    return tuple(name for k, name in enumerate(axis_names(ids)) if k not in removed)


def _broadcast(ids: Any, shape: Any, **keywords: Any) -> Axes:
    rank = len(shape) if isinstance(shape, list | tuple) else 1
    return (*(None,) * (rank - np.ndim(ids)), *axis_names(ids))


def _stacked(arrays: Sequence[Any], axis: int = 0, **keywords: Any) -> Axes:
    names = list(common_axes(arrays))
    names.insert(axis % (len(names) + 1), None)
    return tuple(names)


def _chosen(condition: Any, *choices: Any) -> Axes:
    rank = max(np.ndim(choice) for choice in (condition, *choices))
    full_rank = [choice for choice in choices if np.ndim(choice) == rank]
    return common_axes(full_rank) if full_rank else (None,) * rank


def _taken(ids: Any, indices: Any, axis: Any = None, **keywords: Any) -> Axes:
    if axis is None:
        return ()
    names = list(axis_names(ids))
    at = axis % len(names)
    names[at : at + 1] = [names[at]] if np.ndim(indices) == 1 else [None] * np.ndim(indices)
    return tuple(names)


def _tiled(ids: Any, reps: Any) -> Axes:
    return (*(None,) * (np.size(reps) - np.ndim(ids)), *axis_names(ids))


# Functions that move values and compute none, each with the axes of what it returns.
MOVES: dict[Any, Callable[..., Axes]] = {
    np.reshape: lambda ids, *shape, **keywords: (),
    np.ravel: lambda ids, *order: (),
    np.transpose: _transposed,
    np.moveaxis: _followed(np.moveaxis),
    np.swapaxes: _followed(np.swapaxes),
    np.rollaxis: _followed(np.rollaxis),
    np.expand_dims: _followed(np.expand_dims),
    np.squeeze: _squeezed,
    np.broadcast_to: _broadcast,
    np.concatenate: lambda arrays, *axis, **keywords: common_axes(arrays),
    np.append: lambda *arrays, **keywords: (),
    np.stack: _stacked,
    np.split: axes_of_first,
    np.array_split: axes_of_first,
    np.flip: axes_of_first,
    np.roll: axes_of_first,
    np.repeat: lambda ids, repeats, axis=None: axis_names(ids) if axis is not None else (),
    np.tile: _tiled,
    np.pad: axes_of_first,
    np.take: _taken,
    np.take_along_axis: axes_of_first,
    np.where: _chosen,
    np.copy: axes_of_first,
    np.diagonal: lambda ids, *axes, **keywords: (),
    np.einsum: lambda *operands, **keywords: (),
    np.full_like: axes_of_first,
    np.delete: axes_of_first,
    np.atleast_1d: lambda *ids: (),
    np.asarray: axes_of_first,
    np.ascontiguousarray: axes_of_first,
    np.tril: axes_of_first,
    np.triu: axes_of_first,
    sliding_window_view: lambda ids, window, axis=None, **keywords: (*axis_names(ids), *(None,) * np.size(window)),
}


def picked_count(shape: Sequence[int], keys: Sequence[Any]) -> int:
    """How many places arrays of whole numbers pick, at most: those that they have together, times the axes that they leave. 0 without any."""
    arrays = [np.shape(key) for key in keys if isinstance(key, np.ndarray) and key.dtype.kind in "iu"]
    sliced = [n for n, key in zip(shape, (key for key in keys if key is not None), strict=False) if isinstance(key, slice)]
    return prod(np.broadcast_shapes(*arrays)) * prod(sliced) * prod(shape[len(keys) :]) if arrays else 0


def _repeated(ids: Any, repeats: Any, axis: int | None = None) -> int:
    size = np.size(ids) if axis is None else np.size(ids) // max(np.shape(ids)[axis], 1)
    return int(np.size(ids) * int(repeats)) if np.ndim(repeats) == 0 else (1 if axis is None else size) * int(np.sum(repeats))


def _padded(ids: Any, widths: Any, *mode: Any, **keywords: Any) -> int:
    return prod(
        n + sum(map(int, ends)) for n, ends in zip(np.shape(ids), np.broadcast_to(np.asarray(widths, object), (np.ndim(ids), 2)), strict=True)
    )


def _taken_places(ids: Any, indices: Any, axis: int | None = None, **keywords: Any) -> int:
    return int(np.size(indices)) * (1 if axis is None else int(np.size(ids)) // max(np.shape(ids)[axis], 1))


# Functions that make more ids than they are given, each with how many: known before it allocates them.
GROWS: dict[Any, Callable[..., int]] = {
    np.concatenate: lambda arrays, *axis, **keywords: sum(map(np.size, arrays)),
    np.stack: lambda arrays, *axis, **keywords: sum(map(np.size, arrays)),
    np.append: lambda *arrays, **keywords: sum(map(np.size, arrays[:2])),
    np.tile: lambda ids, reps: int(np.size(ids)) * prod(map(int, np.ravel(reps))),
    np.repeat: _repeated,
    np.pad: _padded,
    np.take: _taken_places,
    np.where: lambda *choices: prod(np.broadcast_shapes(*map(np.shape, choices))),
}

IdsOrWeights: TypeAlias = Ids | NDArray[Any]
