"""One layer's rule at one place of the network, with all that is needed to run it again."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etl.network import Array, Derived, Layer, leaves, substitute, value_of
from etl.rules.binding import run
from etl.rules.dialects import DIALECTS
from etl.rules.lookups import Lookups
from etl.rules.scope import Edges, Scope, Tape, Weights


@dataclass(frozen=True)
class Leaf:
    """One layer's rule at one place of the network: all that is needed to run it again.

    begin, number     the first id and the number of its first step
    inputs, keywords  what reaches it: ids in the places of live tensors, Arrays in those of stored and computed constants
    feeds             the rows whose ids these are
    """

    layer: Layer
    name: str
    begin: int
    number: int
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    feeds: tuple[str, ...]

    @property
    def label(self) -> str:
        return self.layer.label or self.layer.name

    def run(self, read: Callable[[Array], Weights], lookups: Lookups, folding: Container[int] = ()) -> Tape:
        """Run the rule on arrays got by `read`: the same steps with the same ids every time."""
        tape = Tape(self.begin, self.number, read=read, lookups=lookups, folding=folding)
        self.outputs(tape)
        return tape

    def outputs(self, tape: Tape) -> Any:
        """What the rule returns; its neurons are on the tape."""
        inputs, keywords = substitute((self.inputs, dict(self.keywords)), Array, tape.read)
        return run(self.layer, Scope(tape, self.name, DIALECTS[self.layer.dialect]), inputs, keywords)


@dataclass(frozen=True)
class Computed(Derived):
    """A constant that a layer computes from stored arrays: run again when it is needed."""

    leaf: Leaf
    output: int

    def sources(self) -> list[Callable[[], Weights]]:
        return [array.read for array in leaves((self.leaf.inputs, self.leaf.keywords, tuple(self.leaf.layer.stored())), Array)]

    def compute(self, arrays_by_read: dict[int, NDArray[Any]]) -> NDArray[Any]:
        outputs = self.leaf.outputs(Tape(read=lambda array: value_of(array.read, arrays_by_read)))
        return np.asarray(outputs[self.output] if isinstance(outputs, list | tuple) else outputs)


class Extent(NamedTuple):
    """How much there is to cut of one row of neurons, known without running its rule.

    leaf, place  which leaf makes it (-1: it is an input), and which of the leaf's steps with neurons it is
    shape        its neurons', as they are written
    terms        the shape of each term's edges
    """

    leaf: int
    place: int
    shape: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]


def edges_shape(shape: tuple[int, ...], edges: Edges) -> tuple[int, ...]:
    """The shape of all edges of one term, into neurons written in that shape."""
    return np.broadcast_shapes(edges.shape, (*shape, *(1,) * edges.over))
