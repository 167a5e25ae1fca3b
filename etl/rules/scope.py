"""What a rule writes with: a Scope gives out ids and keeps the steps, each saying who meets whom.

A rule is a function from the ids of a layer's inputs to those of its outputs. No step holds an edge: it keeps arrays that broadcast.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.errors import TooLarge, Unsupported
from etl.network import Array, placeholder
from etl.rules.dialect import Dialect
from etl.rules.ids import NOTHING, ZERO, Axes, Ids, axis_names, bounded, is_live, live, with_axes, without_repeats
from etl.rules.lookups import Lookups

__all__ = ["NOTHING", "OPS", "ZERO", "Edges", "Ids", "Scope", "Step", "Tape", "Weight", "Weights", "bounded"]

Positions: TypeAlias = NDArray[np.int64]  # ids written down: no longer live
Weights: TypeAlias = NDArray[Any]
Weight: TypeAlias = Weights | float | np.floating[Any]  # one for all, or an array

OPS = ("sum", "max", "min", "product", "input")
MOST_IN_ALL = 2**31  # counted a layer at a time
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

    def moved(self, axis: int, place: int) -> Edges:
        """The same with an axis of the neurons in another place."""
        rank = len(self.shape)
        source, weight = (operand[(*(None,) * (rank - operand.ndim), ...)] for operand in (self.source, np.asarray(self.weight)))
        return Edges(np.moveaxis(source, axis, place), np.moveaxis(weight, axis, place) if np.ndim(self.weight) else self.weight, self.over)


@dataclass(frozen=True)
class Step:
    """Neurons of one row: value = activation(op(bias, w1*x1, ...)).

    number  its place among all steps of the model
    ids     their ids, in the shape that edges and bias broadcast to
    shape   the row's own shape: the same neurons in the same order
    bias    NaN: this neuron has no bias; None: no neuron of the step has one
    axes    names of the axes of `shape`, None for those that nobody knows
    """

    name: str
    number: int
    ids: Positions
    op: str
    shape: tuple[int, ...]
    edges: tuple[Edges, ...] = ()
    bias: Weights | None = None
    activation: str = "linear"
    axes: Axes = ()


class IdLayout(NamedTuple):
    """Where ids lie: the first one that is a neuron, and how far the next along each axis is (None where there is none)."""

    first: int
    strides: tuple[int | None, ...]

    @staticmethod
    def of(ids: Ids, shared: bool = False) -> IdLayout | None:
        """None where none of them is a neuron. shared: ids that are counted alone stand for others along some axis, which tells no distance."""
        array = without_repeats(ids) if shared else np.asarray(ids)
        real = array >= 0
        if not real.any():
            return None
        at = np.unravel_index(int(real.argmax()), array.shape)
        strides: list[int | None] = []
        for axis, size in enumerate(array.shape):
            beyond = (*at[:axis], at[axis] + 1, *at[axis + 1 :])
            known = at[axis] + 1 < size and real[beyond] and not (shared and array[beyond] == array[at])
            strides.append(int(array[beyond] - array[at]) if known else None)
        return IdLayout(int(array[at]), tuple(strides))

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether they lie in a row of that shape axis by axis: whole, padded or cut."""
        expected = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        strides = self.strides[len(self.strides) - len(shape) :]
        return 0 <= len(self.strides) - len(shape) <= 1 and all(s is None or s == w for s, w in zip(strides, expected, strict=True))


@dataclass
class Tape:
    """What a run of rules has made so far: the next free id and the steps in order.

    read     gets a stored array: a placeholder where only counts are wanted
    lookups  the integer inputs that tables look up
    folding  numbers of steps that are folded into the step before: they make no neurons, and are kept in `folded`
    expected places of ids without names of axes -> the names that the first rule which knows them has for them
    same     first id of a row that computes place by place -> the first id of what it reads
    called   layers within loops so far, turn by turn
    shared   neurons of one row from which on they share ids along one axis, the channels': enough to count with, where nobody asks who is who
    has_shared  whether some do
    """

    next: int = 0
    number: int = 0
    steps: list[Step] = field(default_factory=list)
    read: Callable[[Array], Weights] = placeholder
    lookups: Lookups = field(default_factory=Lookups)
    folding: Container[int] = ()
    folded: dict[int, Step] = field(default_factory=dict)
    expected: dict[IdLayout, Axes] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    called: int = 0
    shared: int | None = None
    has_shared: bool = False

    def allot(self, shape: Sequence[int], axes: Axes | None = None) -> Ids:
        """The next ids, one for each place of `shape` in C order."""
        first = self.reserve(shape)
        return live(np.arange(first, self.next, dtype=np.int64).reshape(tuple(shape)), axes)

    def allot_shared(self, shape: Sequence[int], along: int) -> Ids:
        """The ids of the first place of one axis, for all places of it, without taking memory for those; the next ids are as far on as ever."""
        first = self.reserve(shape)
        places = [np.arange(size if axis != along else 1) * prod(shape[axis + 1 :]) for axis, size in enumerate(shape)]
        self.has_shared = True
        return live(np.broadcast_to(first + sum(np.ix_(*places)), tuple(shape)))

    def reserve(self, shape: Sequence[int]) -> int:
        """The first of the next ids, of which so many are taken. Raises TooLarge where they are too many."""
        first, count = self.next, prod(bounded(shape))
        if first + count > MOST_IN_ALL:
            raise TooLarge(f"more than {MOST_IN_ALL:,} neurons")
        self.next += count
        return first

    def add(
        self,
        name: str,
        op: str,
        written: Sequence[int],
        own: Sequence[int],
        axes: Axes,
        edges: Sequence[Edges],
        bias: Weight | None,
        activation: str,
        batched: bool,
    ) -> Ids:
        """Keep one step; its neurons' ids come back in their own shape. The row leaves out a batch of one place in front, where there is one.

        Raises TooLarge past MOST_STEPS, Unsupported for a step that reads constants alone.
        """
        if self.number >= MOST_STEPS:
            raise TooLarge(f"more than {MOST_STEPS:,} layers and sublayers")
        if not all(is_live(term.source) for term in edges):
            raise Unsupported("is given constants alone, of which it has no rule")
        number, folding = self.number, self.number in self.folding
        self.number += 1
        terms = tuple(term._replace(source=np.asarray(term.source)) for term in edges)
        if folding:
            ids = edges[0].source
        elif self.shared is not None and written and prod(written) >= self.shared:
            same = len(written) == len(own) and "channel" in axes
            ids = self.allot_shared(written, axes.index("channel") if same else len(written) - 1)
        else:
            ids = self.allot(written)
        if self.lookups.whole and terms and all(self.lookups.counts(term.source) for term in terms):
            self.lookups.whole[int(np.asarray(ids).flat[0])] = self.next
        shape, names = (tuple(own[1:]), axes[1:]) if batched and tuple(own[:1]) == (1,) else (tuple(own), axes)
        step = Step(name, number, np.asarray(ids), op, shape, terms, None if bias is None else np.asarray(bias), activation, names)
        if folding:
            self.folded[number] = step
        else:
            self.steps.append(step)
            if len(terms) == 1 and not terms[0].over and ids.size and terms[0].source.shape == ids.shape:
                self.same[int(np.asarray(ids).flat[0])] = int(terms[0].source.flat[0])
        return with_axes(ids.reshape(own), axes)


class Scope:
    """Where a rule makes neurons: it knows the layer's name, gives out ids and keeps the steps.

    dialect  whose words the layer speaks
    """

    def __init__(self, tape: Tape, name: str, dialect: Dialect) -> None:
        self.tape, self.name, self.dialect = tape, name, dialect

    def part(self, name: str) -> Scope:
        """The scope of a sublayer: `lstm` -> `lstm/step_3`."""
        return Scope(self.tape, f"{self.name}/{name}", self.dialect)

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
        axes: Axes | None = None,
    ) -> Ids:
        """New neurons, one for each place of the shape that the edges' own parts and the bias broadcast to.

        part   their sublayer; None where they are the layer's own output
        shape  theirs, where it is another than the one in which they are written; their order stays
        axes   names of their axes; where none are given, those of the places that they read
        Returns their ids in that shape. Raises Unsupported for weights or a bias that are live.
        """
        if is_live(bias) or any(is_live(term.weight) for term in edges):
            raise Unsupported("has weights that depend on the example")
        if not all(is_live(term.source) for term in edges):
            raise Unsupported("reads constants where neurons are read, of which it has no rule")
        if activation in self.dialect.composed:  # no function of one number: written as steps of its own
            plain = self.neurons(op, edges, part=f"{part}/linear" if part else "linear", bias=bias, shape=shape, axes=axes)
            return self.dialect.composed[activation](self, plain, part=part)
        written = np.broadcast_shapes(np.shape(bias) if bias is not None else (), *(e.out for e in edges))
        if axes is None:
            axes = inherited(edges, len(written)) if shape is None else None
        own = written if shape is None else tuple(np.broadcast_to(True, written).reshape(shape).shape) if -1 in shape else shape
        names = axes if axes is not None and len(axes) == len(own) else (None,) * len(own)
        return self.tape.add(f"{self.name}/{part}" if part else self.name, op, written, own, names, edges, bias, activation, self.dialect.batched)

    def expect(self, ids: Ids, axes: Axes) -> Ids:
        """The same ids under the names that a rule knows their axes by. A row without names that they lie in learns them too: an input, say.

        Raises Unsupported for constants.
        """
        if not is_live(ids):
            raise Unsupported("is given constants alone, of which it has no rule")
        names = tuple(own or axis for own, axis in zip(axis_names(ids), axes, strict=True))
        if None in axis_names(ids) and any(axes) and (places := IdLayout.of(ids, self.tape.shared is not None)):
            own = self.tape.expected.get(places, ())
            self.tape.expected[places] = names if len(list(filter(None, names))) > len(list(filter(None, own))) else own
        return with_axes(ids, names)

    def onehot_values(self, positions: Ids, width: int) -> Ids:
        """Neurons that hold the numbers of integer inputs with one-hot neurons, of which positions are the first ones."""
        neurons = live(np.asarray(positions)[..., None] + np.arange(width))
        return self.sum(Edges(neurons, np.arange(width, dtype=np.float64)), axes=axis_names(positions))

    def onehot(self, positions: Ids, width: int) -> Ids:
        """The neurons behind integer inputs: positions (...) -> (..., width). Only whole inputs, moved but not computed, have any."""
        bounded((*positions.shape, int(width)))
        return self.tape.lookups.onehot(positions, int(width), self.name)


def inherited(edges: Sequence[Edges], rank: int) -> Axes:
    """Names of the axes of neurons that read others place by place: those of the places."""
    outs = []
    for term in edges:
        kept = term.source.ndim - term.over
        names = axis_names(term.source)[:kept] if is_live(term.source) and kept > 0 else ()
        outs.append((None,) * (rank - len(names)) + tuple(names)[-rank:] if rank else ())
    agreed = []
    for column in zip(*outs, strict=True):
        known = {name for name in column if name}
        agreed.append(known.pop() if len(known) == 1 else None)
    return tuple(agreed) if outs else (None,) * rank
