"""RNN, GRU and LSTM, unrolled over time: each step's gates, states and products are sublayers `LSTM_3/step_2/input_gate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.network import LARGEST_LITERAL
from etl.rules.arguments import Value
from etl.rules.ids import is_live, zeros
from etl.rules.primitives.elementwise import constant, neurons
from etl.rules.primitives.recurrent import Function, Gate, activated, gru_step, lstm_step, simple_step
from etl.rules.scope import Edges, Ids, Scope, Weights

LSTM_ORDER = (0, 2, 3, 1)  # ours is input, forget, candidate, output; ONNX has input, output, forget, candidate
PEEPHOLES = (0, 2, None, 1)  # input, output, forget
PLAIN = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softsign": "softsign", "Softplus": "softplus"}
WITH_ALPHA = {"LeakyRelu": ("leaky_relu", "negative_slope", 0.01), "Elu": ("elu", "alpha", 1.0), "ThresholdedRelu": ("relu", "threshold", 1.0)}


def functions(
    names: Sequence[str] | None, defaults: Sequence[str], alphas: Sequence[float] | None, betas: Sequence[float] | None, clip: float
) -> list[Function]:
    """The activation functions of all directions, each with its own alpha and beta where it takes them.

    Raises Unsupported for one that has no rule.
    """
    alpha, beta = list(alphas or ()), list(betas or ())
    chosen = []
    for name in names or defaults:
        if name in PLAIN:
            function = activated(PLAIN[name])
        elif name in WITH_ALPHA:
            ours, argument, default = WITH_ALPHA[name]
            function = activated(call(ours, **{argument: alpha.pop(0) if alpha else default}))
        elif name == "HardSigmoid":
            function = hard_sigmoid(alpha.pop(0) if alpha else 0.2, beta.pop(0) if beta else 0.5)
        else:
            raise Unsupported(f"has no rule for the activation {name}")
        chosen.append(clipped(function, clip) if clip else function)
    return chosen


def hard_sigmoid(alpha: float, beta: float) -> Function:
    """alpha x + beta between 0 and 1, after the sum x in `.../linear`."""

    def function(here: Scope, *edges: Edges, bias: Value | None = None, part: str | None = None) -> Ids:
        x = here.sum(*edges, bias=bias, part=f"{part}/linear" if part else "linear")
        return here.sum(Edges(x, alpha, over=0), bias=beta, activation="relu(max_value=1.0)", part=part)

    return function


def clipped(function: Function, limit: float) -> Function:
    """A function of a sum that is kept between -limit and limit."""

    def between(here: Scope, *edges: Edges, bias: Value | None = None, part: str | None = None) -> Ids:
        within = f"{part}/" if part else ""
        x = here.sum(*edges, bias=bias, part=f"{within}linear")
        low = here.max(Edges(x, over=0), bias=-limit, part=f"{within}above")
        return function(here, Edges(here.min(Edges(low, over=0), bias=limit, part=f"{within}below"), over=0), part=part)

    return between


def gates(w: Weights, r: Weights, b: Weights | None, count: int, peepholes: Weights | None = None) -> list[Gate]:
    """The arrays of each gate: w (count units, n), r (count units, units), b (2 count units), peepholes (3 units)."""
    units = r.shape[-1]
    cuts = [slice(k * units, (k + 1) * units) for k in range(count)]
    first, second = (None, None) if b is None else (b[: count * units], b[count * units :])
    arrays = [Gate(w[cut], r[cut], None if first is None else first[cut], None if second is None else second[cut]) for cut in cuts]
    if count == 4:
        arrays = [arrays[place] for place in LSTM_ORDER]
    if peepholes is not None:
        pieces = np.split(peepholes, 3)
        arrays = [gate if place is None else gate._replace(peephole=pieces[place]) for gate, place in zip(arrays, PEEPHOLES, strict=True)]
    return arrays


def unrolled(
    here: Scope,
    x: Ids,
    steps: Sequence[Callable[..., tuple[Ids, ...]]],
    initial: Sequence[Any],
    units: int,
    direction: str,
    layout: int,
    lengths: Any,
) -> tuple[Ids, ...]:
    """Run the steps of each direction over time: all outputs (steps, directions, batch, units), then the last states (directions, batch, units).

    Raises ValueError where the arrays are not those of the direction.
    """
    x = np.swapaxes(x, 0, 1) if layout else x
    initial = [np.swapaxes(state, 0, 1) if layout and state is not None else state for state in initial]
    count, batch = x.shape[:2]
    stop = np.full(batch, count) if lengths is None else np.ravel(constant(lengths, "sequence lengths")).astype(int)
    names = {"forward": ["forward"], "reverse": ["reverse"], "bidirectional": ["forward", "reverse"]}.get(direction)
    if names is None or len(names) != len(steps):
        raise ValueError(f"direction {direction!r} with arrays for {len(steps)}")
    outputs, lasts = [], []
    for number, (name, step) in enumerate(zip(names, steps, strict=True)):
        place = here.part(name) if len(names) > 1 else here
        states = tuple(first_state(place, state, number, k, (batch, units)) for k, state in enumerate(initial))
        shown: list[Ids] = []
        for moment in range(count):
            at = np.arange(count)[moment] if name == "forward" else np.where(moment < stop, stop - 1 - moment, moment)
            step_input = x[moment] if name == "forward" else np.take_along_axis(x, np.asarray(at).reshape(1, batch, 1), 0)[0]
            scope = place.part(f"step_{moment}")
            output, *after = step(scope, step_input, *states, scope.part("output"))
            active = (moment < stop)[:, None]
            states = tuple(after) if active.all() else tuple(np.where(active, new, old) for new, old in zip(after, states, strict=True))
            shown.append(output if active.all() else np.where(active, output, zeros(output.shape)))
        sequence = np.stack(shown)
        if name == "reverse":
            order = np.where(np.arange(count)[:, None] < stop, stop - 1 - np.arange(count)[:, None], np.arange(count)[:, None])
            sequence = np.take_along_axis(sequence, order[..., None], 0)
        outputs.append(sequence)
        lasts.append(states)
    results = np.stack(outputs, 1), *(np.stack(column) for column in zip(*lasts, strict=True))
    return (np.transpose(results[0], (2, 0, 1, 3)), *(np.swapaxes(state, 0, 1) for state in results[1:])) if layout else results


def first_state(here: Scope, initial: Any, direction: int, number: int, shape: tuple[int, int]) -> Ids:
    """A state before the first step: padded zeros where none is given, neurons of a bias where it is a constant."""
    if initial is None or (not is_live(initial) and np.size(initial) <= LARGEST_LITERAL and not np.any(initial)):
        return zeros(shape)
    return initial[direction] if is_live(initial) else neurons(here, initial[direction], f"initial_{number}")


def arrays_of(number: int, *arrays: Any) -> list[Any]:
    """One direction's part of each array."""
    return [None if array is None else constant(array, "weights")[number] for array in arrays]


def rnn(
    here: Scope,
    x: Ids,
    w: Value,
    r: Value,
    b: Value | None = None,
    sequence_lens: Value | None = None,
    initial_h: Value | None = None,
    *,
    hidden_size: int | None = None,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float = 0.0,
    direction: str = "forward",
    layout: int = 0,
) -> tuple[Ids, ...]:
    """h' = activation(W x + R h + b)."""
    chosen = functions(activations, ["Tanh"] * np.shape(w)[0], activation_alpha, activation_beta, clip)
    steps = []
    for number in range(np.shape(w)[0]):
        kernel, recurrent, bias = arrays_of(number, w, r, b)
        (arrays,) = gates(kernel, recurrent, bias, 1)
        steps.append(partial(simple_step, arrays=arrays, function=chosen[number]))
    return unrolled(here, x, steps, [initial_h], np.shape(r)[-1], direction, layout, sequence_lens)


def gru(
    here: Scope,
    x: Ids,
    w: Value,
    r: Value,
    b: Value | None = None,
    sequence_lens: Value | None = None,
    initial_h: Value | None = None,
    *,
    hidden_size: int | None = None,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float = 0.0,
    direction: str = "forward",
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Ids, ...]:
    """h' = z h + (1 - z) g, gates in the order z, r, g."""
    chosen = functions(activations, ["Sigmoid", "Tanh"] * np.shape(w)[0], activation_alpha, activation_beta, clip)
    steps = []
    for number in range(np.shape(w)[0]):
        kernel, recurrent, bias = arrays_of(number, w, r, b)
        arrays = gates(kernel, recurrent, bias, 3)
        steps.append(partial(gru_step, arrays=arrays, functions=chosen[2 * number : 2 * number + 2], reset_after=bool(linear_before_reset)))
    return unrolled(here, x, steps, [initial_h], np.shape(r)[-1], direction, layout, sequence_lens)


def lstm(
    here: Scope,
    x: Ids,
    w: Value,
    r: Value,
    b: Value | None = None,
    sequence_lens: Value | None = None,
    initial_h: Value | None = None,
    initial_c: Value | None = None,
    p: Value | None = None,
    *,
    hidden_size: int | None = None,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float = 0.0,
    direction: str = "forward",
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Ids, ...]:
    """c' = f c + i g, h' = o activation(c'), gates in the order i, o, f, g."""
    chosen = functions(activations, ["Sigmoid", "Tanh", "Tanh"] * np.shape(w)[0], activation_alpha, activation_beta, 0.0)
    if clip:
        chosen = [function if k % 3 == 2 else clipped(function, clip) for k, function in enumerate(chosen)]
    steps = []
    for number in range(np.shape(w)[0]):
        first, second, third, peepholes = arrays_of(number, w, r, b, p)
        arrays = gates(first, second, third, 4, peepholes)
        steps.append(partial(lstm_step, arrays=arrays, functions=chosen[3 * number : 3 * number + 3], coupled=bool(input_forget)))
    return unrolled(here, x, steps, [initial_h, initial_c], np.shape(r)[-1], direction, layout, sequence_lens)


RECURRENT: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
