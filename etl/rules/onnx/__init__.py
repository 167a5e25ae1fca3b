"""The page of ONNX's rules: operator -> the function that says who meets whom. https://onnx.ai/onnx/operators/

Inputs come in the operator's order, attributes as keywords, every opset in the newest one's form (etl/readers/onnx/opsets.py). Tensors keep
all their axes. Where none of its inputs is live, an operator is run on the constants by `onnx.reference`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.rules.dialect import Dialect
from etl.rules.onnx.control import CONTROL
from etl.rules.onnx.elementwise import ARITHMETIC, FUNCTIONS
from etl.rules.onnx.evaluated import ConstantOperator, FunctionOperator, LinearOperator, folded
from etl.rules.onnx.learned import LEARNED
from etl.rules.onnx.microsoft import MICROSOFT
from etl.rules.onnx.recurrent import RECURRENT
from etl.rules.onnx.reductions import NORMALIZATION, PRODUCTS, REDUCTIONS
from etl.rules.onnx.shape import SHAPE
from etl.rules.onnx.windows import WINDOWS

# Operators of which the onnx package itself says what they are.
DEFINED = (
    "Attention CausalConvWithState LinearAttention NegativeLogLikelihoodLoss RotaryEmbedding SoftmaxCrossEntropyLoss SwiGLU "
    "ai.onnx.preview.FlexAttention"
).split()
LINEAR = {
    **{kind: LinearOperator(kind) for kind in "AffineGrid Col2Im DFT DeformConv GridSample MaxUnpool STFT".split()},
    "RoiAlign": LinearOperator("RoiAlign", {"mode": "max"}),
}
ON_CONSTANTS = (
    "BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow ConstantOfShape DequantizeLinear EyeLike HammingWindow HannWindow "
    "MelWeightMatrix NonZero Range Unique"
).split()

FAMILIES: dict[str, dict[str, Callable[..., Any]]] = {
    "Arithmetic": {kind: folded(kind, rule) for kind, rule in ARITHMETIC.items()},
    "Functions": {kind: folded(kind, rule) for kind, rule in FUNCTIONS.items()},
    "Products": {kind: folded(kind, rule) for kind, rule in PRODUCTS.items()},
    "Windows": {kind: folded(kind, rule) for kind, rule in WINDOWS.items()},
    "Linear": {**LINEAR},
    "Normalization": {kind: folded(kind, rule) for kind, rule in NORMALIZATION.items()},
    "Reductions": {kind: folded(kind, rule) for kind, rule in REDUCTIONS.items()},
    "Recurrent": {kind: folded(kind, rule) for kind, rule in RECURRENT.items()},
    "Shape": {kind: folded(kind, rule) for kind, rule in SHAPE.items()},
    "Control flow": CONTROL,
    "Defined by others": {kind: FunctionOperator(kind) for kind in DEFINED},
    "Learned": LEARNED,
    "Microsoft": MICROSOFT,
    "On constants": {kind: ConstantOperator(kind) for kind in ON_CONSTANTS},
}

QUANTIZED = "computes with quantized numbers, which no sum, product or activation does; export the model in float32"
RANDOM = "is random"
TEXT = "works on text, which no neuron holds"
COUNTED = "returns as many places as the example has"
SEQUENCES = "works on sequences of tensors or on optional ones, for which there is no rule"
REFUSED = {
    **dict.fromkeys("QLinearConv QLinearMatMul ConvInteger MatMulInteger QuantizeLinear DynamicQuantizeLinear".split(), QUANTIZED),
    **dict.fromkeys("Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split(), RANDOM),
    **dict.fromkeys("StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer".split(), TEXT),
    **dict.fromkeys(
        "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SplitToSequence ConcatFromSequence "
        "Optional".split(),
        SEQUENCES,
    ),
    "NonMaxSuppression": COUNTED,
    "ImageDecoder": "decodes files of images",
}

ONNX = Dialect("ONNX", FAMILIES, refused=REFUSED, ignored=frozenset({"saturate", "round_mode"}), batched=True)
