"""Recurrent layers and cells, unrolled over the input's length: `lstm/step_3/input_gate`, `lstm/layer_1/backward/step_0/cell`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten.steps import gates, gru_step, lstm_step, simple_step
from etl.rules.aten.values import Value, all_live
from etl.rules.ids import Ids
from etl.rules.scope import Scope

# How PyTorch lays out the gates, one under the other.
LSTM = ("input_gate", "forget_gate", "candidate", "output_gate")
GRU = ("reset_gate", "update_gate", "candidate")
States = tuple[Value, ...]
Step = Callable[[Scope, Value, States, Sequence[Any], str | None], States]  # scope, input, states, arrays, name of the output: new states


def lstm_once(here: Scope, x: Value, states: States, arrays: Sequence[Any], part: str | None) -> States:
    kernel, recurrent, bias, again, projection = arrays
    named = dict(zip(LSTM, gates(kernel, recurrent, bias, again, 4), strict=True))
    return lstm_step(here, x, states[0], states[1], named, projection, part)


def gru_once(here: Scope, x: Value, states: States, arrays: Sequence[Any], part: str | None) -> States:
    kernel, recurrent, bias, again, _ = arrays
    named = dict(zip(GRU, gates(kernel, recurrent, bias, again, 3), strict=True))
    return (gru_step(here, x, states[0], named, part),)


def simple_once(activation: str, here: Scope, x: Value, states: States, arrays: Sequence[Any], part: str | None) -> States:
    kernel, recurrent, bias, again, _ = arrays
    return (simple_step(here, x, states[0], gates(kernel, recurrent, bias, again, 1)[0], activation, part),)


def arrays_of(params: Sequence[Value], has_biases: bool, projected: bool) -> Iterator[list[Any]]:
    """Kernel, recurrent kernel, two biases and projection of each layer and direction, None for those that there are not."""
    remaining = iter(params)
    while kernels := list(islice(remaining, 2)):
        biases = list(islice(remaining, 2)) if has_biases else [None, None]
        projection = list(islice(remaining, 1)) if projected else [None]
        yield [*kernels, *biases, *projection]


def unrolled(
    here: Scope,
    input: Ids,
    states: Sequence[Value],
    params: Sequence[Value],
    step: Step,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Any, ...]:
    """All layers and directions over all steps: (steps, batch, n) -> (steps, batch, units), then the last states (layers, batch, units)."""
    unbatched = input.ndim == 2
    if unbatched:
        input, states = input[:, None], [np.expand_dims(state, 1) for state in states]
    x = np.swapaxes(input, 0, 1) if batch_first and not unbatched else input
    directions = 2 if bidirectional else 1
    projected = len(params) == num_layers * directions * (5 if has_biases else 3)
    arrays = list(arrays_of(params, has_biases, projected))
    finals: list[list[Value]] = [[] for _ in states]
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            scope = here.part(f"layer_{layer}") if num_layers > 1 else here
            scope = scope.part("backward") if direction else scope
            order = range(len(x) - 1, -1, -1) if direction else range(len(x))
            current, outputs_by_step = tuple(state[number] for state in states), {}
            for at in order:
                current = step(scope.part(f"step_{at}"), x[at], current, arrays[number], "output")
                outputs_by_step[at] = current[0]
            outputs.append([outputs_by_step[at] for at in range(len(x))])
            for final, state in zip(finals, current, strict=True):
                final.append(state)
        x = np.stack([np.concatenate(directions_outputs, axis=-1) for directions_outputs in zip(*outputs, strict=True)])
    result = np.swapaxes(x, 0, 1) if batch_first and not unbatched else x
    lasts = [np.stack(all_live(here, final)) for final in finals]
    if unbatched:
        return result[:, 0], *(last[:, 0] for last in lasts)
    return result, *lasts


def states_of(hx: Value | Sequence[Value], count: int) -> States:
    """One state, or a list of several. Raises ValueError where there are not so many."""
    states = tuple(hx) if isinstance(hx, Sequence) else (hx,)
    if len(states) != count:
        raise ValueError(f"has {count} state{'s' if count != 1 else ''}, and is given {len(states)}")
    return states


def layer(step: Step, lstm: bool = False) -> Callable[..., Any]:
    """A rule for lstm, gru, rnn_tanh and rnn_relu."""

    def rule(
        here: Scope,
        input: Ids,
        hx: Value | Sequence[Value],
        params: Sequence[Value],
        has_biases: bool,
        num_layers: int,
        dropout: float = 0.0,
        train: bool = False,
        bidirectional: bool = False,
        batch_first: bool = False,
    ) -> tuple[Any, ...]:
        """One row a gate, product and state at each step, unrolled: (steps, batch, n) -> (steps, batch, units) and the last states."""
        if train and dropout:
            raise Unsupported("drops values at random: it was exported in training mode; call model.eval() before the export")
        states = states_of(hx, 2 if lstm else 1)
        return unrolled(here, input, states, params, step, has_biases, num_layers, bidirectional, batch_first)

    return rule


def single_step(step: Step, lstm: bool = False) -> Callable[..., Any]:
    """A rule for lstm_cell, gru_cell and the simple ones: one step."""

    def rule(
        here: Scope, input: Ids, hx: Value | Sequence[Value], w_ih: Value, w_hh: Value, b_ih: Value | None = None, b_hh: Value | None = None
    ) -> Any:
        """One step: (batch, n) and states (batch, units) -> new states."""
        states = states_of(hx, 2 if lstm else 1)
        results = step(here, input, states, (w_ih, w_hh, b_ih, b_hh, None), "output" if lstm else None)
        return results if lstm else results[0]

    return rule


RECURRENT: dict[str, Callable[..., Any]] = {
    "lstm": layer(lstm_once, lstm=True),
    "gru": layer(gru_once),
    "rnn_tanh": layer(partial(simple_once, "tanh")),
    "rnn_relu": layer(partial(simple_once, "relu")),
    "lstm_cell": single_step(lstm_once, lstm=True),
    "gru_cell": single_step(gru_once),
    "rnn_tanh_cell": single_step(partial(simple_once, "tanh")),
    "rnn_relu_cell": single_step(partial(simple_once, "relu")),
}
