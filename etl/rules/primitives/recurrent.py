"""Steps of recurrent networks: gates, states and products of one moment, over (..., features) whose leading axes are examples.

Formulas: Hochreiter and Schmidhuber 1997 (LSTM), Gers and Schmidhuber 2000 (peepholes), Cho et al. 2014 (GRU).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from etl.rules.scope import Edges, Ids, Scope, Weights

States: TypeAlias = tuple[Ids, ...]
Function: TypeAlias = Callable[..., Ids]  # (scope, *edges, bias=, part=) -> activation of their sum
LSTM_GATES = ("input_gate", "forget_gate", "candidate", "output_gate")


class Gate(NamedTuple):
    """The arrays of one gate: inputs (units, n), states (units, units), the biases beside each of them, and the cell's own weights (units)."""

    kernel: Weights
    recurrent: Weights
    bias: Weights | None = None
    again: Weights | None = None
    peephole: Weights | None = None

    @property
    def both(self) -> Weights | None:
        return self.bias if self.again is None or self.bias is None else self.bias + self.again


def activated(activation: str) -> Function:
    """activation(sum) in one step."""
    return lambda here, *edges, bias=None, part=None: here.sum(*edges, bias=bias, part=part, activation=activation)


def weighted_edges(x: Ids, weights: Weights) -> Edges:
    """x (..., n) through weights (units, n). Raises ValueError where they don't fit."""
    if x.shape[-1] != weights.shape[1]:
        raise ValueError(f"an input of {x.shape[-1]} features and weights for {weights.shape[1]}")
    return Edges(x[..., None, :], weights)


def gate(here: Scope, x: Ids, state: Ids, arrays: Gate, part: str | None, function: Function, cell: Ids | None = None) -> Ids:
    """activation(W x + U h + b), and p c beside where the gate looks at the cell."""
    edges = [weighted_edges(x, arrays.kernel), weighted_edges(state, arrays.recurrent)]
    if arrays.peephole is not None and cell is not None:
        edges.append(Edges(cell, arrays.peephole, over=0))
    return function(here, *edges, bias=arrays.both, part=part)


def product(here: Scope, *factors: Ids, part: str | None = None) -> Ids:
    """Neurons that multiply others of the same shape, place by place."""
    return here.product(*(Edges(factor, over=0) for factor in factors), part=part)


def total(here: Scope, *terms: Ids, part: str | None = None, activation: str = "linear") -> Ids:
    """Neurons that add up others of the same shape, place by place."""
    return here.sum(*(Edges(term, over=0) for term in terms), part=part, activation=activation)


def complement(here: Scope, x: Ids) -> Ids:
    return here.sum(Edges(x, -1.0, over=0), bias=1.0, part="complement")


def simple_step(here: Scope, x: Ids, state: Ids, own: Scope, arrays: Gate, function: Function) -> States:
    """h' = activation(W x + U h + b)"""
    output = gate(own, x, state, arrays, None, function)
    return output, output


def lstm_step(
    here: Scope, x: Ids, output: Ids, cell: Ids, own: Scope, arrays: Sequence[Gate], functions: Sequence[Function], coupled: bool = False
) -> States:
    """c' = f c + i g, h' = o activation(c'), with the gates in the order i, f, g, o.

    functions  of the gates, of the candidate, of the cell
    coupled    f = 1 - i
    """
    gates, candidate, outer = functions
    write = gate(here, x, output, arrays[0], LSTM_GATES[0], gates, cell)
    keep = complement(here, write) if coupled else gate(here, x, output, arrays[1], LSTM_GATES[1], gates, cell)
    new = gate(here, x, output, arrays[2], LSTM_GATES[2], candidate)
    kept, written = product(here, keep, cell, part="kept"), product(here, write, new, part="written")
    after = total(here, kept, written, part="cell")
    read = gate(here, x, output, arrays[3], LSTM_GATES[3], gates, after)
    shown = product(own, read, outer(here, Edges(after, over=0), part="activated"))
    return shown, shown, after


def gru_step(here: Scope, x: Ids, state: Ids, own: Scope, arrays: Sequence[Gate], functions: Sequence[Function], reset_after: bool) -> States:
    """h' = z h + (1 - z) g, g = activation(W x + U (r h)), or W x + r (U h) where it resets after; gates in the order z, r, g."""
    gates, candidate = functions
    update, reset, new = arrays
    z = gate(here, x, state, update, "update_gate", gates)
    r = gate(here, x, state, reset, "reset_gate", gates)
    if reset_after:
        recurrent = here.sum(weighted_edges(state, new.recurrent), bias=new.again, part="recurrent")
        remembered, bias = Edges(product(here, r, recurrent, part="reset"), over=0), new.bias
    else:
        remembered, bias = weighted_edges(product(here, r, state, part="reset"), new.recurrent), new.both
    fresh = candidate(here, weighted_edges(x, new.kernel), remembered, bias=bias, part="candidate")
    kept = product(here, z, state, part="kept")
    output = total(own, kept, product(here, complement(here, z), fresh, part="written"))
    return output, output
