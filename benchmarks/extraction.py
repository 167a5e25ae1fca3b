"""How fast edges are cut into Arrow batches, on one core: weights a second for each rule family, beside numpy.copyto of the same bytes.

    python benchmarks/extraction.py [rows of a batch]

Processor time, best of three: a machine that is busy otherwise gives nearly the same figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from etl.graph.batches import weight_batches
from etl.graph.rows import ROWS
from etl.graph.trace import trace
from etl.network import INPUT, Array, Call, Input, Layer, Model, Network, Tensor

RNG = np.random.default_rng(0)
FAMILIES: dict[str, tuple[tuple[int, ...], str, dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "Dense 8192 -> 4096": ((8192,), "Dense", {}, {"kernel": (8192, 4096)}),
    "Conv2D valid 58x58x64 -> 64": ((58, 58, 64), "Conv2D", {}, {"kernel": (3, 3, 64, 64)}),
    "Conv2D same 56x56x64 -> 64": ((56, 56, 64), "Conv2D", {"padding": "same"}, {"kernel": (3, 3, 64, 64)}),
    "Conv2D same 112x112x3 -> 64": ((112, 112, 3), "Conv2D", {"padding": "same"}, {"kernel": (3, 3, 3, 64)}),
    "DepthwiseConv2D 112x112x96": ((112, 112, 96), "DepthwiseConv2D", {"padding": "same"}, {"kernel": (3, 3, 96, 1)}),
    "Conv2DTranspose 28x28x64 -> 64": ((28, 28, 64), "Conv2DTranspose", {"strides": 2}, {"kernel": (3, 3, 64, 64)}),
    "MaxPooling2D 224x224x64": ((224, 224, 64), "MaxPooling2D", {}, {}),
    "GlobalAveragePooling2D 112x112x64": ((112, 112, 64), "GlobalAveragePooling2D", {}, {}),
    "BatchNormalization 112x112x64": (
        (112, 112, 64),
        "BatchNormalization",
        {},
        {"gamma": (64,), "beta": (64,), "moving_mean": (64,), "moving_variance": (64,)},
    ),
    "Activation 224x224x64": ((224, 224, 64), "Activation", {"activation": "relu"}, {}),
    "LSTM 50 x 64 -> 64": ((50, 64), "LSTM", {}, {"kernel": (64, 256), "recurrent_kernel": (64, 256), "bias": (256,)}),
    "Embedding 50 of 5000 -> 64": ((50,), "Embedding", {"input_dim": 5000}, {"embeddings": (5000, 64)}),
}


def model(shape: tuple[int, ...], kind: str, options: dict[str, Any], arrays: dict[str, tuple[int, ...]]) -> Model:
    """One layer with random weights."""
    stored, begin = [], 0
    for role, size in arrays.items():
        values = RNG.uniform(0.5, 1.5, size).astype(np.float32)
        stored.append(Array(role, values.shape, values.dtype, begin, lambda values=values: values))  # type: ignore[misc]
        begin += values.size
    call = Call(Layer("layer", kind, options, tuple(stored)), (Tensor(INPUT),))
    return Model(kind, Network((call,), (Input("x", shape),), (Tensor(0),)), "", "memory")


def best(run: Callable[[], Any]) -> float:
    """Seconds of processor time, the least of three runs."""
    times = []
    for _ in range(3):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    block = np.ones(rows * 32 // 8)  # a batch's bytes: two ids, a parameter, a weight, a layer
    copy = np.empty_like(block)

    def copy_often() -> None:
        for _ in range(20):
            np.copyto(copy, block)

    copied = rows * 20 / best(copy_often)
    print(f"{'family':36} {'weights':>12} {'M/s':>6} {'of copyto':>10}")
    for name, parts in FAMILIES.items():
        graph = trace(model(*parts))
        seconds = best(lambda graph=graph: sum(batch.num_rows for batch in weight_batches(graph, rows)))  # type: ignore[misc]
        print(f"{name:36} {graph.edges:12,} {graph.edges / seconds / 1e6:6.0f} {graph.edges / seconds / copied:9.0%}", flush=True)
    print(f"{'numpy.copyto of the same bytes':36} {'':12} {copied / 1e6:6.0f}")


if __name__ == "__main__":
    main()
