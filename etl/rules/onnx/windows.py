"""Convolutions, pools and images of another size: tensors (n, c, *image)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, prod
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.arguments import Value
from etl.rules.ids import axis_names
from etl.rules.primitives import convolution as over
from etl.rules.primitives.elementwise import constant, function
from etl.rules.primitives.reductions import axes_of, length, mean, places, reduced
from etl.rules.primitives.resampling import resampled
from etl.rules.primitives.windows import span
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights, bounded

Sizes = Sequence[int] | None


def pairs(pads: Sequence[int]) -> list[tuple[int, int]]:
    """All that is before the axes and all that is after them, axis by axis."""
    half = len(pads) // 2
    return list(zip(pads[:half], pads[half:], strict=True))


def padding(
    auto_pad: str, pads: Sizes, image: Sequence[int], size: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Places before and after each axis: as given, or so that there are ceil(image / stride) windows, the odd one after (UPPER) or before."""
    if auto_pad in ("NOTSET", ""):
        return pairs(pads or (0,) * 2 * len(image))
    if auto_pad == "VALID":
        return [(0, 0)] * len(image)
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"has no rule for auto_pad={auto_pad!r}")
    totals = [max((-(-n // s) - 1) * s + span(k, d) - n, 0) for n, k, s, d in zip(image, size, strides, dilation, strict=True)]
    return [(t // 2, t - t // 2) if auto_pad == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]


def conv(
    here: Scope,
    x: Ids,
    w: Weights,
    b: Weights | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sizes = None,
    group: int = 1,
    kernel_shape: Sizes = None,
    pads: Sizes = None,
    strides: Sizes = None,
) -> Ids:
    """Every neuron reads one window through its filter: x (n, c, *image), w (f, c / group, *size) -> (n, f, *windows)."""
    kernel, rank = constant(w, "kernel"), x.ndim - 2
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    around = padding(auto_pad, pads, x.shape[2:], kernel.shape[2:], strides, dilations)
    bias = None if b is None else constant(b, "bias")
    return over.convolution(here, x, kernel, bias, strides=strides, pads=around, dilation=dilations, groups=group)


def conv_transpose(
    here: Scope,
    x: Ids,
    w: Weights,
    b: Weights | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sizes = None,
    group: int = 1,
    kernel_shape: Sizes = None,
    output_padding: Sizes = None,
    output_shape: Sizes = None,
    pads: Sizes = None,
    strides: Sizes = None,
) -> Ids:
    """A convolution's gradient: x (n, c, *image), w (c, f / group, *size) -> (n, f, *places)."""
    kernel, rank, image = constant(w, "kernel"), x.ndim - 2, x.shape[2:]
    strides, dilations, more = strides or (1,) * rank, dilations or (1,) * rank, output_padding or (0,) * rank
    spans = [span(k, d) for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    output_size = output_shape[-rank:] if output_shape else [n * s for n, s in zip(image, strides, strict=True)] if "SAME" in auto_pad else None
    if output_size is None:
        around = padding(auto_pad, pads, image, spans, strides, (1,) * rank)
    else:
        totals = [s * (n - 1) + k + m - o for n, s, k, m, o in zip(image, strides, spans, more, output_size, strict=True)]
        around = [(t // 2, t - t // 2) if auto_pad == "SAME_UPPER" else (t - t // 2, t // 2) for t in totals]
    bias = None if b is None else constant(b, "bias")
    return over.transposed_convolution(here, x, kernel, bias, strides=strides, pads=around, dilation=dilations, more=more, groups=group)


def pooled(
    here: Scope, x: Ids, size: Sequence[int], strides: Sizes, pads: Sizes, dilations: Sizes, auto_pad: str, ceil_mode: int, value: int = NOTHING
) -> Ids:
    """What a pool's windows see: (n, c, *image) -> (n, c, *windows, *size)."""
    rank = len(size)
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    around = padding(auto_pad, pads, x.shape[2:], size, strides, dilations)
    return over.pool_windows(here, x, size, strides=strides, pads=around, dilation=dilations, ceil=bool(ceil_mode), value=value)


def max_pool(
    here: Scope,
    x: Ids,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sizes = None,
    pads: Sizes = None,
    storage_order: int = 0,
    strides: Sizes = None,
    outputs: int = 1,
) -> Ids | tuple[Ids, Ids]:
    """The largest of each window and channel; then its place in the tensor, counted in C order, or down the columns where `storage_order` is 1."""
    rank = len(kernel_shape)
    patches = pooled(here, x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode)
    largest = over.max_pool(here, patches, rank)
    if outputs == 1:
        return largest
    numbers = np.arange(x.size).reshape(x.shape)
    if storage_order:
        within = np.arange(prod(x.shape[2:])).reshape(x.shape[2:], order="F")
        numbers = np.arange(prod(x.shape[:2])).reshape(*x.shape[:2], *(1,) * rank) * within.size + within
    flat = patches.reshape(*patches.shape[:-rank], -1)
    table = np.zeros(int(np.asarray(x).max()) + 1)
    table[np.asarray(x)] = numbers
    first = places(here.part("index"), flat, flat.ndim - 1, largest=True)
    return largest, here.sum(Edges(first, table[np.maximum(np.asarray(flat), 0)]), part="index")


def average_pool(
    here: Scope,
    x: Ids,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sizes = None,
    pads: Sizes = None,
    strides: Sizes = None,
) -> Ids:
    """The mean of each window and channel; padding counts where the file says so."""
    patches = pooled(here, x, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode, ZERO if count_include_pad else NOTHING)
    return over.average_pool(here, patches, len(kernel_shape))


def lp_pool(
    here: Scope,
    x: Ids,
    *,
    kernel_shape: Sequence[int],
    p: float = 2,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sizes = None,
    pads: Sizes = None,
    strides: Sizes = None,
) -> Ids:
    """(sum of |x|^p)^(1/p) of each window and channel: `power`, then the root of the sum."""
    powers = raised(here, x, p)
    patches = pooled(here, powers, kernel_shape, strides, pads, dilations, auto_pad, ceil_mode)
    root = {1: "linear", 2: "sqrt"}.get(int(p)) or call("power", exponent=1 / p)
    return here.sum(Edges(patches, over=len(kernel_shape)), activation=root, axes=axis_names(patches)[: patches.ndim - len(kernel_shape)])


def raised(here: Scope, x: Ids, p: float) -> Ids:
    """|x|^p."""
    if p == 2:
        return function(here, x, "square", "power")
    absolute = function(here, x, "abs", "power" if p == 1 else "abs")
    return absolute if p == 1 else function(here, absolute, call("power", exponent=float(p)), "power")


def global_average_pool(here: Scope, x: Ids) -> Ids:
    """The mean of each channel."""
    return mean(here, over.image(here, x), tuple(range(2, x.ndim)), True)


def global_max_pool(here: Scope, x: Ids) -> Ids:
    """The largest of each channel."""
    return reduced(here, "max", over.image(here, x), tuple(range(2, x.ndim)), True)


def global_lp_pool(here: Scope, x: Ids, *, p: float = 2) -> Ids:
    """(sum of |x|^p)^(1/p) of each channel."""
    return length(here, over.image(here, x), tuple(range(2, x.ndim)), True, p)


def resize(
    here: Scope,
    x: Ids,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
    *,
    antialias: int = 0,
    axes: Sizes = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Ids:
    """Axes stretched or shrunk: each by a matrix, which is what the operator makes of the identity."""
    along = list(range(x.ndim)) if axes is None else [axes_of(axis, x.ndim)[0] for axis in axes]
    factors, new_sizes = resized(x.shape, along, scales, sizes, keep_aspect_ratio_policy)
    options = {
        "antialias": antialias,
        "coordinate_transformation_mode": coordinate_transformation_mode,
        "cubic_coeff_a": cubic_coeff_a,
        "exclude_outside": exclude_outside,
        "mode": "linear" if mode in ("linear", "bilinear") else mode,
        "nearest_mode": nearest_mode,
    }
    crops = coordinate_transformation_mode == "tf_crop_and_resize"
    region = np.ravel(constant(roi, "region")) if crops and roi is not None and np.size(roi) else None
    matrices, outside = {}, np.zeros((1,) * x.ndim, bool)
    for place, axis in enumerate(along):
        span_of_axis = None if region is None else (region[place], region[place + len(along)])
        if factors[place] == 1 and new_sizes[place] == x.shape[axis] and span_of_axis in (None, (0.0, 1.0)):
            continue
        bounded((x.shape[axis], new_sizes[place]))
        matrix, beyond = matrix_of(x.shape[axis], factors[place], new_sizes[place], span_of_axis, options)
        matrices[axis] = matrix
        outside = outside | beyond.reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    bias = None if not outside.any() else np.where(outside, extrapolation_value, np.nan)
    if bias is None:
        return resampled(here, x, matrices)
    resampled_inside = resampled(here.part("inside"), x, matrices)
    around = here.sum(bias=float(extrapolation_value), part="outside", shape=())
    return np.where(outside, around, resampled_inside)


def resized(shape: Sequence[int], along: Sequence[int], scales: Any, sizes: Any, policy: str) -> tuple[list[float], list[int]]:
    """The factor and the new size of each axis. Raises Unsupported where neither is given."""
    if sizes is not None and np.size(sizes):
        new_sizes = [int(n) for n in np.ravel(constant(sizes, "sizes"))]
        if policy == "stretch":
            return [n / shape[axis] for n, axis in zip(new_sizes, along, strict=True)], new_sizes
        choose = min if policy == "not_larger" else max
        factor = choose(n / shape[axis] for n, axis in zip(new_sizes, along, strict=True))
        return [factor] * len(along), [floor(factor * shape[axis] + 0.5) for axis in along]
    if scales is None:
        raise Unsupported("has neither scales nor sizes")
    factors = [float(factor) for factor in np.ravel(constant(scales, "scales"))]
    return factors, [floor(factor * shape[axis]) for factor, axis in zip(factors, along, strict=True)]


def matrix_of(size: int, factor: float, new_size: int, region: Any, options: dict[str, Any]) -> tuple[Weights, Any]:
    """What the operator makes of the identity along one axis: (wanted, size); and the places that lie outside the region."""
    from etl.readers.onnx.evaluation import evaluate, node_of

    is_integer_multiple = abs(factor * size - new_size) < 1e-3 and factor != new_size / size
    scale_input = np.array([factor, 1.0], np.float32) if floor(np.float32(factor) * np.float32(size)) == new_size or is_integer_multiple else None
    inputs: list[Any] = [np.eye(size), None if region is None else np.array([region[0], 0, region[1], 1], np.float32), scale_input]
    if scale_input is None:
        inputs.append(np.array([new_size, size], np.int64))
    missing = [k for k, value in enumerate(inputs) if value is None]
    node = node_of("Resize", {**options, "extrapolation_value": np.float32(7.0).item()}, len(inputs), 1, missing)
    (matrix,) = evaluate(node, inputs)
    outside = np.all(matrix == 7.0, axis=1)
    return np.where(outside[:, None], 0.0, matrix), outside


WINDOWS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "GlobalAveragePool": global_average_pool,
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
    "Resize": resize,
}
