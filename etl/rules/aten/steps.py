"""Recurrent steps with plain leading axes: inputs (batch, n), states (batch, units), kernels (units, n) and (units, units).

Initial states that are constant reach the first step as bias and weights; no neuron stands for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from etl.rules.aten.values import Value, add, multiply, numbers
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope, Weights


class Gate(NamedTuple):
    """The arrays of one gate: inputs (units, n), states (units, m), and the biases beside each of them."""

    kernel: Weights
    recurrent: Weights
    bias: Weights | None = None
    again: Weights | None = None

    @property
    def both(self) -> Weights | None:
        return self.bias if self.again is None or self.bias is None else self.bias + self.again


def gates(kernel: Weights, recurrent: Weights, bias: Weights | None, again: Weights | None, count: int) -> list[Gate]:
    """Arrays of all gates one under the other, (count * units, n), as views for each."""
    parts = [np.split(array, count) if array is not None else [None] * count for array in (kernel, recurrent, bias, again)]
    return [Gate(*arrays) for arrays in zip(*parts, strict=True)]


def product_terms(source: Value, kernel: Weights) -> tuple[list[Edges], Any]:
    """W x as edges where x is live, as bias where it is constant: (batch, n), (units, n) -> (batch, units)."""
    if is_live(source):
        return [Edges(source[..., None, :], kernel)], None
    return [], numbers(source) @ kernel.T


def affine(here: Scope, terms: Sequence[tuple[Value, Weights]], bias: Weights | None, part: str | None, activation: str = "linear") -> Value:
    """activation(W x + U h + b) of any of them."""
    edges, total = list[Edges](), None if bias is None else bias
    for source, kernel in terms:
        own, constant = product_terms(source, kernel)
        edges += own
        if constant is not None:
            total = constant if total is None else total + constant
    return here.sum(*edges, bias=total, part=part, activation=activation)


def simple_step(here: Scope, x: Value, state: Value, gate: Gate, activation: str, part: str | None) -> Value:
    """h' = activation(W x + U h + b)"""
    return affine(here, [(x, gate.kernel), (state, gate.recurrent)], gate.both, part, activation)


def lstm_step(
    here: Scope, x: Value, output: Value, cell: Value, arrays: dict[str, Gate], projection: Weights | None, part: str | None
) -> tuple[Value, Value]:
    """c' = f c + i g, h' = o tanh(c'), projected where there is a projection (Hochreiter and Schmidhuber 1997; Sak et al. 2014)."""
    opened = {name: simple_step(here, x, output, gate, "tanh" if name == "candidate" else "sigmoid", name) for name, gate in arrays.items()}
    kept = multiply(here, opened["forget_gate"], cell, part="kept")
    written = multiply(here, opened["input_gate"], opened["candidate"], part="written")
    cell = add(here, kept, written, part="cell")
    activated = here.sum(Edges(cell, over=0), part="activated", activation="tanh")
    output = multiply(here, opened["output_gate"], activated, part=part if projection is None else "read")
    return (output if projection is None else affine(here, [(output, projection)], None, part)), cell


def gru_step(here: Scope, x: Value, state: Value, arrays: dict[str, Gate], part: str | None, *, reset_after: bool = True) -> Value:
    """h' = z h + (1 - z) g, g = tanh(W x + r (U h)), or tanh(W x + U (r h)) where it resets before (Cho et al. 2014)."""
    r = simple_step(here, x, state, arrays["reset_gate"], "sigmoid", "reset_gate")
    z = simple_step(here, x, state, arrays["update_gate"], "sigmoid", "update_gate")
    candidate = arrays["candidate"]
    if reset_after:
        recurrent = affine(here, [(state, candidate.recurrent)], candidate.again, "recurrent")
        remembered = multiply(here, r, recurrent, part="reset")
        edges, constant = product_terms(x, candidate.kernel)
        bias = candidate.bias if constant is None else constant if candidate.bias is None else constant + candidate.bias
        new = here.sum(*edges, Edges(remembered, over=0), bias=bias, part="candidate", activation="tanh")
    else:
        remembered = multiply(here, r, state, part="reset")
        new = affine(here, [(x, candidate.kernel), (remembered, candidate.recurrent)], candidate.both, "candidate", "tanh")
    kept = multiply(here, z, state, part="kept")
    turned = here.sum(Edges(z, -1.0, over=0), bias=1.0, part="complement")
    return add(here, kept, multiply(here, turned, new, part="written"), part=part)
