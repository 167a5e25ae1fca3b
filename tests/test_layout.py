"""The rooms of docs/design.md in their order: a module imports only from its own room or those below it, and never in a circle.

Every import counts: inside functions and under TYPE_CHECKING as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

TOP = Path(__file__).parents[1]
ROOMS = (  # from the top down
    ("etl.__main__", "etl.cli"),
    ("etl", "etl.api", "etl.api_graph", "etl.spark"),
    ("etl.analysis",),
    ("etl.frameworks",),
    ("etl.sinks",),
    ("etl.store",),
    ("etl.graph",),
    ("etl.rules",),
    ("etl.readers",),
    ("etl.network",),
    ("etl.activations", "etl.streams", "etl.schema", "etl.extras", "etl.errors", "etl.version"),
    ("cypher",),
)


def module(path: Path) -> str:
    """`etl/store/__init__.py` -> `etl.store`."""
    return ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")


FILES = {module(path): path for folder in ("etl", "cypher") for path in sorted((TOP / folder).rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, wherever in it. `from package import module` is an import of the module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = (f"{node.module}.{name.name}" for name in node.names)
            yield from (name if name in FILES else str(node.module) for name in names if name in FILES or node.module in FILES)


@pytest.fixture(scope="module")
def imports() -> nx.DiGraph[str]:
    return nx.DiGraph([(name, target) for name, path in FILES.items() for target in imported(path) if target != name])


def room(name: str) -> int:
    """The number of a module's room; the longest name that fits says which."""
    fitting = [(len(prefix), number) for number, prefixes in enumerate(ROOMS) for prefix in prefixes if f"{name}.".startswith(f"{prefix}.")]
    length, number = max(fitting)
    assert name == "etl" or length > len("etl"), f"{name} is in no room"
    return number


def test_no_module_imports_from_a_room_above(imports: nx.DiGraph[str]) -> None:
    climbing = [f"{name} imports {target}" for name, target in imports.edges if room(target) < room(name)]
    assert not climbing


def test_no_modules_import_each_other_in_a_circle(imports: nx.DiGraph[str]) -> None:
    circles = [sorted(names) for names in nx.strongly_connected_components(imports) if len(names) > 1]
    assert not circles
