"""Operations that only move values: reshapes, slices, stacks. Axes count the batch, whose place they must leave alone.

Old files compute shapes from `tf.shape(x)`: constants with NaN for the size of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from operator import index
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Ends, PerAxis, SomeAxes
from etl.rules.ids import is_live, zeros
from etl.rules.keras.arithmetic import constant, operand
from etl.rules.misfits import shown
from etl.rules.primitives.axes import inner, inner_axes
from etl.rules.primitives.windows import per_axis, windows
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights, bounded

BATCH = float("nan")


def unchanged(here: Scope, x: Ids) -> Ids:
    """The same values."""
    return x


def cast(here: Scope, x: Ids | Weights, *, dtype: Any) -> Ids | Weights:
    """The same values in another precision; rounding to whole numbers has no graph."""
    config = dtype.get("config") if isinstance(dtype, Mapping) else {"name": dtype}
    name = str(config.get("name") if isinstance(config, Mapping) else config)
    if is_live(x) and "float" not in name:
        raise Unsupported(f"rounds values to {name if isinstance(dtype, str) else shown(dtype)}")
    return x


def sizes(shape: Any) -> list[int | None]:
    """A shape as written, sizes computed from other shapes among it; None for the batch."""
    listed = shape if isinstance(shape, list | tuple) else [None] if shape is None else np.atleast_1d(constant(shape, "shape"))
    numbers = [BATCH if n is None else constant(n, "size") for n in listed]
    if any(np.size(n) != 1 for n in numbers):
        raise Unsupported("has no plain list of sizes for a shape")
    return [None if np.isnan(n) else int(n) for n in map(float, map(np.sum, numbers))]


def shape_of(here: Scope, x: Ids) -> Weights:
    """The shape of a tensor, a constant but for its batch."""
    return np.array([BATCH, *x.shape])


def reshape(here: Scope, x: Ids, newshape: Any) -> Ids:
    """The same places in C order in another shape, within each example."""
    first, *sizes_inside = sizes(newshape)
    inside = [n for n in sizes_inside if n is not None]
    if len(inside) < len(sizes_inside) or (first not in (None, 1) and -1 in sizes_inside) or (-1 not in sizes_inside and prod(inside) != x.size):
        raise Unsupported(f"reshapes {[None, *x.shape]} to {[first, *sizes_inside]}, which moves values between examples")
    return x.reshape(inside)


def order(here: Scope, x: Ids, permutation: Sequence[int]) -> Ids:
    """Axes in another order that leaves the batch in front."""
    axes = [int(n) for n in permutation]
    if axes[0] != 0:
        raise Unsupported("moves the batch axis")
    return np.transpose(x, [n - 1 for n in axes[1:]])


def transpose(here: Scope, x: Ids, *, axes: Sequence[int] | None = None) -> Ids:
    """Axes in another order."""
    return order(here, x, [n % (x.ndim + 1) for n in axes] if axes is not None else range(x.ndim, -1, -1))


def moveaxis(here: Scope, x: Ids, *, source: SomeAxes, destination: SomeAxes) -> Ids:
    """Some axes moved to other places."""
    moved = np.moveaxis(np.broadcast_to(0, range(1, x.ndim + 2)), source, destination)  # axis k is k + 1 long
    return order(here, x, [n - 1 for n in moved.shape])


def swapaxes(here: Scope, x: Ids, *, axis1: int, axis2: int) -> Ids:
    """Two axes exchanged."""
    return np.swapaxes(x, inner(axis1, x.ndim), inner(axis2, x.ndim))


def squeeze(here: Scope, x: Ids, *, axis: SomeAxes | None = None) -> Ids:
    """Without axes of one place."""
    listed = [k for k, n in enumerate(x.shape) if n == 1] if axis in (None, []) else inner_axes(axis, x.ndim)
    return np.squeeze(x, tuple(listed))


def expand_dims(here: Scope, x: Ids, *, axis: SomeAxes) -> Ids:
    """With new axes of one place."""
    listed = axis if isinstance(axis, list | tuple) else [axis]
    return np.expand_dims(x, inner_axes(listed, x.ndim + len(listed)))


def concatenate(here: Scope, xs: Sequence[Any], *, axis: int = 0) -> Ids | Weights:
    """Tensors one after another along an axis."""
    if not any(map(is_live, xs)):
        return np.concatenate([np.atleast_1d(operand(tensor)) for tensor in xs])
    return np.concatenate(tensors(xs), inner(axis, xs[0].ndim))


def stack(here: Scope, x: Sequence[Any], *, axis: int = 0) -> Ids | Weights:
    """Tensors side by side along a new axis."""
    if not any(map(is_live, x)):
        return np.stack([operand(tensor) for tensor in x])
    return np.stack(tensors(x), inner(axis, x[0].ndim + 1))


def tensors(listed: Sequence[Any]) -> list[Ids]:
    if not all(map(is_live, listed)):
        raise Unsupported("puts a constant beside tensors; there is a rule for tensors only")
    return list(listed)


def unstack(here: Scope, x: Ids | Weights, *, num: int | None = None, axis: int = 0) -> list[Ids | Weights]:
    """The tensors side by side along an axis."""
    if not np.ndim(x):
        raise Unsupported("takes a single number apart")
    if not is_live(x):
        return list(x)
    turned = np.moveaxis(x, inner(axis, x.ndim), 0)
    return [turned[place, ...] for place in range(len(turned))]


def split(here: Scope, x: Ids, indices_or_sections: PerAxis, *, axis: int = 0) -> list[Ids]:
    """Pieces of an axis: so many of the same size, or cut before each index."""
    at = indices_or_sections if isinstance(indices_or_sections, int) else [int(n) for n in indices_or_sections]
    return list(np.split(x, at, inner(axis, x.ndim)))


def split_sizes(here: Scope, value: Ids, num_or_size_splits: PerAxis, *, axis: int = 0) -> list[Ids]:
    """Pieces of an axis: so many of the same size, or of these sizes, one of which may be -1 (TensorFlow)."""
    if isinstance(num_or_size_splits, int):
        return split(here, value, num_or_size_splits, axis=axis)
    at, piece_sizes = inner(axis, value.ndim), [int(n) for n in num_or_size_splits]
    left_over = value.shape[at] - sum(n for n in piece_sizes if n >= 0)
    return list(np.split(value, np.cumsum([left_over if n < 0 else n for n in piece_sizes])[:-1], at))


def get_item(here: Scope, x: Ids | Weights, key: Any) -> Ids | Weights:
    """x[key]: whole numbers, slices, new axes, dots and one list of places; the batch stays whole."""
    keys = list(key) if isinstance(key, list | tuple) else [key]
    check_slices(keys)
    if any(map(is_live, keys)):
        raise Unsupported("picks places that depend on values")
    if not is_live(x):
        return np.asarray(x[tuple(keys)])
    keys = [list(index.astype(int)) if isinstance(index, np.ndarray) and not is_live(index) and index.ndim else index for index in keys]
    if any(isinstance(index, bool) for index in keys) or sum(isinstance(index, list) for index in keys) > 1:
        raise Unsupported("picks places by truths, or by several lists")
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    dots = keys.index(Ellipsis)
    indexed_count = sum(index is not None for index in keys) - 1
    keys[dots : dots + 1] = [slice(None)] * (x.ndim + 1 - indexed_count)
    if not isinstance(keys[0], slice) or keys[0] not in (slice(None), slice(None, None, 1), slice(0, None), slice(0, None, 1)):
        raise Unsupported("picks examples out of the batch")
    return x[(*keys[1:], ...)]  # with dots an array comes back also where no axis is left


def check_slices(keys: Sequence[Any]) -> None:
    """Raises Unsupported where a slice begins, ends or goes on by what is no whole number."""
    try:
        for part in (part for key in keys if isinstance(key, slice) for part in (key.start, key.stop, key.step) if part is not None):
            index(part)
    except TypeError as error:
        raise Unsupported("has a slice whose places are no whole numbers") from error


def slice_from(here: Scope, inputs: Ids, start_indices: Any, shape: Any) -> Ids:
    """A box that begins at some place: sizes, -1 for all that is left."""
    begin, size = sizes(start_indices), sizes(shape)
    if begin[0] != 0 or size[0] not in (-1, None):
        raise Unsupported("picks examples out of the batch")
    return inputs[tuple(slice(b, None if n == -1 else (b or 0) + (n or 0)) for b, n in zip(begin[1:], size[1:], strict=True))]


def take(here: Scope, x: Ids, indices: Any, *, axis: int | None = None) -> Ids:
    """Chosen places of an axis."""
    if axis is None:
        raise Unsupported("works along all axes at once, across the examples of a batch")
    return np.take(operand(x), constant(indices, "indices").astype(int), inner(axis, x.ndim))


def flip(here: Scope, x: Ids, *, axis: SomeAxes | None = None) -> Ids:
    """Axes in reverse."""
    return np.flip(x, inner_axes(axis, x.ndim))


def roll(here: Scope, x: Ids, *, shift: PerAxis, axis: SomeAxes | None = None) -> Ids:
    """Axes turned round by some places."""
    if axis is None:
        raise Unsupported("works along all axes at once, across the examples of a batch")
    listed = axis if isinstance(axis, list | tuple) else [axis]
    return np.roll(x, shift, tuple(inner(rolled_axis, x.ndim) for rolled_axis in listed))


def repeat(here: Scope, x: Ids, *, repeats: PerAxis, axis: int | None = None) -> Ids:
    """Each place of an axis several times."""
    if axis is None:
        raise Unsupported("works along all axes at once, across the examples of a batch")
    at, times = inner(axis, x.ndim), np.asarray(repeats, dtype=int)
    size = int(times.reshape(())) * x.shape[at] if times.size == 1 else int(times.sum())
    bounded((*x.shape[:at], size, *x.shape[at + 1 :]))
    return np.repeat(x, times, at)


def tile(here: Scope, x: Ids, *, repeats: Any) -> Ids:
    """The whole several times along each axis."""
    repeats_of_axes = sizes(repeats)
    listed = [*[1] * (x.ndim + 1 - len(repeats_of_axes)), *repeats_of_axes]
    if len(listed) > x.ndim + 1 or listed[0] != 1 or None in listed:
        raise Unsupported("repeats the batch")
    times = [n for n in listed[1:] if n is not None]
    bounded([n * k for n, k in zip(x.shape, times, strict=True)])
    return np.tile(x, times)


def broadcast_to(here: Scope, x: Ids, *, shape: Any) -> Ids:
    """The same values repeated up to a shape."""
    new_shape = sizes(shape)
    if len(new_shape) != x.ndim + 1:
        raise Unsupported("adds axes in front of the batch")
    return np.broadcast_to(x, bounded([n for n in new_shape[1:] if n is not None])).copy()


def pad(here: Scope, x: Ids, *, pad_width: Ends, mode: str = "constant", constant_values: Any = None) -> Ids:
    """Places around: zeros, another number (neurons of that bias), or values of the border as numpy's modes edge, reflect and symmetric have them."""
    pads = np.broadcast_to(np.asarray(pad_width, dtype=int), (x.ndim + 1, 2))
    if pads[0].any():
        raise Unsupported("pads the batch")
    bounded([n + int(pad.sum()) for n, pad in zip(x.shape, pads[1:], strict=True)])
    if mode.lower() != "constant":
        return np.pad(x, pads[1:], mode=mode.lower())  # type: ignore[call-overload]
    wide, value = np.pad(x, pads[1:], constant_values=ZERO), constant(constant_values or 0, "padding")
    if not value.any():
        return wide
    around = np.pad(np.zeros(x.shape), pads[1:], constant_values=float(value.reshape(())))
    return here.sum(Edges(wide, over=0), bias=around)


def zeros_like(here: Scope, x: Ids) -> Ids:
    """Zeros of the same shape."""
    return zeros(x.shape)


def ones_like(here: Scope, x: Ids) -> Ids:
    """Ones of the same shape: neurons of bias 1 without edges."""
    return here.sum(bias=np.ones(x.shape))


def full_like(here: Scope, x: Ids, fill_value: Any) -> Ids:
    """A number everywhere: neurons of that bias without edges."""
    return here.sum(bias=np.broadcast_to(constant(fill_value, "value"), x.shape))


def triangle(lower: bool) -> Any:
    """A rule that keeps one triangle of each matrix and pads the rest with zeros."""

    def rule(here: Scope, x: Ids, *, k: int = 0) -> Ids:
        rows, columns = x.shape[-2:]
        below = np.tri(rows, columns, k if lower else k - 1, dtype=bool)
        return np.where(below == lower, x, ZERO)

    rule.__doc__ = f"The {'lower' if lower else 'upper'} triangle of each matrix, zeros elsewhere."
    return rule


def depth_to_space(here: Scope, x: Ids, *, block_size: int, data_format: str | None = None) -> Ids:
    """Channels laid out as blocks of places: (h, w, c * n^2) -> (h * n, w * n, c)."""
    ids, n = channels_last(x, data_format), block_size
    h, w = ids.shape[:2]
    return in_data_format(ids.reshape(h, w, n, n, -1).transpose(0, 2, 1, 3, 4).reshape(h * n, w * n, -1), data_format)


def space_to_depth(here: Scope, x: Ids, *, block_size: int, data_format: str | None = None) -> Ids:
    """Blocks of places laid out as channels: (h * n, w * n, c) -> (h, w, c * n^2)."""
    ids, n = channels_last(x, data_format), block_size
    h, w, c = ids.shape
    return in_data_format(ids.reshape(h // n, n, w // n, n, c).transpose(0, 2, 1, 3, 4).reshape(h // n, w // n, -1), data_format)


def extract_patches(
    here: Scope,
    images: Ids,
    *,
    size: PerAxis,
    strides: PerAxis | None = None,
    dilation_rate: PerAxis = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Ids:
    """What a window sees at each of its places, laid out as channels: (h, w, c) -> (oh, ow, kh * kw * c)."""
    ids, steps = channels_last(images, data_format), size if strides is None else strides
    window_ids = windows(ids, per_axis(size, 2), per_axis(steps, 2), padding.lower(), per_axis(dilation_rate, 2))
    patches = window_ids.reshape(*window_ids.shape[:2], -1)
    return in_data_format(np.where(patches == NOTHING, ZERO, patches), data_format)


def patches_of(here: Scope, images: Ids, *, sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], padding: str) -> Ids:
    """The same in TensorFlow's words: lists for batch, rows, columns and channels."""
    return extract_patches(here, images, size=sizes[1:3], strides=strides[1:3], dilation_rate=rates[1:3], padding=padding)


def channels_last(ids: Ids, data_format: str | None) -> Ids:
    return np.moveaxis(ids, 0, -1) if data_format in ("channels_first", "NCHW") else ids


def in_data_format(ids: Ids, data_format: str | None) -> Ids:
    return np.moveaxis(ids, -1, 0) if data_format in ("channels_first", "NCHW") else ids
