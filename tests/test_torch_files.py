"""PyTorch's files, read without PyTorch: its own outputs lie beside them (tests/data/train_torch.py)."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etl.errors import BadFile, BadRequest, EtlError, Unsupported
from etl.graph.forward import forward, outputs
from etl.graph.selection import Selection, graph_of

DATA = Path(__file__).parent / "data"
PROGRAM, SKELETON = DATA / "digits_torch.pt2", DATA / "digits_torch_meta.pt2"
TABLE, MODEL = "model_weights_config.json", "models/model.json"


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


def changed(path: Path, member: str, change: Callable[[Any], object], source: Path = PROGRAM) -> Path:
    """The program with one of its JSON members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith(member):
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
            new.writestr(entry.filename, content)
    return path


def weight(document: Any) -> Any:
    return document["config"]["conv.weight"]


TERABYTES = [{"as_int": 10**6}, {"as_int": 10**6}]
HOSTILE: dict[str, tuple[str, Callable[[Any], object], type[EtlError], str]] = {
    "pickle": (TABLE, lambda d: weight(d).update(use_pickle=True), Unsupported, "stored as a pickle"),
    "outside": (TABLE, lambda d: weight(d).update(path_name="../../secret"), BadFile, "leads out"),
    "terabytes": (TABLE, lambda d: weight(d)["tensor_meta"].update(sizes=TERABYTES, strides=TERABYTES), BadFile, "are stored"),
    "repeated": (TABLE, lambda d: weight(d)["tensor_meta"].update(sizes=TERABYTES, strides=[{"as_int": 0}] * 2), BadFile, "are declared"),
    "backwards": (TABLE, lambda d: weight(d)["tensor_meta"]["strides"][0].update(as_int=-9), BadFile, "describe no tensor"),
    "major": (MODEL, lambda d: d["schema_version"].update(major=9), Unsupported, "schema 9"),
    "operator": (MODEL, lambda d: d["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.evil.run.default"), Unsupported, "evil.run"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    member, change, kind, message = HOSTILE[name]
    with pytest.raises(kind, match=message) as refused:
        graph_of(changed(tmp_path / "hostile.pt2", member, change))
    assert "\n" not in str(refused.value)


def test_values_that_no_node_names_are_not_read(tmp_path: Path) -> None:
    def many(document: Any) -> None:
        values = document["graph_module"]["graph"]["tensor_values"]
        values.update({f"unused_{number}": {"dtype": 99} for number in range(100_000)})

    check(graph_of(changed(tmp_path / "many.pt2", MODEL, many)))


def test_expressions_are_never_evaluated(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def open_axis(document: Any) -> None:
        expression = {"expr_str": f"__import__('pathlib').Path({str(marker)!r}).touch()", "hint": None}
        document["graph_module"]["graph"]["tensor_values"]["image"]["sizes"][0] = {"as_expr": expression}

    check(graph_of(changed(tmp_path / "open.pt2", MODEL, open_axis)))
    assert not marker.exists()


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("name", ["digits_torch.pt2", "digits_torch.pth", "digits_torch.safetensors"])
def test_a_truncated_file_is_refused(name: str, tenth: int, tmp_path: Path) -> None:
    content = (DATA / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * tenth // 10])
    with pytest.raises(EtlError):
        graph_of(tmp_path / name, Selection(architecture=None if name.endswith(".pt2") else str(SKELETON)))


class Trap:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("trap_was_run"),)


def test_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap()))
    for architecture in (None, str(SKELETON)):
        with pytest.raises(EtlError):
            graph_of(tmp_path / "trap.pth", Selection(architecture=architecture))
    assert not (tmp_path / "trap_was_run").exists()
