"""Layers around other layers: both directions of a sequence, and the same layer at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.network import Layer
from etl.rules.arguments import GivenStates, flat_states
from etl.rules.binding import run, run_part
from etl.rules.ids import axis_names, with_axes
from etl.rules.keras.recurrent import product
from etl.rules.scope import Edges, Ids, Scope


def time_distributed(here: Scope, inputs: Ids, *, layer: Layer) -> Ids | tuple[Ids, ...]:
    """One layer or model at each place of the first axis, as sublayers `step_0`, `step_1` ...: (steps, *in) -> (steps, *out)."""
    outputs = [run_part(here, f"step_{number}", layer, step_input) for number, step_input in enumerate(inputs)]
    if isinstance(outputs[0], tuple | list):
        return tuple(along(inputs, output) for output in zip(*outputs, strict=True))
    return along(inputs, outputs)


def annotated(here: Scope, *inputs: Ids, layer: Layer, quantize_config: Any = None) -> Any:
    """The layer that it holds: a mark for what is to be quantised later, which changes nothing by itself."""
    return run(layer, here, inputs, {})


def along(inputs: Ids, outputs: Sequence[Ids]) -> Ids:
    """What the steps of a sequence give, along its first axis."""
    return with_axes(np.stack(outputs), (axis_names(inputs)[0] or "step", *axis_names(outputs[0])))


def bidirectional(
    here: Scope,
    inputs: Ids,
    *,
    forward_layer: Layer,
    backward_layer: Layer,
    merge_mode: str | None = "concat",
    initial_state: GivenStates = None,
    length: int | None = None,
    layer: Any = None,  # as the file has it: forward_layer is what the reader made of it
) -> Ids | tuple[Ids, ...]:
    """A recurrent layer and another that sees time reversed, merged; a backward sequence is turned round again.

    Sequences are zero at steps that don't count, whatever the layers' own `zero_output_for_mask` says.
    """
    states = list(flat_states(initial_state))
    half = len(states) // 2
    ahead_layer, behind_layer = (zero_where_masked(direction) for direction in (forward_layer, backward_layer))
    forward, *ahead = as_tuple(run_part(here, "forward", ahead_layer, inputs, initial_state=states[:half] or None, length=length))
    backward, *behind = as_tuple(run_part(here, "backward", behind_layer, inputs, initial_state=states[half:] or None, length=length))
    if forward_layer.options.get("return_sequences"):
        backward = backward[::-1]
    outputs = merged_directions(here, forward, backward, merge_mode, "merged" if ahead else None)
    return (*outputs, *ahead, *behind) if len(outputs) + len(ahead) > 1 else outputs[0]


def zero_where_masked(layer: Layer) -> Layer:
    """A direction whose sequences are zero at steps that don't count."""
    return replace(layer, options={**layer.options, "zero_output_for_mask": bool(layer.options.get("return_sequences"))})


def as_tuple(outputs: Any) -> tuple[Ids, ...]:
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)


def merged_directions(here: Scope, forward: Ids, backward: Ids, mode: str | None, part: str | None) -> tuple[Ids, ...]:
    """Both directions put together, place by place or side by side. Raises Unsupported for another mode."""
    if mode is None:
        return forward, backward
    if mode == "concat":
        return (np.concatenate([forward, backward], axis=-1),)
    if mode == "mul":
        return (product(here, forward, backward, part=part),)
    if mode in ("sum", "ave"):
        weight = 0.5 if mode == "ave" else 1.0
        return (here.sum(Edges(forward, weight, over=0), Edges(backward, weight, over=0), part=part),)
    raise Unsupported(f"has no rule for merge_mode={mode!r}")
