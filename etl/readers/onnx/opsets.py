"""Operators of every opset in the form of the newest: rules and folding know one form each. https://onnx.ai/onnx/operators/ lists the versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from etl.errors import Unsupported

Input = Any  # a name of the file, a constant array, or None for one left out


@dataclass
class Node:
    """A node on its way into a call: attributes as Python values, inputs by name or as constants."""

    kind: str
    inputs: list[Input]
    options: dict[str, Any]
    outputs: list[str]

    def put(self, place: int, value: Any) -> None:
        """Give an input that older opsets have as an attribute."""
        if value is None:
            return
        self.inputs += [None] * (place + 1 - len(self.inputs))
        self.inputs[place] = np.asarray(value)

    def take(self, name: str, default: Any = None) -> Any:
        return self.options.pop(name, default)


def newest(node: Node, opset: int) -> None:
    """Rewrite a node of the default domain as the newest opset has it, in place. Raises Unsupported where that is not possible."""
    node.take("consumed_inputs")
    for before, change in CHANGES.get(node.kind, ()):
        if opset < before:
            change(node)


def inputs_of(*names: tuple[str, int], dtype: Any = np.int64) -> Callable[[Node], None]:
    """Attributes that became inputs: their names and the places of the inputs."""

    def change(node: Node) -> None:
        for name, place in names:
            value = node.take(name)
            node.put(place, None if value is None else np.asarray(value, dtype))

    return change


def defaults(**values: Any) -> Callable[[Node], None]:
    """Attributes whose defaults were others."""

    def change(node: Node) -> None:
        for name, value in values.items():
            node.options.setdefault(name, value)

    return change


def laid_along_axis(node: Node) -> None:
    """Broadcasting had to be asked for, along an axis of the first input: `axis` stays as an option where it was given."""
    if not node.take("broadcast", 0):
        node.take("axis")


def trailing_axes(node: Node) -> None:
    """Softmax and the like worked on all axes from `axis` on together."""
    node.options.setdefault("axis", 1)
    node.options["trailing"] = 1


def per_channel(node: Node) -> None:
    """A slope of one axis was laid along the channels."""
    node.options["axis"] = 1


def limits(node: Node) -> None:
    for name, place in (("min", 1), ("max", 2)):
        value = node.take(name)
        node.put(place, None if value is None else np.float32(value))


def pad(node: Node) -> None:
    pads = node.take("pads", node.take("paddings"))
    node.put(1, np.asarray(pads, np.int64) if pads is not None else None)
    node.put(2, np.float32(node.take("value", 0.0)))


def upsample(node: Node) -> None:
    """Upsample is Resize with coordinates that start at the corner."""
    scales = node.take("scales")
    if scales is None and "height_scale" in node.options:
        scales = [1.0, 1.0, node.take("height_scale"), node.take("width_scale")]
    scale_input = np.asarray(scales, np.float32) if scales is not None else node.inputs[1]
    node.kind = "Resize"
    node.inputs = [node.inputs[0], None, scale_input]
    node.options.update(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def resize(node: Node) -> None:
    node.inputs = [node.inputs[0], None, node.inputs[1]]
    node.options.update(coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def split(node: Node) -> None:
    sizes = node.take("split")
    node.put(1, np.asarray(sizes, np.int64) if sizes is not None else None)


def split_count(node: Node) -> None:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        node.options.setdefault("num_outputs", len(node.outputs))


def dropout(node: Node) -> None:
    for name in ("ratio", "is_test"):
        node.take(name)


def cast(node: Node) -> None:
    """The type was a word."""
    if isinstance(node.options.get("to"), str):
        node.options["to"] = TensorProto.DataType.Value(node.options["to"].upper())


def scan(node: Node) -> None:
    """Raises Unsupported: a Scan of opset 8 runs over the examples of a batch."""
    raise Unsupported("is a Scan of opset 8, which runs over the examples of a batch; convert the file to opset 9 or later")


def rename(kind: str) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.kind = kind

    return change


def tile(node: Node) -> None:
    """One axis at a time: the count and the axis as inputs. Raises Unsupported."""
    raise Unsupported("is a Tile of opset 1; convert the file to opset 6 or later")


def without(*names: str) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        for name in names:
            node.take(name)

    return change


def spatial(node: Node) -> None:
    """One mean for each channel, as later opsets have it. Raises Unsupported where each place is normalized by itself."""
    if node.take("spatial", 1) != 1:
        raise Unsupported("normalizes each place by itself (spatial=0), which opset 9 gave up")
    node.take("is_test")


def mean_variance(node: Node) -> None:
    """The normalized axes, which were said in words. Raises Unsupported where the variance is left alone."""
    if not node.take("normalize_variance", 1):
        raise Unsupported("has no rule for normalize_variance=0")
    node.options["axes"] = [0, 1, 2, 3] if node.take("across_channels", 0) else [0, 2, 3]


def global_norm(node: Node) -> None:
    node.options["p"] = int(node.options.get("p", 2))


BROADCASTING = "Add And Div Equal Greater Less Mul Or Pow Sub Xor".split()
REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
Change = tuple[int, Callable[[Node], None]]

# operator -> (the first opset that has the newer form, what makes it of the older one), oldest changes first
CHANGES: dict[str, Sequence[Change]] = {
    **dict.fromkeys(BROADCASTING, ((7, laid_along_axis),)),
    **{f"Reduce{name}": ((13 if name == "Sum" else 18, inputs_of(("axes", 1))),) for name in REDUCTIONS},
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), ((13, trailing_axes),)),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), ((13, inputs_of(("axes", 1))),)),
    "BatchNormalization": ((9, spatial), (14, without("training_mode"))),
    "Cast": ((6, cast),),
    "Clip": ((11, limits),),
    "Concat": ((4, defaults(axis=1)),),
    "DFT": ((20, inputs_of(("axis", 2))),),
    "Dropout": ((12, dropout),),
    "Elu": ((6, defaults(alpha=1.0)),),
    "Gemm": ((7, without("broadcast")),),
    "GlobalLpPool": ((2, global_norm),),
    "GRU": ((7, without("output_sequence")),),
    "LSTM": ((7, without("output_sequence")),),
    "LpPool": ((2, global_norm),),
    "MeanVarianceNormalization": ((9, mean_variance),),
    "PRelu": ((7, per_channel),),
    "Pad": ((11, pad),),
    "RNN": ((7, without("output_sequence")),),
    "Reshape": ((5, inputs_of(("shape", 1))),),
    "Resize": ((11, resize),),
    "RoiAlign": ((16, defaults(coordinate_transformation_mode="output_half_pixel")),),
    "Scan": ((9, scan),),
    "Scatter": ((99, rename("ScatterElements")),),
    "Selu": ((6, defaults(alpha=1.6732, gamma=1.0507)),),
    "Slice": ((10, inputs_of(("starts", 1), ("ends", 2), ("axes", 3))),),
    "Split": ((13, split), (99, split_count)),
    "Tile": ((6, tile),),
    "TopK": ((10, inputs_of(("k", 1))),),
    "Upsample": ((99, upsample),),
}
