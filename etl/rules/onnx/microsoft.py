"""Operators of onnxruntime that exporters and its optimizer write: the domain com.microsoft.

Definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Value
from etl.rules.onnx.reductions import gemm, layer_normalization, matmul, rms_normalization
from etl.rules.primitives.einsum import contract
from etl.rules.primitives.elementwise import add, affine, constant, function, multiply
from etl.rules.primitives.reductions import softmax
from etl.rules.scope import Edges, Ids, Scope


def gelu(here: Scope, x: Ids) -> Ids:
    """x times the normal distribution's cumulative function."""
    return function(here, x, "gelu")


def bias_gelu(here: Scope, x: Ids, bias: Value) -> Ids:
    """gelu(x + bias)."""
    return add(here, x, bias, activation="gelu")


def fast_gelu(here: Scope, x: Ids, bias: Value | None = None) -> Ids:
    """The tanh approximation of gelu(x + bias)."""
    return function(here, x, "gelu(approximate=True)") if bias is None else add(here, x, bias, activation="gelu(approximate=True)")


def quick_gelu(here: Scope, x: Ids, *, alpha: float = 1.702) -> Ids:
    """x sigmoid(alpha x)."""
    return multiply(here, x, affine(here, x, alpha, None, "sigmoid", "gate"))


def fused_matmul(
    here: Scope,
    a: Value,
    b: Value,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> Ids:
    """alpha A B, the last two axes of each turned round where the file says so."""
    if transBatchA or transBatchB:
        raise Unsupported("has no rule for transBatchA or transBatchB")
    left = np.swapaxes(a, -1, -2) if transA else a
    right = np.swapaxes(b, -1, -2) if transB else b
    return matmul(here, left, right) if alpha == 1 else affine(here, matmul(here.part("product"), left, right), alpha)


def fused_gemm(
    here: Scope,
    a: Value,
    b: Value,
    c: Value | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Ids:
    """An activation of alpha A B + beta C."""
    known = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}
    if activation not in known:
        raise Unsupported(f"has no rule for activation={activation!r}")
    return function(here, gemm(here.part("product"), a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB), known[activation])


def skip_layer_normalization(
    here: Scope,
    x: Value,
    skip: Value,
    gamma: Value,
    beta: Value | None = None,
    bias: Value | None = None,
    *,
    epsilon: float = 1e-12,
    outputs: int = 1,
) -> Any:
    """LayerNormalization of x + skip + bias, and, as the fourth output, that sum."""
    total = add(here, *(value for value in (x, skip, bias) if value is not None), part="input")
    normalized = layer_normalization(here, total, gamma, beta, epsilon=epsilon)
    return shown(normalized, total, outputs)


def skip_simplified_layer_normalization(
    here: Scope, x: Value, skip: Value, gamma: Value, bias: Value | None = None, *, epsilon: float = 1e-12, outputs: int = 1
) -> Any:
    """RMSNormalization of x + skip + bias, and, as the fourth output, that sum."""
    total = add(here, *(value for value in (x, skip, bias) if value is not None), part="input")
    return shown(rms_normalization(here, total, gamma, epsilon=epsilon), total, outputs)


def shown(normalized: Any, total: Ids, outputs: int) -> Any:
    if outputs in (2, 3):
        raise Unsupported("is asked for its mean or its deviation, which only training needs")
    return (normalized, None, None, total) if outputs > 1 else normalized


def attention(
    here: Scope,
    x: Ids,
    weights: Value,
    bias: Value | None = None,
    mask_index: Value | None = None,
    past: Value | None = None,
    attention_bias: Value | None = None,
    *,
    num_heads: int,
    scale: float | None = None,
    mask_filter_value: float = -10000.0,
    unidirectional: int = 0,
) -> Ids:
    """Attention of a sequence to itself: x (n, steps, d), weights (d, 3 h) for query, key and value side by side -> (n, steps, h)."""
    if past is not None:
        raise Unsupported("keeps keys and values of earlier calls (past), so that there is no one graph")
    kernel, count = constant(weights, "weights"), x.shape[1]
    bias = None if bias is None else constant(bias, "bias")
    projected = here.sum(Edges(x[..., None, :], kernel.T), bias=bias, part="projection")
    n, size = x.shape[0], kernel.shape[1] // 3 // num_heads
    query, key, value = (projection.reshape(n, count, num_heads, size) for projection in np.split(projected, 3, -1))
    factor = np.float64(scale or 1 / np.sqrt(size))
    masks = [] if not unidirectional else [np.where(np.tri(count, dtype=bool), 0.0, mask_filter_value)]
    if mask_index is not None:
        keep = constant(mask_index, "mask")
        if keep.shape != (n, count):
            raise Unsupported(f"has no rule for a mask of shape {list(keep.shape)}")
        masks.append((1 - keep[:, None, None, :]) * mask_filter_value)
    scores = contract(here, [(query, "nqhd"), (key, "nkhd"), (np.asarray(factor), "")], "nhqk", part="scores")
    if masks or attention_bias is not None:
        scores = add(here, scores, *masks, *([] if attention_bias is None else [attention_bias]), part="masked")
    shares = softmax(here, scores, (3,), part="shares")
    heads = contract(here, [(shares, "nhqk"), (value, "nkhd")], "nqhd", part="heads")
    return heads.reshape(n, count, -1)


MICROSOFT: dict[str, Callable[..., Any]] = {
    "com.microsoft.Attention": attention,
    "com.microsoft.BiasGelu": bias_gelu,
    "com.microsoft.FastGelu": fast_gelu,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.FusedMatMul": fused_matmul,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.QuickGelu": quick_gelu,
    "com.microsoft.SimplifiedLayerNormalization": rms_normalization,
    "com.microsoft.SkipLayerNormalization": skip_layer_normalization,
    "com.microsoft.SkipSimplifiedLayerNormalization": skip_simplified_layer_normalization,
}
