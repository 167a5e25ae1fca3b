"""The test of every rule: a framework's own prediction, beside the model's graph run forward from its tables alone.

    check(keras.Sequential([keras.Input((5, 4, 3)), keras.layers.Conv2D(2, 3)]))

Works on models of Keras 3 and of tf_keras (Keras 2), any number of inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from etl import schema
from etl.graph import batches as extract
from etl.graph.batches import layer_table, output_table
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.readers import read_keras_model
from tests.forward import numbered, run

MOVED = 0.01  # of the largest output: what shuffling any one kernel must change


def check(keras_model: Any, *, rtol: float = 1e-5, inputs: Sequence[Any] | None = None, whole: bool = True, lengths: Sequence[int] = ()) -> Graph:
    """Give the model random weights and assert that its graph computes what it computes, that the comparison notices every kernel, and that the
    kernels can be rebuilt from the edges.

    rtol    largest difference, relative to the largest value of the output
    inputs  one example: an array for each input, without batch axis; drawn where None
    lengths  of sequences, where masks are read: the inputs are of those lengths
    whole   every place of every kernel must be found on an edge; False where some look at padding or initial states alone
    Returns the graph.
    """
    randomize(keras_model, np.random.default_rng(7))
    graph = trace(read_keras_model(keras_model, lengths=lengths), [np.shape(x) for x in inputs] if inputs is not None else ())
    given = typed(keras_model, inputs if inputs is not None else drawn(graph))
    wanted, tables = predict(keras_model, given), Tables(graph)
    assert [w.shape for w in wanted] == [o.shape for o in graph.outputs]
    for number, (found, want) in enumerate(zip(tables.run(onehot(graph, given)), wanted, strict=True)):
        worst = difference(found.reshape(want.shape), want)
        assert worst <= rtol, f"output {number} differs by {worst:.2g} of its largest value"
    check_moves(keras_model, given, wanted)
    check_round_trip(graph, tables, whole)
    return graph


def check_channels_first(first: Any, last: Any) -> Graph:
    """The same where TensorFlow can't predict on a CPU: the graph of layers with channels first, the prediction of the same with channels last."""
    randomize(first, np.random.default_rng(7))
    for variable, same in zip(last.weights, first.weights, strict=True):
        variable.assign(same)
    graph = trace(read_keras_model(first))
    (given,) = typed(first, drawn(graph))
    (wanted,), (out,), tables = predict(last, [np.moveaxis(given, 0, -1)]), graph.outputs, Tables(graph)
    assert difference(np.moveaxis(tables.run([given])[0].reshape(out.shape), 0, -1), wanted) <= 1e-5
    check_round_trip(graph, tables, True)
    return graph


def check_moves(keras_model: Any, given: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """An oracle that doesn't move when a kernel is shuffled proves nothing about it."""
    rng = np.random.default_rng(8)
    for variable in keras_model.weights:
        before = np.asarray(variable)
        if before.ndim < 2 or before.size < 2 or role(variable) in ("bias", "vector_u"):
            continue
        variable.assign(rng.permutation(before.reshape(-1)).reshape(before.shape))
        moved = max(difference(now, want) for now, want in zip(predict(keras_model, given), wanted, strict=True))
        variable.assign(before)
        assert moved > MOVED, f"shuffling {variable.name} {before.shape} changes the output by {moved:.2g} only"


def check_round_trip(graph: Graph, tables: Tables, whole: bool) -> None:
    """The kernels of each layer of the file, rebuilt from the edges' `parameter`, are the stored arrays bit for bit."""
    of = {row.name: row.label for row in graph.rows}
    owner, number_of = numbered(tables.weights["layer"])
    weight, parameter = tables.weights["weight"].to_numpy(), tables.weights["parameter"]
    known, place = parameter.is_valid().to_numpy(), parameter.fill_null(0).to_numpy()
    for leaf in {leaf.label: leaf for leaf in graph.leaves}.values():
        arrays = list(leaf.layer.stored())
        mine = known & np.isin(owner, [number for name, number in number_of.items() if of[name] == leaf.label])
        flat = np.full(max((a.begin + a.size for a in arrays), default=0), np.nan, graph.dtype)
        for array in arrays:
            flat[array.begin : array.begin + array.size] = array.read().reshape(-1)
        np.testing.assert_array_equal(weight[mine], flat[place[mine]], strict=True)
        found = np.zeros(len(flat), bool)
        found[place[mine]] = True
        for array in arrays:
            if whole and array.role.endswith(("kernel", "embeddings")):
                missing = array.size - found[array.begin : array.begin + array.size].sum()
                assert not missing, f"{leaf.label}: {missing} of {array.size} places of {array.role} are on no edge"


class Tables:
    """A graph's four tables, made once."""

    def __init__(self, graph: Graph) -> None:
        self.layers, self.outputs = layer_table(graph), output_table(graph)
        self.neurons = pa.Table.from_batches(extract.neuron_batches(graph), schema.neurons(graph.dtype))
        self.weights = pa.Table.from_batches(extract.weight_batches(graph), schema.weights(graph.dtype))

    def run(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        return run(self.layers, self.neurons, self.weights, self.outputs, inputs)


def randomize(keras_model: Any, rng: np.random.Generator) -> None:
    """Weights under which a wrong graph shows: nothing zero, nothing equal, variances positive."""
    for variable in keras_model.weights:
        shape = tuple(variable.shape)
        if "float" not in str(variable.dtype):
            continue
        if role(variable) in ("moving_variance", "variance", "gamma"):
            values = rng.uniform(0.5, 2.0, shape)
        else:
            values = rng.normal(size=shape) / max(1.0, np.sqrt(np.prod(shape[:-1]))) if len(shape) > 1 else rng.normal(size=shape) * 0.5
        variable.assign(values)
    for layer in keras_model._flatten_layers():
        if hasattr(layer, "finalize_state"):  # Normalization computes with copies of its variables
            layer.finalize_state()


def role(variable: Any) -> str:
    """`dense/kernel:0` -> `kernel`."""
    return str(getattr(variable, "path", variable.name)).rpartition("/")[2].partition(":")[0]


def drawn(graph: Graph) -> list[np.ndarray]:
    """One random example; positions for inputs that tables look up."""
    rng = np.random.default_rng(9)
    given = []
    for step in graph.inputs:
        width = graph.lookups.widths[int(step.ids.flat[0])][1]
        looked_up = width > 1 or len(step.ids.shape) > len(declared(graph, step.name))
        given.append(rng.integers(width, size=step.ids.shape[:-1]) if looked_up else rng.normal(size=step.ids.shape))
    return given


def declared(graph: Graph, name: str) -> tuple[int, ...]:
    """The shape of an input as the model has it, without batch axis."""
    (given,) = [given for given in graph.model.network.inputs if given.name == name]
    return tuple(given.shape)


def onehot(graph: Graph, given: list[np.ndarray]) -> list[np.ndarray]:
    """What the input neurons hold: positions written one-hot where the graph has them so."""
    return [np.eye(s.ids.shape[-1])[x.astype(int)] if s.ids.ndim > x.ndim else x for s, x in zip(graph.inputs, given, strict=True)]


def typed(keras_model: Any, given: Sequence[Any]) -> list[np.ndarray]:
    """One example in the types that the model takes."""
    return [np.asarray(x, dtype=str(getattr(t.dtype, "name", t.dtype))) for x, t in zip(given, keras_model.inputs, strict=True)]


def predict(keras_model: Any, given: list[np.ndarray]) -> list[np.ndarray]:
    """The framework's own prediction of one example."""
    for layer in keras_model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization computes with copies of its weights
            layer.finalize_state()
    batch = [x[None] for x in given]
    made = keras_model(batch if len(batch) > 1 else batch[0], training=False)
    if isinstance(made, dict):
        made = [made[key] for key in sorted(made)]
    return [np.asarray(one)[0] for one in (made if isinstance(made, list | tuple) else [made])]


def difference(found: np.ndarray, want: np.ndarray) -> float:
    """The largest difference, relative to the largest wanted value."""
    return float(np.abs(found - want).max() / max(np.abs(want).max(), 1e-9)) if want.size else 0.0
