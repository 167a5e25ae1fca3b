"""Dense layers: every neuron reads a whole axis."""

from __future__ import annotations

from etl.scope import Edges, Ids, Scope, Weights


def dense(here: Scope, inputs: Ids, *, kernel: Weights, bias: Weights | None = None, activation: str = "linear") -> Ids:
    """Every neuron reads the last axis through one column of the kernel.

    inputs (..., n), kernel (n, units) -> (..., units); edges (..., units, n)
    """
    return here.sum(Edges(inputs[..., None, :], kernel.T), bias=bias, activation=activation)
