"""One contract for every sink that can give the graph back; and the Parquet folder itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import etl
from etl import schema
from etl.errors import BadRequest
from etl.graph import slices
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Input, Model, Network, Tensor
from etl.readers import read
from etl.sinks import memory, parquet, parquet_parts
from etl.sinks.memory import Tables
from tests.forward import run

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"


def through_memory(graph: Graph, tmp_path: Path) -> Tables:
    return memory.collect(graph)


def through_parquet(graph: Graph, tmp_path: Path) -> Tables:
    folder = tmp_path / "graph.parquet"
    parquet.Parquet(folder).write(graph)
    return read_folder(folder)


def read_folder(folder: Path) -> Tables:
    """The four tables of an exported folder, by file name."""

    def whole(name: str) -> pa.Table:
        return pa.concat_tables([pq.read_table(path) for path in sorted((folder / name).iterdir())]).unify_dictionaries()

    return Tables(
        layers=pq.read_table(folder / "layers.parquet"),
        neurons=whole("neurons"),
        weights=whole("weights"),
        outputs=pq.read_table(folder / "outputs.parquet"),
    )


@pytest.fixture(scope="module")
def digits() -> Graph:
    return trace(read(DIGITS))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    from sklearn.datasets import load_digits

    return (load_digits().data[0] / 16).astype(np.float32)


@pytest.mark.parametrize("through", [through_memory, through_parquet])
class TestSink:
    """What a sink gives back is the graph, whichever way it went."""

    @pytest.fixture
    def tables(self, through: Callable[[Graph, Path], Tables], digits: Graph, tmp_path: Path) -> Tables:
        return through(digits, tmp_path)

    def test_columns(self, tables: Tables) -> None:
        assert tables.layers.schema.equals(schema.LAYERS)
        assert tables.outputs.schema.equals(schema.OUTPUTS)
        assert tables.neurons.schema.equals(schema.neurons(np.dtype("float32")))
        assert tables.weights.schema.equals(schema.weights(np.dtype("float32")))

    def test_counts(self, tables: Tables) -> None:
        strokes = 8 * (3 * 8 - 2) ** 2  # 8 filters over 8x8 places; each axis loses two of its 3 * 8 meetings to the padding
        shapes, pool, digit = 16 * 6 * 6 * 3 * 3 * 8, 16 * 3 * 3 * 2 * 2, 144 * 10
        assert tables.layers["edges"].to_pylist() == [0, strokes, shapes, pool, 0, 0, digit]
        assert tables.neurons.num_rows == 64 + 8 * 8 * 8 + 6 * 6 * 16 + 3 * 3 * 16 + 10
        assert tables.weights.num_rows == strokes + shapes + pool + digit

    def test_spans_tile_the_ids(self, tables: Tables) -> None:
        ends = [0, *tables.layers["end"].to_pylist()]
        assert ends[:-1] == tables.layers["begin"].to_pylist()
        assert tables.neurons["id"].to_pylist() == list(range(ends[-1]))

    def test_weights_follow_their_targets(self, tables: Tables) -> None:
        rows = {row["name"]: row for row in tables.layers.to_pylist()}
        owners = tables.weights["layer"].to_pylist()
        assert list(dict.fromkeys(owners)) == ["strokes", "shapes", "pool", "digit"]
        for source, target, layer in zip(tables.weights["source"].to_pylist(), tables.weights["target"].to_pylist(), owners, strict=True):
            assert source < rows[layer]["begin"] <= target < rows[layer]["end"]

    def test_runs_forward(self, tables: Tables, picture: np.ndarray) -> None:
        import keras

        predicted = np.asarray(keras.models.load_model(DIGITS, compile=False)(picture.reshape(1, 8, 8, 1), training=False))[0]
        (found,) = run(tables.layers, tables.neurons, tables.weights, tables.outputs, [picture])
        np.testing.assert_allclose(found, predicted, rtol=1e-5, atol=1e-9)
        assert predicted.argmax() == 0


def test_files_are_bounded_and_in_order(digits: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "GROUP_ROWS", 1000)
    monkeypatch.setattr(parquet_parts, "FILE_ROWS", 4500)
    monkeypatch.setattr(slices, "ROWS", 300)
    whole = memory.collect(digits)
    told: list[tuple[str, int, int]] = []
    parquet.Parquet(tmp_path / "x.parquet").write(digits, lambda *said: told.append(said))
    files = sorted((tmp_path / "x.parquet" / "weights").iterdir())
    assert [path.name for path in files] == [f"{n:06d}.parquet" for n in range(len(files))] and len(files) >= 10
    for path in files:
        about = pq.read_metadata(path)
        assert about.num_rows <= 5000
        assert all(about.row_group(g).num_rows <= 1000 for g in range(about.num_row_groups))
    assert read_folder(tmp_path / "x.parquet").weights.to_pylist() == whole.weights.to_pylist()
    assert told[-1] == ("weights", digits.edges, digits.edges) and ("neurons", 1306, 1306) in told
    assert [done for what, done, _ in told if what == "weights"] == sorted({done for what, done, _ in told if what == "weights"})


def test_other_programs_read_the_folder(digits: Graph, tmp_path: Path) -> None:
    parquet.Parquet(tmp_path / "x.parquet").write(digits)
    found = pyarrow.dataset.dataset(tmp_path / "x.parquet" / "weights").to_table()
    assert found.num_rows == digits.edges


def test_model_json(digits: Graph, tmp_path: Path) -> None:
    import hashlib

    parquet.Parquet(tmp_path / "x.parquet").write(digits)
    said = json.loads((tmp_path / "x.parquet" / "model.json").read_text("utf-8"))
    assert said["name"] == "digits_cnn" and said["sha256"] == hashlib.sha256(DIGITS.read_bytes()).hexdigest()
    assert (said["neurons"], said["edges"], said["parameters"]) == (1306, 47360, 2698)
    assert said["inputs"] == [{"name": "pixels", "shape": [8, 8, 1]}] and said["outputs"] == [{"name": "digit", "shape": [10]}]


def test_the_same_file_gives_the_same_bytes(digits: Graph, tmp_path: Path) -> None:
    for name in ("a", "b"):
        parquet.Parquet(tmp_path / name).write(trace(read(DIGITS)))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 5
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_an_earlier_export_is_replaced(digits: Graph, tmp_path: Path) -> None:
    folder = tmp_path / "x.parquet"
    parquet.Parquet(folder).write(digits)
    parquet.Parquet(folder).write(replace(digits, model=replace(digits.model, name="again")))
    assert json.loads((folder / "model.json").read_text("utf-8"))["name"] == "again"
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize("other", ["file", "folder", "more", "link"])
def test_what_is_not_ours_stays(digits: Graph, tmp_path: Path, other: str) -> None:
    folder = tmp_path / "x.parquet"
    if other == "file":
        folder.write_text("mine", "utf-8")
    elif other == "link":
        folder.symlink_to(tmp_path / "nowhere")
    elif other == "folder":
        folder.mkdir()
    else:
        parquet.Parquet(folder).write(digits)
        (folder / "thesis.tex").write_text("mine", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadRequest, match="is there already and is no earlier export"):
        parquet.Parquet(folder).write(digits)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("cause", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_half_an_export_leaves_nothing(digits: Graph, tmp_path: Path, cause: BaseException) -> None:
    parquet.Parquet(tmp_path / "x.parquet").write(digits)
    before = (tmp_path / "x.parquet" / "weights" / "000000.parquet").stat()

    def interrupt(*_: object) -> None:
        raise cause

    with pytest.raises((KeyboardInterrupt, BadRequest)):
        parquet.Parquet(tmp_path / "x.parquet").write(digits, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert (tmp_path / "x.parquet" / "weights" / "000000.parquet").stat() == before


def test_what_a_killed_export_left_is_removed(digits: Graph, tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True).stdout.strip()
    killed, running = tmp_path / f".x.parquet.{gone}.partial", tmp_path / f".x.parquet.{os.getppid()}.partial"
    killed.mkdir()
    running.mkdir()
    parquet.Parquet(tmp_path / "x.parquet").write(digits)
    assert not killed.exists() and running.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(digits: Graph, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadRequest, match="can't be written"):
        parquet.Parquet(tmp_path / "x.parquet").write(digits)


def test_a_model_without_weights(tmp_path: Path) -> None:
    network = Network((), (Input("only", (3,), np.dtype("float32")),), (Tensor(INPUT),))
    graph = trace(Model("nothing", network, "0", "memory"))
    parquet.Parquet(tmp_path / "x.parquet").write(graph)
    found = read_folder(tmp_path / "x.parquet")
    assert found.weights.num_rows == 0 and found.neurons.num_rows == 3 and found.outputs["id"].to_pylist() == [0, 1, 2]


PEAK = """
import resource, sys
from pathlib import Path
from etl.graph.trace import trace
from etl.network import INPUT, Array, Call, Input, Layer, Model, Network, Tensor
from etl.sinks import parquet
import numpy as np
units = int(sys.argv[1])
kernel = Array("kernel", (2000, units), np.dtype("float32"), 0, lambda: np.ones((2000, units), np.float32))
dense = Call(Layer("d", "Dense", {"units": units, "use_bias": False}, (kernel,)), (Tensor(INPUT),))
parquet.Parquet(Path(sys.argv[2])).write(trace(Model("wide", Network((dense,), (Input("x", (40, 2000)),), (Tensor(0),)), "0", "memory")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_edges(tmp_path: Path) -> None:
    """Ten times the edges, 800,000 and 8,000,000: 26 bytes an edge would be 190 MB more."""
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", PEAK, str(units), str(tmp_path / str(units))],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ | {"PYTHONPATH": str(Path(etl.__file__).parents[1])},
            ).stdout
        )
        for units in (10, 100)
    ]
    assert peaks[1] - peaks[0] < 120_000  # kB: a row group and its copies


def test_tables_are_the_tables() -> None:
    assert [field.name for field in fields(Tables)] == ["layers", "neurons", "weights", "outputs"]
