"""The proof itself: it passes on true graphs, in flat memory and in the store, and fails on a false one."""

from __future__ import annotations

import io
import zipfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from etl.analysis import verify as proof
from etl.analysis.comparison import TOLERANCE, compare
from etl.analysis.split import split
from etl.errors import BadFile, BadRequest, NotInStore
from etl.graph.selection import Selection, graph_of
from etl.graph.traced import Graph
from etl.sinks.neo4j import live as neo4j

if TYPE_CHECKING:
    from etl.store import Store

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared/data"


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.keras"])
@pytest.mark.parametrize("fold", [False, True])
def test_a_true_graph_is_what_the_framework_computes(name: str, fold: bool) -> None:
    compared = proof.verify(DATA / name, Selection(fold=fold))
    assert [c.layer for c in compared] == ["strokes", "shapes", "pool", "flatten", "dropout", "digit", "output 0"]
    assert all(c.relative < 1e-5 for c in compared)


def test_a_smaller_input_that_does_not_fit_is_refused() -> None:
    """The digits' Dense is for 8x8."""
    with pytest.raises(BadFile, match=r"digit \(Dense\) does not fit"):
        proof.verify(DATA / "digits_cnn.h5", Selection(input_shapes=((6, 6, 1),)))


def test_a_false_graph_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bias of one of sixteen channels, moved by a thousandth of the layer's largest value."""
    from etl.graph import forward as passes

    true = passes.biases
    (shapes,) = (c for c in proof.verify(DATA / "digits_cnn.h5") if c.layer == "shapes")
    largest = shapes.error / shapes.relative

    def wrong(step: object, box: object) -> np.ndarray:
        biases = true(step, box)  # type: ignore[arg-type]
        if step.name == "shapes":  # type: ignore[attr-defined]
            biases.reshape(-1, 16)[:, 3] += largest / 1000
        return biases

    monkeypatch.setattr(passes, "biases", wrong)
    compared = {c.layer: c.relative for c in proof.verify(DATA / "digits_cnn.h5")}
    assert compared["strokes"] < TOLERANCE < min(compared["shapes"], compared["digit"])


def test_given_examples_are_used_and_checked() -> None:
    x = np.zeros((3, 8, 8, 1), np.float32)
    assert proof.verify(DATA / "digits_cnn.h5", inputs=[x])[-1].values == 30
    assert proof.verify(DATA / "digits_cnn.h5", inputs=[x[0]])[-1].values == 10
    for bad in ([x[:, :7]], [x, x]):
        with pytest.raises(BadRequest, match="--input"):
            proof.verify(DATA / "digits_cnn.h5", inputs=bad)


@pytest.mark.parametrize("selection", [Selection(top_k=1), Selection(granularity="channel"), Selection(layers=("strokes", None))])
def test_what_is_not_exact_is_not_verified(selection: Selection) -> None:
    with pytest.raises(BadRequest, match="leave out"):
        proof.verify(DATA / "digits_cnn.h5", selection)


def test_neo4j_computes_what_the_framework_computes(empty_store: Store) -> None:
    path = DATA / "digits_cnn.h5"
    with pytest.raises(NotInStore, match="load it first"):
        proof.verify_in_store(path, empty_store)
    graph: Graph = graph_of(path)
    neo4j.load(graph, empty_store, "digits_cnn")
    (compared,) = proof.verify_in_store(path, empty_store)
    assert compared.relative < 1e-5
    with pytest.raises(NotInStore, match="same options"):
        proof.verify_in_store(DATA / "digits_cnn.keras", empty_store)  # another file under that name


@pytest.mark.parametrize("name", ["CIFAR-10_CNN5.h5", "mlpcn_network1.h5"])
def test_networks_by_others(name: str) -> None:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    compared = proof.verify(path)
    assert all(c.relative < 1e-5 for c in compared)


@pytest.mark.filterwarnings("ignore")  # of Keras while it saves
@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_files_under_other_names(framework: str, tmp_path: Path) -> None:
    """Keras goes by a file's name, the graph by what is in it: the framework gets it under a name that it takes."""
    keras = import_module(framework)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3, activation="softmax")])
    for name, other in (
        ("m.keras", "zip.h5"),
        ("m.h5", "hdf5.keras"),
        ("m.hdf5", "hdf5.bin"),
        ("m.weights.h5", "store.h5"),
        ("m.weights.h5", "store"),
    ):
        (model.save_weights if "weights" in name else model.save)(tmp_path / name)
        (tmp_path / other).write_bytes((tmp_path / name).read_bytes())
        selection = Selection(architecture=str(tmp_path / "m.keras") if "weights" in name else None)
        assert max(c.relative for c in proof.verify(tmp_path / other, selection)) < 1e-5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_half_precision_is_compared_in_float32(framework: str, policy: str, tmp_path: Path) -> None:
    """Its rounding, about a thousandth, would hide a wrong graph, or be taken for one."""
    keras = import_module(framework)
    kit = keras.layers
    model = keras.Sequential([keras.Input((40,)), kit.Dense(30, activation="tanh", dtype=policy), kit.Dense(7, dtype=policy)])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert max(c.relative for c in proof.verify(tmp_path / name)) < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_architectures_of_all_kinds(tmp_path: Path) -> None:
    """JSON, a whole model, a name of keras.applications; weights in one file and in several."""
    keras = import_module("keras")
    name = "keras.applications:MobileNet?alpha=0.25&input_shape=32,32,3&include_top=false"
    model = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(32, 32, 3), include_top=False)
    (tmp_path / "m.json").write_text(model.to_json())
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.0005)
    for weights, architecture in (("m.weights.h5", name), ("m.weights.h5", tmp_path / "m.keras"), ("m.weights.json", tmp_path / "m.json")):
        compared = proof.verify(tmp_path / weights, Selection(architecture=str(architecture)))
        assert max(c.relative for c in compared) < 1e-4


def test_arrays_that_are_no_examples(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 8, 8, 1)})
    path.write_bytes(header.getvalue() + bytes(64))
    with pytest.raises(BadFile, match="mmap length is greater than file size"):
        proof.array(path)
    for values, said in (
        (np.array(["a"]), "no numbers"),
        (np.array([1j]), "no numbers"),
        (np.array([np.nan]), "NaN"),
        (np.array([{}]), "can't be read"),
    ):
        np.save(path, values, allow_pickle=True)
        with pytest.raises(BadFile, match=said):
            proof.array(path)
    np.savez(tmp_path / "x.npz", a=np.ones(1), b=np.ones(1))
    with pytest.raises(BadFile, match="several arrays"):
        proof.array(tmp_path / "x.npz")
    for values in (np.float32(3), np.ones((0, 8, 8, 1))):
        with pytest.raises(BadRequest, match="the model takes"):
            proof.verify(DATA / "digits_cnn.h5", inputs=[values])


def moved_biases(monkeypatch: pytest.MonkeyPatch, layer: str, by: float) -> None:
    """From now on, the graph's biases of one layer are wrong."""
    from etl.graph import forward as passes

    true = passes.biases
    monkeypatch.setattr(passes, "biases", lambda step, box: true(step, box) + by * (step.name == layer))


def logistic_map(path: Path) -> Path:
    """4x (1 - x), thirty times: each doubles what rounding has left, which float32 does not survive."""
    keras = import_module("keras")
    x = start = keras.Input((1,))
    for number in range(30):
        x = keras.layers.Multiply(name=f"step_{number}")([x, keras.layers.Rescaling(-4.0, 4.0, name=f"scale_{number}")(x)])
    keras.Model(start, x).save(path)
    return path


@pytest.mark.parametrize("precise", [True, False])
def test_a_chaotic_model_is_compared_with_what_its_arithmetic_is_worth(precise: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.analysis import comparison

    path, given = logistic_map(tmp_path / "map.keras"), [np.array([[0.3], [0.7]], np.float32)]
    if not precise:  # as where a model has operations that there are in float32 only
        monkeypatch.setattr(comparison, "precise_predictions", lambda made, inputs: None)
    found = proof.verify(path, inputs=given)
    assert all(c.right for c in found)
    doubted = [c for c in found if c.noise is not None]
    assert doubted and min(c.noise or 0 for c in doubted) > (TOLERANCE if precise else 0)
    assert {c.arithmetic for c in doubted} == {"float64" if precise else "float32"}
    if precise:
        assert max(c.relative for c in found) < TOLERANCE
        moved_biases(monkeypatch, "scale_3", 1e-2)
        assert next(c.layer for c in proof.verify(path, inputs=given) if not c.right) == "scale_3"


@pytest.mark.filterwarnings("ignore")
def test_rounding_of_a_normalization_over_one_channel_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns beta whatever it is given; TensorFlow's float32 is 2 % off."""
    keras = import_module("tf_keras")
    x = keras.Input((10, 1))
    norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
    keras.Model(x, keras.layers.Flatten()(norm(x))).save(tmp_path / "m.h5")
    norm.set_weights([np.ones(1, np.float32), np.full(1, -0.0015, np.float32)])
    keras.Model(x, keras.layers.Flatten()(norm(x))).save(tmp_path / "m.h5")
    first, *rest = proof.verify(tmp_path / "m.h5")
    assert first.right and first.relative < 1e-6 and first.arithmetic == "float64" and (first.noise or 0) > TOLERANCE
    assert all(c.right for c in rest)
    moved_biases(monkeypatch, "norm", 1e-6)
    assert not proof.verify(tmp_path / "m.h5")[0].right


def test_what_is_no_number_on_both_sides_is_the_same() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf])
    assert compare("x", "", values, values.astype(np.float32)).right
    for place, wrong in ((0, np.nan), (1, 1.0), (2, -np.inf), (3, 5.0)):
        other = values.copy()
        other[place] = wrong
        assert compare("x", "", other, values).relative == float("inf")
    assert compare("x", "", np.zeros(3), np.zeros(4)).relative == float("inf")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_a_smaller_input_than_the_files(framework: str, tmp_path: Path) -> None:
    """A nested model and a shared one have shapes of their own; a normalization holds what it derived from its weights."""
    keras = import_module(framework)
    kit = keras.layers
    inner = keras.Sequential([keras.Input((14, 14, 4)), kit.Conv2D(3, 3, activation="tanh")], name="inner")
    norm = kit.Normalization(axis=-1)
    norm.adapt(np.random.default_rng(0).normal(2, 3, (50, 16, 16, 3)))
    x = keras.Input((16, 16, 3), name="picture")
    y = inner(kit.Conv2D(4, 3)(norm(x)))
    model = keras.Model(x, kit.Dense(2)(kit.GlobalMaxPooling2D()(kit.Conv2D(3, 1)(y))))
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        found = proof.verify(tmp_path / name, Selection(input_shapes=((8, 10, 3),)))
        assert {c.layer: c.values for c in found}["inner"] == 2 * 4 * 6 * 3 and max(c.relative for c in found) < 1e-5
        assert not found.untold


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["CuDNNLSTM", "CuDNNGRU"])
def test_layers_for_graphics_cards_run_without_one(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As LSTM and GRU, whose weights Keras makes of theirs. Whatever a framework raises when it runs is one line."""
    from etl.frameworks import keras as framework

    keras = import_module("tf_keras")
    layer = getattr(import_module(f"tf_keras.src.layers.rnn.{kind[:5].lower()}_{kind[5:].lower()}"), kind)
    x = keras.Input((4, 5))
    model = keras.Model(x, keras.layers.Dense(2)(layer(6, name="cell")(x)))
    model.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in model.get_weights()])
    model.save(tmp_path / "m.h5")
    model.save_weights(tmp_path / "w.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    for name, architecture in (("m.h5", None), ("w.h5", str(tmp_path / "m.json"))):
        found = proof.verify(tmp_path / name, Selection(architecture=architecture))
        assert "cell" in {c.layer for c in found} and max(c.relative for c in found) < 1e-5
    monkeypatch.setattr(framework, "without_cards", lambda keras, text: text)
    with pytest.raises(BadFile, match="its own framework can't run it here") as raised:
        proof.verify(tmp_path / "m.h5")
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_archives_from_windows_run_too(framework: str, tmp_path: Path) -> None:
    """TensorFlow 2.12 to 2.15 called the groups of weights `layers\\dense` there."""
    keras = import_module(framework)
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)], name="inner")
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.Bidirectional(keras.layers.GRU(3), merge_mode="sum"), inner])
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(tmp_path / "windows.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, backslashed(old.read(name)) if name == "model.weights.h5" else old.read(name))
    assert max(c.relative for c in proof.verify(tmp_path / "windows.keras")) < 1e-5
    assert len(split(tmp_path / "windows.keras", [model.layers[-2].name], tmp_path / "parts")) == 2


def backslashed(stored: bytes) -> bytes:
    """The same file of weights with every group that holds some at the top, under its whole path with backslashes."""
    written = io.BytesIO()
    with h5py.File(io.BytesIO(stored)) as old, h5py.File(written, "w") as new:
        paths: list[str] = []
        old.visit(lambda path: paths.append(path.removesuffix("/vars")) if path.endswith("/vars") else None)
        for path in paths:
            old.copy(old[path]["vars"], new, path.replace("/", "\\") + "/vars")
    return written.getvalue()


@pytest.mark.parametrize("name", ["layernorm_one_channel.h5", "cudnn_lstm.h5", "windows.keras"])
def test_files_that_failed(name: str) -> None:
    path = SHARED / "failing" / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    assert all(c.right for c in proof.verify(path))
