"""An oracle that knows nothing of the program but its tables: it runs a graph forward, edge by edge, from Arrow tables alone.

value = activation(op(bias, w1*x1, ...)), as docs/graph.md says, in float64, with the activations of Keras 3 (and the few beyond them).
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pyarrow as pa

BEYOND = {
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "square": np.square,
    "negative": np.negative,
    "log": np.log,
    "abs": np.abs,
    "linear": lambda x: x,
    "sign": np.sign,
    "step": lambda x: np.heaviside(x, 0.0),
    "is_zero": lambda x: (x == 0).astype(float),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sin": np.sin,
    "cos": np.cos,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arctan": np.arctan,
    "erf": np.vectorize(math.erf),
    "power": np.power,
}


def activate(written: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Apply an activation as it stands in the graph; softmax over neurons that share every index but the last."""
    name, arguments = re.fullmatch(r"(\w+)(?:\((.*)\))?", written).groups()
    keywords = {k.strip(): eval(v) for k, v in (part.split("=") for part in (arguments or "").split(",") if part)}
    if name in BEYOND:
        return BEYOND[name](values, *keywords.values())
    if name == "softmax" and shape[-1:] == (1,):  # Keras warns of it
        return np.ones_like(values)
    import keras

    made = getattr(keras.activations, name)(keras.ops.convert_to_tensor(values.reshape(shape or (1,)), "float64"), **keywords)
    return np.asarray(made).reshape(-1)


def run(layers: pa.Table, neurons: pa.Table, weights: pa.Table, outputs: pa.Table, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The model's outputs, each flat, for one example: `inputs` one array a model input, in order. Integer inputs of tables are given one-hot."""
    n = neurons.num_rows
    assert (neurons["id"].to_numpy() == np.arange(n)).all()
    values = np.full(n, np.nan)
    bias = neurons["bias"].to_numpy(zero_copy_only=False).astype(float)
    ops = np.array(neurons["op"].to_pylist())
    source, target = weights["source"].to_numpy(), weights["target"].to_numpy()
    weight = weights["weight"].to_numpy().astype(float)
    owner, number_of = numbered(weights["layer"])
    given = iter(inputs)
    for row in layers.to_pylist():
        begin, end = row["begin"], row["end"]
        if begin == end:
            continue
        kind = ops[begin]
        assert (ops[begin:end] == kind).all()
        if kind == "input":
            values[begin:end] = np.asarray(next(given), float).reshape(-1)
            continue
        mine = owner == number_of.get(row["name"], -1)
        s, t, w = source[mine], target[mine] - begin, weight[mine]
        assert len(s) == row["edges"] and ((t >= 0) & (t < end - begin)).all() and (s < begin).all()
        x, b = w * values[s], bias[begin:end]
        if kind == "sum":
            made = np.where(np.isnan(b), 0, b) + np.bincount(t, x, end - begin)
        elif kind == "product":
            made = np.where(np.isnan(b), 1, b)
            np.multiply.at(made, t, x)
        else:
            far = -np.inf if kind == "max" else np.inf
            made = np.where(np.isnan(b), far, b)
            (np.maximum if kind == "max" else np.minimum).at(made, t, x)
        values[begin:end] = activate(row["activation"], made, tuple(row["shape"]))
    assert not np.isnan(values).any()
    found: dict[int, list[Any]] = {}
    for row in outputs.to_pylist():
        found.setdefault(row["output"], []).append(0.0 if row["id"] is None else values[row["id"]])
    return [np.array(found[k]) for k in sorted(found)]


def numbered(names: pa.ChunkedArray) -> tuple[np.ndarray, dict[str, int]]:
    """A column of names as numbers, which millions of rows are compared by much faster, and the number of each name."""
    encoded = names.cast(pa.string()).combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), {name: number for number, name in enumerate(encoded.dictionary.to_pylist())}


def run_graph(graph: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The same from a graph of this program, through its tables."""
    from etl import schema
    from etl.graph import batches as extract

    neurons = pa.Table.from_batches(extract.neuron_batches(graph), schema.neurons(graph.dtype))
    weights = pa.Table.from_batches(extract.weight_batches(graph), schema.weights(graph.dtype))
    return run(extract.layer_table(graph), neurons, weights, extract.output_table(graph), inputs)
