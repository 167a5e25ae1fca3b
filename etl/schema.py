"""Names and types of what leaves the program: Arrow schemas, constants only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

NAMES = pa.dictionary(pa.int32(), pa.string())

LAYERS = pa.schema(
    [
        ("name", pa.string()),
        ("type", pa.string()),
        ("position", pa.int32()),
        ("begin", pa.int64()),
        ("end", pa.int64()),
        ("shape", pa.list_(pa.int32())),
        ("axes", pa.string()),
        ("activation", pa.string()),
        ("parameters", pa.int64()),
        ("edges", pa.int64()),
        ("inputs", pa.list_(pa.string())),
    ]
)

OUTPUTS = pa.schema([("output", pa.int32()), ("position", pa.int64()), ("id", pa.int64())])


def neurons(dtype: np.dtype[Any]) -> pa.Schema:
    """One row a neuron; biases in the model's own precision."""
    columns = [
        ("id", pa.int64()),
        ("layer", NAMES),
        ("index", pa.list_(pa.int32())),
        ("op", NAMES),
        ("bias", pa.from_numpy_dtype(dtype)),
        ("activation", NAMES),
    ]
    return pa.schema(columns)


def weights(dtype: np.dtype[Any]) -> pa.Schema:
    """One row an edge; weights in the model's own precision."""
    columns = [("source", pa.int64()), ("target", pa.int64()), ("weight", pa.from_numpy_dtype(dtype)), ("parameter", pa.int64()), ("layer", NAMES)]
    return pa.schema(columns)
