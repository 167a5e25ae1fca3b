"""Constants computed at reading time: a node without any live input is run by `onnx.reference`, bounded before it runs.

A few bytes may ask for terabytes (ConstantOfShape, Expand, Tile, Range, Resize, Pad), so the size of what a node returns is worked out from the
shapes and the small whole numbers that reach it; operators of which nothing is known here are not run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from etl.errors import BadFile, Unsupported
from etl.network import Derived, value_of
from etl.readers.onnx.arrays import widened

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

Values = NDArray[Any]
MOST_ELEMENTS = 2**26  # of a computed constant: 256 MiB of float32
MOST_WORK = 2**33  # multiplications of one node: seconds

WORDS = {"outputs"}  # options that the reader adds


def node_of(kind: str, options: Mapping[str, Any], inputs: int, outputs: int, missing: Sequence[int] = ()) -> NodeProto:
    """A call as a node of the newest opset; its inputs are called `i0`, `i1` ..."""
    domain, _, operator = kind.rpartition(".")
    names = ["" if k in missing else f"i{k}" for k in range(inputs)]
    plain = {name: attribute(value) for name, value in options.items() if name not in WORDS}
    return helper.make_node(operator, names, [f"o{k}" for k in range(outputs)], domain=domain, **plain)


def attribute(value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def evaluate(node: NodeProto, inputs: Sequence[Values | None]) -> list[Values]:
    """What one node returns for constants. Raises Unsupported where it is too large to run, or nothing runs it."""
    check(node, inputs)
    feed = {name: value for name, value in zip(node.input, inputs, strict=True) if name and value is not None}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = evaluator(node.SerializeToString()).run(None, feed)
    except NotImplementedError as error:
        raise Unsupported(f"can't be computed from constants ({first_line(error)})") from error
    except Exception as error:  # whatever numpy, or the evaluator's own checks, say of inputs that do not fit
        raise BadFile(f"constants that do not fit: {type(error).__name__}: {first_line(error)}") from error
    return [widened(np.asarray(value)) for value in results]


@lru_cache(maxsize=64)
def evaluator(node: bytes) -> ReferenceEvaluator:
    """What runs a node, kept: a loop runs the nodes of its body at every turn."""
    from onnx.reference import ReferenceEvaluator  # takes a second to import, and most files have nothing to fold

    return ReferenceEvaluator(NodeProto.FromString(node))


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


@dataclass(frozen=True)
class Computed(Derived):
    """A constant that is computed from stored arrays when it is needed.

    node    a NodeProto, serialised
    inputs  functions that return its inputs, None for one that is left out
    output  which of its outputs
    """

    node: bytes = field(repr=False)
    inputs: tuple[Callable[[], Values] | None, ...]
    output: int = 0

    def sources(self) -> list[Callable[[], Values]]:
        return [read for read in self.inputs if read is not None]

    def compute(self, computed: dict[int, Values]) -> Values:
        node = NodeProto.FromString(self.node)
        return evaluate(node, [None if read is None else value_of(read, computed) for read in self.inputs])[self.output]


def check(node: NodeProto, inputs: Sequence[Values | None], often: int = 1) -> None:
    """Raises Unsupported where a node's outputs, or what it takes to compute them so often, are larger than a constant should be."""
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if kind not in SIZES:
        raise Unsupported("is not computed from constants")
    try:
        arrays = [None if x is None else np.asarray(x) for x in inputs]
        elements, work = SIZES[kind](options, arrays), WORK[kind](options, arrays) if kind in WORK else 0
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadFile(f"constants that do not fit: {first_line(error)}") from error
    if often * max(work, elements) > MOST_WORK:
        raise Unsupported("would take too long to compute from constants")
    if elements > MOST_ELEMENTS:
        raise Unsupported(f"asks for a constant of {elements:,} elements; there is a rule for up to {MOST_ELEMENTS:,}")


def small_integers(value: Any) -> list[int]:
    """Small whole numbers of a constant."""
    return [int(n) for n in np.asarray(value).reshape(-1)[:64]]


def count(value: Any) -> int:
    return prod(small_integers(value))


def together(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    """Broadcast."""
    return prod(np.broadcast_shapes(*(x.shape for x in inputs if x is not None)))


def largest(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    """Not more than the largest input."""
    return max((x.size for x in inputs if x is not None), default=0)


def summed(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return sum(x.size for x in inputs if x is not None)


def gathered(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, indices = inputs[:2]
    return int(indices.size * data.size // max(data.shape[options.get("axis", 0)], 1))


def gathered_points(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, indices = inputs[:2]
    batch = options.get("batch_dims", 0)
    return int(prod(indices.shape[:-1]) * prod(data.shape[batch + indices.shape[-1] :]))


def ranged(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    start, limit, delta = (float(x.reshape(())) for x in inputs)
    return max(0, int(np.ceil((limit - start) / delta))) if delta else 0


def padded(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, pads = inputs[0], small_integers(inputs[1])
    half = len(pads) // 2
    if len(inputs) < 4 or inputs[3] is None:
        return prod(max(n + a + b, 0) for n, a, b in zip(data.shape, pads[:half], pads[half:], strict=True))
    return int(data.size + 1) * prod(max(a + b + 1, 1) for a, b in zip(pads[:half], pads[half:], strict=True))


def resized(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, _, scales, sizes = (*inputs, None, None, None)[:4]
    if sizes is not None and sizes.size:
        return prod(small_integers(sizes)) * (data.size if sizes.size < data.ndim else 1)
    return int(data.size * np.prod(np.maximum(scales.astype(float), 1)))


def product_of_matrices(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    a, b = inputs[:2]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return prod(batch) * (a.shape[-2] if a.ndim > 1 else 1) * (b.shape[-1] if b.ndim > 1 else 1)


def work_of_matrices(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return product_of_matrices(options, inputs) * max(inputs[0].shape[-1], 1)


def gemm(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    a, b = inputs[:2]
    return int(a.shape[1 if options.get("transA") else 0] * b.shape[0 if options.get("transB") else 1])


def letters(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    """All places of all letters of an Einstein sum: no less than what it returns and what it takes to compute it."""
    return prod(max(n, 1) for x in inputs for n in x.shape)


def one_hot(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return int(inputs[0].size * small_integers(inputs[1])[0])


def square(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return int(inputs[0].size * max(inputs[0].ndim, 1))


def sampled(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, grid = inputs[:2]
    return prod(data.shape[:2]) * prod(grid.shape[1:-1])


def regions(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return int(len(inputs[1]) * inputs[0].shape[1] * options.get("output_height", 1) * options.get("output_width", 1))


def samples(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    """Points of each place of a region along each axis, at most: as the file says, or as many as the region has."""
    ratio = int(options.get("sampling_ratio", 0))
    return ratio or int(np.ceil(np.abs(inputs[1]).max(initial=1.0) * options.get("spatial_scale", 1.0))) + 1


def unpooled(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    if len(inputs) > 2 and inputs[2] is not None:
        return count(inputs[2])
    data, size = inputs[0], options["kernel_shape"]
    strides = options.get("strides") or [1] * len(size)
    return prod(data.shape[:2]) * prod((n - 1) * s + k for n, s, k in zip(data.shape[2:], strides, size, strict=True))


def transformed(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    data, length = (*inputs, None)[:2]
    return int(data.size * max(1 if length is None else small_integers(length)[0], 1) * 2)


def framed(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    signal, step = inputs[:2]
    return int(signal.size * (signal.shape[1] // max(small_integers(step)[0], 1) + 1) * 2)


def columns(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return int(inputs[0].shape[0] * inputs[0].shape[1] * count(inputs[1]))


def recurrent(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    """All states of all steps."""
    return prod(inputs[0].shape[:2]) * inputs[1].shape[0] * max(int(options.get("hidden_size") or inputs[2].shape[-1]), 1)


def times(work: int, elements: Callable[[Mapping[str, Any], Sequence[Any]], int]) -> Callable[[Mapping[str, Any], Sequence[Any]], int]:
    """What takes so many multiplications' time for each element that it returns: sorted, or looked at in Python."""
    return lambda options, inputs: work * elements(options, inputs)


def deformed(options: Mapping[str, Any], inputs: Sequence[Any]) -> int:
    return int(inputs[0].shape[0] * inputs[1].shape[0] * prod(inputs[2].shape[2:]))


# Operators whose operands broadcast, and those whose results are no larger than their largest input.
BROADCASTING = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub "
    "Sum Where Xor"
).split()
NO_LARGER = (
    "Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh BitCast BitwiseNot Cast CastLike Ceil Celu Clip Compress Cos Cosh CumProd CumSum "
    "DepthToSpace DequantizeLinear Det Dropout Elu Erf Exp EyeLike Flatten Floor GatherElements Gelu HardSigmoid HardSwish Hardmax Identity "
    "IsInf IsNaN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not QuantizeLinear Reciprocal "
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape "
    "ReverseSequence RMSNormalization Round Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax "
    "Softplus Softsign SpaceToDepth Split Sqrt Squeeze Swish Tan Tanh TensorScatter ThresholdedRelu TopK Transpose Trilu Unique Unsqueeze "
    "BatchNormalization InstanceNormalization GroupNormalization GlobalAveragePool GlobalMaxPool LRN"
).split()
SIZES: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], int]] = {
    **dict.fromkeys(BROADCASTING, together),
    **dict.fromkeys(NO_LARGER, largest),
    **dict.fromkeys("BlackmanWindow HammingWindow HannWindow ConstantOfShape".split(), lambda options, inputs: count(inputs[0])),
    "AffineGrid": lambda options, inputs: count(inputs[1]) * len(small_integers(inputs[1])),
    "Col2Im": columns,
    "Concat": summed,
    "DFT": transformed,
    "DeformConv": deformed,
    "Einsum": letters,
    "Expand": lambda options, inputs: prod(np.broadcast_shapes(inputs[0].shape, tuple(small_integers(inputs[1])))),
    "Gather": gathered,
    "GatherND": gathered_points,
    "Gemm": gemm,
    "GRU": recurrent,
    "GridSample": sampled,
    "LSTM": recurrent,
    "MatMul": product_of_matrices,
    "MatMulInteger": product_of_matrices,
    "MaxUnpool": unpooled,
    "MelWeightMatrix": lambda options, inputs: small_integers(inputs[0])[0] * (small_integers(inputs[1])[0] + 2),
    "NonZero": square,
    "OneHot": one_hot,
    "Pad": padded,
    "RNN": recurrent,
    "Range": ranged,
    "Resize": resized,
    "RoiAlign": regions,
    "STFT": framed,
    "Tile": lambda options, inputs: int(inputs[0].size) * count(inputs[1]),
}
WORK: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], int]] = {
    "MatMul": work_of_matrices,
    "MatMulInteger": work_of_matrices,
    **dict.fromkeys(("NonZero", "TopK", "Unique"), times(2**9, largest)),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), times(2**19, lambda options, inputs: inputs[0].shape[0])),  # a step in Python each
    "Det": lambda options, inputs: inputs[0].size * inputs[0].shape[-1],
    "DeformConv": lambda options, inputs: deformed(options, inputs) * prod(inputs[1].shape[1:]) << 14,
    "GridSample": times(2**16, sampled),
    "RoiAlign": lambda options, inputs: regions(options, inputs) * samples(options, inputs) ** 2 << 14,
    "Resize": times(2**9, resized),
    "Gemm": lambda options, inputs: gemm(options, inputs) * max(inputs[0].shape[0 if options.get("transA") else 1], 1),
}
