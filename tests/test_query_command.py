"""`etl query` beyond the stored queries: any Cypher, one's own queries, what a query answers, classes, completion."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from click.testing import CliRunner
from typer.main import get_command

from etl.analysis.classes import class_names, classified
from etl.cli import app, main
from etl.cli.classes import class_of
from etl.cli.completion import stored_names
from etl.errors import BadRequest
from etl.graph.selection import graph_in
from etl.readers import read
from etl.sinks.neo4j import live as neo4j
from etl.store import Store
from tests.conftest import clear

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"
Run = Callable[..., tuple[int, str, str]]
MINE = """// The largest weights of a layer
// For a test.
// $model STRING          model name
// $layer STRING          layer
// $limit INTEGER = 3     rows
// -> weight FLOAT        weight

MATCH (b:Neuron {model: $model, layer: $layer})<-[w:WEIGHT]-() RETURN w.weight AS weight ORDER BY weight DESC LIMIT $limit
"""


@pytest.fixture(scope="module")
def digits(store: Store) -> Iterator[Store]:
    clear(store)
    neo4j.load(graph_in(read(DIGITS)), store, "digits")
    yield store
    clear(store)


@pytest.fixture
def run(digits: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["etl", "query", *map(str, arguments)])
        code = main()
        return code, *capsys.readouterr()

    return call


def test_any_statement_is_answered_from_text_file_and_standard_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = "MATCH (n:Neuron {layer: $layer}) RETURN n.layer AS layer, count(*) AS neurons"
    file = tmp_path / "count.cypher"
    file.write_text(statement, "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(statement))
    for given in (statement, file, "-"):
        assert run("--cypher", given, "layer=digit", "--format", "json")[:2] == (0, '[{"layer": "digit", "neurons": 10}]\n')
    assert run("--cypher", "RETURN 1 AS a, 'x' AS b", "--format", "csv")[1] == "a,b\n1,x\n"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE (x:Neuron)", "not allowed"),
        ("MATCH (n RETURN n", "answers: "),
        ("RETURN $x", "x"),
        ("missing.cypher", "missing.cypher can't be read"),
    ],
)
def test_what_writes_or_is_wrong_is_one_line(run: Run, statement: str, message: str) -> None:
    code, out, err = run("--cypher", statement, "--quiet")
    assert code == 1 and not out and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_ones_own_queries_are_asked_like_the_others(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_mine.cypher").write_text(MINE, "utf-8")
    asked = run("of_mine", "layer=digit", "--queries", tmp_path, "--format", "json")
    assert asked[0] == 0 and len(json.loads(asked[1])) == 3
    assert "of_mine" in run("--queries", tmp_path)[1] and "of_mine" not in run()[1]
    assert "there is no query of_mine" in run("of_mine", "layer=digit")[2]
    monkeypatch.setattr("etl.store.queries.own_folder", lambda: tmp_path)
    assert run("of_mine", "layer=digit", "--format", "json") == asked and "of_mine" in run()[1]
    (tmp_path / "strength.cypher").write_text(MINE, "utf-8")
    assert "there is a query strength already" in run()[2]


def test_help_of_a_query_says_what_it_answers_takes_and_gives(run: Run) -> None:
    code, out, _ = run("strongest_inputs", "--help")
    assert code == 0 and out.startswith("What a neuron listens to most\n")
    assert [line.split()[:3] for line in out.splitlines() if line.startswith(("model ", "neuron ", "limit ", "weight "))] == [
        ["model", "STRING", "model"],
        ["neuron", "NEURON", "its"],
        ["limit", "INTEGER", "20"],
        ["weight", "FLOAT", "weight"],
    ]
    assert "etl query strongest_inputs model=MODEL neuron=LAYER/INDEX" in out
    assert "Usage: etl query" in run("--help")[1]
    assert "did you mean strength" in run("strenght", "--help")[2]


def test_a_path_is_printed_once(run: Run) -> None:
    header, _, line = run("strongest_paths", "neuron=digit/4", "limit=1")[1].splitlines()
    assert header.split() == ["product", "path"]
    assert [place.split("/")[0] for place in line.split()[1::2]] == ["pixels", "strokes", "shapes", "pool", "digit"]
    (row,) = json.loads(run("strongest_paths", "neuron=digit/4", "limit=1", "--format", "json")[1])
    assert row["path"].endswith("-> digit/4") and len(row["neurons"]) == 5


def test_classes_have_names(run: Run, tmp_path: Path) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    (tmp_path / "classes.txt").write_text("\n".join(names), "utf-8")
    asked = "--classes", tmp_path / "classes.txt", "--format", "json"
    rows = json.loads(run("forward", f"input=@{Path(__file__).parent / 'data' / 'four.json'}", *asked)[1])
    assert [row["class"] for row in rows] == names and max(rows, key=lambda row: row["value"])["class"] == "four"
    rows = json.loads(run("combined_weights", "first=pool", "second=digit", "limit=20", *asked)[1])
    assert all(row["class"] == names[row["target_index"][0]] for row in rows)
    assert {row["class"] for row in json.loads(run("strength", "layer=pool", *asked)[1])} == {None}


def test_a_class_belongs_to_one_output_and_to_rows_that_name_neurons(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two outputs the one with so many neurons; a path and a weight have the class of the neuron that they lead to; sums over many have none."""
    outputs = [
        {"name": "class", "begin": 9, "end": 12, "shape": [3], "numbers": [0]},
        {"name": "box", "begin": 12, "end": 14, "shape": [2], "numbers": [1]},
        {"name": "steps", "begin": 14, "end": 22, "shape": [2, 4], "numbers": [2]},
    ]
    names = ["cat", "dog", "fox"]
    assert classified(outputs, names)["name"] == "class" and classified(outputs, [])["name"] == "steps"
    assert classified(outputs, ["n", "e", "s", "w"])["name"] == "steps" and class_names(outputs[0], names) == {9: "cat", 10: "dog", 11: "fox"}
    with pytest.raises(BadRequest, match=r"has 5 names, and no output has so many classes \(class: 3, box: 2, steps: 4\)"):
        classified(outputs, list("abcde"))
    rows = [{"output": 0, "position": 1}, {"output": 1, "position": 1}, {"layer": "class", "index": [2]}, {"layer": "box", "index": [1]}]
    rows += [{"neurons": [1, 5, 10]}, {"source": {"layer": "x", "index": [0]}, "target": {"layer": "class", "index": [0]}}]
    assert [class_of(row, outputs[0], names) for row in rows] == ["dog", None, "fox", None, "dog", "cat"]
    assert class_of({"layer": "steps", "index": [1, 2]}, outputs[2], ["n", "e", "s", "w"]) == "s"
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(f"a {n}" for n in range(10)), "utf-8")
    asked = "--classes", file, "--format", "json"
    assert list(json.loads(run("summary", *asked)[1])[0]) == ["model", "neurons", "edges", "parameters", "density"]
    for query in ("strongest_paths", "heaviest_path", "neighbourhood"):
        rows = json.loads(run(query, *asked)[1])
        ends = [row["path"].rpartition("/")[2] if "path" in row else row["target"]["index"][0] for row in rows]
        assert [row["class"] for row in rows] == [f"a {end}" for end in ends], query
    rows = json.loads(run("--cypher", "MATCH (n:Neuron {model: $model, layer: 'digit'}) RETURN n ORDER BY n.id", "model=digits", *asked)[1])
    assert [row["class"] for row in rows] == [f"a {n}" for n in range(10)]
    monkeypatch.setattr("sys.argv", ["etl", "measure", "digits", "strength", *map(str, asked)])
    with redirect_stdout(io.StringIO()) as printed:
        assert main() == 0
    assert [row["class"] for row in json.loads(printed.getvalue())][-11:] == [None, *(f"a {n}" for n in range(10))]


def test_words_are_completed(digits: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.store.status", lambda: type("Server", (), {"running": True}))
    monkeypatch.setattr("etl.store.connect", lambda: Borrowed(digits))
    assert stored_names("model", "STRING", None) == ["digits"]
    assert "pool" in stored_names("layer", "STRING", "digits") and "pool/" in stored_names("neuron", "NEURON", "digits")

    def complete(text: str) -> list[str]:
        environment = {"_ETL_COMPLETE": "complete_bash", "COMP_WORDS": text, "COMP_CWORD": str(len(text.split()) - 1)}
        return CliRunner().invoke(get_command(app), env=environment, prog_name="etl").output.split()

    assert complete("etl query strongest_inp") == ["strongest_inputs"]
    assert complete("etl query strongest_inputs ne") == ["neuron="]
    for command in ("measure", "delete", "save", "plot paths", "plot overview", "neo4j open", "neo4j style"):
        assert complete(f"etl {command} di") == ["digits"], command
    assert complete("etl measure digits strengt") == ["strength"]
    for option in (
        "adjacency digits a.png --source",
        "adjacency digits a.png --target",
        "weights digits a.png --layer",
        "paths digits a.png --layer",
    ):
        assert complete(f"etl plot {option} po") == ["pool"], option
    assert complete("etl plot paths digits a.png --into dig") == ["digit/"]
    assert complete("etl measure other") == []


class Borrowed:
    """A store that others go on with."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __enter__(self) -> Store:
        return self.store

    def __exit__(self, *_: object) -> None:
        pass
