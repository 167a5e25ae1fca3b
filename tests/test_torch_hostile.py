"""What an attacker puts into PyTorch's files: each is refused in one line, nothing in it runs, and it takes little memory."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from etl.errors import EtlError
from etl.graph.batches import weight_batches
from etl.graph.selection import Selection, graph_of
from tests.hostile_torch import FILES, PROGRAM, SKELETON, TRAP, WEIGHTS, archive, old_program
from tests.test_torch_files import check

ROOT = Path(__file__).parents[1]
MEMORY = 300  # MB that one file may take
LONGEST = 120  # seconds for all of them: a hash or a power that takes for ever is what it is for
NO_TORCH = find_spec("torch") is None


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How `etl plan` ended for each file, all in one process of its own: a crash or a hang would take the tests along."""
    folder = tmp_path_factory.mktemp("hostile")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.hostile_torch", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {rows[-1]['name'] if rows else 'none'}: {done.stderr}"
    assert not list(folder.glob(TRAP)), "something in a file was run"
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_in_one_line(name: str, refusals: dict[str, dict[str, Any]]) -> None:
    row, refusal = refusals[name], FILES[name].refusal
    assert row["megabytes"] < MEMORY
    if refusal is None:
        assert (row["code"], row["said"]) == (0, "")
        return
    assert row["code"] == 1 and re.fullmatch(r"error: [^\n]+\n", row["said"]), row["said"]
    lacks_torch = NO_TORCH and "pip install" in row["said"]  # what the pickles alone do not tell is torch's to say
    assert re.search(refusal, row["said"]) or lacks_torch, row["said"]


def test_old_archives_are_read(tmp_path: Path) -> None:
    """The layout of torch 2.6 and 2.7, whose state dict is a file of torch.save."""
    archive(".pt2", old_program(WEIGHTS.read_bytes()), "").write(tmp_path / "old.pt2")
    check(graph_of(tmp_path / "old.pt2"))


class Trap:
    def __reduce__(self) -> Any:
        return Path.touch, (Path(TRAP),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_module_is_never_built(legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole modules, one of which would write a file as soon as it is unpickled."""
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    trapped = torch.nn.Linear(2, 2)
    trapped.trap = Trap()
    for name, module in (("plain", torch.nn.Linear(2, 2)), ("trapped", trapped)):
        torch.save(module, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        for chosen in (None, str(SKELETON)):
            with pytest.raises(EtlError, match=r"torch\.nn\.modules\.linear\.Linear, which could run code; .* model.state_dict") as refused:
                graph_of(tmp_path / name, Selection(architecture=chosen))
            assert "\n" not in str(refused.value)
    assert not (tmp_path / TRAP).exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_may_hold_more(legacy: bool, tmp_path: Path) -> None:
    """Beside the weights: an optimizer's state, numbers, texts, bytes, sets, types and shapes."""
    torch = pytest.importorskip("torch")
    state = torch.load(WEIGHTS, weights_only=True)
    adam = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": state["conv.weight"]}}, "param_groups": [{"betas": (0.9, 0.999), "params": [0, 1]}]}
    others = {
        "epoch": 3,
        "loss": 0.5,
        "large": 2**80,
        "tags": {"a", "b"},
        "type": torch.float16,
        "shape": torch.Size([1, 2]),
        "raw": b"x",
        "on": torch.device("cpu"),
    }
    half = {
        "half": state["conv.weight"].half(),
        "rows": state["dense.weight"].t(),
        "own": torch.nn.Parameter(state["conv.bias"]),
        "sparse": torch.eye(3).to_sparse(),
    }
    content = {"model_state_dict": {f"module.{key}": value for key, value in state.items()}, "optimizer": adam, **others, **half}
    torch.save(content, tmp_path / "checkpoint.ckpt", _use_new_zipfile_serialization=not legacy)
    check(graph_of(tmp_path / "checkpoint.ckpt", Selection(architecture=str(SKELETON))))


def test_weights_written_again_are_read_again(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = torch.load(WEIGHTS, weights_only=True)
    found = []
    for scale in (1, 2):
        torch.save({key: value * scale for key, value in state.items()}, tmp_path / "weights.pth")
        graph = graph_of(tmp_path / "weights.pth", Selection(architecture=str(SKELETON)))
        found.append(next(weight_batches(graph))["weight"][0].as_py())
    assert found[1] == 2 * found[0]


def test_torchscript_is_named(tmp_path: Path) -> None:
    """As torch writes it."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(EtlError, match="TorchScript"):
        graph_of(tmp_path / "script.pt")


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("name", [PROGRAM.name, WEIGHTS.name, "digits_torch.safetensors", "digits_torch_legacy.pth", "old.pt2"])
def test_a_truncated_file_is_refused(name: str, tenth: int, tmp_path: Path) -> None:
    whole = tmp_path / name
    if name == "old.pt2":
        archive(".pt2", old_program(WEIGHTS.read_bytes()), "").write(whole)
    else:
        whole.write_bytes((PROGRAM.parent / name).read_bytes())
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * tenth // 10])
    with pytest.raises(EtlError) as refused:
        graph_of(whole, Selection(architecture=None if name.endswith(".pt2") else str(SKELETON)))
    assert "\n" not in str(refused.value)


def test_no_pickle_of_another_program_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(EtlError, match=r"none of torch\.save"):
        graph_of(tmp_path / "list.pkl")
