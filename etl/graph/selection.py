"""What of a model becomes the graph: the options that `plan`, `load`, `export` and `verify` share, and the one way from a file to a graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote, split
from typing import TYPE_CHECKING, Any

from etl.errors import BadRequest

if TYPE_CHECKING:
    from etl.graph.traced import Graph
    from etl.network import Model


@dataclass(frozen=True)
class Selection:
    """Which graph of a model is wanted; without anything: every neuron and every weight.

    input_shapes  one a model input, without the batch axis or with all axes of the file; in order, or by name
    layers        first and last layer of a range; an end left open is None
    granularity   `neuron`, `channel` or `layer`
    min_weight    edges with a smaller |weight| are left out
    top_k         only the k edges with the largest |weight| into each neuron
    fold          merge BatchNormalization and lone Activation layers into the layer before
    ignore_masks  take masks as absent: an approximation, where there are padded steps
    architecture  what describes the layers of a file with weights only: see `etl.readers.read`
    constants     values of inputs that are options and no data, by name: `sr=16000`
    lambdas       what Lambda layers compute from their input x, by name: `x / 127.5 - 1`
    lengths       how many steps of masked sequences count: one for all inputs that are masked, or one for each
    """

    input_shapes: tuple[tuple[int, ...], ...] | Mapping[str, tuple[int, ...]] = field(default=(), hash=False)
    layers: tuple[str | None, str | None] | None = None
    granularity: str = "neuron"
    min_weight: float | None = None
    top_k: int | None = None
    fold: bool = False
    ignore_masks: bool = False
    architecture: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict, hash=False)
    lambdas: Mapping[str, str] = field(default_factory=dict, hash=False)
    lengths: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the graph, run forward, still returns the model's own outputs."""
        return self.granularity == "neuron" and not (self.min_weight or self.top_k or self.ignore_masks)

    def written(self, model: Model) -> str | None:
        """The options that make the graph smaller or other than the model's network, as on the command line; None for the whole network."""
        inputs = model.network.inputs
        input_shapes = self.input_shapes
        shapes = (
            list(input_shapes.items())
            if isinstance(input_shapes, Mapping)
            else list(zip((declared.name for declared in inputs), input_shapes, strict=False))
        )
        declared = {
            model_input.name: model_input.shape[1:] if model_input.batched and model_input.shape else model_input.shape for model_input in inputs
        }
        options: list[str] = []
        if any(resizes(declared.get(name), shape) for name, shape in shapes):
            options += [
                f"--input-shape {quote(f'{name}=') if isinstance(input_shapes, Mapping) else ''}{','.join(map(str, shape))}" for name, shape in shapes
            ]
        if self.layers:
            options.append(f"--layers {quote('..'.join(end or '' for end in self.layers))}")
        if self.granularity != "neuron":
            options.append(f"--granularity {self.granularity}")
        if self.min_weight:
            options.append(f"--min-weight {self.min_weight:g}")
        if self.top_k:
            options.append(f"--top-k {self.top_k}")
        options += [f"--constant {quote(f'{name}={json.dumps(value)}')}" for name, value in self.constants.items()]
        options += [f"--lambda {quote(f'{name}={text}')}" for name, text in self.lambdas.items()]
        options += [f"--lengths {length}" for length in self.lengths]
        options += ["--fold"] * self.fold + ["--ignore-masks"] * self.ignore_masks
        return " ".join(options) or None


VALUES: Mapping[str, Callable[[str], Any]] = {"--granularity": str, "--min-weight": float, "--top-k": int}  # options of one value


def selection_of(written: str | None, architecture: str | None = None) -> Selection:
    """The selection that `Selection.written` wrote down, as the store keeps it; `architecture` is not among what is written.

    Raises BadRequest for an option that another version of this program wrote.
    """
    words = iter(split(written or ""))
    chosen: dict[str, Any] = {"architecture": architecture}
    shapes, constants, lambdas, lengths = list[tuple[str, tuple[int, ...]]](), dict[str, Any](), dict[str, str](), list[int]()
    for option in words:
        field_name = option.removeprefix("--").replace("-", "_")
        if option in ("--fold", "--ignore-masks"):
            chosen[field_name] = True
            continue
        value = next(words, "")
        name, _, text = value.rpartition("=") if option == "--input-shape" else value.partition("=")
        if option == "--input-shape":
            shapes.append((name, tuple(map(int, text.split(",")))))
        elif option == "--constant":
            constants[name] = json.loads(text)
        elif option == "--lambda":
            lambdas[name] = text
        elif option == "--lengths":
            lengths.append(int(value))
        elif option == "--layers":
            first, _, last = value.partition("..")
            chosen["layers"] = first or None, last or None
        elif option in VALUES:
            chosen[field_name] = VALUES[option](value)
        else:
            raise BadRequest(f"a model in the store was loaded with {option}, which this version of the program does not know: load it again")
    by_name = any(name for name, _ in shapes)
    input_shapes: Any = dict(shapes) if by_name else tuple(shape for _, shape in shapes)
    return Selection(input_shapes, constants=constants, lambdas=lambdas, lengths=tuple(lengths), **chosen)


def resizes(declared: Sequence[int | None] | None, shape: Sequence[int]) -> bool:
    """Whether a shape is another than the file's, and does not only say what that leaves open."""
    if declared is None or len(declared) != len(shape):
        return False
    return any(axis is not None and axis != size for axis, size in zip(declared, shape, strict=True))


def graph_of(path: Path, selection: Selection = Selection(), *, counts: bool = False) -> Graph:
    """Read a file and trace its graph: counted, not created. Raises BadFile, Unsupported, BadRequest.

    counts  as for `graph_in`
    """
    return graph_in(read_selected(path, selection), selection, counts=counts)


def read_selected(path: Path, selection: Selection) -> Model:
    """Read a file with what a selection says of reading: its architecture, masks, constants and Lambda layers. Raises BadFile, Unsupported."""
    from etl.readers import read

    return read(
        path,
        selection.architecture,
        ignore_masks=selection.ignore_masks,
        constants=selection.constants,
        input_shapes=selection.input_shapes,
        lambdas=selection.lambdas,
        lengths=selection.lengths,
    )


def graph_in(model: Model, selection: Selection = Selection(), *, counts: bool = False) -> Graph:
    """Trace the selected graph of a model. Raises Unsupported, BadRequest.

    counts  rows and sizes will do: large layers are counted without an id for each of their neurons, where the selection allows it
    """
    from etl.graph.trace import SHARED, trace

    shapes, written = selection.input_shapes, selection.written(model)
    if selection.layers:
        from etl.graph.layer_range import layers_between

        model, shapes = layers_between(model, *selection.layers, shapes), ()
    plain = selection.granularity == "neuron" and not (selection.fold or selection.min_weight or selection.top_k or selection.layers)
    graph = trace(model, shapes, fold=selection.fold, shared=SHARED if counts and plain else None)
    if selection.granularity != "neuron":
        from etl.graph.coarsening import channel_graph, layer_graph

        graph = (channel_graph if selection.granularity == "channel" else layer_graph)(graph)
    if selection.min_weight or selection.top_k:
        from etl.graph.pruning import pruned

        graph = pruned(graph, min_weight=selection.min_weight or 0.0, top_k=selection.top_k or 0)
    graph.selection = written
    return graph
