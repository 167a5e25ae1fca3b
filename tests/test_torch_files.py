"""PyTorch's files, read without PyTorch: its own outputs lie beside them (tests/data/train_torch.py)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.errors import BadFile, BadRequest
from etl.graph.forward import forward, outputs
from etl.graph.selection import Selection, graph_of
from tests.hostile_torch import DATA, MODEL, PROGRAM, SKELETON, rewritten


def check(graph: Any) -> None:
    with np.load(DATA / "digits_torch.npz") as stored:
        (mine,) = outputs(graph, forward(graph, [stored["images"]]))
        np.testing.assert_allclose(mine.reshape(stored["outputs"].shape), stored["outputs"], rtol=1e-4, atol=1e-4)


def test_a_program_computes_what_pytorch_does() -> None:
    graph = graph_of(PROGRAM)
    check(graph)
    assert (graph.model.format, graph.model.version.split()[0]) == ("torch-export", "torch")
    rows = {row.name: row for row in graph.rows}
    assert [rows[name].type for name in ("conv", "norm", "relu", "pool", "dense", "mul_")] == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Linear", "aten.mul_",
    ]  # fmt: skip
    assert rows["conv"].shape == (6, 8, 8) and rows["conv"].parameters == 6 * 9 + 6 and rows["norm"].parameters == 24


def test_weights_join_a_program_that_has_none() -> None:
    graph = graph_of(DATA / "digits_torch.safetensors", Selection(architecture=str(SKELETON)))
    check(graph)
    assert graph.model.format == "safetensors"
    with pytest.raises(BadFile, match="was exported without weights"):
        graph_of(SKELETON)
    with pytest.raises(BadFile, match="holds weights only"):
        graph_of(DATA / "digits_torch.safetensors")


def test_a_static_shape_stays() -> None:
    with pytest.raises(BadRequest, match="can't change"):
        graph_of(PROGRAM, Selection(input_shapes=((1, 9, 9),)))


def reworded(path: Path, change: Callable[[Any], object]) -> Path:
    """The program with its JSON changed."""

    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    rewritten(PROGRAM, path, MODEL, edit)
    return path


def test_values_that_no_node_names_are_not_read(tmp_path: Path) -> None:
    def many(document: Any) -> None:
        values = document["graph_module"]["graph"]["tensor_values"]
        values.update({f"unused_{number}": {"dtype": 99} for number in range(100_000)})

    check(graph_of(reworded(tmp_path / "many.pt2", many)))


def test_expressions_are_never_evaluated(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def open_axis(document: Any) -> None:
        expression = {"expr_str": f"__import__('pathlib').Path({str(marker)!r}).touch()", "hint": None}
        document["graph_module"]["graph"]["tensor_values"]["image"]["sizes"][0] = {"as_expr": expression}

    check(graph_of(reworded(tmp_path / "open.pt2", open_axis)))
    assert not marker.exists()
