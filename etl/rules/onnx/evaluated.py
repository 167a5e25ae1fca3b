"""Rules for operators as the onnx package describes them: run on constants, linear in one input, or functions of other operators."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.network import LARGEST_LITERAL
from etl.rules.arguments import Value
from etl.rules.binding import run_network
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope, bounded

MOST_OUTPUTS = 2**16
MOST_PLACES = 4096  # of a live value whose linear map is found place by place


def folded(kind: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    """The same rule, but without any live operand the operator itself is run on the constants."""

    @wraps(rule)
    def same(here: Scope, *inputs: Any, **options: Any) -> Any:
        return rule(here, *inputs, **options) if any(map(is_live, inputs)) else computed(kind, inputs, options)

    return same


def computed(kind: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What an operator returns for constants."""
    from etl.readers.onnx.evaluation import evaluate, node_of

    missing = [k for k, value in enumerate(inputs) if value is None]
    count = outputs_of(options.get("num_outputs") or options.get("outputs") or MULTIPLE.get(kind, 1))
    if kind == "Split" and len(inputs) > 1 and inputs[1] is not None:
        count = np.size(inputs[1])
    results = evaluate(node_of(kind, options, len(inputs), count, missing), inputs)
    return results[0] if len(results) == 1 else tuple(results)


def outputs_of(count: int) -> int:
    """The same number. Raises ValueError where no operator has so many outputs."""
    if not 0 < count <= MOST_OUTPUTS:
        raise ValueError(f"has {count:,} outputs")
    return count


def check_work(kind: str, inputs: Sequence[Any], options: dict[str, Any], often: int) -> None:
    """Raises Unsupported where an operator would take too long to run so often on constants of these shapes."""
    from etl.readers.onnx.evaluation import check, node_of

    constants = [np.zeros(value.shape) if is_live(value) else value for value in inputs]
    check(node_of(kind, options, len(inputs), 1, [k for k, value in enumerate(inputs) if value is None]), constants, often)


MULTIPLE = {"TopK": 2, "LSTM": 3, "GRU": 2, "RNN": 2}
TYPES: dict[str, Any] = {  # of attributes
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "TENSOR": np.ndarray,
    "INTS": Sequence[int],
    "FLOATS": Sequence[float],
    "STRINGS": Sequence[str],
}


class SchemaRule:
    """A rule that takes the options which the onnx package's schema of the operator lists."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def __signature__(self) -> inspect.Signature:
        from onnx import defs

        domain, _, operator = self.kind.rpartition(".")
        types = {
            "outputs": int,
            **{name: TYPES.get(str(a.type).rpartition(".")[2], Any) for name, a in defs.get_schema(operator, domain).attributes.items()},
        }
        first = inspect.Parameter("here", inspect.Parameter.POSITIONAL_ONLY, annotation=Scope)
        inputs = inspect.Parameter("inputs", inspect.Parameter.VAR_POSITIONAL, annotation=Value | None)
        options = (inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint | None) for k, hint in types.items())
        return inspect.Signature([first, inputs, *options])


class ConstantOperator(SchemaRule):
    """An operator that has a meaning on constants only: shapes, masks, tables."""

    __doc__ = "On constants only: what the operator returns for them."

    def __call__(self, here: Scope, *inputs: Any, **options: Any) -> Any:
        if any(map(is_live, inputs)):
            raise Unsupported("has a rule for constants only, and reads values that depend on the example")
        return computed(self.kind, inputs, {name: value for name, value in options.items() if value is not None})


class LinearOperator(SchemaRule):
    """An operator that is linear in one input, the others being constants: its weights are what it makes of each place by itself."""

    __doc__ = "Linear in one input, the others constant: the weights are what the operator makes of each place by itself."

    def __init__(self, kind: str, refused: dict[str, str] | None = None) -> None:
        super().__init__(kind)
        self.refused = refused or {}

    def __call__(self, here: Scope, *inputs: Any, **options: Any) -> Any:
        options = {name: value for name, value in options.items() if value is not None}
        places = [k for k, value in enumerate(inputs) if is_live(value)]
        if len(places) != 1:
            raise Unsupported("has a rule for one live input only, the others being constants")
        for name, value in self.refused.items():
            if options.get(name) == value:
                raise Unsupported(f"has no rule for {name}={value!r}")
        x = inputs[places[0]]
        constant_sizes = [np.size(value) for value in inputs if value is not None and not is_live(value)]
        if x.size > MOST_PLACES or max(constant_sizes, default=0) > LARGEST_LITERAL:
            raise Unsupported(f"has a rule for up to {MOST_PLACES:,} places and as many constants")

        def computed_at(values: Any) -> Any:
            arguments = [
                values if k == places[0] else np.asarray(v, np.float64) if np.asarray(v).dtype.kind == "f" else v for k, v in enumerate(inputs)
            ]
            results = computed(self.kind, arguments, options)
            return results[0] if isinstance(results, tuple) else results

        check_work(self.kind, inputs, options, x.size)
        base = computed_at(np.zeros(x.shape))
        bounded((base.size, x.size))
        matrix = np.empty((base.size, x.size))
        for place in range(x.size):
            unit = np.zeros(x.size)
            unit[place] = 1.0
            matrix[:, place] = (computed_at(unit.reshape(x.shape)) - base).reshape(-1)
        from etl.rules.primitives.resampling import taps

        index, weight = taps(matrix)
        source = np.where(index < 0, index, np.asarray(x).reshape(-1)[np.maximum(index, 0)]).view(type(x))
        bias = base.reshape(-1) if base.any() else None
        return here.sum(Edges(source, weight), bias=bias, shape=base.shape)


class FunctionOperator(SchemaRule):
    """An operator that the onnx package defines as a function of others: its nodes become sublayers."""

    __doc__ = "A function of other operators, as the onnx package defines it: its nodes are sublayers."

    def __call__(self, here: Scope, *inputs: Any, **options: Any) -> Any:
        from etl.readers.onnx.functions import function_network

        outputs = outputs_of(options.pop("outputs", None) or 1)
        arguments = {name: value for name, value in options.items() if value is not None}
        types = [None if value is None else np.dtype(np.float32) if is_live(value) else np.asarray(value).dtype for value in inputs]
        shapes = [None if value is None else np.shape(value) for value in inputs]
        network = function_network(self.kind, arguments, types, shapes, outputs)
        return run_network(network, here, [value for value in inputs if value is not None])
