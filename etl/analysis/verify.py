"""The proof: the graph's own forward pass beside the framework's prediction, a layer after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etl.analysis.comparison import Comparison, Key, compared
from etl.errors import BadFile, BadRequest, NotInStore, reason
from etl.frameworks import loaded as loaded_model
from etl.graph.forward import forward, onehot, outputs
from etl.graph.selection import Selection, graph_in, read_selected
from etl.graph.traced import Graph
from etl.network import Model, Padding
from etl.rules.scope import OPS, Ids
from etl.sinks.neo4j.live import fingerprint
from etl.store import models as catalogue
from etl.store import queries

if TYPE_CHECKING:
    from etl.store import Store

EXAMPLES = 2


class Proof(list[Comparison]):
    """One comparison for each layer and output; `untold`: layers of which the framework's model does not tell what they compute."""

    def __init__(self, comparisons: Iterable[Comparison], untold: Sequence[str] = ()) -> None:
        super().__init__(comparisons)
        self.untold = list(untold)


def verify(path: Path, selection: Selection = Selection(), inputs: Sequence[NDArray[Any]] = (), *, seed: int = 0, trust: bool = False) -> Proof:
    """Compare every layer of the file, then each output of the model, on given or seeded random examples.

    inputs  one array a model input, (examples, *shape) or one example without the first axis; none: random ones
    trust  let the framework run the code of Lambda layers too
    The file is trusted: its framework runs it. Raises BadRequest for a selection whose graph isn't exact, BadFile where the framework can't run it.
    """
    model, graph = exact_graph(path, selection)
    examples = checked_examples(graph, inputs) if inputs else random_examples(graph, seed)
    framework_model = loaded_model(path, model, selection.architecture, input_shapes(graph), flowing_shapes(graph), selection.constants, trust)
    values = forward(graph, examples)
    shown = [(name, kind, ids) for name, kind, ids in layers(graph) if kind != "InputLayer"]
    ours: dict[Key, NDArray[Any]] = {name: pick(values, ids) for name, _, ids in shown}
    ours |= dict(enumerate(outputs(graph, values)))
    kinds: dict[Key, str] = {name: kind for name, kind, _ in shown} | dict.fromkeys(range(len(graph.outputs)), "output")
    return Proof(*compared(ours, kinds, framework_model, examples))


def verify_in_store(
    path: Path,
    store: Store,
    name: str | None = None,
    selection: Selection = Selection(),
    inputs: Sequence[NDArray[Any]] = (),
    *,
    seed: int = 0,
    trust: bool = False,
) -> Proof:
    """Compare each output of a loaded model, computed inside Neo4j by the stored query `forward`, with the framework's prediction.

    name  the model's in the store; by default the file's
    Raises NotInStore where this very graph is not loaded under that name.
    """
    model, graph = exact_graph(path, selection)
    name = name or model.name
    loaded = catalogue.find(store, name)
    if loaded is not None and loaded["selection"] and set(loaded["selection"].split()) & set(queries.find("forward").not_with):
        raise BadRequest(f"{name} in the store is not the whole network: it was loaded with {loaded['selection']}; load it without that, then verify")
    if loaded is None or loaded["state"] != "COMPLETE" or loaded["fingerprint"] != fingerprint(graph):
        raise NotInStore(f"the store holds no complete load of {path} as {name}: load it first, with the same options (etl load).")
    examples = checked_examples(graph, inputs) if inputs else random_examples(graph, seed)
    framework_model = loaded_model(path, model, selection.architecture, input_shapes(graph), flowing_shapes(graph), selection.constants, trust)
    ours: dict[Key, NDArray[Any]] = {number: np.zeros((len(examples[0]), *ids.shape)) for number, ids in enumerate(graph.outputs)}
    for number in range(len(examples[0])):
        values = [onehot(array[number : number + 1], row).reshape(-1) for array, row in zip(examples, graph.rows, strict=False)]
        for row in queries.run(store, "forward", {"model": name, "input": np.concatenate(values).astype(float).tolist()}):
            ours[row["output"]][number].reshape(-1)[row["position"]] = row["value"]
    return Proof(*compared(ours, dict.fromkeys(ours, "output"), framework_model, examples))


def exact_graph(path: Path, selection: Selection) -> tuple[Model, Graph]:
    """A file and its graph, which must be all of it."""
    require_whole(selection)
    model = read_selected(path, selection)
    return model, graph_in(model, selection)


def require_whole(selection: Selection) -> None:
    """Raises BadRequest for a selection whose graph, run forward, does not return the model's own outputs."""
    if not selection.exact:
        raise BadRequest("only an exact graph computes what the model does: leave out --granularity, --min-weight, --top-k and --ignore-masks")
    if selection.layers:
        raise BadRequest("only the whole model can be compared: leave out --layers")


def layers(graph: Graph) -> Iterator[tuple[str, str, Ids]]:
    """The layers of the file whose outputs the graph holds: name, kind and ids. A layer with others folded into it has lost its own values."""
    numbers = {leaf.name: leaf.number for leaf in graph.leaves}
    lost = {number for root, folded in graph.folds.items() for number in (root, *(n for n, _ in folded[:-1]))}
    for row in graph.rows:
        if row.type not in OPS and row.name in graph.values and numbers.get(row.name) not in lost:
            yield row.name, row.type, graph.values[row.name]


def pick(values: NDArray[Any], ids: Ids) -> NDArray[Any]:
    """The values behind ids, (examples, *shape); 0 where no neuron stands."""
    return np.where(ids < 0, 0.0, values[:, np.maximum(ids, 0)])


def random_examples(graph: Graph, seed: int) -> list[NDArray[Any]]:
    """Random examples: normal numbers, or row numbers of a table."""
    generator = np.random.default_rng(seed)
    examples: list[NDArray[Any]] = []
    for step, rank, declared_input in zip(graph.inputs, declared_ranks(graph), graph.model.network.inputs, strict=True):
        if len(step.shape) > rank:
            lowest = 0 if declared_input.padding is None else 1  # 0 is what stands for no step
            example: NDArray[Any] = generator.integers(lowest, step.shape[-1], (EXAMPLES, *step.shape[:-1]), dtype=np.int32)
        else:
            example = generator.normal(size=(EXAMPLES, *step.shape)).astype(np.float32)
        if declared_input.padding is not None:
            example[:, ~declared_input.padding.counts(example.shape[1])] = declared_input.padding.value
        examples.append(example)
    return examples


def array(path: Path) -> NDArray[Any]:
    """The example or examples in a .npy file; nothing in it is run. Raises BadFile where it holds no numbers, or fewer than it declares."""
    try:
        with np.errstate(over="ignore"):
            loaded = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, and not allocated as its header asks
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise BadFile(f"{path} can't be read as an array ({reason(error)}): save it with numpy.save") from error
    if not isinstance(loaded, np.ndarray):
        raise BadFile(f"{path} holds several arrays: save each with numpy.save, one a model input")
    if loaded.dtype.kind not in "biuf":
        raise BadFile(f"{path} holds no numbers (type {loaded.dtype}): save an array of numbers with numpy.save")
    if not np.isfinite(loaded).all():
        raise BadFile(f"{path} holds NaN or infinity, with which nothing can be compared: save other examples")
    return np.asarray(loaded)


def checked_examples(graph: Graph, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Given examples with their first axis, checked against the model's inputs. Raises BadRequest where they don't fit them."""
    if len(inputs) != len(graph.inputs):
        raise BadRequest(f"the model has {len(graph.inputs)} inputs, {len(inputs)} are given: one --input a model input, in order")
    examples = []
    for array, step, rank, declared in zip(inputs, graph.inputs, declared_ranks(graph), graph.model.network.inputs, strict=True):
        shape = step.shape[:rank]
        if shape not in (array.shape, array.shape[1:]) or not array.size:
            raise BadRequest(f"--input for {step.name} has shape {list(array.shape)}, the model takes {list(shape)} (or several of them)")
        examples.append(array if array.ndim > rank else array[None])
        if declared.padding is not None and not has_padding(examples[-1], declared.padding):
            steps = f"{'first' if declared.padding.length > 0 else 'last'} {abs(declared.padding.length)}"
            raise BadRequest(
                f"--input for {step.name} does not count its {steps} steps alone: the others must be {declared.padding.value:g}, those not"
            )
    return examples


def has_padding(examples: NDArray[Any], padding: Padding) -> bool:
    """Whether the steps that count in each example, (examples, steps, ...), are those of the graph."""
    counted = (examples != padding.value).reshape(*examples.shape[:2], -1).any(axis=-1)
    return bool((counted == padding.counts(examples.shape[1])).all())


def input_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shape of every input, those of nested models too, by its row's name, without the batch axis."""
    inner = {row.name: row.shape for row in graph.rows if row.type == "InputLayer"}
    return inner | {step.name: step.shape[:rank] for step, rank in zip(graph.inputs, declared_ranks(graph), strict=True)}


def declared_ranks(graph: Graph) -> list[int]:
    """How many axes each input has in the file, without the batch's: one less than its neurons' where positions became one-hot."""
    return [len(shape) - (step.ids.ndim - len(step.shape)) for step, shape in zip(graph.inputs, flowing_shapes(graph), strict=True)]


def flowing_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """The shape of each input as it flows: with the batch of one where the dialect keeps it, without the places of a table that it looks up."""
    declared = [model_input.shape for model_input in graph.model.network.inputs]
    flowing = [step.ids.shape for step in graph.inputs]
    return [shape_flowing if shape is None else shape_flowing[: len(shape)] for shape_flowing, shape in zip(flowing, declared, strict=True)]
