"""The trace: a model's layers in order, each rule run once, on placeholders, on the ids that reach it. That gives ids, rows and counts.

Nothing here knows a layer kind by name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile, TooLarge, Unsupported
from etl.graph.distinct import distinct, neurons_among
from etl.graph.fold import Folds, foldable
from etl.graph.inputs import input_shape_list
from etl.graph.leaf import Computed, Extent, Leaf, edges_shape
from etl.graph.rows import Row
from etl.graph.traced import Graph
from etl.network import INPUT, Array, Call, Input, Layer, Model, Tensor, flow, leaves, substitute
from etl.network.nesting import flat
from etl.rules.binding import check
from etl.rules.dialect import CONSTANT, VALUE
from etl.rules.dialects import DIALECTS
from etl.rules.ids import Axes, Ids, axis_names, is_live, zeros
from etl.rules.scope import MOST_STEPS, Step, Tape, Weights


def written(axes: Axes) -> str | None:
    """Names of axes as the layer table has them."""
    return ",".join(name or "?" for name in axes) if any(axes) else None


class Value(NamedTuple):
    """What flows between calls: ids, an array or a plain constant, and the row that it is known by (None for constants that no row makes)."""

    content: Any
    row: str | None


MOST_NAMED = 100  # layers without a rule, in one message: a file may have a hundred thousand
SHARED = 1 << 18  # neurons of a layer from which on counting takes one id for all channels of a place


def trace(
    model: Model, input_shapes: Sequence[Sequence[int]] | Mapping[str, Sequence[int]] = (), *, fold: bool = False, shared: int | None = None
) -> Graph:
    """The graph of a model: ids given out, everything counted, nothing created.

    input_shapes  one a model input, in order, without the batch axis; needed where the file leaves an axis open
    fold          merge what scales, shifts or activates a layer's neurons into them, where nobody else reads those: see etl/graph/fold.py
    shared        neurons of a row from which on they share one id along their channels: rows and counts are the same, in a fraction of the memory
                  and time, and nothing can be streamed (`counts_alone`)
    Raises Unsupported naming every layer and option without a rule, BadRequest where the shapes do not fit.
    """
    shapes = input_shape_list(model.network, input_shapes)
    model, widths, valued = replace(model, network=flat(model.network, views=True)), dict[int, int](), frozenset[int]()
    if len(model.network.calls) > MOST_STEPS:
        raise TooLarge(f"{len(model.network.calls):,} layers; there is a rule for up to {MOST_STEPS:,}")
    while True:  # an integer input is as wide as the largest table that looks it up, and may be read as a number too: known when all has been met
        walk = Walk(model, shapes, widths, valued, keep=fold, shared=shared)
        graph = walk.run()
        if (wider := walk.tape.lookups.width_of()) == widths and walk.misread <= valued:
            walk.check()
            graph.counts_alone = walk.tape.has_shared
            break
        widths, valued = wider, valued | walk.misread
    if fold:
        folds = foldable(walk.tape.steps, walk.alone(), graph.outputs)
        return Walk(model, shapes, widths, valued, folds).run()
    return graph


class Walk:
    """One walk through a model: gives out ids and collects rows, leaves and problems.

    widths  of the integer inputs that tables look up, by number
    valued  numbers of those inputs whose value is read as well
    keep    all steps, which hold the ids of every neuron, and not only those of the layer that is being walked through
    shared  neurons of a row from which on they share ids: see `trace`
    """

    def __init__(
        self,
        model: Model,
        shapes: list[tuple[int, ...]],
        widths: dict[int, int],
        valued: frozenset[int] = frozenset(),
        folds: Folds | None = None,
        keep: bool = False,
        shared: int | None = None,
    ) -> None:
        self.model, self.shapes, self.widths, self.valued, self.keep = model, shapes, widths, valued, keep
        self.misread: set[int] = set()
        self.graph = Graph(model, folds=folds or {})
        self.tape = Tape(lookups=self.graph.lookups, folding=self.graph.folding, shared=shared)
        self.problems: list[str] = []
        self.met: set[str] = set()
        self.counted: set[Callable[[], Weights]] = set()

    def run(self) -> Graph:
        network = self.model.network
        inputs = [self.input(number, declared) for number, declared in enumerate(network.inputs)]
        inputs = [self.value_of(number, value) if number in self.valued else value for number, value in enumerate(inputs)]
        outputs = flow(network, inputs, self.call)
        if outputs:
            self.graph.outputs = [self.returned(tensor, value) for tensor, value in zip(network.outputs, outputs, strict=True)]
        for number, ids in enumerate(self.graph.outputs):
            self.check_lookups(f"output {number} returns", [ids])
        self.learn_axes()
        return self.graph

    def input(self, number: int, declared: Input) -> Value:
        """The neurons of one model input; a position of an integer input is as many neurons as its table has rows."""
        lookups, shape, begin = self.graph.lookups, self.shapes[number], self.tape.next
        looked_up, width = number in self.widths, self.widths.get(number, 1)
        ids = self.tape.allot((*shape, width) if looked_up else shape)
        lookups.widths[begin] = self.tape.next, width
        if declared.whole:
            lookups.whole[begin] = self.tape.next
        shape_of_one = ids.shape[1:] if declared.batched and ids.shape[:1] == (1,) else ids.shape
        self.graph.inputs.append(Step(declared.name, -1, np.asarray(ids), "input", shape_of_one))
        self.row(self.graph.inputs[-1], "InputLayer", 0, (), declared.name)
        return Value(ids[..., 0] if looked_up else ids, declared.name)

    def value_of(self, number: int, value: Value) -> Value:
        """An input that has one-hot neurons by neurons that hold its number, `NAME/value`: each place of a table times the neuron behind it."""
        declared, begin = self.model.network.inputs[number], list(self.graph.lookups.widths)[number]
        dialect, tensor = self.model.network.calls[0].layer.dialect, Tensor(INPUT, number)
        layer = Layer(f"{declared.name}/{VALUE}", VALUE, {"width": self.widths[number]}, dialect=dialect, label=declared.name)
        self.graph.lookups.names.add(layer.name)
        values = self.call(Call(layer, (tensor,)), {tensor: value})
        assert values is not None
        ids = values[0].content
        self.graph.lookups.values[int(ids.flat[0])] = self.tape.next, begin
        return values[0]

    def returned(self, tensor: Tensor, value: Value) -> Ids:
        """What an output of the model returns; a constant becomes a layer of its own, `NAME/output_0`, of neurons without edges."""
        if is_live(value.content):
            return value.content
        call = self.model.network.calls[tensor.call]
        name = f"{call.title}/output_{tensor.output}"
        if name not in self.graph.values:  # a model may return a value twice
            self.call(Call(Layer(name, CONSTANT, dialect=call.layer.dialect, label=call.layer.label or call.layer.name), (value.content,)), {})
        return self.graph.values.get(name, zeros(()))

    def call(self, call: Call, reach: Mapping[Tensor, Value]) -> list[Value] | None:
        """One call of one layer: its outputs, each with the row it is known by; None where it has no rule. Raises TooLarge past MOST_STEPS calls."""
        if len(self.graph.rows) > MOST_STEPS:
            raise TooLarge(f"more than {MOST_STEPS:,} layers: models within models call each other over and over")
        args, keywords = substitute((call.args, dict(call.kwargs)), Tensor, lambda tensor: reach[tensor].content)
        feeds = tuple(dict.fromkeys(value.row for value in reach.values() if value.row is not None))
        leaf = Leaf(call.layer, call.title, self.tape.next, self.tape.number, args, keywords, feeds)
        first = len(self.tape.steps)
        outputs = self.run_leaf(leaf)
        if outputs is None:
            return None
        live = [value for value in outputs if is_live(value)]
        if live:
            self.rows_of(leaf, self.tape.steps[first:], live)
            self.graph.values[leaf.name] = live[0]
        if not self.keep:
            del self.tape.steps[first:]
        return [Value(value, leaf.name) if is_live(value) else Value(constant(leaf, number, value), None) for number, value in enumerate(outputs)]

    def run_leaf(self, leaf: Leaf) -> list[Any] | None:
        """Run a layer's rule for the first time, on placeholders; None where it has none.

        Raises BadFile where the layer does not fit what it is called on.
        """
        self.met.add(leaf.name)
        try:
            outputs = leaf.outputs(self.tape)
        except Unsupported as error:
            self.problems.append(f"{leaf.name} ({leaf.layer.kind}): {error}")
            return None
        except (ValueError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
            raise BadFile(f"layer {leaf.name} ({leaf.layer.kind}) does not fit its input, its weights or its own options: {error}") from error
        return list(outputs) if isinstance(outputs, tuple | list) else [outputs]

    def rows_of(self, leaf: Leaf, steps: list[Step], outputs: list[Ids]) -> None:
        """Rows for the steps of one layer; the layer itself is a view where none of them carries its name."""
        self.graph.leaves.append(leaf)
        arrays = [*leaf.layer.stored(), *(array for array in leaves((leaf.inputs, leaf.keywords), Array) if array.begin is not None)]
        stored = {array.read: array.size for array in arrays if array.read not in self.counted}  # layers may share an array
        self.counted.update(stored)
        parameters, kind = sum(stored.values()), leaf.layer.type or leaf.layer.kind
        has_own_row = False
        for step in steps:
            for _, activation in self.graph.folds.get(step.number, ()):
                step = replace(step, activation=activation)
            sources = [term.source for term in step.edges]
            looks_up = step.name in self.graph.lookups.names
            self.check_lookups(f"{step.name} reads", [] if looks_up else sources)
            mine = step.name == leaf.name
            has_own_row |= mine
            self.row(step, kind if mine else step.op, parameters if mine else 0, self.feeds(leaf, sources, looks_up), leaf.label)
        if not has_own_row:
            self.view(leaf, kind, outputs[0], self.feeds(leaf, outputs), parameters)

    def row(self, step: Step, kind: str, parameters: int, feeds: tuple[str, ...], label: str) -> None:
        """A row of neurons."""
        rows = self.graph.rows
        begin = rows[-1].end if rows else 0
        end, axes = begin + step.ids.size, written(step.axes)
        if step.ids.size:
            leaf, before = len(self.graph.leaves) - 1, self.graph.extents[-1:]
            place = before[0].place + 1 if before and before[0].leaf == leaf else 0
            terms = tuple(edges_shape(step.ids.shape, edges) for edges in step.edges)
            self.graph.extents.append(Extent(leaf, place, step.ids.shape, terms))
        rows.append(Row(step.name, kind, len(rows), begin, end, step.shape, axes, step.activation, parameters, count(step), feeds, label))

    def view(self, leaf: Leaf, kind: str, ids: Ids, feeds: tuple[str, ...], parameters: int) -> None:
        """A row without neurons of its own."""
        rows, here = self.graph.rows, self.tape.next
        shape, axes = without_batch(ids.shape, axis_names(ids), DIALECTS[leaf.layer.dialect].batched)
        rows.append(Row(leaf.name, kind, len(rows), here, here, shape, written(axes), None, parameters, 0, feeds, leaf.label))

    def feeds(self, leaf: Leaf, sources: Sequence[NDArray[Any]], looks_up: bool = False) -> tuple[str, ...]:
        """The rows that a step reads: sublayers made before it in the same layer, and what feeds the layer, or what it looks up instead."""
        names: dict[str, None] = {}
        for source in (distinct(array).ids for array in sources):
            if not source.size:
                continue
            inner = source
            if int(source.min()) < leaf.begin:
                inner = source[source >= leaf.begin] if int(source.max()) >= leaf.begin else source[:0]
                if looks_up and self.valued:
                    inner = source[source >= 0]  # one-hot neurons stand behind those of the numbers that reach it
                elif inner.size < np.count_nonzero(source >= 0):
                    names.update(dict.fromkeys(leaf.feeds))
            if inner.size:
                names.update(dict.fromkeys(row.name for row in self.rows_among(inner)))
        return tuple(names)

    def rows_among(self, ids: NDArray[Any]) -> list[Row]:
        """The rows that have some of these ids."""
        first, last = (bisect_right(self.graph.rows, int(n), key=lambda row: row.begin) for n in (ids.min(), ids.max()))
        rows = [row for row in self.graph.rows[first - 1 : last] if row.neurons]
        if len(rows) < 3:  # those of the smallest and of the largest
            return rows
        begins = np.array([row.begin for row in rows])
        return [rows[i] for i in np.unique(np.searchsorted(begins, ids, side="right") - 1)]

    def learn_axes(self) -> None:
        """Give rows without names of axes those that the layers which read them know."""
        rows = self.graph.rows

        def place_of(first: int) -> int:
            return bisect_right(rows, first, key=lambda row: row.begin) - 1

        for places, names in self.tape.expected.items():
            at = place_of(places.first)
            while "?" in (rows[at].axes or "?") and places.fits(rows[at].shape):
                rows[at] = replace(rows[at], axes=written(names[len(names) - len(rows[at].shape) :]))
                below = place_of(self.tape.same.get(rows[at].begin, rows[at].begin))
                if below == at or rows[below].shape != rows[at].shape:
                    break
                at = below

    def alone(self) -> set[int]:
        """Numbers of the steps that are all that their layer does."""
        ends = [*(leaf.number for leaf in self.graph.leaves[1:]), self.tape.number]
        return {leaf.number for leaf, end in zip(self.graph.leaves, ends, strict=True) if end == leaf.number + 1}

    def behind(self) -> Iterator[str]:
        """What is wrong with calls that the walk did not come to, because they depend on one that was refused."""
        for call in self.model.network.calls:
            if call.title not in self.met:
                try:
                    check(call, DIALECTS[call.layer.dialect])
                except Unsupported as error:
                    yield f"{call.title} ({call.layer.kind}): {error}"

    def check_lookups(self, who: str, sources: Sequence[NDArray[Any]]) -> None:
        """Learn which inputs with one-hot neurons are read as numbers too. Refuse those that may hold fractions, which no such neuron stands for."""
        for number in self.widths:
            if number in self.valued or not self.graph.lookups.misread(number, sources):
                continue
            declared = self.model.network.inputs[number]
            if declared.whole:
                self.misread.add(number)
            else:
                reason = f"one-hot neurons stand for whole numbers, and {declared.name} is {declared.dtype}"
                self.problems.append(f"{who} an input that an Embedding reads as well; {reason}")

    def check(self) -> None:
        """Raise what the walk found wrong, all of it at once."""
        if self.problems:
            self.problems += self.behind()
            kinds = "layer" if len(self.problems) == 1 else "layers"
            listed = "; ".join(self.problems[:MOST_NAMED]) + (
                f"; and {len(self.problems) - MOST_NAMED:,} more" if len(self.problems) > MOST_NAMED else ""
            )
            raise Unsupported(f"cannot convert {len(self.problems)} {kinds} of {self.model.name}: {listed}. Supported kinds: python -m etl layers")


def constant(leaf: Leaf, number: int, value: Any) -> Any:
    """A constant that flows on: as it is, or to be computed again where stored arrays went into it."""
    if isinstance(value, np.generic):  # what NumPy makes of sums over all axes
        value = np.asarray(value)
    if not isinstance(value, np.ndarray) or not any(True for _ in leaves((leaf.inputs, leaf.keywords, tuple(leaf.layer.stored())), Array)):
        return value
    return Array(f"output {number} of {leaf.name}", value.shape, value.dtype, None, Computed(leaf, number))


def without_batch(shape: tuple[int, ...], axes: Axes, batched: bool) -> tuple[tuple[int, ...], Axes]:
    """A shape and its axes as rows have them: without a batch of one place in front."""
    return (shape[1:], axes[1:]) if batched and shape[:1] == (1,) else (shape, axes)


def count(step: Step) -> int:
    """Number of edges of a step: places whose source is a neuron, times the places that share it."""
    total = 0
    for edges in step.edges:
        shape = np.broadcast_shapes(edges.shape, (*step.ids.shape, *(1,) * edges.over))
        total += neurons_among(edges.source) * (prod(shape) // max(edges.source.size, 1))
    return total
