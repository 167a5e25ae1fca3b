"""What a rule writes with: a Scope gives out ids and keeps the steps, each saying who meets whom.

A rule is a function of ids: it takes the ids of a layer's inputs and a Scope, in which it makes neurons, and returns the ids of
its outputs. No step holds an edge: it keeps arrays that broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadRequest, Unsupported
from etl.network import Array, Layer, placeholder
from etl.readers.keras.masks import WHY

Ids: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = NDArray[Any]
Weight: TypeAlias = Weights | float | np.floating[Any]  # one for all, or an array

ZERO = -1  # a padded zero: a value, but nobody computes it
NOTHING = -2  # no value at all: a window's part outside the image
OPS = ("sum", "max", "min", "product", "input")
MOST_NEURONS = 2**28  # their ids alone are 2 GiB
MOST_STEPS = 2**16  # layers and sublayers: a file of a few kilobytes may nest models that call each other twice, or read a million steps of time
MOST_AXES = 32  # of NumPy 1's arrays, of which edges take some more


class Edges(NamedTuple):
    """What new neurons read: `source` and `weight` broadcast to the neurons' shape and `over` further axes, one operand a place.

    A weight that is a view of a stored array keeps its place in it (`parameter`); one that was computed has none.
    """

    source: Ids
    weight: Weight = 1.0
    over: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.source.shape, np.shape(self.weight))

    @property
    def out(self) -> tuple[int, ...]:
        """The part of the shape that belongs to the neurons."""
        return self.shape[: len(self.shape) - self.over]


@dataclass(frozen=True)
class Step:
    """Neurons of one row: value = activation(op(bias, w1*x1, ...)).

    number  its place among all steps of the model
    ids     their ids, in the shape that edges and bias broadcast to
    shape   the row's own shape: the same neurons in the same order
    bias    NaN where there is none; None where there is none at all
    """

    name: str
    number: int
    ids: Ids
    op: str
    shape: tuple[int, ...]
    edges: tuple[Edges, ...] = ()
    bias: Weights | None = None
    activation: str = "linear"


def bounded(shape: Sequence[int]) -> Sequence[int]:
    """The same shape. Raises BadRequest where ids of it are too many to hold: a file may ask for any padding or size."""
    if prod(shape) > MOST_NEURONS:
        raise BadRequest(f"more than {MOST_NEURONS:,} neurons: give a smaller --input-shape, or --granularity channel")
    return shape


@dataclass
class Tape:
    """What a run of rules has made so far: the next free id and the steps in order.

    onehot  first id -> (end, width) of the integer inputs: each position flows as the id of its first neuron
    read    gets a stored array: a placeholder where only counts are wanted
    wanted  the width that each of them should have, found while running: that of the largest table that looks it up
    lookups names of the layers and sublayers that look them up
    folding numbers of steps that are folded into the step before: they make no neurons, and are kept in `folded`
    ignore_masks  take masks as absent instead of refusing them
    """

    next: int = 0
    number: int = 0
    steps: list[Step] = field(default_factory=list)
    read: Callable[[Array], Weights] = placeholder
    onehot: dict[int, tuple[int, int]] = field(default_factory=dict)
    wanted: dict[int, int] = field(default_factory=dict)
    lookups: set[str] = field(default_factory=set)
    folding: Container[int] = ()
    folded: dict[int, Step] = field(default_factory=dict)
    ignore_masks: bool = False

    def allot(self, shape: Sequence[int]) -> Ids:
        """The next ids, one for each place of `shape` in C order."""
        count = prod(shape)
        bounded((self.next + count,))
        ids = np.arange(self.next, self.next + count, dtype=np.int64).reshape(shape)
        self.next += count
        return ids

    def add(
        self, name: str, op: str, written: Sequence[int], own: Sequence[int], edges: Sequence[Edges], bias: Weight | None, activation: str
    ) -> Ids:
        """Keep one step; its neurons' ids come back in the row's own shape."""
        if self.number >= MOST_STEPS:
            raise BadRequest(f"more than {MOST_STEPS:,} layers and sublayers: give a shorter --input-shape")
        number, folding = self.number, self.number in self.folding
        self.number += 1
        ids = edges[0].source if folding else self.allot(written)
        step = Step(name, number, ids, op, tuple(own), tuple(edges), None if bias is None else np.asarray(bias), activation)
        if folding:
            self.folded[number] = step
        else:
            self.steps.append(step)
        return ids.reshape(own)


class Scope:
    """Where a rule makes neurons: it knows the layer's name, gives out ids and keeps the steps.

    keras    2 or 3: whose meaning of names the file has
    """

    def __init__(self, tape: Tape, name: str, keras: int = 3) -> None:
        self.tape, self.name, self.keras = tape, name, keras

    def part(self, name: str) -> Scope:
        """The scope of a sublayer: `lstm` -> `lstm/step_3`."""
        return Scope(self.tape, f"{self.name}/{name}", self.keras)

    def sum(self, *edges: Edges, **options: Any) -> Ids:
        """Neurons that add up their operands and the bias."""
        return self.neurons("sum", edges, **options)

    def max(self, *edges: Edges, **options: Any) -> Ids:
        """Neurons that take the largest operand."""
        return self.neurons("max", edges, **options)

    def min(self, *edges: Edges, **options: Any) -> Ids:
        """Neurons that take the smallest operand."""
        return self.neurons("min", edges, **options)

    def product(self, *edges: Edges, **options: Any) -> Ids:
        """Neurons that multiply their operands."""
        return self.neurons("product", edges, **options)

    def neurons(
        self,
        op: str,
        edges: Sequence[Edges],
        *,
        part: str | None = None,
        bias: Weight | None = None,
        activation: str = "linear",
        shape: Sequence[int] | None = None,
    ) -> Ids:
        """New neurons, one for each place of the shape that the edges' own parts and the bias broadcast to.

        part   their sublayer; None where they are the layer's own output
        shape  theirs, where it is another than the one in which they are written; their order stays
        Returns their ids in that shape.
        """
        from etl.activations import SPELLED  # rules stand above this module

        if activation in SPELLED:  # no such function in keras.activations: written as steps of its own
            plain = self.neurons(op, edges, part=f"{part}/linear" if part else "linear", bias=bias, shape=shape)
            return SPELLED[activation](self, plain, part=part)
        written = np.broadcast_shapes(np.shape(bias) if bias is not None else (), *(e.out for e in edges))
        own = tuple(shape) if shape is not None else written
        return self.tape.add(f"{self.name}/{part}" if part else self.name, op, written, own, edges, bias, activation)

    def apply(self, layer: Layer, *inputs: Ids, part: str, **keywords: Any) -> Any:
        """Run the rule of a layer inside this one, as its sublayer `part`."""
        from etl.rules.binding import run_inside

        return run_inside(layer, self.part(part), inputs, keywords)

    def mask(self, what: str) -> None:
        """Called where a layer masks, which has no fixed graph: refused, unless the caller takes masks as absent."""
        if not self.tape.ignore_masks:
            raise Unsupported(f"has {what}, {WHY}")

    def onehot(self, positions: Ids, width: int) -> Ids:
        """The neurons behind integer inputs: positions (...) -> (..., width). Only whole inputs, moved but not computed, have any."""
        width = int(width)
        begins = np.array(sorted(self.tape.onehot), dtype=np.int64)
        at = np.searchsorted(begins, positions, side="right") - 1
        ends = np.array([self.tape.onehot[b][0] for b in begins], dtype=np.int64)
        if not len(begins) or (at < 0).any() or (positions >= ends[at]).any():
            raise Unsupported("it looks up values that are computed or padded; only a model's integer inputs have one-hot neurons")
        for begin in begins[np.unique(at)]:
            self.tape.wanted[int(begin)] = max(width, self.tape.wanted.get(int(begin), 1))
        self.tape.lookups.add(self.name)
        bounded((*positions.shape, width))
        last = ends[at][..., None] - 1  # while the walk is still finding out how wide they are
        return np.minimum(positions[..., None] + np.arange(width), last)
