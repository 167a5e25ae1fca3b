"""A graph in slices: pickled, in any order, their rows are those of the stream."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import etl
from etl.graph import slices
from etl.graph.leaf import Leaf

DATA = Path(__file__).parent / "data"
GRAPHS: list[tuple[str, dict[str, Any]]] = [
    ("digits_cnn.h5", {}),
    ("digits_cnn.keras", {"fold": True}),
    ("digits_cnn.h5", {"top_k": 3}),
    ("digits_cnn.h5", {"layers": ("shapes", None)}),
]


def rows(batches: list[pa.RecordBatch]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("count", [1, 7, 90])
@pytest.mark.parametrize(("name", "options"), GRAPHS)
def test_slices_in_any_order_are_the_stream(name: str, options: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ROWS", 500)  # so that small layers are cut too
    graph = etl.read(DATA / name, **options)
    parts = [pickle.dumps(part) for part in graph.slices(count)]
    assert len(parts) == count and max(map(len, parts)) < 2000
    shuffled = random.Random(count).sample(range(count), count)
    work = {number: pickle.loads(parts[number]) for number in shuffled}
    neurons = {number: rows(list(part.neuron_batches())) for number, part in work.items()}
    weights = {number: rows(list(part.weight_batches())) for number, part in work.items()}
    assert [row for number in range(count) for row in neurons[number]] == rows(list(graph.neurons()))
    assert [row for number in range(count) for row in weights[number]] == rows(list(graph.weights()))
    if count == 7 and not options:
        assert max(map(len, weights.values())) < 0.3 * sum(map(len, weights.values())), "slices are of about the same size"


def test_a_slice_runs_no_rule_before_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = etl.read(DATA / "digits_cnn.h5")
    last = graph.slices(4)[-1]
    ran: list[str] = []
    run = Leaf.run

    def noted(self: Leaf, *arguments: Any, **keywords: Any) -> Any:
        ran.append(self.name)
        return run(self, *arguments, **keywords)

    slices.traced(last.source)
    monkeypatch.setattr(Leaf, "run", noted)
    list(last.weight_batches())
    assert "strokes" not in ran and "digit" in ran


def test_slices_in_processes_of_their_own(tmp_path: Path) -> None:
    """A worker that has seen nothing but the pickle makes the same rows."""
    graph = etl.read(DATA / "digits_cnn.h5")
    parts = graph.slices(3)
    code = "import pickle, sys; part = pickle.load(open(sys.argv[1], 'rb')); print(part.table().num_rows, part.table()['source'].to_pylist()[-1])"
    expected = []
    for part in parts:
        table = part.table()
        expected.append(f"{table.num_rows} {table['source'].to_pylist()[-1]}")
        (tmp_path / f"{part.number}").write_bytes(pickle.dumps(part))
    commands = [[sys.executable, "-c", code, str(tmp_path / f"{number}")] for number in (2, 0, 1)]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for command in commands]
    assert [found[1], found[2], found[0]] == expected
