"""What may be imported when: no framework for reading a file, nothing slow for saying a word."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import etl

ROOT = Path(etl.__file__).parents[1]
DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
FRAMEWORKS = ("tensorflow", "keras", "tf_keras", "torch", "onnxruntime", "jax")
RUN = """
import json, sys
from etl.cli import main
sys.argv = ["etl", *json.loads(sys.argv[1])]
code = main()
print(json.dumps([code, sorted(name for name in sys.modules if "." not in name)]), file=sys.stderr)
"""


def modules(*arguments: str, **environment: str) -> set[str]:
    """The top-level modules that a command has imported when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


@pytest.mark.parametrize("model", ["digits_cnn.h5", "digits_cnn.keras", "digits_torch.pt2", "digits_cnn.onnx"])
def test_no_framework_for_a_plan(model: str) -> None:
    found = modules("plan", str(DIGITS.with_name(model)))
    assert not found & set(FRAMEWORKS)
    assert not found & {"neo4j", "pyarrow", "scipy", "matplotlib", "pandas", "networkx"}


@pytest.mark.parametrize("model", ["digits_cnn.h5", "digits_torch.pt2", "digits_cnn.onnx"])
def test_no_framework_for_an_export(tmp_path: Path, model: str) -> None:
    found = modules("export", str(DIGITS.with_name(model)), str(tmp_path / "x.parquet"))
    assert not found & set(FRAMEWORKS)
    assert not found & {"neo4j", "scipy", "matplotlib"}


def test_no_framework_for_a_load_and_a_query(etl_home: Path, empty_store: object) -> None:
    assert not modules("load", str(DIGITS), "--quiet") & set(FRAMEWORKS)
    assert not modules("query", "summary", "model=digits_cnn") & set(FRAMEWORKS)


def test_a_list_needs_next_to_nothing() -> None:
    assert not modules("--version") & {*FRAMEWORKS, "numpy", "h5py", "neo4j", "pyarrow", "rich"}
    assert not modules("query") & {*FRAMEWORKS, "numpy", "h5py", "neo4j", "pyarrow"}


def test_frameworks_are_named_where_they_run_a_model() -> None:
    """Only these modules import a framework at all, and none of them at its top."""
    allowed = {
        "etl/frameworks/keras.py",
        "etl/analysis/split.py",
        "etl/readers/keras/applications.py",
        "etl/frameworks/onnx.py",
        "etl/frameworks/torch.py",
        "etl/readers/torch/modules.py",
        "etl/readers/torch/tensors.py",
    }  # runs a model, writes parts of one, names one; run a network and a program, exports a module that the user names, loads a state dict
    for path in sorted((ROOT / "etl").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        top = {name for node in tree.body for name in imported(node)}
        anywhere = {name for node in ast.walk(tree) for name in imported(node)}
        where = path.relative_to(ROOT).as_posix()
        assert not top & set(FRAMEWORKS), where
        assert not anywhere & set(FRAMEWORKS) or where in allowed, where


def imported(node: ast.AST) -> set[str]:
    """Top-level names that one import statement asks for."""
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").partition(".")[0]}
    return set()


def test_only_the_command_line_prints() -> None:
    for path in sorted((ROOT / "etl").rglob("*.py")):
        if path.parent.name != "cli":
            calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
            assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), path
