"""Whatever the documentation shows is run as it stands there, and what is generated is what the generator gives."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import util
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image

import etl
from etl.cli import main
from etl.graph.forward import forward, outputs
from etl.graph.selection import Selection, graph_of
from etl.graph.trace import trace
from etl.readers import read
from etl.sinks.neo4j import live as neo4j
from etl.store import Store
from etl.store.queries import queries
from tests.conftest import QUICK

HERE = Path(__file__).parent
TOP = HERE.parent
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
INSTALL = ("pip install . && ", "pip install '.[test]' && ")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return BLOCK.findall(page.read_text("utf-8"))


def commands(page: Path) -> list[tuple[str, str]]:
    """Every command shown, and the output shown right after its block (nothing where none is)."""
    found = []
    shown = blocks(page)
    for number, (language, text) in enumerate(shown):
        if language == "sh":
            following = shown[number + 1] if number + 1 < len(shown) else ("sh", "")
            lines = text.splitlines()
            found += [(line, "") for line in lines[:-1]] + [(lines[-1], following[1] if not following[0] else "")]
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, etl_home: Path) -> Iterator[Path]:
    """A newcomer's own place, with a Neo4j of its own and the downloads that are there already."""
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "cache").symlink_to((etl_home / "cache").resolve(), target_is_directory=True)
    yield folder
    run("etl neo4j stop", folder, folder)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like the clone, where anything may be written."""
    (tmp_path / "tests").symlink_to(HERE, target_is_directory=True)
    return tmp_path


def add_own_files(folder: Path) -> None:
    """What a reader of looking-inside.md has: two networks as code, their weights, and a photograph."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    for name, call, weights in (("alexnet_model", "AlexNet", "AlexNet.pth"), ("resnet_model", "resnet34", "resNet34.pth")):
        (folder / f"{name}.py").symlink_to(HERE / "data" / f"{name}.py")
        torch.save(getattr(script(HERE / "data" / f"{name}.py"), call)(num_classes=5).state_dict(), folder / weights)
    Image.fromarray(load_sample_image("flower.jpg")).save(folder / "photo.jpg")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(line: str, folder: Path, home: Path) -> Done:
    """Run one command as a shell would, with this very program: `etl` in this process, which has imported what others would import again."""
    line, _, file = line.partition(" > ")
    program, *arguments = shlex.split(line)
    done = {"etl": run_etl, "python": run_python}[program](arguments, folder, home)
    if file:
        (folder / file).write_text(done.stdout, "utf-8")
    return done


def run_etl(arguments: list[str], folder: Path, home: Path) -> Done:
    with somewhere(folder, home) as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.setattr(sys, "argv", ["etl", *arguments])
        return Done(main(), out.getvalue(), err.getvalue())


def run_python(arguments: list[str], folder: Path, home: Path) -> Done:
    environment = os.environ | {"ETL_HOME": str(home), "PYTHONPATH": str(Path(etl.__file__).parents[1]), "JAVA_TOOL_OPTIONS": QUICK}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def somewhere(folder: Path, home: Path) -> Iterator[pytest.MonkeyPatch]:
    """This process as a newcomer's in that folder, without pytest's way to take a warning."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setenv("ETL_HOME", str(home))
        patch.chdir(folder)
        yield patch


def test_readme_begins_with_the_two_commands() -> None:
    first, second, *_ = [line for line, _ in commands(TOP / "README.md")]
    assert first == "pip install . && python -m etl load tests/data/digits_cnn.h5"
    assert second == "pip install '.[test]' && pytest"


LONG = ("looking-inside.md", "graph-view.md", "browser.md", "splitting.md", "split.md")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.name in LONG else []) for page in PAGES if commands(page)],
    ids=lambda page: page.name,
)
def test_commands(page: Path, clone: Path, home: Path) -> None:
    """In the order of the page; what is shown of their output is in their output."""
    if page.name == "pytorch.md":
        pytest.importorskip("torch")
    if any("photo.jpg" in line for line, _ in commands(page)):
        add_own_files(clone)
    for line, shown in commands(page):
        if line.endswith("&& pytest"):
            continue  # that is what runs this test
        for install in INSTALL:
            line = line.removeprefix(install)
        done = run(line, clone, home)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        printed = [row.rstrip() for row in done.stdout.splitlines()]
        for row in shown.splitlines():
            assert row.rstrip() in printed, f"{line}:\n{done.stdout}"


def test_snippets(clone: Path, home: Path) -> None:
    """A page's snippets, one after the other in one program. Pages of which there is more to check have tests of their own."""
    for page in PAGES:
        snippets = [text for language, text in blocks(page) if language == "python"]
        lacks_torch = page.name == "pytorch.md" and util.find_spec("torch") is None
        if snippets and page.name not in ("adding-a-layer.md", "scale.md") and not lacks_torch:
            with somewhere(clone, home):
                exec(compile("\n".join(snippets), page.name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [*PAGES, TOP / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def script(path: Path) -> ModuleType:
    """A script of the repository as a module."""
    spec = util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_queries_page_is_made_from_the_headers() -> None:
    page = script(TOP / "docs" / "generate.py").page()
    assert (TOP / "docs" / "queries.md").read_text("utf-8") == page, "run: python docs/generate.py"
    assert all(f"## {name}\n" in page for name in queries())
    times = (TOP / "docs" / "query_times.csv").read_text("utf-8").splitlines()[1:]
    assert [row.partition(",")[0] for row in times] == list(queries())


def test_readme_says_the_accuracy() -> None:
    """Of the shipped file, its graph run forward on the pictures that training held back."""
    _, pictures, _, labels = script(HERE / "data" / "train_digits.py").digits()
    for name in ("digits_cnn.h5", "digits_cnn.keras"):
        graph = trace(read(HERE / "data" / name))
        (answers,) = outputs(graph, forward(graph, [pictures]))
        assert share(answers, labels) in (TOP / "README.md").read_text("utf-8")
    digits = load_digits()
    (answers,) = etl.read(HERE / "data" / "digits_torch.pt2").forward((digits.images[1500:, None] / 16).astype("float32"))  # see train_torch.py
    assert share(answers.reshape(297, 10), digits.target[1500:]) in (TOP / "README.md").read_text("utf-8")


def share(answers: np.ndarray, labels: np.ndarray) -> str:
    """How many are right, as the README says it."""
    return f"{(answers.argmax(axis=1) == labels).mean():.1%} of {len(labels)} digits".replace("%", " %")


def test_every_property_is_described(store: Store) -> None:
    """docs/graph.md names whatever a load leaves in Neo4j, and tells its type."""
    neo4j.load(graph_of(HERE / "data" / "digits_cnn.h5", Selection(min_weight=0.1)), store, "described", replace=True)
    text = (TOP / "docs" / "graph.md").read_text("utf-8")
    described = {}
    for title, table in re.findall(r"^\*\*(\w+)\*\*[^\n]*\n\n\| property.*?\n((?:\|.*\n)+)", text, re.MULTILINE):
        rows = [[each.strip() for each in line.strip("|").split("|")] for line in table.splitlines()[1:]]
        described[title] = {name: kind for names, kind, _ in rows for name in names.split(", ")}
    found = store.read(
        "MATCH (n:Neuron|Layer|Model) WHERE coalesce(n.model, n.name) = $model UNWIND keys(n) AS key "
        "RETURN DISTINCT [l IN labels(n) WHERE l IN ['Neuron', 'Layer', 'Model']][0] AS of, key, valueType(n[key]) AS kind "
        "UNION MATCH (:Neuron {model: $model})-[w:WEIGHT]->() UNWIND keys(w) AS key RETURN DISTINCT 'WEIGHT' AS of, key, valueType(w[key]) AS kind",
        model="described",
    )
    kinds = {"integer": "INTEGER", "string": "STRING", "float": "FLOAT", "datetime": "ZONED DATETIME"}
    kinds |= {f"list of {one}s": f"LIST<{kinds[one]} NOT NULL>" for one in ("integer", "string")}
    stored: dict[str, dict[str, str]] = {}
    for row in found:
        stored.setdefault(row["of"], {})[row["key"]] = row["kind"].removesuffix(" NOT NULL")
    assert {of: {key: kinds[kind] for key, kind in table.items()} for of, table in described.items()} == stored


def test_every_column_is_described() -> None:
    """docs/graph.md names every column of the Arrow tables."""
    from etl import schema

    text = (TOP / "docs" / "graph.md").read_text("utf-8")
    tables = {
        "layers": schema.LAYERS,
        "outputs": schema.OUTPUTS,
        "neurons": schema.neurons(np.dtype("f4")),
        "weights": schema.weights(np.dtype("f4")),
    }
    for name, fields in tables.items():
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", text, re.MULTILINE)
        assert [column.split()[0] for column in row.split(", ")] == fields.names
