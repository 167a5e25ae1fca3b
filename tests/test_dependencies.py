"""What is imported is declared, and what only some commands need is told in one line where it is missing."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from etl.extras import EXTRAS

TOP = Path(__file__).parents[1]
DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]


def normal(requirement: str) -> str:
    """`tf_keras>=2.18` -> `tf-keras`."""
    return requirement.partition(">")[0].partition("[")[0].strip().lower().replace("_", "-")


BASE = {normal(requirement) for requirement in PROJECT["dependencies"]}
OPTIONAL = {extra: {normal(r) for r in requirements} for extra, requirements in PROJECT["optional-dependencies"].items()}
DISTRIBUTIONS = {name: {normal(each) for each in distributions} for name, distributions in packages_distributions().items()}


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Every top-level name of somebody else's that files in a folder import, with the file."""
    for path in sorted((TOP / folder).rglob("*.py")):
        own = sys.stdlib_module_names | {"etl", "cypher", "tests"} | neighbours(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in {name.partition(".")[0] for name in names} - own:
                yield name, path.relative_to(TOP).as_posix()


def neighbours(script: Path) -> set[str]:
    """What a script that is no package's can import from its own folder."""
    return set() if (script.parent / "__init__.py").exists() else {file.stem for file in script.parent.glob("*.py")}


def declared(name: str, extras: set[str]) -> bool:
    """Whether one of the distributions that bring a module is in the base or in one of these extras."""
    known = BASE.union(*(OPTIONAL[extra] for extra in extras))
    return bool(DISTRIBUTIONS.get(name, {normal(name)}) & known)


def test_everything_imported_is_declared() -> None:
    undeclared = [f"{where} imports {name}" for name, where in imported("etl") if not declared(name, {EXTRAS[name]} if name in EXTRAS else set())]
    for folder in ("tests", "docs", "benchmarks"):
        undeclared += [f"{where} imports {name}" for name, where in imported(folder) if not declared(name, set(OPTIONAL))]
    assert not undeclared


def test_the_extras_are_those_that_are_declared() -> None:
    assert set(EXTRAS.values()) <= set(OPTIONAL)
    assert all(declared(name, {extra, "test"}) and not declared(name, set()) for name, extra in EXTRAS.items())


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from etl.cli import main
sys.argv = ["etl", *{arguments!r}]
sys.exit(main())
"""


def run_without(absent: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where some packages are not installed."""
    program = WITHOUT.format(absent=absent, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=TOP, check=False)


@pytest.mark.parametrize("arguments", [("plan", str(DIGITS)), ("verify", str(DIGITS)), ("layers",), ("query",)], ids=lambda words: words[0])
def test_the_base_is_enough(arguments: tuple[str, ...]) -> None:
    done = run_without(set(EXTRAS) - {"pandas"}, *arguments)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_one_line_with_the_command(tmp_path: Path) -> None:
    done = run_without({"PIL"}, "features", str(DIGITS), str(DIGITS.with_name("four.png")), "--out", str(tmp_path / "x.png"))
    assert (done.returncode, done.stderr) == (1, "error: this needs PIL, which is not installed: pip install 'neuron-etl[plot]'\n")
