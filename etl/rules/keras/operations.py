"""Operations that stand between layers: `op:` and the class in `keras.ops` (Keras 3), or `op:` and the function in TensorFlow (Keras 2)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from math import log
from typing import Any

from etl.errors import Unsupported
from etl.rules.arguments import PerAxis
from etl.rules.keras import arithmetic, arrangement, choice, reductions
from etl.rules.keras.activation import relu
from etl.rules.keras.arithmetic import constant, function, one_step, two_steps
from etl.rules.keras.convolution import convolution, depthwise_convolution
from etl.rules.keras.encoding import one_hot
from etl.rules.keras.pooling import adaptive_average_pooling, adaptive_max_pooling, average_pooling, max_pooling
from etl.rules.keras.resize import resizing
from etl.rules.misfits import shown
from etl.rules.scope import Ids, Scope

Rule = Callable[..., Any]  # of a Scope, ids and options: ids


def with_names(rule: Rule, **theirs: str) -> Rule:
    """The same rule whose parameters have other names: ours = "theirs"."""
    ours = {name: own for own, name in theirs.items()}

    def same(*arguments: Any, **keywords: Any) -> Any:
        return rule(*arguments, **{ours.get(name, name): value for name, value in keywords.items()})

    signature = inspect.signature(rule, eval_str=True)
    same.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(name=theirs.get(p.name, p.name)) for p in signature.parameters.values()]
    )
    same.__doc__ = rule.__doc__
    return same


def constant_kernel(rule: Rule) -> Rule:
    """A rule for a convolution whose kernel is a constant."""

    def convolve(
        here: Scope,
        inputs: Ids,
        kernel: Any,
        *,
        strides: PerAxis = 1,
        padding: str = "valid",
        dilation_rate: PerAxis = 1,
        data_format: str | None = None,
    ) -> Ids:
        options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate, "data_format": data_format}
        return rule(here, inputs, kernel=constant(kernel, "kernel"), **options)

    convolve.__doc__ = rule.__doc__
    return convolve


def resize(here: Scope, images: Ids, *, size: Sequence[int], preserve_aspect_ratio: bool = False, **options: Any) -> Ids:
    """Images of another size, nearest or interpolated."""
    if preserve_aspect_ratio or images.ndim != 3:
        raise Unsupported("has a rule for whole batches of images, stretched to their size, only")
    height, width = (int(n) for n in size)
    return resizing(here, images, height=height, width=width, **options)


def with_options(rule: Rule, of: Rule, *but: str) -> Rule:
    """A rule that hands further options on to another one, whose signature says which."""
    rule_parameters = [p for p in inspect.signature(rule, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    more = [p for p in inspect.signature(of, eval_str=True).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in but]
    rule.__signature__ = inspect.Signature([*rule_parameters, *more])  # type: ignore[attr-defined]
    return rule


def pool(rule: Rule) -> Rule:
    """A rule for TensorFlow's spelling of a pool: windows with or without the axes of batch and channels."""

    def spelled(here: Scope, input: Ids, *, ksize: PerAxis, strides: PerAxis, padding: str, data_format: str | None = None) -> Ids:
        rank, first = input.ndim - 1, str(data_format or "N").startswith("NC")
        size, steps = (inner_sizes(sizes, rank, first) for sizes in (ksize, strides))
        options = {"padding": padding.lower(), "data_format": "channels_first" if first else None}
        return rule(here, input, pool_size=size, strides=steps, **options)

    spelled.__doc__ = rule.__doc__
    return spelled


def inner_sizes(sizes: PerAxis, rank: int, first: bool) -> list[int]:
    """Of a list of sizes those of the axes between batch and channels."""
    listed = [int(n) for n in ([sizes] if isinstance(sizes, int) else sizes)]
    if len(listed) == rank + 2:
        return listed[2:] if first else listed[1:-1]
    return listed * rank if len(listed) == 1 else listed


def silu(here: Scope, features: Ids, *, beta: float = 1.0) -> Ids:
    """x sigmoid(x)."""
    if beta != 1:
        raise Unsupported(f"has no rule for beta={shown(beta)}")
    return function("silu")(here, features)


with_options(resize, resizing, "height", "width")

# Functions of each place, under the name that both have for them: Keras 3's class, TensorFlow's function.
FUNCTIONS: dict[str, tuple[str, Rule]] = {
    "Absolute": ("math.abs", function("abs")),
    "Arccos": ("math.acos", function("arccos")),
    "Arcsin": ("math.asin", function("arcsin")),
    "Arctan": ("math.atan", function("arctan")),
    "Exp": ("math.exp", function("exponential")),
    "Exp2": ("", one_step(log(2), None, "exponential")),
    "Expm1": ("math.expm1", two_steps("exponential", 1.0, -1.0)),
    "Log": ("math.log", function("log")),
    "Log10": ("", two_steps("log", 1 / log(10), None)),
    "Log1p": ("math.log1p", one_step(1.0, 1.0, "log")),
    "Log2": ("", two_steps("log", 1 / log(2), None)),
    "LogSigmoid": ("math.log_sigmoid", function("log_sigmoid")),
    "Negative": ("math.negative", one_step(-1.0, None, "linear")),
    "Reciprocal": ("math.reciprocal", function("reciprocal")),
    "Relu": ("nn.relu", function("relu")),
    "Relu6": ("nn.relu6", function("relu6")),
    "Rsqrt": ("math.rsqrt", function("rsqrt")),
    "Selu": ("nn.selu", function("selu")),
    "Sigmoid": ("math.sigmoid", function("sigmoid")),
    "Softplus": ("math.softplus", function("softplus")),
    "Softsign": ("nn.softsign", function("softsign")),
    "Sqrt": ("math.sqrt", function("sqrt")),
    "Square": ("math.square", function("square")),
    "Tanh": ("math.tanh", function("tanh")),
}

KERAS: dict[str, Rule] = {
    **{name: rule for name, (_, rule) in FUNCTIONS.items()},
    "Abs": function("abs"),
    "AdaptiveAveragePool": adaptive_average_pooling,
    "AdaptiveMaxPool": adaptive_max_pooling,
    "Add": arithmetic.add,
    "All": choice.all_true,
    "Amax": reductions.largest,
    "Amin": reductions.smallest,
    "Any": choice.any_true,
    "Argmax": choice.argmax,
    "Argmin": choice.argmin,
    "AveragePool": average_pooling,
    "BroadcastTo": arrangement.broadcast_to,
    "Cast": arrangement.cast,
    "Celu": function("celu"),
    "Clip": arithmetic.clip,
    "Concatenate": arrangement.concatenate,
    "Conv": constant_kernel(convolution),
    "ConvertToTensor": arrangement.unchanged,
    "Copy": arrangement.unchanged,
    "CountNonzero": choice.count_nonzero,
    "Cumsum": reductions.running_sum,
    "DepthToSpace": arrangement.depth_to_space,
    "DepthwiseConv": constant_kernel(depthwise_convolution),
    "Divide": arithmetic.divide,
    "DivideNoNan": arithmetic.divide_no_nan,
    "Dot": reductions.dot,
    "Einsum": reductions.einsum,
    "Elu": function("elu"),
    "Equal": choice.equal,
    "ExpandDims": arrangement.expand_dims,
    "ExtractPatches": arrangement.extract_patches,
    "Flip": arrangement.flip,
    "FullLike": arrangement.full_like,
    "Gelu": function("gelu", approximate=True),
    "GetItem": arrangement.get_item,
    "Glu": reductions.glu_along,
    "Greater": choice.greater,
    "GreaterEqual": choice.greater_equal,
    "HardShrink": function("hard_shrink"),
    "HardSigmoid": function("hard_sigmoid"),
    "HardSilu": function("hard_silu"),
    "HardTanh": function("hard_tanh"),
    "Identity": arrangement.unchanged,
    "LayerNorm": reductions.layer_norm,
    "LeakyRelu": function("leaky_relu"),
    "Less": choice.less,
    "LessEqual": choice.less_equal,
    "LogSoftmax": reductions.log_softmax,
    "LogicalAnd": choice.logical_and,
    "LogicalNot": choice.logical_not,
    "LogicalOr": choice.logical_or,
    "LogicalXor": choice.logical_xor,
    "Logsumexp": reductions.logsumexp,
    "Matmul": reductions.matmul,
    "Max": reductions.largest,
    "MaxPool": max_pooling,
    "Maximum": arithmetic.maximum,
    "Mean": reductions.mean,
    "Min": reductions.smallest,
    "Minimum": arithmetic.minimum,
    "Mish": function("mish"),
    "Moments": reductions.moments,
    "Moveaxis": arrangement.moveaxis,
    "Multiply": arithmetic.multiply,
    "Norm": reductions.norm,
    "Normalize": reductions.normalize,
    "NotEqual": choice.not_equal,
    "OneHot": one_hot,
    "OnesLike": arrangement.ones_like,
    "Pad": arrangement.pad,
    "Power": arithmetic.power,
    "Prod": reductions.product,
    "RMSNorm": reductions.rms_norm,
    "ReLU": relu,
    "Repeat": arrangement.repeat,
    "Reshape": arrangement.reshape,
    "Resize": resize,
    "Roll": arrangement.roll,
    "Sign": choice.sign,
    "Silu": function("silu"),
    "Slice": arrangement.slice_from,
    "SoftShrink": function("soft_shrink"),
    "Softmax": reductions.softmax,
    "SpaceToDepth": arrangement.space_to_depth,
    "SparsePlus": function("sparse_plus"),
    "SparseSigmoid": function("sparse_sigmoid"),
    "Sparsemax": reductions.sparsemax_along,
    "Split": arrangement.split,
    "Squareplus": function("squareplus"),
    "Squeeze": arrangement.squeeze,
    "Stack": arrangement.stack,
    "Std": reductions.deviation,
    "StopGradient": arrangement.unchanged,
    "Subtract": arithmetic.subtract,
    "Sum": reductions.total,
    "Swapaxes": arrangement.swapaxes,
    "Take": arrangement.take,
    "TanhShrink": function("tanh_shrink"),
    "Tensordot": reductions.tensordot,
    "Threshold": function("threshold"),
    "Tile": arrangement.tile,
    "Transpose": arrangement.transpose,
    "Tril": arrangement.triangle(lower=True),
    "Triu": arrangement.triangle(lower=False),
    "TrueDivide": arithmetic.divide,
    "Unstack": arrangement.unstack,
    "Var": reductions.variance,
    "View": arrangement.unchanged,
    "Where": choice.where,
    "ZerosLike": arrangement.zeros_like,
}

TENSORFLOW: dict[str, Rule] = {
    **{name: rule for name, rule in FUNCTIONS.values() if name},
    "__operators__.add": arithmetic.add,
    "__operators__.getitem": with_names(arrangement.get_item, key="slice_spec"),
    "broadcast_to": arrangement.broadcast_to,
    "cast": arrangement.cast,
    "clip_by_value": with_names(arithmetic.clip, x_min="clip_value_min", x_max="clip_value_max"),
    "compat.v1.gather": arrangement.take,
    "compat.v1.norm": reductions.norm,
    "compat.v1.pad": with_names(arrangement.pad, pad_width="paddings"),
    "compat.v1.shape": arrangement.shape_of,
    "compat.v1.squeeze": arrangement.squeeze,
    "compat.v1.transpose": with_names(arrangement.transpose, axes="perm"),
    "concat": arrangement.concatenate,
    "expand_dims": arrangement.expand_dims,
    "gather": arrangement.take,
    "identity": arrangement.unchanged,
    "image.extract_patches": arrangement.patches_of,
    "image.resize": with_names(resize, interpolation="method"),
    "linalg.l2_normalize": reductions.l2_normalize,
    "linalg.matmul": reductions.matmul,
    "linalg.norm": reductions.norm,
    "math.add": arithmetic.add,
    "math.add_n": arithmetic.add_all,
    "math.argmax": choice.argmax,
    "math.argmin": choice.argmin,
    "math.count_nonzero": choice.count_nonzero,
    "math.cumsum": reductions.running_sum,
    "math.divide": arithmetic.divide,
    "math.divide_no_nan": arithmetic.divide_no_nan,
    "math.equal": choice.equal,
    "math.greater": choice.greater,
    "math.greater_equal": choice.greater_equal,
    "math.l2_normalize": reductions.l2_normalize,
    "math.less": choice.less,
    "math.less_equal": choice.less_equal,
    "math.logical_and": choice.logical_and,
    "math.logical_not": choice.logical_not,
    "math.logical_or": choice.logical_or,
    "math.logical_xor": choice.logical_xor,
    "math.maximum": arithmetic.maximum,
    "math.minimum": arithmetic.minimum,
    "math.multiply": arithmetic.multiply,
    "math.not_equal": choice.not_equal,
    "math.pow": arithmetic.power,
    "math.reduce_all": choice.all_true,
    "math.reduce_any": choice.any_true,
    "math.reduce_logsumexp": reductions.logsumexp,
    "math.reduce_max": reductions.largest,
    "math.reduce_mean": reductions.mean,
    "math.reduce_min": reductions.smallest,
    "math.reduce_prod": reductions.product,
    "math.reduce_std": reductions.deviation,
    "math.reduce_sum": reductions.total,
    "math.reduce_variance": reductions.variance,
    "math.sign": choice.sign,
    "math.squared_difference": arithmetic.squared_difference,
    "math.subtract": arithmetic.subtract,
    "math.truediv": arithmetic.divide,
    "nn.avg_pool": pool(average_pooling),
    "nn.avg_pool1d": pool(average_pooling),
    "nn.avg_pool2d": pool(average_pooling),
    "nn.avg_pool3d": pool(average_pooling),
    "nn.bias_add": arithmetic.bias_add,
    "nn.depth_to_space": arrangement.depth_to_space,
    "nn.elu": function("elu"),
    "nn.gelu": function("gelu"),
    "nn.l2_normalize": reductions.l2_normalize,
    "nn.leaky_relu": with_names(function("leaky_relu"), negative_slope="alpha"),
    "nn.log_softmax": reductions.log_softmax,
    "nn.max_pool": pool(max_pooling),
    "nn.max_pool1d": pool(max_pooling),
    "nn.max_pool2d": pool(max_pooling),
    "nn.max_pool3d": pool(max_pooling),
    "nn.moments": reductions.moments,
    "nn.sigmoid": function("sigmoid"),
    "nn.silu": silu,
    "nn.softmax": reductions.softmax,
    "nn.softplus": function("softplus"),
    "nn.space_to_depth": arrangement.space_to_depth,
    "nn.swish": silu,
    "nn.tanh": function("tanh"),
    "one_hot": with_names(one_hot, x="indices", num_classes="depth"),
    "ones_like": arrangement.ones_like,
    "pad": with_names(arrangement.pad, pad_width="paddings"),
    "repeat": arrangement.repeat,
    "reshape": with_names(arrangement.reshape, newshape="shape"),
    "reverse": arrangement.flip,
    "roll": arrangement.roll,
    "shape": arrangement.shape_of,
    "slice": with_names(arrangement.slice_from, start_indices="begin", shape="size"),
    "split": arrangement.split_sizes,
    "squeeze": arrangement.squeeze,
    "stack": arrangement.stack,
    "stop_gradient": arrangement.unchanged,
    "tensordot": reductions.tensordot,
    "tile": with_names(arrangement.tile, repeats="multiples"),
    "transpose": with_names(arrangement.transpose, axes="perm"),
    "unstack": arrangement.unstack,
    "where": with_names(choice.where, x1="x", x2="y"),
    "zeros_like": arrangement.zeros_like,
}

OPERATIONS: dict[str, Rule] = {f"op:{name}": rule for name, rule in (KERAS | TENSORFLOW).items()}
