"""Every rule on arguments drawn after its annotations: a graph, or an error of ours in one line; and a graph is the same wherever its ids begin.

ETL_DRAWN times each rule (6); ETL_DRAWN_SEED another beginning of the draw.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from inspect import Parameter
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import pytest

from etl.errors import EtlError
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Layer, Model, Network, Tensor, leaves, substitute
from etl.rules.dialects import DIALECTS
from etl.rules.ids import Live
from etl.rules.misfits import signature_of
from etl.sinks.memory import collect
from tests import handmade

TIMES, SEED = int(os.environ.get("ETL_DRAWN", "6")), os.environ.get("ETL_DRAWN_SEED", "0")
BEFORE = 7  # neurons of another input, which the ids of all that follow are moved by
TEXTS = ("", "same", "valid", "linear", "relu", "channels_first", "mean", "constant", "reflect", "nearest", "ij", "ab,bc->ac", "int", "NONE")
ANY: tuple[Any, ...] = (Live, np.ndarray, int, float, str, NoneType, bool, list[int], list[Live], dict[str, int], list[np.ndarray])
RULES = {name: {kind: rule for family in DIALECTS[name].families.values() for kind, rule in family.items()} for name in ("keras3", "aten", "onnx")}


class Draw:
    """Arguments of one call, and the shapes of the live ones among them."""

    def __init__(self, seed: str) -> None:
        self.random, self.shapes = random.Random(seed), list[tuple[int, ...]]()

    def shape(self) -> tuple[int, ...]:
        return tuple(self.random.choices((1, 2, 3, 4), k=self.random.choice((0, 1, 2, 3, 3, 4, 4, 5))))

    def live(self) -> Tensor:
        """An input, as often as not of the same shape as the last one."""
        again = self.shapes and self.random.random() < 0.5
        self.shapes.append(self.shapes[-1] if again else self.shape() or (2,))
        return Tensor(INPUT, len(self.shapes) - 1)

    def array(self) -> np.ndarray:
        values = np.random.default_rng(self.random.randrange(99)).integers(-3, 4, self.shape())
        return values.astype(self.random.choice((np.float32, np.float32, np.int64, np.bool_)))

    def value(self, hint: Any) -> Any:
        """Something of an annotated type."""
        origin, args = get_origin(hint) or hint, get_args(hint)
        if origin in (Union, UnionType):
            return self.value(self.random.choice(args))
        if origin is Any or not isinstance(origin, type):
            return self.value(self.random.choice(ANY))
        if origin is tuple and args and args[-1] is not ...:
            return tuple(map(self.value, args))
        if issubclass(origin, Sequence) and origin is not str:
            return [self.value(args[0] if args else Any) for _ in range(self.random.choice((0, 1, 1, 2, 2, 3)))]
        drawn = {
            NoneType: lambda: None,
            bool: lambda: self.random.random() < 0.5,
            int: lambda: self.random.choice((-2, -1, 0, 1, 1, 2, 2, 3, 4, 7)),
            float: lambda: self.random.choice((0.5, 0.0, -1.0, 1, 3.0, float("nan"), float("inf"))),
            str: lambda: self.random.choice(TEXTS),
            Live: self.live,
            np.ndarray: self.array,
            Layer: lambda: handmade.layer("Dense", {"kernel": np.ones((3, 2), np.float32)}),
            Mapping: lambda: self.random.choice(({}, {"a": 1}, {"0": [1.0]}, {"class_name": "x", "config": {"value": 1}})),
            dict: dict,
        }
        return drawn[origin]()

    def call(self, dialect: str, kind: str) -> Call:
        """A call of a rule: its inputs, options, arrays and layers, some of those that need not be given left out."""
        inputs, given, options = list[Any](), dict[str, Any](), dict[str, Any]()
        arrays, inner = dict[str, Any](), dict[str, Any]()
        for parameter in list(signature_of(RULES[dialect][kind]).parameters.values())[1:]:
            optional = parameter.default is not Parameter.empty and (dialect == "aten" or parameter.kind is Parameter.KEYWORD_ONLY)
            if parameter.kind is Parameter.VAR_KEYWORD or (optional and self.random.random() < 0.5):
                continue
            value = self.value(parameter.annotation)
            if parameter.kind is Parameter.VAR_POSITIONAL:
                inputs += [value, *(self.value(parameter.annotation) for _ in range(self.random.randrange(3)))]
            elif parameter.annotation in (Layer, tuple[Layer, ...]):
                inner[parameter.name] = value if isinstance(value, Layer) else tuple(value)
            elif parameter.kind is not Parameter.KEYWORD_ONLY:
                if dialect == "aten":
                    given[parameter.name] = value
                else:
                    inputs.append(value)
            elif isinstance(value, np.ndarray):
                arrays[parameter.name] = value if dialect == "onnx" else value.astype(np.float32)
            elif not any(True for _ in leaves(value, Tensor)):  # an option is none
                options[parameter.name] = value
        named = {"kind", "arrays", "dialect", "name", "begin", "inner"}  # of `handmade.layer` itself
        kept = {name: value for name, value in options.items() if name not in named}
        return Call(handmade.layer(kind, arrays, dialect=dialect, inner=inner, **kept), tuple(inputs), given)


def traced(call: Call, shapes: Sequence[tuple[int, ...]], before: int = 0) -> Graph:
    """The graph of one call, its inputs behind another one of so many neurons."""
    first = [Input("before", (before,))] if before else []
    args, given = substitute((call.args, dict(call.kwargs)), Tensor, lambda tensor: Tensor(INPUT, tensor.output + len(first)))
    inputs = (*first, *(Input(f"input_{place}", shape) for place, shape in enumerate(shapes)))
    return trace(Model("drawn", Network((Call(call.layer, args, given),), inputs, (Tensor(0),)), "", "memory"))


def numbers(graph: Graph, before: int = 0) -> dict[str, np.ndarray]:
    """The graph's edges, biases and outputs as columns, its ids as they would be without those of the input before; an output that is 0 has none."""
    tables = collect(graph)
    ids = {"source": tables.weights["source"], "target": tables.weights["target"], "output": tables.outputs["id"]}
    rest = {"weight": tables.weights["weight"], "parameter": tables.weights["parameter"], "bias": tables.neurons["bias"].slice(before)}
    columns = {name: column.to_numpy().astype(np.float64) for name, column in (ids | rest).items()}
    return {name: column - before if name in ids else column for name, column in columns.items()}


@pytest.mark.parametrize("dialect", RULES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")  # arithmetic with odd numbers overflows
def test_drawn_arguments(dialect: str) -> None:
    graphs = 0
    for kind in RULES[dialect]:
        for time in range(TIMES):
            draw = Draw(f"{SEED} {kind} {time}")
            call, told = draw.call(dialect, kind), f"{kind}, draw {time} of ETL_DRAWN_SEED={SEED}"
            try:
                graph = traced(call, draw.shapes)
            except EtlError as error:
                if "\n" in str(error):
                    pytest.fail(f"{error!r}: {told}")
                continue
            except Exception as error:
                error.add_note(told)
                raise
            graphs += 1
            moved = numbers(traced(call, draw.shapes, BEFORE), BEFORE)
            for column, values in numbers(graph).items():
                np.testing.assert_array_equal(moved[column], values, f"{column}: {told}")
    assert graphs > len(RULES[dialect])
