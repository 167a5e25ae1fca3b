"""LSTMs whose gates are convolutions, in one, two or three dimensions, unrolled over the input's length."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from etl.rules.arguments import GivenStates, PerAxis
from etl.rules.keras.layout import axes, first, in_order
from etl.rules.keras.recurrent import LSTM_GATES, Cell, States, lstm_output, unroll
from etl.rules.primitives.windows import per_axis, windows
from etl.rules.scope import Edges, Ids, Scope, Weights


def convolutional_lstm(
    here: Scope,
    inputs: Ids,
    *,
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None = None,
    strides: PerAxis = 1,
    padding: str = "valid",
    dilation_rate: PerAxis = 1,
    data_format: str | None = None,
    kernel_size: PerAxis | None = None,
    activation: str = "tanh",
    recurrent_activation: str = "hard_sigmoid",
    initial_state: GivenStates = None,
    return_sequences: bool = False,
    return_state: bool = False,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    length: int | None = None,
) -> Ids | States:
    """(steps, *axes, c) -> (*windows, f) or (steps, *windows, f); kernel (*size, c, 4 f), recurrent_kernel (*size, f, 4 f), bias (4 f).

    The state is padded to stay as large as it is, whatever padding, strides and dilation the input has (Shi et al. 2015).
    """
    rank = kernel.ndim - 2
    look = partial(windows, size=kernel.shape[:rank], strides=per_axis(strides, rank), padding=padding, dilation=per_axis(dilation_rate, rank))
    places, filters = look(channels_last(inputs[0], data_format)).shape[:rank], kernel.shape[-1] // 4
    state = (filters, *places) if first(data_format) else (*places, filters)
    step = partial(
        lstm_step,
        look=look,
        kernel=kernel,
        recurrent_kernel=recurrent_kernel,
        bias=bias,
        activation=activation,
        recurrent_activation=recurrent_activation,
        data_format=data_format,
    )
    shown = {"return_sequences": return_sequences, "return_state": return_state, "zero_output_for_mask": zero_output_for_mask}
    return unroll(here, inputs, Cell(step, (state, state)), initial_state=initial_state, go_backwards=go_backwards, length=length, **shown)


def channels_last(ids: Ids, data_format: str | None) -> Ids:
    return np.moveaxis(ids, 0, -1) if first(data_format) else ids


def lstm_step(
    here: Scope,
    inputs: Ids,
    output: Ids,
    cell: Ids,
    *,
    own: Scope,
    look: Callable[[Ids], Ids],
    kernel: Weights,
    recurrent_kernel: Weights,
    bias: Weights | None,
    activation: str,
    recurrent_activation: str,
    data_format: str | None,
) -> States:
    """One step as in an LSTM, the gates' sums being windows; edges (*windows, f, *size, c), with channels first (f, *windows, *size, c)."""
    rank, filters = kernel.ndim - 2, kernel.shape[-1] // 4
    patches = np.expand_dims(look(channels_last(inputs, data_format)), rank)
    before = np.expand_dims(windows(channels_last(output, data_format), recurrent_kernel.shape[:rank], (1,) * rank, "same"), rank)
    gates = []
    for number, name in enumerate(LSTM_GATES):
        cut = slice(number * filters, (number + 1) * filters)
        w, u = (np.moveaxis(array[..., cut], -1, 0) for array in (kernel, recurrent_kernel))
        terms = [in_order(Edges(ids, array, over=rank + 1), range(rank, rank + 1), data_format) for ids, array in ((patches, w), (before, u))]
        shift = None if bias is None else bias[cut].reshape(-1, *(1,) * rank) if first(data_format) else bias[cut]
        chosen = activation if name == "candidate" else recurrent_activation
        gates.append(here.sum(*terms, bias=shift, part=name, activation=chosen, axes=axes(rank, data_format)))
    return lstm_output(here, gates, cell, own, activation)
