"""Every command on PyTorch's files, as a user gives it. Oracle: what PyTorch itself computes, in tests/data/digits_torch.npz."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import etl
from etl.cli import main
from etl.sinks.neo4j import live as neo4j
from etl.store import Store, queries
from tests.hostile_torch import DATA, PROGRAM, SKELETON, WEIGHTS

ROOT = DATA.parents[1]
SAFE = DATA / "digits_torch.safetensors"
CODE = f"{DATA / 'train_torch.py'}:Digits"
FRAMEWORKS = ("torch", "tensorflow", "keras", "onnxruntime")
BLOCKED = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "tensorflow", "keras", "onnxruntime")))  # whatever imports one fails
from etl.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["etl", *arguments]
    if main():
        sys.exit(f"etl {arguments} failed")
"""


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["etl", *map(str, arguments)])
    return main()


def test_no_framework_for_reading(tmp_path: Path) -> None:
    """Programs, and weights with a skeleton, where no framework can be imported."""
    joined = ["--architecture", str(SKELETON)]
    commands = [["plan", str(PROGRAM)], ["plan", str(SAFE), *joined], ["export", str(SAFE), str(tmp_path / "safe.parquet"), *joined]]
    done = subprocess.run([sys.executable, "-c", BLOCKED, json.dumps(commands)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(DATA / "digits_torch.npz") as stored:
        (mine,) = etl.read(SAFE, architecture=SKELETON).forward(stored["images"])
        np.testing.assert_allclose(mine.reshape(stored["outputs"].shape), stored["outputs"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arguments", [["plan", WEIGHTS, "--architecture", SKELETON], ["verify", PROGRAM], ["plan", SAFE, "--architecture", CODE]])
def test_what_needs_torch_says_how_to_install_it(
    arguments: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert command(monkeypatch, *arguments) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ") and said[-1].endswith("pip install 'neuron-etl[torch]'")


def test_parts_are_not_written_but_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([PROGRAM], [SAFE, "--architecture", SKELETON]):
        assert command(monkeypatch, "split", *arguments, "--at", "pool", "--out", tmp_path / "parts") == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and said.endswith("It can be cut after conv, norm, relu, pool, flatten\n")
    assert command(monkeypatch, "split", SAFE, "--architecture", CODE, "--at", "pool", "--out", tmp_path / "parts") == 1
    assert "a .pt2 in place of" in capsys.readouterr().err
    assert not (tmp_path / "parts").exists()


def test_code_as_architecture_in_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    given = ["--architecture", CODE, "--input-shape", "1,8,8"]
    assert command(monkeypatch, "verify", WEIGHTS, *given) == 0
    assert command(monkeypatch, "features", WEIGHTS, DATA / "four.png", *given, "--layer", "conv", "--out", tmp_path / "conv.npz") == 0
    assert command(monkeypatch, "export", WEIGHTS, tmp_path / "digits.npz", *given) == 0
    capsys.readouterr()
    with np.load(tmp_path / "conv.npz") as drawn:
        assert drawn["conv"].shape == (6, 8, 8)


def test_smaller_inputs_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's sizes are those of its export; the file is read once to count what is offered."""
    from etl import readers
    from etl.graph.estimate import offers
    from etl.graph.selection import Selection, graph_of

    read: list[Path] = []
    kept = readers.sha256
    monkeypatch.setattr(readers, "sha256", lambda paths: read.extend(paths) or kept(paths))
    graph = graph_of(PROGRAM)
    options = [offer.option.split()[0] for offer in offers(PROGRAM, Selection(), graph, 3000)]
    assert options == ["--granularity", "--layers", "--top-k"] and len(read) == 2


@pytest.mark.slow
def test_in_the_store(empty_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Loaded, asked, run forward inside Neo4j, measured, drawn, and not written back."""
    assert command(monkeypatch, "load", PROGRAM, "--quiet") == 0
    assert command(monkeypatch, "load", SAFE, "--architecture", SKELETON, "--name", "safe", "--quiet") == 0
    with np.load(DATA / "digits_torch.npz") as stored:
        picture = [float(value) for value in stored["images"][0].ravel()]
        values = [row["value"] for row in queries.run(empty_store, "forward", {"model": "digits_torch", "input": picture})]
        np.testing.assert_allclose(values, stored["outputs"][0], rtol=1e-4, atol=1e-4)
    rows = queries.run(empty_store, "weight_statistics", {"model": "digits_torch", "layer": "conv"})
    kernel = etl.read(PROGRAM).weights().read_all().to_pandas().query("layer == 'conv'").drop_duplicates("parameter").sort_values("parameter")
    for row in rows[1:]:
        mine = kernel["weight"].to_numpy(float)[9 * row["kernel"] : 9 * row["kernel"] + 9]  # (6, 1, 3, 3): a kernel's numbers lie side by side
        np.testing.assert_allclose([row["mean"], row["std"], row["min"], row["max"]], [mine.mean(), mine.std(ddof=1), mine.min(), mine.max()])
    same = queries.run(empty_store, "compare_models", {"model": "digits_torch", "other": "safe"})
    assert {row["match"] for row in same} == {"name"} and not any(row["changed"] for row in same)
    for kind in ("adjacency", "weights", "degrees", "strengths", "centrality", "paths"):
        assert command(monkeypatch, "plot", kind, "digits_torch", tmp_path / f"{kind}.png", "--quiet") == 0, capsys.readouterr().err
    assert command(monkeypatch, "measure", "digits_torch", "strength", "--quiet") == 0
    capsys.readouterr()
    assert command(monkeypatch, "save", "digits_torch", tmp_path / "out.pt2", "--from", PROGRAM) == 1
    assert "only Keras files (.h5, .keras) can be written back" in capsys.readouterr().err


def test_copies_in_two_frameworks_are_not_compared(empty_store: Store) -> None:
    """One network in Keras and in PyTorch, same names and weights: kernels lie in another order, so nothing is said of how far they are apart."""
    keras, torch = pytest.importorskip("keras"), pytest.importorskip("torch")
    kernel = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.layers[0].set_weights([kernel, np.zeros(2, np.float32)])
    network = torch.nn.Sequential()
    network.add_module("dense", torch.nn.Linear(3, 2))
    network.dense.weight.data, network.dense.bias.data = torch.from_numpy(kernel.T.copy()), torch.zeros(2)
    x = np.float32([[1, 2, 3]])
    for name, source, shapes in (("keras", model, ()), ("torch", network, [(3,)])):
        graph = etl.read(source, input_shapes=shapes)
        np.testing.assert_allclose(graph.forward(x)[0].reshape(-1), (x @ kernel)[0])
        neo4j.load(graph._graph, empty_store, name)
    rows = queries.run(empty_store, "compare_models", {"model": "keras", "other": "torch"})
    assert [(row["layer"], row["other"], row["match"], row["changed"]) for row in rows] == [("dense", None, None, None), (None, "dense", None, None)]
