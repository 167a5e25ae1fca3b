"""Views: layers that only move values. They take ids and return ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Ends
from etl.rules.keras.layout import as_given, first, image
from etl.rules.scope import ZERO, Ids, Scope, bounded


def unchanged(here: Scope, inputs: Ids, *, training: bool = False) -> Ids:
    """The identity at inference: dropout, noise, regularisation, random changes of images."""
    if training:
        raise Unsupported("is called with training=True, so it is random at inference too")
    return inputs


def flatten(here: Scope, inputs: Ids, *, data_format: str | None = None) -> Ids:
    """All places in one row, channels last first: (h, w, c) -> (h*w*c,)."""
    return (image(here, inputs, data_format) if first(data_format) and inputs.ndim else inputs).reshape(-1)


def reshape(here: Scope, inputs: Ids, *, target_shape: Sequence[int]) -> Ids:
    """The same places in C order in another shape; one axis may be -1."""
    return inputs.reshape(tuple(target_shape))


def permute(here: Scope, inputs: Ids, *, dims: Sequence[int]) -> Ids:
    """Axes in another order; `dims` counts from 1, the batch axis being 0."""
    return np.transpose(inputs, [d - 1 for d in dims])


def repeat_vector(here: Scope, inputs: Ids, *, n: int) -> Ids:
    """The same places n times: (c,) -> (n, c)."""
    return np.broadcast_to(inputs, bounded((n, *inputs.shape)))


def zero_padding(here: Scope, inputs: Ids, *, padding: Ends = 1, data_format: str | None = None) -> Ids:
    """Padded zeros around an image: (*axes, c) -> (*(before + n + after), c)."""
    ids = image(here, inputs, data_format)
    ends = [*both_ends(padding, ids.ndim - 1), (0, 0)]
    bounded([n + sum(both) for n, both in zip(ids.shape, ends, strict=True)])
    return as_given(np.pad(ids, ends, constant_values=ZERO), data_format)


def cropping(here: Scope, inputs: Ids, *, cropping: Ends = 1, data_format: str | None = None) -> Ids:
    """An image without its rims: (*axes, c) -> (*(n - before - after), c)."""
    ids = image(here, inputs, data_format)
    ends = both_ends(cropping, ids.ndim - 1)
    return as_given(ids[tuple(slice(before, n - after) for n, (before, after) in zip(ids.shape, ends, strict=False))], data_format)


def both_ends(value: Ends, rank: int) -> list[tuple[int, int]]:
    """Before and after each axis, from one number for all, one for each axis, or two for each (for one axis: the two alone)."""
    if isinstance(value, int):
        return [(value, value)] * rank
    pairs = [(v, v) if isinstance(v, int) else (v[0], v[-1]) for v in value]
    ends = [(pairs[0][0], pairs[-1][0])] if rank == 1 and value and all(isinstance(v, int) for v in value) else pairs
    if len(ends) != rank or any(min(pair) < 0 for pair in ends):
        raise Unsupported(f"has no rule for {value!r} around {rank} axes")
    return ends
