"""A network whose export is several parts, and what tells exports apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from etl.sinks import parquet_parts


@contextmanager
def small_parts() -> Iterator[None]:
    """Exports in parts of a sixty-fourth of their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_parts, "FILE_ROWS", 1 << 18)
        patch.setattr(parquet_parts, "NEURON_ROWS", 1 << 14)
        patch.setattr(parquet_parts, "GROUP_ROWS", 100_000)
        yield


def network_file(folder: Path) -> Path:
    """The file of `network`."""
    onnx.save(network(), folder / "network.onnx")
    return folder / "network.onnx"


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def network() -> onnx.ModelProto:
    """A padded convolution, BatchNormalization, a pool and a dense layer: 1,573,376 weights, in boxes of which several parts can be made."""
    random = np.random.default_rng(1)
    arrays = {"k": (16, 8, 3, 3), "scale": (16,), "shift": (16,), "mean": (16,), "variance": (16,), "w": (4096, 100)}
    stored = [numpy_helper.from_array(random.uniform(0.5, 2, shape).astype("f4"), name) for name, shape in arrays.items()]
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["b"], name="norm"),
        helper.make_node("MaxPool", ["b"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "w"], ["y"], name="dense"),
    ]
    given, made = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", [1, 8, 32, 32]), ("y", [1, 100])))
    graph = helper.make_graph(nodes, "network", [given], [made], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
