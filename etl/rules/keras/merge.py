"""Layers that bring several inputs together, place by place. Inputs of fewer axes get axes of one place in front, as in Keras."""

from __future__ import annotations

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import SomeAxes
from etl.rules.keras.normalization import unit
from etl.rules.primitives.axes import inner
from etl.rules.primitives.einsum import contract
from etl.rules.scope import Edges, Ids, Scope, bounded


def add(here: Scope, *inputs: Ids) -> Ids:
    """The sum of all inputs."""
    return here.sum(*(Edges(tensor, over=0) for tensor in inputs))


def subtract(here: Scope, first: Ids, second: Ids) -> Ids:
    """The first input minus the second: weights 1 and -1."""
    return here.sum(Edges(first, over=0), Edges(second, -1.0, over=0))


def multiply(here: Scope, *inputs: Ids) -> Ids:
    """The product of all inputs."""
    return here.product(*(Edges(tensor, over=0) for tensor in inputs))


def average(here: Scope, *inputs: Ids) -> Ids:
    """The mean of all inputs: weights 1/n."""
    return here.sum(*(Edges(tensor, 1 / len(inputs), over=0) for tensor in inputs))


def maximum(here: Scope, *inputs: Ids) -> Ids:
    """The largest of all inputs."""
    return here.max(*(Edges(tensor, over=0) for tensor in inputs))


def minimum(here: Scope, *inputs: Ids) -> Ids:
    """The smallest of all inputs."""
    return here.min(*(Edges(tensor, over=0) for tensor in inputs))


def concatenate(here: Scope, *inputs: Ids, axis: int = -1) -> Ids:
    """All inputs one after another along an axis (a view)."""
    bounded((sum(tensor.size for tensor in inputs),))
    return np.concatenate(inputs, inner(axis, inputs[0].ndim))


def dot(here: Scope, first: Ids, second: Ids, *, axes: SomeAxes, normalize: bool = False) -> Ids:
    """Sums of products along one axis of each input, for all pairs of their other places: `products`, then sums.

    normalize  each input over its length along that axis first: cosines
    """
    return dot_product(here, first, second, axes, 1e-14 if normalize else None)


def dot_2(here: Scope, first: Ids, second: Ids, *, axes: SomeAxes, normalize: bool = False) -> Ids:
    """The same in Keras 2, whose cosines take lengths below 1e-6 as that."""
    return dot_product(here, first, second, axes, 1e-12 if normalize else None)


def dot_product(here: Scope, first: Ids, second: Ids, axes: SomeAxes, least: float | None) -> Ids:
    """The products; `least` of a squared length, where lengths are divided by."""
    pair = axes if isinstance(axes, list | tuple) else [axes, axes]
    a, b = inner(pair[0], first.ndim), inner(pair[1], second.ndim)
    if least is not None:
        first, second = unit(here, first, (a,), least, "first"), unit(here, second, (b,), least, "second")
    letters = "abcdefghijklmnopqrstuvwxyz"
    left, right = letters[: first.ndim], letters[first.ndim : first.ndim + second.ndim].replace(letters[first.ndim + b], letters[a])
    out = (left + right).replace(letters[a], "")
    if not out:
        left, first, out = f"{left}z", first[..., None], "z"  # one number is a vector of one
    return contract(here, [(first, left), (second, right)], out)


def scaled_sum(here: Scope, first: Ids, second: Ids, *, scale: float) -> Ids:
    """The first input plus `scale` times the second (InceptionResNetV2's CustomScaleLayer)."""
    if not isinstance(scale, int | float):
        raise Unsupported(f"has {scale!r} where a number belongs")
    return here.sum(Edges(first, over=0), Edges(second, float(scale), over=0))
