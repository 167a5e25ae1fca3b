"""Dense layers: every neuron reads a whole axis."""

from __future__ import annotations

from typing import Any

from etl.rules.ids import axis_names
from etl.rules.primitives.einsum import contract, spelled, without_batch
from etl.rules.scope import Edges, Ids, Scope, Weights


def check_width(values: int, rows: int) -> None:
    """Raise ValueError where a kernel isn't for that many values: one of them being 1, arrays would broadcast and hide it."""
    if values != rows:
        raise ValueError(f"{values} values meet a kernel for {rows}")


def dense(here: Scope, inputs: Ids, *, kernel: Weights, bias: Weights | None = None, activation: str = "linear") -> Ids:
    """Every neuron reads the last axis through one column of the kernel.

    inputs (..., n), kernel (n, units) -> (..., units); edges (..., units, n)
    """
    check_width(inputs.shape[-1], kernel.shape[0])
    ids = here.expect(inputs, (*(None,) * (inputs.ndim - 1), "channel"))
    return here.sum(Edges(ids[..., None, :], kernel.T), bias=bias, activation=activation, axes=(*axis_names(ids)[:-1], "channel"))


def einsum_dense(
    here: Scope,
    inputs: Ids,
    *,
    equation: str,
    kernel: Weights,
    bias: Weights | None = None,
    activation: str = "linear",
    output_shape: Any = None,
    bias_axes: str | None = None,
) -> Ids:
    """A Dense layer along any axes: `abc,cd->abd`, `...x,xy->...y`; the arrays' shapes say what output_shape and bias_axes do."""
    (input_letters, kernel_letters), out = spelled(equation, (inputs.ndim + 1, kernel.ndim))
    for letter in set(input_letters[1:]) & set(kernel_letters):
        check_width(inputs.shape[input_letters.index(letter) - 1], kernel.shape[kernel_letters.index(letter)])
    operands, out = without_batch([(inputs, input_letters), (kernel, kernel_letters)], out)
    return contract(here, operands, out, bias=bias, activation=activation)
