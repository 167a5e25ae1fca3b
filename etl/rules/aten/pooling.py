"""Pools: the largest or the mean of windows. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import windows
from etl.rules.aten.values import Sizes
from etl.rules.aten.views import integer
from etl.rules.aten.windows import axes_names, for_each
from etl.rules.ids import Ids, axis_names
from etl.rules.scope import Scope

Rule = Callable[..., Any]


def max_pool(rank: int) -> Rule:
    """A rule for max_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, kernel_size: Sizes, stride: Sizes = (), padding: Sizes = 0, dilation: Sizes = 1, ceil_mode: bool = False) -> Ids:
        """The largest of each window."""
        x, patches = pooled(here, self, rank, kernel_size, stride, padding, dilation, ceil_mode)
        return windows.max_pool(here, patches, rank, axes=axis_names(x))

    return rule


def average_pool(rank: int) -> Rule:
    """A rule for avg_pool1d, 2d, 3d."""

    def rule(
        here: Scope,
        self: Ids,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Ids:
        """The mean of each window; padding counts as zeros, or not."""
        x, patches = pooled(here, self, rank, kernel_size, stride, padding, 1, ceil_mode, counted=count_include_pad)
        return windows.average_pool(here, patches, rank, divisor_override, axes=axis_names(x))

    return rule


def pooled(
    here: Scope, x: Ids, rank: int, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool, counted: bool = False
) -> tuple[Ids, Ids]:
    """The input under the names of its axes, and what each window sees."""
    if x.ndim > rank:
        x = here.expect(x, axes_names(rank)[rank + 2 - x.ndim :])
    steps = for_each(stride if stride not in ((), [], None) else size, rank)
    pads = [(p, p) for p in for_each(padding, rank)]
    return x, windows.pool_windows(x, for_each(size, rank), steps, pads, for_each(dilation, rank), ceil_mode, counted)


def adaptive_average_pool(rank: int) -> Rule:
    """A rule for adaptive_avg_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, output_size: Sizes) -> Ids:
        """The mean of each of `output_size` windows, which overlap where they don't divide the image; a view where they are single places."""
        size = adapted_size(self, output_size, rank)
        if size == self.shape[self.ndim - rank :]:
            return self
        return windows.average_pool(here, windows.adaptive_windows(self, size), rank, axes=axis_names(self))

    return rule


def adaptive_max_pool(rank: int) -> Rule:
    """A rule for adaptive_max_pool1d, 2d, 3d."""

    def rule(here: Scope, self: Ids, output_size: Sizes, indices: bool = False) -> Any:
        """The largest of each of `output_size` windows, which overlap where they don't divide the image."""
        no_indices(indices)
        return windows.max_pool(here, windows.adaptive_windows(self, adapted_size(self, output_size, rank)), rank, axes=axis_names(self)), np.zeros(0)

    return rule


def max_pool_with_indices(rank: int) -> Rule:
    """A rule for max_pool2d_with_indices and the like, where nobody reads the places."""

    def rule(
        here: Scope,
        self: Ids,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        indices: bool = False,
    ) -> Any:
        """The largest of each window; where it was is refused."""
        no_indices(indices)
        return max_pool(rank)(here, self, kernel_size, stride, padding, dilation, ceil_mode), np.zeros(0)

    return rule


def no_indices(read: bool) -> None:
    if read:
        raise Unsupported("returns where in each window the largest value was, which depends on the example")


def adapted_size(x: Ids, output_size: Sizes, rank: int) -> tuple[int, ...]:
    """How many windows there are along each of the last axes. Raises ValueError for a tensor of fewer axes."""
    if x.ndim < rank:
        raise ValueError(f"an input of {list(x.shape)} for windows of {rank} axes")
    places = x.shape[x.ndim - rank :]
    listed = output_size if isinstance(output_size, list | tuple) else [output_size] * rank
    return tuple(n if size is None else integer(size) for n, size in zip(places, listed, strict=True))
