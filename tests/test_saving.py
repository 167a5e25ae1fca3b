"""Models written back from the store: what h5py finds in the file, compared with the file they came from."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import etl
from etl.analysis.saving import comparison, save
from etl.analysis.saving.rewriting import narrowed
from etl.analysis.saving.stored_rows import Weights
from etl.cli import main
from etl.errors import BadRequest, Conflict
from etl.graph.selection import Selection, graph_of, selection_of
from etl.readers import read
from etl.readers.hdf5 import widened
from etl.sinks.neo4j import live
from etl.store import Store, queries

pytestmark = [  # Keras' own, in saving
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

DATA = Path(__file__).parent / "data"
DIGITS = DATA / "digits_cnn.h5"
KERNEL = "model_weights/digit/digits_cnn/digit/kernel"
Arrays = dict[str, NDArray[Any]]


def arrays(path: Path) -> Arrays:
    """Every array of a .h5 or .keras file by its place, as h5py reads it."""
    source: Any = path
    if path.suffix == ".keras":
        with ZipFile(path) as archive:
            assert archive.testzip() is None
            source = io.BytesIO(archive.read("model.weights.h5"))
    found: Arrays = {}
    with h5py.File(source) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def differences(first: Path, second: Path) -> dict[str, list[tuple[int, ...]]]:
    """Where two files differ: place of an array -> indices."""
    one, other = arrays(first), arrays(second)
    assert one.keys() == other.keys()
    apart = {name: [tuple(map(int, at)) for at in np.argwhere(values != other[name])] for name, values in one.items()}
    return {name: places for name, places in apart.items() if places}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the digits' kind, small enough to be loaded anew for each test."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    strokes = layers.Conv2D(3, 2, activation="relu", name="strokes", bias_initializer="normal")
    rest = [layers.MaxPooling2D(name="pool"), layers.Flatten(name="flatten"), layers.Dense(4, activation="softmax", name="digit")]
    path = tmp_path_factory.mktemp("tiny") / "tiny.h5"
    keras.Sequential([keras.Input((5, 5, 1), name="pixels"), strokes, *rest]).save(path)
    return path


@pytest.fixture
def fresh(store: Store, tiny: Path) -> Store:
    """The store with the tiny network in it, as its file has it."""
    store.write("MATCH (m:Model {name: 'tiny'}) SET m.fingerprint = 'touched'")
    live.load(graph_of(tiny), store, "tiny", replace=True)
    return store


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.keras"])
def test_an_untouched_model_is_its_file_byte_by_byte(store: Store, tmp_path: Path, name: str) -> None:
    source = DATA / name
    live.load(graph_of(source), store, f"untouched {name}", replace=True)
    rows = save(store, f"untouched {name}", source, tmp_path / name)
    assert (tmp_path / name).read_bytes() == source.read_bytes()
    assert [(row.layer, row.parameters, row.changed) for row in rows] == [("strokes", 80, 0), ("shapes", 1168, 0), ("digit", 1450, 0)]


def test_one_weight_set_in_cypher_is_one_number_of_the_file(store: Store, tmp_path: Path) -> None:
    live.load(graph_of(DIGITS), store, "one weight", replace=True)
    ends = "(:Neuron {model: 'one weight', layer: 'pool', index: [2, 2, 15]})-[w:WEIGHT]->(:Neuron {model: 'one weight', layer: 'digit', index: [4]})"
    assert store.write(f"MATCH {ends} SET w.weight = 0").properties_set == 1
    rows = save(store, "one weight", DIGITS, tmp_path / "out.h5")
    assert differences(DIGITS, tmp_path / "out.h5") == {KERNEL: [(2 * 48 + 2 * 16 + 15, 4)]}
    assert arrays(tmp_path / "out.h5")[KERNEL][143, 4] == 0
    assert [(row.changed, row.zeros) for row in rows] == [(0, 0), (0, 0), (1, 1)]


def test_what_the_graph_computes_is_what_keras_computes_of_the_file(fresh: Store, tiny: Path, tmp_path: Path) -> None:
    """Weights, whole parameters of a kernel and biases changed, weights deleted: one example through Neo4j and through Keras, in both formats."""
    import keras

    fresh.write("MATCH (:Neuron {model: 'tiny', layer: 'digit'})<-[w:WEIGHT]-() WHERE w.parameter % 3 = 0 SET w.weight = w.weight * -0.7")
    fresh.write("MATCH (:Neuron {model: 'tiny', layer: 'digit'})<-[w:WEIGHT]-() WHERE w.parameter % 7 = 1 DELETE w")
    fresh.write("MATCH (:Neuron {model: 'tiny', layer: 'strokes'})<-[w:WEIGHT]-() WHERE w.parameter % 5 = 2 SET w.weight = 0.5 + w.parameter / 64.0")
    fresh.write("MATCH (b:Neuron {model: 'tiny', layer: 'strokes'}) SET b.bias = b.bias + b.index[2] / 8.0")
    example = np.random.default_rng(5).uniform(0, 1, (5, 5, 1)).astype(np.float32)
    stored = queries.run(fresh, "forward", {"model": "tiny", "input": example.reshape(-1).tolist()})
    untouched = keras.models.load_model(tiny, compile=False).predict(example[None], verbose=0)[0]
    assert np.abs([row["value"] for row in stored] - untouched).max() > 0.05
    for name in ("out.h5", "out.keras"):
        save(fresh, "tiny", tiny, tmp_path / name)
        predicted = keras.models.load_model(tmp_path / name, compile=False).predict(example[None], verbose=0)[0]
        np.testing.assert_allclose([row["value"] for row in stored], predicted, rtol=2e-5, atol=1e-6)


def test_weights_left_out_at_load_are_zeros(store: Store, tmp_path: Path) -> None:
    live.load(graph_of(DIGITS, Selection(min_weight=0.05, layers=("flatten", None))), store, "thin", replace=True)
    save(store, "thin", DIGITS, tmp_path / "thin.h5")
    kernel = arrays(DIGITS)[KERNEL]
    np.testing.assert_array_equal(arrays(tmp_path / "thin.h5")[KERNEL], np.where(np.abs(kernel) < 0.05, 0, kernel))
    assert list(differences(DIGITS, tmp_path / "thin.h5")) == [KERNEL]


NEURON = "MATCH (b:Neuron {model: 'tiny', layer: $layer}) WITH b LIMIT 1 "
WEIGHT = "MATCH (b:Neuron {model: 'tiny', layer: $layer})<-[w:WEIGHT]-() WITH b, w LIMIT 1 "


@pytest.mark.parametrize(
    ("layer", "change", "said"),
    [
        ("strokes", WEIGHT + "SET w.weight = 7", r"strokes: 1 of 12 numbers of its kernel are shared by edges .* to 7\)"),
        ("strokes", WEIGHT + "DELETE w", r"strokes: 1 of 12 numbers of its kernel"),
        ("strokes", NEURON + "SET b.bias = 7", r"strokes: 1 of 3 numbers of its bias"),
        ("pool", WEIGHT + "SET w.weight = 7", r"pool: changed or removed weights that are no stored numbers \(1\)"),
        ("pool", NEURON + "SET b.bias = 7", r"pool: changed biases that are no stored numbers \(1\)"),
        ("digit", NEURON + "SET b.op = 'max'", r"digit: neurons whose op or activation changed \(1\)"),
        ("digit", NEURON + "CREATE (b)-[:WEIGHT {weight: 1.0}]->(b)", r"digit: weights that the file has no place for \(1\)"),
        ("pixels", NEURON + "CREATE (b)-[:WEIGHT {weight: 1.0}]->(b)", r"pixels: weights that the file has no place for \(1\)"),
        ("digit", WEIGHT + "SET w.weight = 0.0 / 0.0", r"digit: weights that are no finite numbers \(1\)"),
        ("digit", WEIGHT + "SET w.weight = 1e300", r"digit: weights that are no finite numbers \(1\)"),
        ("digit", WEIGHT + "REMOVE w.weight", r"digit: weights that are no finite numbers \(1\)"),
        ("digit", NEURON + "SET b.bias = 'none'", r"digit: biases that are no finite numbers \(1\)"),
        ("digit", NEURON + "DETACH DELETE b", r"digit: removed neurons \(1\)"),
    ],
)
def test_what_no_file_can_say_is_named(fresh: Store, tiny: Path, tmp_path: Path, layer: str, change: str, said: str) -> None:
    fresh.write(change, layer=layer)
    with pytest.raises(Conflict, match=rf"^tiny can't be written back: {said}"):
        save(fresh, "tiny", tiny, tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer called twice, a nested model, BatchNormalization, an LSTM, an Embedding: numbers that are many edges, or none."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    words, x = keras.Input((4,), dtype="int32", name="words"), keras.Input((3,), name="x")
    inner = keras.Input((5,))
    tower = keras.Model(inner, layers.Dense(5, "relu", name="deep")(layers.BatchNormalization(name="norm")(inner)), name="tower")
    shared = layers.Dense(5, name="shared")
    read = layers.LSTM(3, name="lstm")(layers.Embedding(6, 2, name="table")(words))
    both = layers.concatenate([shared(x), shared(read)])
    model = keras.Model([words, x], layers.Dense(2, name="end")(layers.concatenate([tower(shared(x)), both])))
    path = tmp_path_factory.mktemp("mixed") / "mixed.keras"
    model.save(path)
    return path


def test_shared_and_computed_numbers(store: Store, mixed: Path, tmp_path: Path) -> None:
    """Each parameter with two edges or more is changed on all of them; all that Keras stores of other kinds stays."""
    live.load(graph_of(mixed), store, "mixed", replace=True)
    save(store, "mixed", mixed, tmp_path / "same.keras")
    assert (tmp_path / "same.keras").read_bytes() == mixed.read_bytes()
    store.write("MATCH (:Neuron {model: 'mixed'})-[w:WEIGHT]->() WHERE w.parameter IS NOT NULL SET w.weight = w.weight + 0.5")
    store.write(
        "MATCH (b:Neuron {model: 'mixed'}) WHERE b.bias IS NOT NULL AND b.op = 'sum' AND NOT b.layer CONTAINS 'norm' SET b.bias = b.bias - 0.25"
    )
    save(store, "mixed", mixed, tmp_path / "out.keras")
    before, after = arrays(mixed), arrays(tmp_path / "out.keras")
    norm = {name for name in before if "batch_normalization" in name}
    assert len(norm) == 4 and len(before) == 4 + 2 + 2 + 2 + 3 + 1
    for name, values in before.items():
        moved = np.float32(0) if name in norm else np.float32(-0.25) if values.ndim == 1 else np.float32(0.5)
        np.testing.assert_array_equal(after[name], (values.astype(np.float64) + moved).astype(np.float32), err_msg=name)
    store.write("MATCH (b:Neuron {model: 'mixed', layer: 'tower/norm'})<-[w:WEIGHT]-() SET w.weight = 2.0, b.bias = 1.0")
    with pytest.raises(
        Conflict, match=r"weights that are no stored numbers \(5\); tower/norm: changed biases|biases .*\(5\); tower/norm: changed or"
    ):
        save(store, "mixed", mixed, tmp_path / "other.keras")


def test_a_graph_of_one_length_is_saved(store: Store, tmp_path: Path) -> None:
    """A masked text model, loaded for sequences of three words."""
    import keras
    from keras import layers

    path = tmp_path / "text.keras"
    keras.Sequential([keras.Input((5,)), layers.Embedding(6, 2, mask_zero=True), layers.LSTM(3)]).save(path)
    live.load(graph_of(path, Selection(lengths=(-3,))), store, "text", replace=True)
    save(store, "text", path, tmp_path / "same.keras")
    assert (tmp_path / "same.keras").read_bytes() == path.read_bytes()


def test_an_option_of_another_version_is_refused() -> None:
    with pytest.raises(BadRequest, match="loaded with --shuffle, which this version of the program does not know"):
        selection_of("--fold --shuffle 3")


def test_refusals(fresh: Store, tiny: Path, tmp_path: Path) -> None:
    live.load(graph_of(tiny, Selection(granularity="channel")), fresh, "channels", replace=True)
    shutil.copy(tiny, tmp_path / "mine.h5")
    for name, source, out, said in (
        ("tiny", DATA / "digits_cnn.h5", "out.h5", "is not the file that tiny was loaded from: its sha256 begins with 27d60f8b83fd"),
        ("tiny", tiny, "out.onnx", r"a model of tiny.h5 is written as .h5 or .hdf5 or .keras"),
        ("tiny", tmp_path / "mine.h5", "mine.h5", "is the file that the model came from"),
        ("channels", tiny, "out.h5", "channels is a graph of channels"),
    ):
        with pytest.raises(BadRequest, match=said):
            save(fresh, name, source, tmp_path / out)
    fresh.write("MATCH (m:Model {name: 'tiny'}) SET m.format = 'torch-export'")
    with pytest.raises(BadRequest, match="tiny was loaded from torch-export: only Keras files"):
        save(fresh, "tiny", tiny, tmp_path / "out.h5")


def test_command_and_library(fresh: Store, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_with("save", "tiny", str(tmp_path / "out.h5"), "--from", str(tiny), "--format", "csv") == 0
    printed = capsys.readouterr()
    assert printed.out == "layer,parameters,changed,zeros\nstrokes,15,0,0\ndigit,52,0,4\n"
    assert f"0 of 67 parameters differ from {tiny}" in printed.err
    with etl.connect() as connected:
        assert connected["tiny"].save(tmp_path / "again.h5", source=tiny)[1].layer == "digit"
    assert (tmp_path / "again.h5").read_bytes() == tiny.read_bytes()


def main_with(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["etl", *arguments])
        return main()


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(layers=("a b", None), min_weight=0.25, fold=True),
        Selection(layers=(None, "digit"), top_k=3, ignore_masks=True),
        Selection(input_shapes=((4, 4, 1),), granularity="channel", lambdas={"scale it": "x / 2 - 1"}),
        Selection(input_shapes={"pixels": (4, 4, 1)}, constants={"sr": 16000}),
        Selection(lengths=(7, -2)),
    ],
)
def test_a_selection_is_read_as_it_was_written(selection: Selection) -> None:
    assert selection_of(selection.written(read(DIGITS))) == selection


def test_edges_between_the_same_ends_are_paired_once() -> None:
    def edges(*rows: tuple[int, int, float, int]) -> Weights:
        source, target, weight, parameter = zip(*rows, strict=True)
        return Weights(np.array(source), np.array(target), np.array(weight, float), np.array(parameter))

    first = edges((0, 5, 0.5, -1), (0, 5, 0.25, -1), (1, 5, 1.0, 3), (1, 5, 2.0, 4), (2, 6, 1.0, 0))
    second = edges((1, 5, 9.0, 4), (0, 5, 0.5, -1), (3, 6, 1.0, 0), (0, 5, 0.25, -1), (0, 5, 7.0, -1))
    here, there = comparison.pairs(first, second)
    assert sorted(zip(here.tolist(), there.tolist(), strict=True)) == [(0, 1), (1, 3), (3, 0)]


def test_half_precision_is_rounded_to_nearest() -> None:
    values = np.array([1.0, -0.1, 1 + 2**-9, 1 + 3 * 2**-9, 0.0], np.float32)
    bfloat = narrowed(values, np.dtype("V2"))
    np.testing.assert_array_equal(widened(bfloat), np.array([1.0, -0.10009765625, 1.0, 1 + 2**-7 * 1.0, 0.0], np.float32))
    np.testing.assert_array_equal(narrowed(values, np.dtype(np.float16)), values.astype(np.float16))
