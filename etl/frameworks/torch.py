"""PyTorch runs the nodes of an exported program one by one, by ATen's own operators: for `verify` and feature maps.

`torch.export.load` is never called: it would unpickle what a file marks so. Only operators that have a rule are run, on tensors alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile
from etl.network import Model, substitute
from etl.readers import torch_program
from etl.readers.torch.archive import Program
from etl.readers.torch.graph import output_names, stored_keys, user_inputs
from etl.readers.torch.names import live_names, names
from etl.readers.torch.nodes import RESULT, Node, ValueName, read_nodes

Values = NDArray[Any]
SIZES = {"_operator": operator, "math": math}


class TorchModel:
    """A file of PyTorch's that can answer. Raises BadFile where torch is missing or can't run the program."""

    def __init__(self, path: Path, model: Model, architecture: str | None, flowing_shapes: Sequence[Sequence[int]]) -> None:
        self.path, self.model, self.architecture = path, model, architecture
        self.shapes = [shape[1:] for shape in flowing_shapes]

    def answers(self, inputs: Sequence[Values]) -> tuple[dict[str, Values], list[Values]]:
        """Each layer's output by name, and the model's outputs."""
        return predictions(self.path, self.model, inputs, self.architecture, self.shapes)


def predictions(
    path: Path, model: Model, examples: Sequence[Values], architecture: str | None = None, shapes: Sequence[Sequence[int]] = ()
) -> tuple[dict[str, Values], list[Values]]:
    """What the program computes for some examples: each layer's first output by row name, and the outputs, all with the batch of one.

    examples  one array a model input, in order, (examples, *shape without the batch)
    Raises BadFile where torch is missing or can't run the program.
    """
    program = torch_program(path, architecture, shapes)
    try:
        import torch
    except ImportError as error:
        raise BadFile(f"{path} is run by torch, which is not installed: pip install 'neuron-etl[torch]'") from error
    answers: list[tuple[dict[str, Values], list[Values]]] = []
    try:
        with torch.no_grad():
            for number in range(len(examples[0])):
                answers.append(run(torch, program, model, [example[number] for example in examples]))
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        first = str(error).strip().splitlines()
        raise BadFile(f"{path}: torch itself can't run it ({first[0] if first else type(error).__name__}); the graph can still be loaded") from error
    layers = {name: np.stack([values[name] for values, _ in answers]) for name in answers[0][0]}
    return layers, [np.stack(ends) for ends in zip(*(outputs for _, outputs in answers), strict=True)]


def run(torch: Any, program: Program, model: Model, example: Sequence[Values]) -> tuple[dict[str, Values], list[Values]]:
    """One example through all nodes, in-place ones among them."""
    module = program.document["graph_module"]
    nodes, inputs = read_nodes(module["graph"]), user_inputs(module)
    values: dict[str, Any] = {
        name: torch.from_numpy(np.array(program.tensors[key]())) for name, (_, key) in stored_keys(program).items() if key in program.tensors
    }
    for name_of_input, declared, array in zip(inputs, model.network.inputs, example, strict=True):
        batched = declared.shape is not None and len(declared.shape) > array.ndim
        values[name_of_input] = torch.from_numpy(np.array(array[None] if batched else array)).to(getattr(torch, str(declared.dtype)))
    layers: dict[str, Values] = {}
    live = live_names(nodes, inputs)
    for node, name in zip(nodes, names(nodes, live), strict=True):
        results = run_node(torch, node, values)
        values.update((output, value) for output, value in zip(node.outputs, results, strict=False) if output is not None)
        if results and isinstance(results[0], torch.Tensor) and not live.isdisjoint(node.outputs):  # what is constant makes no layer of its name
            layers[name.title] = numbers(results[0])
    return layers, [numbers(values[output]) for output in output_names(module)]


def run_node(torch: Any, node: Node, values: Mapping[str, Any]) -> list[Any]:
    """The outputs of one operation."""
    arguments = substitute(dict(node.arguments), ValueName, lambda named: values[named.name])
    if node.target == RESULT:
        return [arguments["self"]]
    space, _, name = node.target.partition(".")
    if space in SIZES:
        return [getattr(SIZES[space], name)(*arguments.values())]
    if space != "aten":
        raise ValueError(f"{node.target} is no operator of ATen")
    if "dtype" in arguments:
        arguments["dtype"] = getattr(torch, arguments["dtype"])
    result = getattr(getattr(torch.ops.aten, name), node.overload or "default")(**arguments)
    return list(result) if isinstance(result, list | tuple) else [result]


def numbers(tensor: Any) -> Values:
    """A tensor's numbers as they are now: later operations may write into it."""
    return np.array(tensor.detach().to("cpu").double().numpy()) if hasattr(tensor, "detach") else np.asarray(float(tensor))
