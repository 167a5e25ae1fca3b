"""Models of one layer built by hand, for properties that NumPy alone can check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Array, Call, Input, Layer, Model, Network, Tensor, leaves
from tests.forward import run_graph


def layer(
    kind: str, arrays: Mapping[str, Any] = {}, *, dialect: str = "keras3", name: str = "layer", begin: int = 0, inner: Any = None, **options: Any
) -> Layer:
    """A layer with the given arrays by role, end to end."""
    stored, begin = [], 0
    for role, values in arrays.items():
        array = np.ascontiguousarray(values)
        stored.append(Array(role, array.shape, array.dtype, begin, lambda array=array: array.copy()))
        begin += array.size
    return Layer("layer", kind, options, tuple(stored), inner or {}, dialect=dialect)


def graph_of(one: Layer, *shapes: tuple[int, ...], given: Mapping[str, Any] = {}, outputs: int = 1, **asked: Any) -> Graph:
    """The graph of a layer called on inputs of those shapes (no batch axis).

    given  its keyword arguments; Tensor(INPUT, n) is input number n, taken from its positional ones
    """
    inputs = tuple(Input(f"input_{n}", shape) for n, shape in enumerate(shapes))
    kept = {tensor.output for tensor in leaves(given, Tensor)}
    args = tuple(Tensor(INPUT, n) for n in range(len(shapes)) if n not in kept)
    network = Network((Call(one, args, given),), inputs, tuple(Tensor(0, n) for n in range(outputs)))
    return trace(Model("handmade", network, "", "memory"), **asked)


def forward(graph: Graph, *inputs: Any) -> list[np.ndarray]:
    """What the graph's tables compute, in the shapes of its outputs."""
    return [made.reshape(ids.shape) for made, ids in zip(run_graph(graph, list(inputs)), graph.outputs, strict=True)]
