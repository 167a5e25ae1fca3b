"""Run a graph forward, edge by edge, in flat memory: value = activation(op(bias, w1*x1, ...)), a layer after the other."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadRequest
from etl.graph.batches import biases, boxes, neuron_steps, step_blocks
from etl.graph.blocks import Block
from etl.graph.rows import ROWS, Row
from etl.graph.traced import Graph
from etl.rules.scope import Step

Values = NDArray[Any]
Function = Callable[..., Values]

START = {"sum": 0.0, "product": 1.0, "max": -np.inf, "min": np.inf}
JOIN: dict[str, np.ufunc] = {"sum": np.add, "product": np.multiply, "max": np.maximum, "min": np.minimum}


def forward(graph: Graph, inputs: Sequence[NDArray[Any]], rows: int = ROWS) -> Values:
    """The value of every neuron for some examples, in float64: (examples, neurons).

    inputs  one array a model input, in order, each (examples, *shape); integers where the input stands for positions of a table
    """
    examples = len(inputs[0]) if inputs else 0
    values = np.zeros((examples, graph.neurons))
    examples_of_inputs = iter(inputs)
    for step, stored, row in neuron_steps(graph):
        mine = values[:, row.begin : row.end]
        if step.op == "input":
            mine[:] = onehot(np.asarray(next(examples_of_inputs)), row).reshape(examples, -1)
            continue
        for box in boxes(step.ids.shape, rows):
            ids = step.ids[box].reshape(-1) - row.begin
            bias = biases(step, box)
            mine[:, ids] = np.where(np.isnan(bias), START[step.op], bias)
        for block in step_blocks(graph, step, stored, row, rows):
            join(values, block, step)
        mine[:] = activate(step.activation, mine.reshape(examples, *row.shape)).reshape(examples, -1)
    return values


def onehot(example: NDArray[Any], row: Row) -> NDArray[Any]:
    """Values of input neurons: as given, or, where each position is one of `width` rows of a table, 1 at that row.

    Raises BadRequest for numbers that are no rows.
    """
    if example.ndim - 1 == len(row.shape):
        return example
    width = row.shape[-1]
    if (example < 0).any() or (example >= width).any() or (example != np.round(example)).any():
        raise BadRequest(f"input {row.name} takes whole numbers from 0 to {width - 1}")
    return example[..., None].astype(np.int64) == np.arange(width)


def join(values: Values, block: Block, step: Step) -> None:
    """Take one block of edges into its targets' values. Edges into one neuron stand together."""
    source, target, weight, _ = block.columns()
    if not len(target):
        return
    starts = np.flatnonzero(np.concatenate([[True], target[1:] != target[:-1]]))
    for example in values:
        operands = example[source] * weight
        example[target[starts]] = JOIN[step.op](example[target[starts]], JOIN[step.op].reduceat(operands, starts))


def outputs(graph: Graph, values: Values) -> list[Values]:
    """The model's outputs, each (examples, *shape); a padded zero is 0."""
    return [np.where(ids < 0, 0.0, values[:, np.maximum(ids, 0)]) for ids in graph.outputs]


def activate(written: str, values: Values) -> Values:
    """An activation as it stands in the graph, on (examples, *shape)."""
    name, _, options = written.partition("(")
    arguments = {key: ast.literal_eval(value) for key, value in re.findall(r"(\w+)=([^,)]+)", options)}
    return FUNCTIONS[name](values, **arguments)


def relu(x: Values, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Values:
    """x above the threshold, negative_slope * (x - threshold) below, at most max_value."""
    above = x if max_value is None else np.minimum(x, max_value)
    return np.where(x > threshold, above, negative_slope * (x - threshold)) if threshold or negative_slope else np.maximum(above, 0)


def sigmoid(x: Values) -> Values:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def elu(x: Values, alpha: float = 1.0) -> Values:
    """x, or alpha (exp(x) - 1) below zero."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu(x: Values, alpha: float = 1.0) -> Values:
    """x, or alpha (exp(x / alpha) - 1) below zero."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def erf(x: Values) -> Values:
    """The error function."""
    from scipy import special

    return special.erf(x)


def gelu(x: Values, approximate: bool = False) -> Values:
    """x times the normal distribution's cumulative function, or its tanh approximation."""
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def softmax(x: Values) -> Values:
    """exp(x) over its sum along the last axis."""
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def log_softmax(x: Values) -> Values:
    """The logarithm of softmax."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softplus(x: Values) -> Values:
    """log(1 + exp(x))."""
    return np.logaddexp(x, 0)


def hard_sigmoid(x: Values) -> Values:
    """relu6(x + 3) / 6, as Keras 3 has it."""
    return np.clip(x + 3, 0, 6) / 6


def shrink(x: Values, threshold: float, by: float) -> Values:
    """0 within the threshold, x drawn towards 0 by `by` outside."""
    return np.where(np.abs(x) > threshold, x - np.sign(x) * by, 0)


FUNCTIONS: Mapping[str, Function] = {
    "linear": lambda x: x,
    "relu": relu,
    "leaky_relu": lambda x, negative_slope=0.2: np.where(x > 0, x, negative_slope * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": elu,
    "celu": celu,
    "selu": lambda x: 1.05070098735548049342 * elu(x, 1.67326324235437728481),
    "gelu": gelu,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "soft_shrink": lambda x, threshold=0.5: shrink(x, threshold, threshold),
    "hard_shrink": lambda x, threshold=0.5: shrink(x, threshold, 0.0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "threshold": lambda x, threshold=0.0, default_value=0.0: np.where(x > threshold, x, np.asarray(default_value)),
    "squareplus": lambda x, b=4.0: (x + np.sqrt(x**2 + b)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "silu": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "sigmoid": sigmoid,
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "hard_sigmoid": hard_sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "tanh": np.tanh,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "exponential": np.exp,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": np.square,
    "negative": np.negative,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda x: np.where(x > 0, 1.0, 0.0),
    "is_zero": lambda x: np.where(x == 0, 1.0, 0.0),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sin": np.sin,
    "cos": np.cos,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "erf": erf,
    "power": lambda x, exponent: np.power(x, exponent),
}
