"""The walk: a model's layers in order, each rule run on the ids that reach it. What stands at the end counts, names and streams the graph.

Nothing here knows a layer kind by name. The walk runs every rule once on placeholders, which gives ids, rows and counts; to stream, each
layer's rule runs again on the same ids with its arrays read, so that no more than one layer's weights are in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from etl.errors import BadFile, BadRequest, Unsupported
from etl.graph.fold import Folds, foldable, merged
from etl.network import Array, Call, Layer, Model, Network, Tensor, flow, substitute
from etl.readers.keras.masks import WHY, unmasked
from etl.rules.binding import check, run
from etl.rules.scope import MOST_AXES, MOST_STEPS, Ids, Scope, Step, Tape, Weights

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Row:
    """One row of the layer table: a layer of the file, or a sublayer (whose type is its op). See docs/graph.md.

    begin, end  its neurons' ids (positions); equal for a view
    label       the layer of the file that it belongs to: the neurons' second label
    inputs      names of the rows that it reads
    """

    name: str
    type: str
    position: int
    begin: int
    end: int
    shape: tuple[int, ...]
    activation: str | None
    parameters: int
    edges: int
    inputs: tuple[str, ...]
    label: str

    @property
    def neurons(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class Leaf:
    """One layer's rule at one place of the network: all that is needed to run it again.

    begin, number     the first id and the number of its first step
    inputs, keywords  what reaches it, with ids in the places of tensors
    feeds             the rows whose ids these are
    """

    layer: Layer
    name: str
    label: str
    begin: int
    number: int
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    feeds: tuple[str, ...]

    def run(self, read: Callable[[Array], Weights], onehot: dict[int, tuple[int, int]], folding: Container[int] = ()) -> Tape:
        """Run the rule on arrays got by `read`: the same steps with the same ids every time."""
        tape = Tape(self.begin, self.number, read=read, onehot=onehot, folding=folding, ignore_masks=True)  # refused on the first walk
        run(self.layer, Scope(tape, self.name, self.layer.keras), self.inputs, self.keywords)
        return tape


@dataclass
class Graph:
    """A model as a graph of neurons, counted but not created.

    rows     layers and sublayers in order; their spans tile 0..neurons-1
    outputs  the ids that each output of the model returns, in its own shape; ZERO where it returns a padded zero
    dtype    of weights and biases: float32, or float64 where the file holds float64
    folds    number of a step -> the steps folded into it, in their order
    values   the ids that each layer of the file returns, by row name: its first output
    sieve    cuts a step's edges into blocks, where only some of them are wanted: see etl/graph/pruning.py
    """

    model: Model
    rows: list[Row] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)
    outputs: list[Ids] = field(default_factory=list)
    inputs: list[Step] = field(default_factory=list)
    onehot: dict[int, tuple[int, int]] = field(default_factory=dict)
    folds: Folds = field(default_factory=dict)
    values: dict[str, Ids] = field(default_factory=dict)
    sieve: Callable[..., Iterator[Any]] | None = None

    @property
    def neurons(self) -> int:
        return self.rows[-1].end if self.rows else 0

    @property
    def edges(self) -> int:
        return sum(row.edges for row in self.rows)

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def density(self) -> float:
        """Edges of all that could be: m / (n (n - 1))."""
        return self.edges / (self.neurons * (self.neurons - 1)) if self.neurons > 1 else 0.0

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype("float64" if any(a.dtype == np.float64 for a in self.model.network.stored()) else "float32")

    def steps(self) -> Iterator[tuple[Step, list[tuple[Array, Weights]]]]:
        """Every step in the order of its ids, with the stored arrays (as read) that its weights may be views of."""
        yield from ((step, []) for step in self.inputs)
        for leaf in self.leaves:
            stored: list[tuple[Array, Weights]] = []

            def read(array: Array, stored: list[tuple[Array, Weights]] = stored) -> Weights:
                known = next((values for one, values in stored if one is array), None)
                if known is None:  # TimeDistributed asks for the same array at each step
                    known = array.read()
                    stored.append((array, known))
                return known

            for step in leaf.run(read, self.onehot, self.folding).steps:
                for number, _ in self.folds.get(step.number, ()):
                    step = merged(step, self.leaf_of(number).run(lambda array: array.read(), self.onehot, self.folding).folded[number])
                yield step, stored

    @property
    def folding(self) -> frozenset[int]:
        """Numbers of all steps that are folded into others."""
        return frozenset(number for folded in self.folds.values() for number, _ in folded)

    def to_networkx(self) -> networkx.DiGraph[int]:
        """The whole graph in NetworkX, where it fits: see etl/sinks/networkx.py. Raises BadRequest past 5 million edges."""
        from etl.sinks.networkx import to_networkx

        return to_networkx(self)

    def leaf_of(self, number: int) -> Leaf:
        """The leaf that makes the step of that number."""
        return self.leaves[bisect_right(self.leaves, number, key=lambda leaf: leaf.number) - 1]


def trace(model: Model, input_shapes: Sequence[Sequence[int]] = (), *, fold: bool = False, ignore_masks: bool = False) -> Graph:
    """The graph of a model: ids given out, everything counted, nothing created.

    input_shapes  one a model input, in order, without the batch axis; needed where the file leaves an axis open
    fold          merge what scales, shifts or activates a layer's neurons into them, where nobody else reads those: see etl/graph/fold.py
    ignore_masks  take masks (Masking, mask_zero) as absent, which is an approximation; they are refused otherwise
    Raises Unsupported naming every layer and option without a rule, BadRequest where the shapes do not fit.
    """
    shapes = input_shape_list(model.network, input_shapes)
    network, masked = unmasked(model.network)
    model, widths = replace(model, network=network), dict[int, int]()
    while True:  # an integer input is as wide as the largest table that looks it up, known once the walk has met them all
        walk = Walk(model, shapes, widths, ignore_masks=ignore_masks, keep=fold)
        graph = walk.run()
        if walk.widths() == widths:
            walk.problems += [] if ignore_masks else [f"{name} ({layer.kind}): has a tensor as mask, {WHY}" for name, layer in masked]
            walk.check()
            break
        widths = walk.widths()
    if fold:
        folds = foldable(walk.tape.steps, walk.alone(), graph.outputs)
        return Walk(model, shapes, widths, folds, ignore_masks).run()
    return graph


class Walk:
    """One walk through a model: gives out ids and collects rows, leaves and problems.

    keep  all steps, which hold the ids of every neuron, and not only those of the layer that is being walked through
    """

    def __init__(
        self,
        model: Model,
        shapes: list[tuple[int, ...]],
        widths: dict[int, int],
        folds: Folds | None = None,
        ignore_masks: bool = False,
        keep: bool = False,
    ) -> None:
        self.model, self.shapes, self.given, self.keep = model, shapes, widths, keep
        self.graph = Graph(model, folds=folds or {})
        self.tape = Tape(onehot=self.graph.onehot, folding=self.graph.folding, ignore_masks=ignore_masks)
        self.problems: list[str] = []
        self.met: set[str] = set()
        self.counted: set[Callable[[], Weights]] = set()

    def run(self) -> Graph:
        network = self.model.network
        inputs = [self.input(number, tensor) for number, tensor in enumerate(network.inputs)]
        outputs = self.network(network, inputs, ("", ""))
        self.graph.outputs = [ids for ids, _ in outputs] if outputs else []
        return self.graph

    def input(self, number: int, tensor: Tensor) -> tuple[Ids, str]:
        """The neurons of one model input; a position of an integer input is as many neurons as its table has rows."""
        name = self.model.network.calls[tensor.call].layer.name
        width, shape, begin = self.given.get(number, 1), self.shapes[number], self.tape.next
        ids = self.tape.allot((*shape, width) if number in self.given else shape)
        positions = ids[..., 0] if number in self.given else ids
        self.tape.onehot[begin] = (self.tape.next, width)
        self.graph.inputs.append(Step(name, -1, ids, "input", ids.shape))
        self.row(self.graph.inputs[-1], "InputLayer", 0, (), name)
        return positions, name

    def network(self, network: Network, inputs: Sequence[tuple[Ids, str]], prefix: tuple[str, str]) -> list[tuple[Ids, str]] | None:
        """Walk a model or a nested one; values are ids with the row that they are known by.

        prefix  of row names and of the file's layers. Returns the outputs, None where one depends on a layer that has no rule.
        """
        return flow(network, inputs, lambda call, reach: self.call(call, reach, prefix))

    def call(self, call: Call, reach: Mapping[Tensor, tuple[Ids, str]], prefix: tuple[str, str]) -> list[tuple[Ids, str]] | None:
        """One call of one layer: its outputs' ids, each with the row it is known by."""
        if len(self.graph.rows) > MOST_STEPS:
            raise BadRequest(f"more than {MOST_STEPS:,} layers: models within models call each other over and over")
        layer, name, label = call.layer, prefix[0] + call.layer.name + (f":{call.number}" if call.number else ""), prefix[1] + call.layer.name
        feeds = tuple(dict.fromkeys(source for _, source in reach.values()))
        if not call.args:  # an input: of the model, which has its row, or of a nested one, which is a view of what it is given
            ids, source = next(iter(reach.values()))
            if prefix[0]:
                self.view(name, layer.kind, ids.shape, feeds, label)
            return [(ids, name if prefix[0] else source)]
        if layer.network is not None:
            inner = self.network(layer.network, list(reach.values()), (f"{name}/", f"{label}/"))
            if inner is None:
                return None
            self.view(name, layer.kind, inner[0][0].shape, tuple(dict.fromkeys(source for _, source in inner)), label)
            return [(ids, name) for ids, _ in inner]
        args, keywords = substitute((call.args, dict(call.kwargs)), {t: ids for t, (ids, _) in reach.items()})
        leaf = Leaf(layer, name, label, self.tape.next, self.tape.number, args, keywords, feeds)
        outputs = self.run_leaf(leaf)
        return None if outputs is None else [(ids, name) for ids in outputs]

    def run_leaf(self, leaf: Leaf) -> list[Ids] | None:
        """Run a layer's rule for the first time, on placeholders; None where it has none."""
        first = len(self.tape.steps)
        self.met.add(leaf.name)
        try:
            made = run(leaf.layer, Scope(self.tape, leaf.name, leaf.layer.keras), leaf.inputs, leaf.keywords)
        except Unsupported as error:
            self.problems.append(f"{leaf.name} ({leaf.layer.kind}): {error}")
            return None
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError) as error:
            raise BadFile(f"layer {leaf.name} ({leaf.layer.kind}) does not fit its input, its weights or its own options: {error}") from error
        outputs = list(made) if isinstance(made, tuple | list) else [made]
        self.leaf(leaf, self.tape.steps[first:], outputs)
        if not self.keep:
            del self.tape.steps[first:]
        self.graph.values[leaf.name] = outputs[0]
        return outputs

    def leaf(self, leaf: Leaf, steps: list[Step], outputs: list[Ids]) -> None:
        """Rows for the steps of one layer; the layer itself is a view where none of them carries its name."""
        self.graph.leaves.append(leaf)
        stored = {array.read: array.size for array in leaf.layer.stored() if array.read not in self.counted}  # layers may share an array
        self.counted.update(stored)
        parameters = sum(stored.values())
        own = False
        for step in steps:
            for _, activation in self.graph.folds.get(step.number, ()):
                step = replace(step, activation=activation)
            self.check_onehot(f"{step.name} reads", [e.source for e in step.edges if step.name not in self.tape.lookups])
            mine = step.name == leaf.name
            own |= mine
            feeds = self.feeds(leaf, [e.source for e in step.edges])
            kind, held = (leaf.layer.kind, parameters) if mine else (step.op, 0)
            self.row(step, kind, held, feeds, leaf.label)
        if not own:
            self.view(leaf.name, leaf.layer.kind, outputs[0].shape, self.feeds(leaf, outputs), leaf.label, parameters)

    def row(self, step: Step, kind: str, parameters: int, feeds: tuple[str, ...], label: str) -> None:
        """A row of neurons."""
        rows = self.graph.rows
        begin = rows[-1].end if rows else 0
        rows.append(Row(step.name, kind, len(rows), begin, begin + step.ids.size, step.shape, step.activation, parameters, count(step), feeds, label))

    def feeds(self, leaf: Leaf, sources: Sequence[Ids]) -> tuple[str, ...]:
        """The rows that a step reads: sublayers made before it in the same layer, and what feeds the layer."""
        names: dict[str, None] = {}
        for source in map(np.atleast_1d, sources):
            if source.dtype != np.int64:  # a shape that was computed: constants
                names.update(dict.fromkeys(leaf.feeds))
                continue
            inner = source[source >= leaf.begin] if source.size and int(source.max()) >= leaf.begin else source[:0]
            if inner.size < np.count_nonzero(source >= 0):
                names.update(dict.fromkeys(leaf.feeds))
            if inner.size:
                first, last = (bisect_right(self.graph.rows, int(n), key=lambda row: row.begin) for n in (inner.min(), inner.max()))
                mine = [row for row in self.graph.rows[first - 1 : last] if row.neurons]
                begins = np.array([row.begin for row in mine])
                names.update(dict.fromkeys(mine[i].name for i in np.unique(np.searchsorted(begins, inner, side="right") - 1)))
        return tuple(names)

    def view(self, name: str, kind: str, shape: tuple[int, ...], feeds: tuple[str, ...], label: str, parameters: int = 0) -> None:
        """A row without neurons of its own."""
        rows, here = self.graph.rows, self.tape.next
        rows.append(Row(name, kind, len(rows), here, here, shape, None, parameters, 0, feeds, label))

    def widths(self) -> dict[int, int]:
        """Width of each one-hot input, by its number."""
        begins = list(self.tape.onehot)
        return {begins.index(begin): width for begin, width in self.tape.wanted.items()}

    def alone(self) -> set[int]:
        """Numbers of the steps that are all that their layer does."""
        ends = [*(leaf.number for leaf in self.graph.leaves[1:]), self.tape.number]
        return {leaf.number for leaf, end in zip(self.graph.leaves, ends, strict=True) if end == leaf.number + 1}

    def behind(self, network: Network, prefix: str) -> Iterator[str]:
        """What is wrong with calls that the walk did not come to, because they depend on one that was refused."""
        for call in network.calls:
            name = prefix + call.layer.name + (f":{call.number}" if call.number else "")
            if call.layer.network is not None:
                yield from self.behind(call.layer.network, f"{name}/")
            elif call.args and name not in self.met:
                try:
                    check(call)
                except Unsupported as error:
                    yield f"{name} ({call.layer.kind}): {error}"

    def check_onehot(self, who: str, sources: Sequence[Ids]) -> None:
        """Refuse what reads one-hot neurons without looking them up in a table."""
        for number in self.given:
            begin = list(self.tape.onehot)[number]
            if any(((ids >= begin) & (ids < self.tape.onehot[begin][0])).any() for ids in sources):
                self.problems.append(f"{who} an input that an Embedding reads as well; one-hot neurons have no other value")

    def check(self) -> None:
        """Raise what the walk found wrong, all of it at once."""
        for number, ids in enumerate(self.graph.outputs):
            self.check_onehot(f"output {number} returns", [ids])
        if self.problems:
            self.problems += self.behind(self.model.network, "")
            kinds = "layer" if len(self.problems) == 1 else "layers"
            listed = "; ".join(self.problems)
            raise Unsupported(f"{self.model.name} has {len(self.problems)} {kinds} without a graph: {listed}. What has one: python -m etl layers")


def input_shape_list(network: Network, given: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The shape of each model input without its batch axis: the file's, or the given one where it fits."""
    declared = [(network.calls[t.call].layer.name, network.calls[t.call].layer.options["batch_shape"]) for t in network.inputs]
    if given and len(given) != len(declared):
        raise BadRequest(f"the model has {len(declared)} inputs ({', '.join(n for n, _ in declared)}): give --input-shape once for each")
    shapes = []
    for number, (name, told) in enumerate(declared):
        if told is None and not given:
            raise BadRequest(f"the file says nothing of the shape of input {name}: say it with --input-shape, once for each input")
        shape = (None,) * len(given[number]) if told is None else tuple(told[1:])
        wish = tuple(given[number]) if given else shape
        if len(wish) != len(shape) or any(w is not None and w <= 0 for w in wish):
            raise BadRequest(f"input {name} has {len(shape)} axes {list(shape)}: --input-shape {','.join(map(str, wish))} does not fit")
        if len(wish) > MOST_AXES:
            raise BadRequest(f"input {name} has {len(wish)} axes, more than the {MOST_AXES} that arrays have; the file is broken")
        if None in wish:
            raise BadRequest(f"the file leaves the shape of input {name} open {list(shape)}: say it with --input-shape, once for each input")
        shapes.append(tuple(int(w) for w in wish if w is not None))
    return shapes


def count(step: Step) -> int:
    """Number of edges of a step: places whose source is a neuron, times the places that share it."""
    total = 0
    for edges in step.edges:
        shape = np.broadcast_shapes(edges.shape, (*step.ids.shape, *(1,) * edges.over))
        total += int(np.count_nonzero(edges.source >= 0)) * (prod(shape) // max(edges.source.size, 1))
    return total
