"""The proof itself: it passes on true graphs, in flat memory and in the store, and fails on a false one."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from etl.analysis import verify as proof
from etl.errors import BadFile, BadRequest, NotInStore
from etl.graph.selection import Selection, graph_of
from etl.graph.trace import Graph
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


def test_a_smaller_input_stays_exact() -> None:
    """The digits' network can't take one (its Dense is for 8x8); the CIFAR network's convolutions can, up to its Flatten."""
    with pytest.raises(Exception, match="does not fit"):
        proof.verify(DATA / "digits_cnn.h5", Selection(input_shapes=((6, 6, 1),)))


def test_a_false_graph_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bias of one channel moved by a thousandth."""
    from etl.graph import forward as passes

    true = passes.biases

    def wrong(step: object, box: object) -> np.ndarray:
        found = true(step, box)  # type: ignore[arg-type]
        return found + 0.05 * (step.name == "shapes")  # type: ignore[attr-defined]

    monkeypatch.setattr(passes, "biases", wrong)
    compared = {c.layer: c.relative for c in proof.verify(DATA / "digits_cnn.h5")}
    assert compared["strokes"] < proof.TOLERANCE < min(compared["shapes"], compared["digit"])


def test_given_examples_are_used_and_checked() -> None:
    x = np.zeros((3, 8, 8, 1), np.float32)
    assert proof.verify(DATA / "digits_cnn.h5", given=[x])[-1].values == 30
    assert proof.verify(DATA / "digits_cnn.h5", given=[x[0]])[-1].values == 10
    for bad in ([x[:, :7]], [x, x]):
        with pytest.raises(BadRequest, match="--input"):
            proof.verify(DATA / "digits_cnn.h5", given=bad)


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
            proof.verify(DATA / "digits_cnn.h5", given=[values])
