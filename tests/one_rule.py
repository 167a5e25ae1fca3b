"""One rule on arrays, without a file, a framework or tables: what hypothesis tests of shapes and axes run by the hundred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etl.rules.dialect import Dialect
from etl.rules.keras import KERAS3
from etl.rules.scope import NOTHING, ZERO, Scope, Step, Tape
from tests.forward import activate

NEUTRAL = {"sum": 0.0, "product": 1.0, "max": -np.inf, "min": np.inf}
REDUCE = {"sum": np.sum, "product": np.prod, "max": np.max, "min": np.min}


def run(rule: Callable[..., Any], *inputs: Any, dialect: Dialect = KERAS3, **options: Any) -> tuple[Any, list[Step]]:
    """The values that a rule makes of inputs (arrays of float32 are tensors, anything else a constant), and its steps."""
    tape, given, arguments = Tape(), [], []
    for one in inputs:
        tensor = isinstance(one, np.ndarray) and one.dtype == np.float32
        arguments.append(tape.allot(one.shape) if tensor else one)
        given += [one.reshape(-1)] if tensor else []
    made = rule(Scope(tape, "layer", dialect), *arguments, **options)
    values = np.full(tape.next - NOTHING, np.nan)  # what is below zero is found at the end
    values[ZERO] = 0.0
    begin = np.concatenate(given) if given else np.empty(0)
    values[: len(begin)] = begin
    for step in tape.steps:
        values[step.ids.reshape(-1)] = compute(step, values)
    found = [values[np.asarray(ids)] for ids in made] if isinstance(made, list | tuple) else values[np.asarray(made)]
    return found, tape.steps


def compute(step: Step, values: np.ndarray) -> np.ndarray:
    """The values of one step's neurons, flat."""
    neutral = NEUTRAL[step.op]
    operands = [np.full(step.ids.shape, neutral if step.bias is None else step.bias)]
    for edges in step.edges:
        shape = np.broadcast_shapes(edges.shape, (*step.ids.shape, *(1,) * edges.over))
        source = np.broadcast_to(edges.source, shape)
        weighted = np.where(source == NOTHING, neutral, values[source] * edges.weight)
        operands.append(REDUCE[step.op](weighted, axis=tuple(range(weighted.ndim - edges.over, weighted.ndim))))
    return activate(step.activation, REDUCE[step.op](np.stack(operands), axis=0).reshape(-1), step.shape)
