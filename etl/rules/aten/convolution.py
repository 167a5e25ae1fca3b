"""Convolutions. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Sequence

from etl.errors import Unsupported
from etl.rules.aten import windows
from etl.rules.aten.values import Sizes, Value
from etl.rules.aten.windows import Pads, for_each
from etl.rules.ids import Ids
from etl.rules.primitives.windows import span
from etl.rules.scope import Scope


def batched(x: Value, rank: int) -> tuple[Value, bool]:
    """A tensor with its batch axis: (channels, *places) is one example without."""
    return (x, True) if x.ndim == rank + 2 else (x[None], False)


def convolution(
    here: Scope,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Ids:
    """Every neuron reads one window through its filter: (n, c, *places), weight (o, c / groups, *size) -> (n, o, *windows)."""
    rank = weight.ndim - 2
    x, whole_batch = batched(input, rank)
    apart = for_each(dilation, rank)
    outputs = windows.convolution(here, x, weight, bias, for_each(stride, rank), pads_of(padding, weight.shape[2:], apart), apart, groups)
    return outputs if whole_batch else outputs[0]


def pads_of(padding: Sizes | str, size: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Padding as numbers, or as a word: `same` puts the odd place behind."""
    if isinstance(padding, str) and padding == "valid":
        return [(0, 0)] * len(size)
    if isinstance(padding, str) and padding == "same":
        reach = [span(k, d) - 1 for k, d in zip(size, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in reach]
    if isinstance(padding, str):
        raise Unsupported(f"has no rule for padding={padding!r}")
    return [(p, p) for p in for_each(padding, len(size))]


def transposed_convolution(
    here: Scope,
    input: Ids,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Ids:
    """Every input adds its filter to a window: (n, c, *places), weight (c, o / groups, *size) -> (n, o, *places)."""
    rank = weight.ndim - 2
    x, whole_batch = batched(input, rank)
    steps, cut, more, apart = (for_each(option, rank) for option in (stride, padding, output_padding, dilation))
    shape = [(n - 1) * s - 2 * p + span(k, d) + o for n, s, p, k, d, o in zip(x.shape[2:], steps, cut, weight.shape[2:], apart, more, strict=True)]
    outputs = windows.transposed_convolution(here, x, weight, bias, steps, cut, shape, apart, groups)
    return outputs if whole_batch else outputs[0]


def conv_any(
    here: Scope,
    input: Ids,
    weight: Value,
    bias: Value | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Ids:
    """A convolution or a transposed one (`aten.convolution`)."""
    if transposed:
        return transposed_convolution(here, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return convolution(here, input, weight, bias, stride, padding, dilation, groups)
