"""Files of older versions: real ones of seven writers, and the differences between versions written into files by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from etl.errors import BadFile
from etl.network import INPUT, Input, Layer, Model, Network, Tensor
from etl.readers import read
from tests.live import calls_of_network
from tests.test_bad_files import dense, fitting, functional, sequential, write

OLD = Path(__file__).parent / "data" / "old"
VERSIONS = sorted(path.stem for path in OLD.glob("*.keras"))
JSON = dict[str, Any]


def arrays(network: Network, above: str = "") -> dict[str, Any]:
    """`layer/inner layer|0` -> values in the order of `begin`."""
    found: dict[str, Any] = {}
    for layer in network.layers():
        if layer.network is not None:
            found |= arrays(layer.network, f"{above}{layer.name}/")
        else:
            in_order = sorted(layer.stored(), key=lambda array: array.begin)
            found |= {f"{above}{layer.name}|{place}": array.read() for place, array in enumerate(in_order)}
    return found


def agrees(found: Model, version: str) -> None:
    with np.load(OLD / f"{version}.npz") as told:
        wanted = {name: told[name] for name in told.files if name != "calls"}
        calls = {(name, number): [tuple(one) for one in inputs] for name, number, inputs in json.loads(str(told["calls"]))}
    values = arrays(found.network)
    assert set(values) == set(wanted)
    for name, one in values.items():
        np.testing.assert_array_equal(one, wanted[name], err_msg=name)
    assert calls_of_network(found.network) == calls
    assert {layer.dialect for layer in found.network.layers()} == {f"keras{version[0]}"}


def taken_apart(version: str, folder: Path) -> tuple[Path, Path]:
    """The weights and the architecture of an archive as files of their own."""
    with zipfile.ZipFile(OLD / f"{version}.keras") as archive:
        (folder / "model.weights.h5").write_bytes(archive.read("model.weights.h5"))
        (folder / "config.json").write_bytes(archive.read("config.json"))
    return folder / "model.weights.h5", folder / "config.json"


@pytest.mark.parametrize("version", VERSIONS)
def test_archives(version: str) -> None:
    found = read(OLD / f"{version}.keras")
    assert (found.format, found.version) == ("keras-zip", version)
    agrees(found, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_stores_that_do_not_say_their_version(version: str, tmp_path: Path) -> None:
    """2.12 and 2.13 count layers with weights twice, 2.14 once, under the same root: found out by trying."""
    agrees(read(*taken_apart(version, tmp_path)), version)


@pytest.mark.parametrize("version", ["2.13.1", "2.14.0", "2.15.0"])
def test_stores_written_on_windows(version: str, tmp_path: Path) -> None:
    """There one group's name is the whole path, with backslashes."""
    weights, architecture = taken_apart(version, tmp_path)
    with h5py.File(weights) as source, h5py.File(tmp_path / "windows.weights.h5", "w") as target:

        def move(name: str, one: Any) -> None:
            if isinstance(one, h5py.Dataset):
                path, _, last = name.rpartition("/vars/")
                target[f"{path.replace('/', chr(92))}/vars/{last}"] = one[()]

        source.visititems(move)
    agrees(read(tmp_path / "windows.weights.h5", architecture), version)


# HDF5 of Keras 2.0 to 2.3


def test_a_list_of_layers(tmp_path: Path) -> None:
    """Up to 2.2.2 a Sequential model's configuration is the list, without a name; the input shape stands in its first layer."""
    inner = {"class_name": "Sequential", "config": [dense("a", units=3, batch_input_shape=[None, 3])]}
    model = {"class_name": "Sequential", "config": [inner, dense("b")]}
    arrays = {"sequential_7": {"a/kernel": np.eye(3), "a/bias": np.ones(3)}, "b": fitting()}
    found = read(write(tmp_path / "old.h5", model, arrays)).network
    assert [call.layer.name for call in found.calls] == ["sequential_7", "b"]
    assert found.inputs == (Input("input", (3,)),)
    nested = found.calls[0].layer.network
    assert nested is not None
    assert [call.layer.name for call in nested.calls] == ["a"]
    assert nested.calls[0].layer.arrays[0].read().tolist() == np.eye(3).tolist()


def test_a_layer_called_input(tmp_path: Path) -> None:
    model = {"class_name": "Sequential", "config": [dense("input", batch_input_shape=[None, 3])]}
    found = read(write(tmp_path / "old.h5", model, {"input": fitting()})).network
    assert [found.inputs[0].name, found.calls[0].layer.name] == ["input_", "input"]


def test_old_class_names_and_leaves(tmp_path: Path) -> None:
    model = functional(dense=[[["x", 0, 0]]])
    model["class_name"] = "Model"
    model["config"]["layers"].append(
        {"class_name": "SyncBatchNormalization", "name": "bn", "config": {"name": "bn", "scale": False}, "inbound_nodes": [[["dense", 0, 0]]]}
    )
    model["config"]["output_layers"] = [["bn", 0, 0]]
    stored = {"x": {}, "dense": fitting(3), "bn": {"moving_mean": np.zeros(3), "beta": np.ones(3), "moving_variance": np.full(3, 2.0)}}
    found = read(write(tmp_path / "old.h5", model, stored)).network
    assert [call.layer.kind for call in found.calls] == ["Dense", "BatchNormalization"]
    assert [(array.role, array.begin, float(array.read()[0])) for array in found.calls[1].layer.arrays] == [
        ("beta", 3, 1.0),  # in the file behind moving_mean: `begin` follows the file, roles the configuration
        ("moving_mean", 0, 0.0),
        ("moving_variance", 6, 2.0),
    ]


def test_names_that_say_nothing_are_taken_in_order(tmp_path: Path) -> None:
    """The weights published with keras.applications: `block1_conv1_W_1:0`, and layers found by their place."""
    stored = {"x": {}, "block": {"block_W_1": np.full((3, 2), 5.0), "block_b_1": np.ones(2)}}
    found = read(write(tmp_path / "old.h5", sequential(dense()), stored)).network
    assert [(array.role, float(array.read().max())) for array in found.calls[0].layer.arrays] == [("kernel", 5.0), ("bias", 1.0)]


def test_lists_of_names_in_pieces(tmp_path: Path) -> None:
    """Above 64,512 bytes Keras cuts an attribute into numbered ones."""
    path = write(tmp_path / "long.h5", sequential(dense()), {"x": {}, "dense": fitting()})
    with h5py.File(path, "a") as file:
        weights = file["model_weights"]
        del weights.attrs["layer_names"], weights["dense"].attrs["weight_names"]
        weights.attrs["layer_names0"], weights.attrs["layer_names1"] = [b"x"], [b"dense"]
        weights["dense"].attrs["weight_names0"], weights["dense"].attrs["weight_names1"] = [b"dense/kernel:0"], [b"dense/bias:0"]
    assert read(path).network.calls[0].layer.parameters == 8


@pytest.mark.parametrize(("frozen", "order"), [(False, "kernel bias gamma beta"), (True, "gamma beta kernel bias")])
def test_frozen_layers_of_a_nested_model_come_late(frozen: bool, order: str, tmp_path: Path) -> None:
    """One group holds the nested model: trainable arrays first. Names settle it, and the order where they say nothing."""
    values = {"kernel": np.full((3, 3), 1.0), "bias": np.full(3, 2.0), "gamma": np.full(3, 3.0), "beta": np.full(3, 4.0)}
    late = {"mean": np.full(3, 5.0), "variance": np.full(3, 6.0)}
    norm = {"class_name": "BatchNormalization", "config": {"name": "norm"}}
    model = sequential(sequential(dense("inside", units=3, trainable=not frozen), norm, name="nested"))
    owner = {"kernel": "inside/kernel", "bias": "inside/bias", "gamma": "norm/gamma", "beta": "norm/beta"}
    named = {owner[one]: values[one] for one in order.split()}
    late_first = {f"norm/moving_{one}": array for one, array in late.items()}
    parts = [named, late_first] if not frozen else [{k: v for k, v in named.items() if "norm" in k}, {}]
    if frozen:
        parts[1] = {k: v for k, v in named.items() if "inside" in k} | late_first
    everything = parts[0] | parts[1]
    nameless = {f"weight_{place}": array for place, array in enumerate(everything.values())}
    for stored in (everything, nameless):
        nested = read(write(tmp_path / "nested.h5", model, {"x": {}, "nested": stored})).network.calls[0].layer.network
        assert nested is not None
        found = {array.role: float(array.read().max()) for call in nested.calls for array in call.layer.arrays}
        assert found == {"kernel": 1, "bias": 2, "gamma": 3, "beta": 4, "moving_mean": 5, "moving_variance": 6}


def test_the_halves_of_a_bidirectional_layer_by_name(tmp_path: Path) -> None:
    """With a frozen forward half Keras 2 writes the backward half first, and only the names say so."""
    inner = {"class_name": "SimpleRNN", "config": {"name": "rnn", "units": 2, "use_bias": False}}
    model = sequential({"class_name": "Bidirectional", "config": {"name": "both", "layer": inner}})
    stored = {f"{half}_rnn/simple_rnn_cell/{role}": np.full((3 if role == "kernel" else 2, 2), value)
              for half, value in (("backward", 1.0), ("forward", 2.0)) for role in ("kernel", "recurrent_kernel")}  # fmt: skip
    both = read(write(tmp_path / "both.h5", model, {"x": {}, "both": stored})).network.calls[0].layer
    halves = {name: one.arrays[0].read()[0, 0] for name, one in both.inner.items() if isinstance(one, Layer)}
    assert halves == {"forward_layer": 2.0, "backward_layer": 1.0}
    assert [one.options.get("go_backwards", False) for one in both.inner.values() if isinstance(one, Layer)] == [False, True]


@pytest.mark.parametrize(
    ("version", "keras"), [("2.0.8", 2), ("2.2.4-tf", 2), ("2.15.0", 2), ("3.0.5", 3), ("3.15.1", 3), ("1.2.2", 2), (None, 2), ("unknown", 2)]
)
def test_whose_meaning_a_file_has(version: str | None, keras: int, tmp_path: Path) -> None:
    path = write(tmp_path / "model.h5", sequential(dense(trainable=True)), {"x": {}, "dense": fitting()})
    with h5py.File(path, "a") as file:
        del file.attrs["keras_version"]
        if version:
            file.attrs["keras_version"] = version
    assert read(path).network.calls[0].layer.dialect == f"keras{keras}"


def test_constants_and_keyword_tensors(tmp_path: Path) -> None:
    """Keras 2: `_CONSTANT_VALUE` leaves, tensors among keyword arguments, and a plain list that looks like neither."""
    inbound: list[Any] = [
        [["x", 0, 0, {"mask": ["x", 0, 0], "scale": None, "axes": [1, 2], "training": False}], ["_CONSTANT_VALUE", -1, [1.0, 2.0], {}]]
    ]
    found = read(write(tmp_path / "model.h5", functional(dense=inbound), {"x": {}, "dense": fitting(3)})).network.calls[0]
    assert found.args[0] == Tensor(INPUT)
    np.testing.assert_array_equal(found.args[1], [1.0, 2.0])
    assert found.kwargs == {"axes": [1, 2]} and "has a tensor as mask" in str(found.layer.refusal)


def test_calls_of_a_layer_out_of_order_and_unsorted_layers(tmp_path: Path) -> None:
    """Layers may stand before their inputs; the order of the file decides only where the graph leaves it open."""
    model = functional(late=[[["early", 0, 0, {}]]], early=[[["x", 0, 0, {}]]], dense=[[["late", 0, 0, {}]]])
    model["config"]["layers"].append(model["config"]["layers"].pop(0))  # the input comes last
    found = read(write(tmp_path / "m.h5", model, {"late": fitting(3), "early": fitting(3), "dense": fitting(3), "x": {}})).network
    assert [call.layer.name for call in found.calls] == ["early", "late", "dense"]


def test_a_layer_shared_with_a_nested_model_in_hdf5(tmp_path: Path) -> None:
    """Keras 2 writes the inner call in the outer place then: nobody can tell what it is called on."""
    path = write(tmp_path / "m.h5", functional(dense=[[["input_of_the_inner_model", 0, 0, {}]]]), {"x": {}, "dense": fitting(3)})
    with pytest.raises(BadFile, match="if models share it, save each by itself"):
        read(path)
