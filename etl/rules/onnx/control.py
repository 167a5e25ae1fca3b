"""Branches and loops: decided once shapes are known, since those are constants here. A body is a model whose layers become sublayers.

What decides must be constant: a condition that depends on the example has no fixed graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from etl.errors import TooLarge, Unsupported
from etl.network import INPUT, Array, Layer, Tensor, substitute
from etl.rules.arguments import Value
from etl.rules.binding import array_within, run_part
from etl.rules.ids import is_live
from etl.rules.primitives.elementwise import neurons
from etl.rules.scope import Ids, Scope

MOST_CALLS = 2**15  # of layers within all loops of a model together, some seconds: a file of a few bytes may ask for 10^9 turns
ONE_CALL = 2**12  # places of states that count as much as a call: a state may grow from turn to turn
LIVE_CONDITION = "has a condition that depends on the example, so there is no one graph"


def if_(here: Scope, condition: Value, *outside: Value | None, then_branch: Layer, else_branch: Layer, captured: Sequence[int]) -> Any:
    """One of two models, by a condition that shapes and constants decide.

    captured  how many of the values from outside each branch takes, in the order of their names: else_branch, then_branch
    """
    if is_live(condition):
        raise Unsupported(LIVE_CONDITION)
    holds = bool(np.all(condition))
    branch, values = (then_branch, outside[captured[0] :]) if holds else (else_branch, outside[: captured[0]])
    return run_part(here, branch.name, branch, *values)


def loop(here: Scope, trips: Value | None, condition: Value | None, *values: Value | None, body: Layer, captured: Sequence[int]) -> Any:
    """A model called as often as a constant says, or until a constant condition fails: the states, then what each turn puts out, stacked.

    values  states before the first turn, then what the body takes from outside
    """
    if is_live(trips) or is_live(condition):
        raise Unsupported("runs as often as the example says, so there is no one graph")
    count = MOST_CALLS + 1 if trips is None else int(np.ravel(trips)[0])
    if (condition is None or np.all(condition)) and is_endless(body):
        check(here, body, count)
    body = read_once(here, body)
    cut = len(values) - captured[0]
    states, outside = list(values[:cut]), values[cut:]
    scans: list[list[Any]] = []
    goes_on, turn = condition is None or bool(np.all(condition)), 0
    while goes_on and turn < count:
        spend(here, body, states)
        results = outputs(run_part(here, f"step_{turn}", body, np.array(turn), np.array(True), *states, *outside))
        if is_live(results[0]):
            raise Unsupported(LIVE_CONDITION)
        goes_on, states, turn = bool(np.all(results[0])), list(results[1 : 1 + len(states)]), turn + 1
        scans.append(list(results[1 + len(states) :]))
    return tuple(states) + tuple(stacked(here, column, f"constant_{number}") for number, column in enumerate(zip(*scans, strict=True)))


def is_endless(body: Layer) -> bool:
    """Whether a loop's body only hands on the condition that it is given, so that nothing but the count ends it."""
    network = body.network
    tensor = network.outputs[0] if network else None
    while network and tensor and tensor.call != INPUT and network.calls[tensor.call].layer.kind == "Identity":
        tensor = next(iter(network.calls[tensor.call].reads), None)
    return tensor == Tensor(INPUT, 1)


def scan(
    here: Scope,
    *values: Value,
    body: Layer,
    captured: Sequence[int],
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> Any:
    """A model called on each place of some axes: the states, then what each turn puts out, stacked."""
    cut = len(values) - captured[0]
    if not 0 < num_scan_inputs <= cut:
        raise ValueError(f"scans {num_scan_inputs:,} of {cut} inputs")
    states, sequences, outside = list(values[: cut - num_scan_inputs]), values[cut - num_scan_inputs : cut], values[cut:]
    axes, turned = scan_input_axes or [0] * num_scan_inputs, scan_input_directions or [0] * num_scan_inputs
    turned_sequences = [
        np.moveaxis(value, axis, 0)[:: -1 if backwards else 1] for value, axis, backwards in zip(sequences, axes, turned, strict=True)
    ]
    scans: list[list[Any]] = []
    check(here, body, len(turned_sequences[0]))
    body = read_once(here, body)
    for turn in range(len(turned_sequences[0])):
        spend(here, body, states)
        results = outputs(run_part(here, f"step_{turn}", body, *states, *(value[turn] for value in turned_sequences), *outside))
        states = list(results[: len(states)])
        scans.append(list(results[len(states) :]))
    columns = [stacked(here, column, f"constant_{number}") for number, column in enumerate(zip(*scans, strict=True))]
    for number, column in enumerate(columns):
        column = column[::-1] if scan_output_directions and scan_output_directions[number] else column
        columns[number] = np.moveaxis(column, 0, scan_output_axes[number] if scan_output_axes else 0)
    return tuple(states) + tuple(columns)


def read_once(here: Scope, body: Layer) -> Layer:
    """A loop's body with its stored arrays read, which every turn reads again."""
    if body.network is None:
        return body
    calls = (replace(call, args=substitute(call.args, Array, partial(array_within, here))) for call in body.network.calls)
    return replace(body, network=replace(body.network, calls=tuple(calls)))


def spend(here: Scope, body: Layer, states: Sequence[Any]) -> None:
    """Count one turn. Loops stand within loops: what all of a model do together is bounded. Raises TooLarge."""
    check(here, body, 1)
    here.tape.called += calls_of(body) + sum(map(np.size, states)) // ONE_CALL


def check(here: Scope, body: Layer, turns: int) -> None:
    """Raises TooLarge where so many more turns are too many."""
    if here.tape.called + turns * calls_of(body) > MOST_CALLS:
        raise TooLarge(f"more than {MOST_CALLS:,} calls of layers within loops")


def calls_of(body: Layer) -> int:
    return len(body.network.calls) + 1 if body.network else 1


def outputs(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


def stacked(here: Scope, column: Sequence[Any], part: str) -> Ids:
    """What turns put out, one after another."""
    if not any(map(is_live, column)):
        return np.stack(column)
    return np.stack([neurons(here, value, f"{part}/{turn}") for turn, value in enumerate(column)])


def has_element(here: Scope, x: Value | None = None) -> Any:
    """Whether an optional value is there: a constant."""
    return np.array(x is not None)


def get_element(here: Scope, x: Value) -> Value:
    """An optional value that is there."""
    return x


CONTROL: dict[str, Callable[..., Any]] = {"If": if_, "Loop": loop, "OptionalGetElement": get_element, "OptionalHasElement": has_element, "Scan": scan}
