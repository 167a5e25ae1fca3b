"""LSTMs whose gates are convolutions, in one, two or three dimensions, unrolled over the input's length."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from etl.rules.keras.recurrent import LSTM_GATES, Cell, States, flat, lstm_output, unroll
from etl.rules.primitives.windows import each, windows
from etl.rules.scope import Edges, Ids, Scope, Weights


def convolutional_lstm(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    strides: Any = 1,
    padding: str = "valid",
    dilation_rate: Any = 1,
    data_format: str | None = None,
    kernel_size: Any = None,
    activation: str = "tanh",
    recurrent_activation: str = "hard_sigmoid",
    initial_state: Any = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
) -> Ids | States:
    """(steps, *axes, c) -> (*windows, f) or (steps, *windows, f); kernel (*size, c, 4 f), recurrent_kernel (*size, f, 4 f), bias (4 f).

    The state is padded to stay as large as it is, whatever padding, strides and dilation the input has (Shi et al. 2015).
    """
    rank = kernel.ndim - 2
    first = data_format == "channels_first"
    inputs = np.moveaxis(inputs, 1, -1) if first else inputs
    look = partial(windows, size=kernel.shape[:rank], strides=each(strides, rank), padding=padding, dilation=each(dilation_rate, rank))
    state = (*look(inputs[0]).shape[:rank], kernel.shape[-1] // 4)
    step = partial(
        lstm_step,
        look=look,
        kernel=kernel,
        recurrent_kernel=recurrent_kernel,
        bias=bias,
        activation=activation,
        recurrent_activation=recurrent_activation,
    )
    given = [np.moveaxis(one, 0, -1) for one in flat(initial_state)] if first else initial_state
    loop = {"return_sequences": return_sequences, "return_state": return_state, "go_backwards": go_backwards}
    made = unroll(here, inputs, Cell(step, (state, state)), initial_state=given, **loop)
    if not first:
        return made
    places = [np.moveaxis(one, -1, one.ndim - 1 - rank) for one in (made if isinstance(made, tuple) else (made,))]
    return tuple(places) if isinstance(made, tuple) else places[0]


def lstm_step(
    here: Scope,
    inputs: Ids,
    output: Ids,
    cell: Ids,
    *,
    own: Scope,
    look: Any,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None,
    activation: str,
    recurrent_activation: str,
) -> States:
    """One step as in an LSTM, the gates' sums being windows; edges (*windows, f, *size, c)."""
    rank, filters = kernel.ndim - 2, kernel.shape[-1] // 4
    seen = np.expand_dims(look(inputs), rank)
    before = np.expand_dims(windows(output, recurrent_kernel.shape[:rank], (1,) * rank, "same"), rank)
    made = []
    for number, name in enumerate(LSTM_GATES):
        cut = slice(number * filters, (number + 1) * filters)
        w, u = (np.moveaxis(one[..., cut], -1, 0) for one in (kernel, recurrent_kernel))
        chosen = activation if name == "candidate" else recurrent_activation
        edges = (Edges(seen, w, over=rank + 1), Edges(before, u, over=rank + 1))
        made.append(here.sum(*edges, bias=None if bias is None else bias[cut], part=name, activation=chosen))
    return lstm_output(here, made, cell, own, activation)
