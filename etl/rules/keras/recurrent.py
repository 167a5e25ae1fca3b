"""Recurrent layers, unrolled over the input's length: each step's gates, states and products are sublayers `lstm/step_3/input_gate`.

Formulas: https://keras.io/api/layers/recurrent_layers/. Initial states that nobody gives are padded zeros, so step 0 has the same neurons
as any other, only without the edges from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from etl.errors import Unsupported
from etl.network import Layer
from etl.rules.arguments import GivenStates, flat_states
from etl.rules.binding import bind
from etl.rules.ids import axis_names, with_axes, zeros
from etl.rules.keras.dense import check_width
from etl.rules.keras.masking import counting_steps
from etl.rules.misfits import called
from etl.rules.scope import Edges, Ids, Scope, Weights

States: TypeAlias = tuple[Ids, ...]
LSTM_GATES = ("input_gate", "forget_gate", "candidate", "output_gate")


class Cell(NamedTuple):
    """One step of a recurrent layer.

    step    (scope, inputs, *states, own=scope of the output) -> (output, *states)
    states  the shapes of its states
    """

    step: Callable[..., States]
    states: tuple[tuple[int, ...], ...]


def unroll(
    here: Scope,
    inputs: Ids,
    cell: Cell,
    *,
    initial_state: GivenStates = None,
    return_sequences: bool,
    return_state: bool,
    go_backwards: bool,
    zero_output_for_mask: bool,
    length: int | None,
) -> Ids | States:
    """Run a cell over the first axis: (steps, *in) -> (*out) or (steps, *out), then the last states.

    length  how many steps count, of the last ones where it is below zero. The others leave the states as they are, and their output is the
            one before (zeros before the first), or zeros with `zero_output_for_mask`
    The last step that counts makes the layer's own neurons where they are all of its output.
    Raises Unsupported for initial states of other shapes.
    """
    states = tuple(flat_states(initial_state)) or tuple(map(zeros, cell.states))
    if [s.shape for s in states] != list(cell.states):
        raise Unsupported(f"is given states of shapes {[s.shape for s in states]} instead of {list(cell.states)}")
    if inputs.ndim < 2:
        raise Unsupported(f"runs over inputs of shape {list(inputs.shape)}, which have no steps")
    inputs = here.expect(inputs, ("step", "channel") if inputs.ndim == 2 else ("step", *axis_names(inputs)[1:]))
    counts = counting_steps(len(inputs), length)
    if go_backwards:
        inputs, counts = inputs[::-1], counts[::-1]
    last, outputs = int(np.flatnonzero(counts)[-1]), dict[int, Ids]()
    for number in np.flatnonzero(counts).tolist():
        step = here.part(f"step_{number}")
        is_only_output = number == last and not (return_sequences or return_state)
        outputs[number], *after = cell.step(step, inputs[number], *states, own=here if is_only_output else step.part("output"))
        states = tuple(after)
    shown, before = list[Ids](), zeros(outputs[last].shape)
    for number in range(len(inputs)):
        before = outputs.get(number, zeros(before.shape) if zero_output_for_mask else before)
        shown.append(before)
    result = with_axes(np.stack(shown), ("step", *axis_names(outputs[last]))) if return_sequences else shown[-1]
    return (result, *states) if return_state else result


class Gate(NamedTuple):
    """The arrays of one gate: inputs (units, n), states (units, units), and the biases beside each of them."""

    kernel: Weights
    recurrent: Weights
    bias: Weights | None = None
    again: Weights | None = None

    @property
    def both(self) -> Weights | None:
        return self.bias if self.again is None or self.bias is None else self.bias + self.again


def gates(kernel: Weights, recurrent_kernel: Weights, bias: Weights | None, count: int) -> list[Gate]:
    """Arrays of all gates side by side, (n, count * units), as views for each; a bias of two rows is one for the inputs and one for the states."""
    rows = [] if bias is None else list(np.atleast_2d(bias))
    if len(rows) > 2:
        raise ValueError(f"has {len(rows)} rows of biases")
    units = recurrent_kernel.shape[-1] // count
    cuts = [slice(n * units, (n + 1) * units) for n in range(count)]
    return [Gate(kernel[:, cut].T, recurrent_kernel[:, cut].T, *(row[cut] for row in rows)) for cut in cuts]


def cudnn_gates(kernel: Weights, recurrent_kernel: Weights, bias: Weights, count: int) -> list[Gate]:
    """The same of CuDNN's arrays, in which each gate lies as (units, n) in C order whatever the array's shape says.

    Where the inputs are not as many as the units, the kernel is no view and its edges know no `parameter`.
    """
    units = recurrent_kernel.shape[-1] // count
    cuts = [slice(n * units, (n + 1) * units) for n in range(count)]
    first, second = bias.reshape(2, -1)
    return [Gate(kernel[:, cut].reshape(units, -1), recurrent_kernel[:, cut], first[cut], second[cut]) for cut in cuts]


def product(here: Scope, *factors: Ids, part: str | None = None) -> Ids:
    """Neurons that multiply others of the same shape, place by place."""
    return here.product(*(Edges(factor, over=0) for factor in factors), part=part)


def total(here: Scope, *terms: Ids, part: str | None = None, activation: str = "linear") -> Ids:
    """Neurons that add up others of the same shape, place by place."""
    return here.sum(*(Edges(term, over=0) for term in terms), part=part, activation=activation)


def gate(here: Scope, inputs: Ids, state: Ids, arrays: Gate, part: str | None, activation: str) -> Ids:
    """activation(W x + U h + b)"""
    check_width(len(inputs), arrays.kernel.shape[1])
    terms = Edges(inputs, arrays.kernel), Edges(state, arrays.recurrent)
    return here.sum(*terms, bias=arrays.both, part=part, activation=activation, axes=("channel",))


def simple_step(here: Scope, inputs: Ids, state: Ids, *, own: Scope, arrays: Gate, activation: str) -> States:
    """h' = activation(W x + U h + b)"""
    output = gate(own, inputs, state, arrays, None, activation)
    return output, output


def lstm_step(
    here: Scope, inputs: Ids, output: Ids, cell: Ids, *, own: Scope, arrays: Sequence[Gate], activation: str, recurrent_activation: str
) -> States:
    """c' = f c + i g, h' = o activation(c'), with the gates in the order i, f, g, o (Hochreiter and Schmidhuber 1997)."""
    opened = [
        gate(here, inputs, output, gate_arrays, name, activation if name == "candidate" else recurrent_activation)
        for name, gate_arrays in zip(LSTM_GATES, arrays, strict=True)
    ]
    return lstm_output(here, opened, cell, own, activation)


def lstm_output(here: Scope, gates: list[Ids], cell: Ids, own: Scope, activation: str) -> States:
    """From the four gates to the new output and cell state."""
    write, keep, candidate, read = gates
    kept, written = product(here, keep, cell, part="kept"), product(here, write, candidate, part="written")
    cell = total(here, kept, written, part="cell")
    output = product(own, read, total(here, cell, part="activated", activation=activation))
    return output, output, cell


def gru_step(
    here: Scope,
    inputs: Ids,
    state: Ids,
    *,
    own: Scope,
    arrays: Sequence[Gate],
    activation: str,
    recurrent_activation: str,
    reset_after: bool,
) -> States:
    """h' = z h + (1 - z) g, g = activation(W x + U (r h)), or W x + r (U h) where it resets after (Cho et al. 2014)."""
    update, reset, candidate = arrays
    z = gate(here, inputs, state, update, "update_gate", recurrent_activation)
    r = gate(here, inputs, state, reset, "reset_gate", recurrent_activation)
    if reset_after:
        recurrent = here.sum(Edges(state, candidate.recurrent), bias=candidate.again, part="recurrent", axes=("channel",))
        remembered = Edges(product(here, r, recurrent, part="reset"), over=0)
    else:
        remembered = Edges(product(here, r, state, part="reset"), candidate.recurrent)
    terms = Edges(inputs, candidate.kernel), remembered
    new = here.sum(*terms, bias=candidate.bias, part="candidate", activation=activation, axes=("channel",))
    kept = product(here, z, state, part="kept")
    turned = here.sum(Edges(z, -1.0, over=0), bias=1.0, part="complement")
    output = total(own, kept, product(here, turned, new, part="written"))
    return output, output


def simple_cell(here: Scope, *, kernel: Weights, recurrent_kernel: Weights, bias: Weights | None = None, activation: str = "tanh") -> Cell:
    """One step of SimpleRNN: kernel (n, units), recurrent_kernel (units, units), bias (units)."""
    (arrays,) = gates(kernel, recurrent_kernel, bias, 1)
    return Cell(partial(simple_step, arrays=arrays, activation=activation), (recurrent_kernel.shape[:1],))


def lstm_cell(
    here: Scope,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
) -> Cell:
    """One step of LSTM, whose states are output and cell: kernel (n, 4 units), recurrent_kernel (units, 4 units), bias (4 units)."""
    arrays = gates(kernel, recurrent_kernel, bias, 4)
    step = partial(lstm_step, arrays=arrays, activation=activation, recurrent_activation=recurrent_activation)
    return Cell(step, (recurrent_kernel.shape[:1],) * 2)


def gru_cell(
    here: Scope,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    reset_after: bool = False,
) -> Cell:
    """One step of GRU: kernel (n, 3 units), recurrent_kernel (units, 3 units), bias (3 units), (2, 3 units) where it resets after."""
    arrays = gates(kernel, recurrent_kernel, bias, 3)
    step = partial(gru_step, arrays=arrays, activation=activation, recurrent_activation=recurrent_activation, reset_after=reset_after)
    return Cell(step, (recurrent_kernel.shape[:1],))


def stacked_cells(here: Scope, *, cells: tuple[Layer, ...]) -> Cell:
    """Cells that feed each other within one step: `rnn/step_3/cell_0/input_gate`."""
    inner = [cell_of(here, layer) for layer in cells]

    def step(here: Scope, inputs: Ids, *states: Ids, own: Scope) -> States:
        after: list[Ids] = []
        for number, cell in enumerate(inner):
            scope = here.part(f"cell_{number}")
            mine = states[len(after) : len(after) + len(cell.states)]
            inputs, *new_states = cell.step(scope, inputs, *mine, own=own if number == len(inner) - 1 else scope.part("output"))
            after += new_states
        return inputs, *after

    return Cell(step, tuple(shape for cell in inner for shape in cell.states))


CELLS: dict[str, Callable[..., Cell]] = {
    "SimpleRNNCell": simple_cell,
    "LSTMCell": lstm_cell,
    "GRUCell": gru_cell,
    "StackedRNNCells": stacked_cells,
}


def single_step(make: Callable[..., Cell]) -> Callable[..., States]:
    """The rule of a cell that is called by itself: one step, (inputs, *states) -> (output, *states)."""

    def rule(here: Scope, inputs: Ids, *states: Ids, **options: Any) -> States:
        cell = make(here, **options)
        if len(states) != len(cell.states):
            raise ValueError(f"has {len(cell.states)} state{'s' if len(cell.states) != 1 else ''}, and is given {len(states)}")
        return cell.step(here, inputs, *states, own=here.part("output"))

    own, of_cell = (inspect.signature(function, eval_str=True).parameters.values() for function in (rule, make))
    rule.__signature__ = inspect.Signature([*list(own)[:-1], *(p for p in of_cell if p.kind is p.KEYWORD_ONLY)])  # type: ignore[attr-defined]
    rule.__doc__ = make.__doc__
    return rule


def cell_of(here: Scope, layer: Layer) -> Cell:
    """The cell that a layer of the file describes. Raises Unsupported where it has no rule."""
    make = CELLS.get(layer.kind)
    if make is None:
        raise Unsupported(f"runs a cell {layer.name} ({layer.kind}), for which there is no rule")
    return called(make, here, (), bind(layer, make, {}, here.dialect, here.tape.read))


def rnn(
    here: Scope,
    inputs: Ids,
    *,
    cell: Layer,
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """Any cell over the first axis: (steps, n) -> (units) or (steps, units)."""
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, cell_of(here, cell), initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def simple_rnn(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    activation: str = "tanh",
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """activation(W x + U h + b) at each step: (steps, n) -> (units) or (steps, units); one row of neurons a step."""
    cell = simple_cell(here, kernel=kernel, recurrent_kernel=recurrent_kernel, bias=bias, activation=activation)
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, cell, initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def lstm(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """(steps, n) -> (units) or (steps, units); nine rows a step: four gates, kept, written, cell, activated, output."""
    cell = lstm_cell(
        here, kernel=kernel, recurrent_kernel=recurrent_kernel, bias=bias, activation=activation, recurrent_activation=recurrent_activation
    )
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, cell, initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def gru(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    reset_after: bool = False,
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """(steps, n) -> (units) or (steps, units); eight rows a step: two gates, reset, candidate, kept, complement, written, output."""
    arrays: dict[str, Any] = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}
    cell = gru_cell(here, **arrays, activation=activation, recurrent_activation=recurrent_activation, reset_after=reset_after)
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, cell, initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def cudnn_lstm(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights,
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """Keras 2's LSTM for graphics processors: the same steps as `lstm`, other arrays; bias (8 units)."""
    arrays = cudnn_gates(kernel, recurrent_kernel, bias, 4)
    cell = Cell(partial(lstm_step, arrays=arrays, activation="tanh", recurrent_activation="sigmoid"), (recurrent_kernel.shape[:1],) * 2)
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, cell, initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def cudnn_gru(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights,
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """Keras 2's GRU for graphics processors: the same steps as `gru` that resets after, other arrays; bias (6 units)."""
    arrays = cudnn_gates(kernel, recurrent_kernel, bias, 3)
    step = partial(gru_step, arrays=arrays, activation="tanh", recurrent_activation="sigmoid", reset_after=True)
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(
        here, inputs, Cell(step, (recurrent_kernel.shape[:1],)), initial_state=initial_state, go_backwards=go_backwards, length=length, **shown
    )
