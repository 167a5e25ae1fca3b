"""TensorFlow operations as Keras 2.0 to 2.3 of TensorFlow wrote them between layers: a node of its graph, with the node's constants beside it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.ids import is_live
from etl.rules.keras import arithmetic, arrangement, choice, reductions
from etl.rules.keras.arithmetic import constant, function, one_step, two_steps
from etl.rules.keras.operations import pool
from etl.rules.keras.pooling import average_pooling, max_pooling
from etl.rules.misfits import called
from etl.rules.scope import Ids, Scope, Weights

Attributes = Mapping[str, Any]
Rule = Callable[..., Any]


def tensorflow_node(here: Scope, *inputs: Ids | Weights, node_def: Any, constants: Mapping[str, Any] | None = None) -> Any:
    """One operation of TensorFlow on tensors and constants; which ones have a rule is in `etl/rules/keras/nodes.py`."""
    if not isinstance(node_def, Mapping):
        raise Unsupported("holds its operation as bytes; save the model again with Keras 2.4 or later")
    name, arguments = str(node_def.get("op")), list(inputs)
    for place, value in sorted((constants or {}).items(), key=lambda item: int(item[0])):
        arguments.insert(int(place), constant(value, "constant"))
    if name not in NODES:
        raise Unsupported(f"is the operation {name}, for which there is no rule")
    return NODES[name](here, arguments, attributes_of(node_def))


def attributes_of(node_def: Mapping[str, Any]) -> Attributes:
    """The attributes of a node. Raises ValueError where they are not written as JSON has them."""
    try:
        return {key: attribute(written) for key, written in node_def.get("attr", {}).items()}
    except (TypeError, AttributeError) as error:
        raise ValueError("has a node whose attributes can't be read") from error


def attribute(written: Mapping[str, Any]) -> Any:
    """An attribute of a node, of the types that JSON makes of a protocol buffer: whole numbers are text, text is base64."""
    for kind, value in written.items():
        if kind == "list":
            return [attribute({inner: element}) for inner, listed in value.items() for element in listed]
        if kind == "s":
            return b64decode(value).decode()
        return int(value) if kind == "i" else value
    return []


def node(rule: Rule, *names: str, **attributes: str) -> Rule:
    """A rule for a node: its last arguments are constants, by these names; ours = "theirs" are attributes."""

    def same(here: Scope, arguments: Sequence[Any], node_attributes: Attributes) -> Any:
        count = len(arguments) - len(names)
        keywords = {name: plain(argument, name) for name, argument in zip(names, arguments[count:], strict=True)}
        keywords |= {ours: node_attributes[theirs] for ours, theirs in attributes.items() if theirs in node_attributes}
        return called(rule, here, arguments[:count], keywords)

    return same


def plain(value: Any, name: str) -> Any:
    """A constant as a whole number or a list of them, where it is that."""
    array = constant(value, name)
    return array.astype(int).tolist() if not np.isnan(array).any() and (array == np.round(array)).all() else array


def listed(rule: Rule, axis_last: bool) -> Rule:
    """A rule for a node that takes a list of tensors, and its axis as the last of them or as an attribute."""

    def same(here: Scope, arguments: Sequence[Any], node_attributes: Attributes) -> Any:
        if axis_last:
            return called(rule, here, [list(arguments[:-1])], {"axis": plain(arguments[-1], "axis")})
        return called(rule, here, [list(arguments)], {"axis": node_attributes.get("axis", 0)})

    return same


def split(here: Scope, arguments: Sequence[Any], node_attributes: Attributes) -> Any:
    return called(arrangement.split, here, [arguments[1], node_attributes["num_split"]], {"axis": plain(arguments[0], "axis")})


def strided_slice(here: Scope, arguments: Sequence[Any], node_attributes: Attributes) -> Any:
    """Begins, ends and strides with masks of bits: which begins and ends count, which are dots, new axes, or one place."""
    begins, ends, strides = (np.ravel(plain(argument, "places of a slice")).tolist() for argument in arguments[1:])

    def marked(mask: str, k: int) -> bool:
        bits = node_attributes.get(mask, 0)
        return isinstance(bits, int) and bool(bits >> k & 1)

    keys: list[Any] = []
    for k, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if marked("ellipsis_mask", k):
            keys.append(Ellipsis)
        elif marked("new_axis_mask", k):
            keys.append(None)
        elif marked("shrink_axis_mask", k):
            keys.append(begin)
        else:
            keys.append(slice(None if marked("begin_mask", k) else begin, None if marked("end_mask", k) else end, stride))
    return arrangement.get_item(here, arguments[0], keys)


def cast(here: Scope, arguments: Sequence[Any], node_attributes: Attributes) -> Any:
    dtype = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}.get(str(node_attributes.get("DstT")), "another type")
    return arrangement.cast(here, arguments[0], dtype=dtype) if is_live(arguments[0]) else arguments[0]


PLACE_BY_PLACE: dict[str, Rule] = {
    "Abs": function("abs"),
    "Elu": function("elu"),
    "Exp": function("exponential"),
    "Expm1": two_steps("exponential", 1.0, -1.0),
    "Identity": arrangement.unchanged,
    "Inv": function("reciprocal"),
    "Log": function("log"),
    "Log1p": one_step(1.0, 1.0, "log"),
    "LogSoftmax": reductions.log_softmax,
    "Neg": one_step(-1.0, None, "linear"),
    "OnesLike": arrangement.ones_like,
    "Reciprocal": function("reciprocal"),
    "Relu": function("relu"),
    "Relu6": function("relu6"),
    "Rsqrt": function("rsqrt"),
    "Selu": function("selu"),
    "Shape": arrangement.shape_of,
    "Sigmoid": function("sigmoid"),
    "Sign": choice.sign,
    "Softmax": reductions.softmax,
    "Softplus": function("softplus"),
    "Softsign": function("softsign"),
    "Sqrt": function("sqrt"),
    "Square": function("square"),
    "StopGradient": arrangement.unchanged,
    "Tanh": function("tanh"),
    "ZerosLike": arrangement.zeros_like,
    "Add": arithmetic.add,
    "AddV2": arithmetic.add,
    "DivNoNan": arithmetic.divide_no_nan,
    "Equal": choice.equal,
    "Greater": choice.greater,
    "GreaterEqual": choice.greater_equal,
    "Less": choice.less,
    "LessEqual": choice.less_equal,
    "LogicalAnd": choice.logical_and,
    "LogicalNot": choice.logical_not,
    "LogicalOr": choice.logical_or,
    "Maximum": arithmetic.maximum,
    "Minimum": arithmetic.minimum,
    "Mul": arithmetic.multiply,
    "NotEqual": choice.not_equal,
    "Pow": arithmetic.power,
    "RealDiv": arithmetic.divide,
    "SelectV2": choice.where,
    "SquaredDifference": arithmetic.squared_difference,
    "Sub": arithmetic.subtract,
}
ALONG_AXES: dict[str, Rule] = {
    "All": choice.all_true,
    "Any": choice.any_true,
    "Max": reductions.largest,
    "Mean": reductions.mean,
    "Min": reductions.smallest,
    "Prod": reductions.product,
    "Sum": reductions.total,
}
NODES: dict[str, Rule] = {
    **{name: node(rule) for name, rule in PLACE_BY_PLACE.items()},
    **{name: node(rule, "axis", keepdims="keep_dims") for name, rule in ALONG_AXES.items()},
    "ArgMax": node(choice.argmax, "axis"),
    "ArgMin": node(choice.argmin, "axis"),
    "AvgPool": node(pool(average_pooling), ksize="ksize", strides="strides", padding="padding", data_format="data_format"),
    "BatchMatMulV2": node(reductions.matmul, transpose_a="adj_x", transpose_b="adj_y"),
    "BiasAdd": node(arithmetic.bias_add, data_format="data_format"),
    "Cast": cast,
    "ConcatV2": listed(arrangement.concatenate, axis_last=True),
    "Cumsum": node(reductions.running_sum, "axis"),
    "DepthToSpace": node(arrangement.depth_to_space, block_size="block_size", data_format="data_format"),
    "ExpandDims": node(arrangement.expand_dims, "axis"),
    "GatherV2": node(arrangement.take, "indices", "axis"),
    "LeakyRelu": node(function("leaky_relu"), negative_slope="alpha"),
    "MatMul": node(reductions.matmul, transpose_a="transpose_a", transpose_b="transpose_b"),
    "MaxPool": node(pool(max_pooling), ksize="ksize", strides="strides", padding="padding", data_format="data_format"),
    "MirrorPad": node(arrangement.pad, "pad_width", mode="mode"),
    "Pack": listed(arrangement.stack, axis_last=False),
    "Pad": node(arrangement.pad, "pad_width"),
    "PadV2": node(arrangement.pad, "pad_width", "constant_values"),
    "Reshape": node(arrangement.reshape, "newshape"),
    "ReverseV2": node(arrangement.flip, "axis"),
    "SpaceToDepth": node(arrangement.space_to_depth, block_size="block_size", data_format="data_format"),
    "Split": split,
    "SplitV": node(arrangement.split_sizes, "num_or_size_splits", "axis"),
    "Squeeze": node(arrangement.squeeze, axis="squeeze_dims"),
    "StridedSlice": strided_slice,
    "Tile": node(arrangement.tile, "repeats"),
    "Transpose": node(arrangement.transpose, "axes"),
    "Unpack": node(arrangement.unstack, axis="axis"),
}
