"""Whatever is wrong with a file, there is one line about it, soon and without much memory, and nothing outside the file is touched."""

from __future__ import annotations

import copy
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.errors import BadFile, BadRequest, EtlError, Unsupported
from etl.graph.selection import graph_of
from etl.readers import check_finite, read

DATA = Path(__file__).parent / "data"
JSON = dict[str, Any]


@pytest.fixture(autouse=True)
def _soon_and_small() -> Iterator[None]:
    """Every test of this file: seconds, and no more than a few hundred MB above what there was."""
    if sys.platform == "linux":  # else a test that took more before this one would hide what this one takes
        Path("/proc/self/clear_refs").write_text("5")
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
    assert time.perf_counter() - begin < 120


def dense(name: str = "dense", units: Any = 2, **more: Any) -> JSON:
    return {"class_name": "Dense", "config": {"name": name, "units": units, "use_bias": True, "activation": "linear", **more}}


def sequential(*layers: JSON, name: str = "sequential") -> JSON:
    first = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 3], "dtype": "float32"}}
    return {"class_name": "Sequential", "config": {"name": name, "layers": [first, *layers]}}


def functional(**inbound: list[Any]) -> JSON:
    """Dense layers called as told, from the input `x` to the last of them."""
    layers: list[JSON] = [{"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_input_shape": [None, 3]}, "inbound_nodes": []}]
    layers += [{**dense(name, units=3), "name": name, "inbound_nodes": nodes} for name, nodes in inbound.items()]
    last = layers[-1]["name"]
    return {"class_name": "Functional", "config": {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [[last, 0, 0]]}}


def write(path: Path, model: JSON | str, arrays: dict[str, dict[str, Any]]) -> Path:
    """A legacy HDF5 file: layer -> name -> values."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["model_config"] = model if isinstance(model, str) else json.dumps(model)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in arrays]
        for name, some in arrays.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{one}:0".encode() for one in some]
            for one, values in some.items():
                if values is not None:
                    group[f"{name}/{one}:0"] = values
    return path


def fitting(units: int = 2) -> dict[str, Any]:
    return {"kernel": np.ones((3, units), "f4"), "bias": np.ones(units, "f4")}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path / "good.h5", sequential(dense()), {"x": {}, "dense": fitting()})


@pytest.fixture
def kernel(good: Path) -> str:
    return "model_weights/dense/dense/kernel:0"


def refused(path: Path, *said: str, architecture: str | Path | None = None, kind: type[EtlError] = BadFile) -> None:
    """Raised as one line that names the file and says this."""
    with pytest.raises(kind) as caught:
        check_finite(read(path, architecture))
    text = str(caught.value)
    assert "\n" not in text
    assert all(one in text for one in (path.name, *said)), text


def replaced(path: Path, place: str, **how: Any) -> Path:
    """The file with another dataset in place of one."""
    with h5py.File(path, "a") as file:
        del file[place]
        file.create_dataset(place, **how)
    return path


def test_the_good_file_is_good(good: Path) -> None:
    assert [layer.name for layer in read(good).network.layers()] == ["dense"]


# What is there at all


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.h5", "does not exist")
    (tmp_path / "empty.keras").touch()
    refused(tmp_path / "empty.keras", "is empty")
    refused(tmp_path, "is a folder", "SavedModel")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps([1]), "a pickle"),
        (b"version https://git-lfs.example/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"hello", "neither HDF5"),
        (b"\x00" * 1000, "neither HDF5"),
        (b"{ not json", "not JSON"),
        (b"{}", "no architecture"),
        (b'{"class_name": "\xff"}', "not JSON"),
        (b"[" * 100_000, "neither HDF5"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"metadata": {}, "weight_map": {}}', "lists 'nothing'"),
        (b'{"metadata": {}, "weight_map": {"/a": "../x.weights.h5"}}', "beside it"),
        (b'{"metadata": {}, "weight_map": {"/a": ["x.weights.h5"]}}', "x.weights.h5, which does not lie beside it"),
        (b'{"metadata": {}, "weight_map": {"/a": 3}}', "opening it failed"),
        (b'{"metadata": {}, "weight_map": [1]}', "opening it failed"),
    ],
)
def test_other_files(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    refused(path, said)


def test_a_table_of_weights_that_lists_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_text('{"weight_map": {"/a": "m.weights.h5"}}')
    refused(path, "file signature not found")


def test_a_pytorch_file_is_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Trap()))
    refused(tmp_path / "model.keras", "PyTorch")
    (tmp_path / "model.pt").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path / "model.pt", "pickle")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.keras"])
def test_truncated_files(name: str, tmp_path: Path) -> None:
    content = (DATA / name).read_bytes()
    path = tmp_path / name
    for length in [*range(1, 200, 13), *range(200, len(content) - 1, len(content) // 40), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path, *["again"] * (length >= 200))


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    for name, other in (("digits_cnn.h5", "a.keras"), ("digits_cnn.keras", "b.h5")):
        (tmp_path / other).write_bytes((DATA / name).read_bytes())
        assert len(read(tmp_path / other).network.calls) == len(read(DATA / name).network.calls)


def test_no_permission(good: Path) -> None:
    if os.getuid() != 0:
        good.chmod(0)
        refused(good, "permissions")
        return
    good.chmod(0o600)
    program = """if True:
        import os, sys
        from pathlib import Path
        from etl.errors import BadFile
        from etl.readers import read
        open_file = os.open(sys.argv[1], os.O_PATH)
        os.setuid(65534)
        try:
            read(f"/proc/self/fd/{open_file}")
        except BadFile as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program, good], capture_output=True, text=True, check=True)
    assert "may not be read by this user" in done.stdout


def test_texts_without_end(good: Path, tmp_path: Path) -> None:
    """Free space of no size in the heap of texts: the HDF5 library itself would never come back."""
    content = bytearray(good.read_bytes())
    heap = content.index(b"GCOL")
    entry, end = heap + 16, heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    while number := int.from_bytes(content[entry : entry + 2], "little"):
        assert number and entry < end
        entry += 16 + -(-int.from_bytes(content[entry + 8 : entry + 16], "little") // 8) * 8
    assert int.from_bytes(content[entry + 8 : entry + 16], "little") == end - entry
    content[entry + 8 : entry + 16] = bytes(8)
    (tmp_path / "endless.h5").write_bytes(content)
    refused(tmp_path / "endless.h5", "its texts have no end")


def test_an_output_that_no_layer_has(good: Path, tmp_path: Path) -> None:
    inputs = {"class_name": "InputLayer", "config": {"batch_shape": [None, 3], "name": "x"}, "name": "x", "inbound_nodes": []}
    relu = {"class_name": "ReLU", "config": {"name": "y"}, "name": "y", "inbound_nodes": [[["x", 0, 0, {}]]]}
    config = {"name": "m", "layers": [inputs, relu], "input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 3]]}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps({"class_name": "Functional", "config": config}), "2.15.0"
        file.create_group("model_weights").attrs["layer_names"] = ["x", "y"]
        for name in ("x", "y"):
            file["model_weights"].create_group(name).attrs["weight_names"] = []
    with pytest.raises(BadFile, match="output 3 of layer 'y' is read, which has none of that number"):
        graph_of(tmp_path / "m.h5")


# Architecture and weights apart


def test_weights_without_architecture(good: Path, tmp_path: Path) -> None:
    with h5py.File(good) as file, h5py.File(tmp_path / "weights.h5", "w") as weights:
        for key, value in file["model_weights"].attrs.items():
            weights.attrs[key] = value
        file.copy("model_weights/dense", weights)
        file.copy("model_weights/x", weights)
        text = file.attrs["model_config"]
    refused(tmp_path / "weights.h5", "--architecture")
    (tmp_path / "a.json").write_text(text)
    assert read(tmp_path / "weights.h5", tmp_path / "a.json").network.calls[0].layer.parameters == 8
    assert read(tmp_path / "weights.h5", good).network.calls[0].layer.parameters == 8
    refused(tmp_path / "a.json", "without weights", "--architecture")
    refused(good, "of its own", architecture=tmp_path / "a.json", kind=BadRequest)
    refused(tmp_path / "weights.h5", "a.json", "does not exist", architecture=tmp_path / "missing" / "a.json")
    (tmp_path / "other.json").write_text(json.dumps(sequential(dense(units=5))))
    refused(tmp_path / "weights.h5", "wrong shapes", "'dense'", "any x 5", "3 x 2", architecture=tmp_path / "other.json")


def test_architecture_without_weights_in_one_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(dense()))
    refused(tmp_path / "a.h5", "without its weights")
    refused(write(tmp_path / "b.h5", sequential(dense()), {"x": {}, "dense": {}}), "'dense' (Dense) has no weights")
    refused(write(tmp_path / "c.h5", sequential(dense()), {"x": {}, "dense": {"bias": np.ones(2)}}), "only 1 of 2 arrays")
    refused(write(tmp_path / "d.h5", sequential(dense()), {"x": {}, "dense": {"kernel": None, "bias": np.ones(2)}}), "listed but not there")
    with h5py.File(tmp_path / "e.h5", "w"):
        pass
    refused(tmp_path / "e.h5", "without layers or weights")


# Architectures that are wrong


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("", "not JSON"),
        ("[]", "list"),
        ("null", "NoneType"),
        ("{}", "class_name"),
        ('{"class_name":' * 5000, "nested too deeply"),
        ("[" * 5000, "nested too deeply"),
        ({"class_name": 3, "config": {}}, "without class name"),
        ({"class_name": "Sequential", "config": {}}, "layers"),
        ({"class_name": "Sequential", "config": []}, "without layers"),
        ({"class_name": "Sequential", "config": {"layers": 3}}, "architecture"),
        ({"class_name": "MyModel", "config": {}}, "described by code"),
        (sequential(dense(), dense()), "same name"),
        (sequential(dense(units="many")), "option units is 'many'"),
        (sequential(dense(units=-1)), "option units is -1"),
        (sequential(dense(units=10**12)), "wrong shapes"),
        (sequential(dense(units=1e400)), "units"),
        (sequential({"class_name": "Conv2D", "config": {"name": "dense", "filters": 10**12, "kernel_size": [10**9, 10**9]}}), "wrong shapes"),
        (sequential({"class_name": "Conv2D", "config": {"name": "dense", "filters": 2, "kernel_size": [1, 1, 1]}}), "kernel_size"),
        (functional(dense=[[["y", 0, 0, {}]]]), "'y' is used but not in the model"),
        (functional(dense=[[["x", 3, 0, {}]]]), "of layer 'x' is used but not in the model"),
        (functional(dense=[[["x", 0, -1, {}]]]), "output -1"),
        (functional(dense=[[["dense", 0, 0, {}]]]), "wait for each other"),
        (functional(a=[[["dense", 0, 0, {}]]], dense=[[["a", 0, 0, {}]]]), "'a', 'dense' wait for each other"),
        (functional(dense=[]), "called on nothing"),
        (functional(dense=[[["_CONSTANT_VALUE", -1, 3.0, {}]]]), "without any tensor"),
        (functional(dense=[3]), "no input"),
        (functional(dense=[[["x", 0, 0, {}]]]) | {"class_name": ["Model"]}, "without class name"),
    ],
)
def test_wrong_architectures(model: JSON | str, said: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "model.h5", model, {"x": {}, "dense": fitting()}), said)


def test_inputs_that_are_not_the_input_layers(tmp_path: Path) -> None:
    for inputs in ([], [["x", 0, 0], ["x", 0, 0]], [["dense", 0, 0]], "x", [["x"]], 3):
        model = functional(dense=[[["x", 0, 0, {}]]])
        model["config"]["input_layers"] = inputs
        refused(write(tmp_path / "model.h5", model, {"x": {}, "dense": fitting(3)}))


def test_models_nested_without_end(tmp_path: Path) -> None:
    model = dense()
    for depth in range(150):
        model = sequential(model, name=f"s{depth}")
    refused(write(tmp_path / "model.h5", model, {"x": {}, "dense": fitting()}), "deep")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Kinds and options without a rule, also behind the first of them, in nested models too."""
    odd = {"class_name": "Mine", "config": {"name": "mine"}}
    inner = sequential(dense("deep"), {"class_name": "Lambda", "config": {"name": "code"}}, name="inner")
    path = write(tmp_path / "model.h5", sequential(odd, dense("ok", units=3), dense("dense", quantized=True), inner), {"x": {}, "ok": fitting(3)})
    with h5py.File(path, "a") as file:
        for name in ("dense", "inner"):
            group = file["model_weights"].create_group(name)
            layer = "deep" if name == "inner" else name
            group.attrs["weight_names"] = [f"{layer}/{one}:0" for one in fitting(2)]
            for one, values in fitting(2).items():
                group[f"{layer}/{one}:0"] = values
        file["model_weights"].attrs["layer_names"] = ["x", "ok", "dense", "inner"]
    with pytest.raises(Unsupported, match="3 layers") as caught:
        graph_of(path)
    assert all(one in str(caught.value) for one in ("mine (Mine): ", "dense (Dense): has no rule for quantized=True", "inner/code (Lambda): "))


@pytest.mark.parametrize(
    ("layer", "shape", "said"),
    [
        ({"class_name": "ReLU", "config": {"name": "r"}}, [None, *[1] * 70], "70 axes"),
        ({"class_name": "ReLU", "config": {"name": "r"}}, [None, 10**30], "more than"),
        ({"class_name": "RepeatVector", "config": {"name": "r", "n": 10**12}}, [None, 3], "more than"),
        ({"class_name": "UpSampling1D", "config": {"name": "r", "size": float("nan")}}, [None, 3, 1], "does not fit"),
        ({"class_name": "ZeroPadding1D", "config": {"name": "r", "padding": 10**9}}, [None, 3, 2], "more than"),
    ],
)
def test_graphs_without_measure(layer: JSON, shape: list[Any], said: str, tmp_path: Path) -> None:
    """Sizes that no array checks: found out before anything of that size is made."""
    model = sequential(layer)
    model["config"]["layers"][0]["config"]["batch_input_shape"] = shape
    with pytest.raises(EtlError, match=said):
        graph_of(write(tmp_path / "model.h5", model, {"x": {}}))


def test_a_number_of_categories_that_is_a_truth(tmp_path: Path) -> None:
    model = sequential({"class_name": "CategoryEncoding", "config": {"name": "c", "num_tokens": True}})
    assert graph_of(write(tmp_path / "model.h5", model, {"x": {}})).neurons == 3 * 1 + 1


def test_code_is_neither_run_nor_looked_for(tmp_path: Path) -> None:
    """A Lambda with bytecode, a class in a module that would leave a mark, a vocabulary in a file: read as what they are called."""
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath(__file__).with_name('marker').touch()\n")
    odd = [
        {"class_name": "Lambda", "config": {"name": "code", "function": ["4wEAAAAAAAA=", None, None], "function_type": "lambda", "module": "trap"}},
        {"class_name": "Trap", "module": "trap", "registered_name": "trap>Trap", "config": {"name": "mine"}},
        {"class_name": "TextVectorization", "config": {"name": "words", "vocabulary": str(tmp_path / "secret.txt")}},
    ]
    program = "import sys; from etl.readers import read; print(*(call.layer.kind for call in read(sys.argv[1]).network.calls))"
    path = write(tmp_path / "model.h5", sequential(*odd), {"x": {}})
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(tmp_path)])}
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, env=paths)
    assert done.stdout.split() == ["Lambda", "trap>Trap", "TextVectorization"]
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["x`) DETACH DELETE n //", "a \"quoted\" 'name'", "line\nbreak", "🦔", "a/b.c:d", "x; DROP", "{}", "$model"])
def test_names_survive(name: str, tmp_path: Path) -> None:
    found = read(write(tmp_path / "model.h5", sequential(dense(name), name=name), {"x": {}, name: fitting()}))
    layer = found.network.calls[0].layer
    assert layer.name == name
    assert layer.arrays[0].read().tolist() == np.ones((3, 2)).tolist()


def test_errors_about_odd_names_stay_one_line(tmp_path: Path) -> None:
    refused(write(tmp_path / "model.h5", sequential(dense("line\nbreak")), {"x": {}}), "has no weights")
    refused(write(tmp_path / "model.h5", {"class_name": "My\nModel\x1b[31m", "config": {}}, {"x": {}}), r"My\nModel\x1b[31m")
    refused(write(tmp_path / "model.h5", '{"class_name": "\\ud800", "config": {}}', {"x": {}}), r"\ud800")


# HDF5 that leads elsewhere or lies about its size


def test_external_storage(good: Path, kernel: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(24))
    replaced(good, kernel, shape=(3, 2), dtype="f4", external=[(str(tmp_path / "secret"), 0, 24)])
    refused(good, "another file")


def test_virtual_dataset(good: Path, kernel: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["k"] = np.ones((3, 2), "f4")
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "k", (3, 2))
    with h5py.File(good, "a") as file:
        del file[kernel]
        file.create_virtual_dataset(kernel, layout)
    refused(good, "another file")


@pytest.mark.parametrize("place", ["model_weights", "model_weights/dense", "model_weights/dense/dense", "model_weights/dense/dense/kernel:0"])
@pytest.mark.parametrize("soft", [True, False])
def test_links(place: str, soft: bool, good: Path, tmp_path: Path) -> None:
    with h5py.File(good, "a") as file, h5py.File(tmp_path / "secret.h5", "w") as other:
        file.copy(file["model_weights"], other)
        file.move(place, "moved")
        file[place] = h5py.SoftLink("/moved") if soft else h5py.ExternalLink(tmp_path / "secret.h5", place)
    refused(good, "is a link to somewhere else")


@pytest.mark.parametrize(
    "how",
    [
        {"shape": (2**48, 1), "dtype": "f4"},
        {"shape": (2**48, 1), "dtype": "f4", "chunks": (1024, 1)},
        {"shape": (2**48, 1), "dtype": "f4", "chunks": (1024, 1), "compression": "gzip"},
        {"shape": (2**20, 2**28), "dtype": "f4", "chunks": (2**14, 2**14), "compression": "gzip", "fillvalue": 1.0},
    ],
)
def test_a_petabyte_in_a_small_file(how: JSON, good: Path, kernel: str) -> None:
    refused(replaced(good, kernel, **how), "declares", "bytes")
    assert good.stat().st_size < 20_000


def test_arrays_that_were_never_written(good: Path, kernel: str) -> None:
    refused(replaced(good, kernel, shape=(3, 2), dtype="f4"), "but 0 are stored")
    refused(replaced(good, kernel, shape=(3, 2), dtype="f4", chunks=(3, 1)), "declares 24 bytes")


def test_compression_bomb(good: Path, kernel: str) -> None:
    replaced(good, kernel, data=np.zeros((3, 8_000_000), "f4"), chunks=(1, 2_000_000), compression="gzip", compression_opts=1)
    refused(good, "declares 96,000,000 bytes")


def test_ordinary_compression_is_read(good: Path, kernel: str) -> None:
    values = np.random.default_rng(0).normal(size=(3, 2)).astype("f4")
    for how in ({"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"chunks": (2, 2)}, {"fletcher32": True}):
        found = read(replaced(good, kernel, data=values, **how))
        np.testing.assert_array_equal(found.network.calls[0].layer.arrays[0].read(), values)


def test_arrays_on_top_of_each_other(tmp_path: Path) -> None:
    """Many names for few bytes: each array is possible, all of them together are not."""
    layers = [dense(f"d{n}", units=3) for n in range(100)]
    path = write(tmp_path / "model.h5", sequential(*layers), {"x": {}, **{f"d{n}": fitting(3) for n in range(100)}})
    big = np.ones((3, 30_000), "f4")
    with h5py.File(path, "a") as file:
        file["big"] = big
        for n in range(100):
            del file[f"model_weights/d{n}/d{n}/kernel:0"]
            file[f"model_weights/d{n}/d{n}/kernel:0"] = file["big"]
    refused(path, "declare")


@pytest.mark.parametrize(
    "values", [np.array([b"a", b"b"]), np.array([1 + 2j]), np.zeros(3, [("a", "f4")]), h5py.Empty("f4"), np.array(["é"], h5py.string_dtype())]
)
def test_arrays_of_no_numbers(values: Any, good: Path, kernel: str) -> None:
    refused(replaced(good, kernel, data=values), "no numbers")


@pytest.mark.parametrize("value", [3, np.zeros(5), np.array([b"a"]), h5py.Empty("f4"), b"\xff\xfe", "text\ud800".encode("utf-8", "surrogatepass")])
def test_attributes_that_are_no_text(value: Any, good: Path) -> None:
    with h5py.File(good, "a") as file:
        file.attrs["model_config"] = value
    refused(good)


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_texts_that_claim_gigabytes(version: str, tmp_path: Path) -> None:
    """The length of one element of a list of names patched from 3 to 4 GiB, in both kinds of object header."""
    names = np.array([b"abc", b"def"], object)
    with h5py.File(tmp_path / "a.h5", "w", libver=version) as file:
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
        file.attrs["other"] = "text"
        for name in names:
            file.create_group(name).attrs["weight_names"] = []
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "x.json").write_text(json.dumps(sequential({"class_name": "ReLU", "config": {"name": "abc"}})))
    assert len(read(tmp_path / "a.h5", tmp_path / "x.json").network.calls) == 1
    place = next(at for at in range(len(content)) if content[at : at + 4] == b"\x03\0\0\0" and content[at + 16 : at + 20] == b"\x03\0\0\0")
    (tmp_path / "a.h5").write_bytes(content[:place] + b"\xf0\xff\xff\xff" + content[place + 4 :])
    refused(tmp_path / "a.h5")


def test_weights_that_are_no_numbers_any_more(tmp_path: Path) -> None:
    for value in (np.nan, np.inf, -np.inf):
        arrays = fitting()
        arrays["bias"][1] = value
        path = write(tmp_path / "nan.h5", sequential(dense()), {"x": {}, "dense": arrays})
        with pytest.raises(BadFile, match=r"nan: bias of layer 'dense' \(Dense\) holds NaN or infinity"):
            check_finite(read(path))


def test_arrays_without_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "lora.h5", sequential(dense()), {"x": {}, "dense": {**fitting(), "lora_kernel_a": np.ones((3, 1))}})
    refused(path, "'dense' (Dense)", "lora_kernel_a", kind=Unsupported)


def test_a_file_that_changes_after_reading(good: Path, kernel: str) -> None:
    array = read(good).network.calls[0].layer.arrays[0]
    replaced(good, kernel, data=np.ones((4, 2), "f4"))
    with pytest.raises(BadFile, match="was changed"):
        array.read()
    good.unlink()
    with pytest.raises(BadFile, match="can't be read"):
        array.read()


# Archives


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, one in content.items():
            archive.writestr(name, one)
    return path


@pytest.fixture
def content() -> dict[str, bytes]:
    return members(DATA / "digits_cnn.keras")


def test_compressed_members_are_read(content: dict[str, bytes], tmp_path: Path) -> None:
    found, plain = read(packed(tmp_path / "a.keras", content, zipfile.ZIP_DEFLATED)), read(DATA / "digits_cnn.keras")
    for one, other in zip(found.network.stored(), plain.network.stored(), strict=True):
        np.testing.assert_array_equal(one.read(), other.read())


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "metadata.json"])
def test_members_missing_broken_or_bombs(name: str, content: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    if name != "metadata.json":
        refused(packed(path, {key: one for key, one in content.items() if key != name}), f"without {name}")
    refused(packed(path, content | {name: b""}))
    refused(packed(path, content | {name: b"{" * 10_000}))
    refused(packed(path, content | {name: bytes(20_000_000)}, zipfile.ZIP_DEFLATED), name, "declares 20,000,000 bytes")
    packed(path, content | {name: bytes(20_000_000)}, zipfile.ZIP_BZIP2)
    refused(path, "unusual")


def test_members_that_lie_about_their_size(content: dict[str, bytes], tmp_path: Path) -> None:
    """Sizes patched in the table of contents and in front of the member."""
    path = packed(tmp_path / "a.keras", content | {"config.json": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    lie = path.read_bytes().replace((10_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(lie)
    refused(path)


def test_a_flipped_bit_in_a_weight(content: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", content)
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"\x89HDF") + len(content["model.weights.h5"]) // 2] ^= 1
    path.write_bytes(broken)
    refused(path, "CRC")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(content: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", b"{}")
    refused(path, "two members are called config.json")


def test_very_many_members(content: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", content | {f"assets/{'x' * 60_000}{n}": b"" for n in range(150)})
    refused(path, "far too many files")


def test_names_that_lead_out_of_the_archive(content: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    evil = {"../evil": b"1", "../../evil": b"1", str(tmp_path / "absolute"): b"1", "..\\evil": b"1", "assets/../../evil": b"1"}
    before = sorted(tmp_path.rglob("*"))
    found = read(packed(folder / "a.keras", content | evil))
    assert sum(array.read().size for array in found.network.stored()) > 0
    assert sorted(tmp_path.rglob("*")) == sorted([*before, folder / "a.keras"])


def test_encrypted(content: dict[str, bytes], tmp_path: Path) -> None:
    path = packed(tmp_path / "a.keras", content)
    table = bytearray(path.read_bytes())
    place = 0
    while (place := table.find(b"PK\x01\x02", place)) >= 0:
        table[place + 8] |= 1
        place += 4
    path.write_bytes(table)
    refused(path, "encrypted")


def test_a_store_that_leads_elsewhere(content: dict[str, bytes], tmp_path: Path) -> None:
    inner = tmp_path / "inner.h5"
    inner.write_bytes(content["model.weights.h5"])
    with h5py.File(inner, "a") as file:
        file.move("layers/dense", "moved")
        file["layers/dense"] = h5py.SoftLink("/moved")
    refused(packed(tmp_path / "a.keras", content | {"model.weights.h5": inner.read_bytes()}), "is a link to somewhere else")
    with h5py.File(inner, "a") as file:
        del file["layers/dense"]
    refused(packed(tmp_path / "a.keras", content | {"model.weights.h5": inner.read_bytes()}), "has no weights")


# Whatever else


def mutations(content: bytes) -> st.SearchStrategy[bytes]:
    """A few bytes changed, a stretch cut out or put in."""
    place = st.integers(0, len(content) - 1)
    change: st.SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
        st.builds(lambda at, to: lambda old: old[:at] + bytes([to]) + old[at + 1 :], place, st.integers(0, 255)),
        st.builds(lambda at, count: lambda old: old[:at] + old[at + count :], place, st.integers(1, 64)),
        st.builds(lambda at, new: lambda old: old[:at] + new + old[at + len(new) :], place, st.binary(min_size=1, max_size=16)),
    )

    def applied(changes: list[Callable[[bytes], bytes]]) -> bytes:
        changed = content
        for one in changes:
            changed = one(changed)
        return changed

    return st.lists(change, min_size=1, max_size=4).map(applied)


@pytest.mark.parametrize("name", ["digits_cnn.h5", "digits_cnn.keras"])
def test_changed_bytes(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Anything may come out that a file can say, or an error of ours: no other exception, no hang, no memory."""
    path = tmp_path_factory.mktemp("changed") / name

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(mutations((DATA / name).read_bytes()))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(BadFile, Unsupported):
            check_finite(read(path))

    check()


def test_changed_architectures(tmp_path: Path) -> None:
    """Every value of an architecture in turn replaced by something else."""
    odd = [None, -1, 10**30, "dense", [[]], {"class_name": "Dense"}]
    good = functional(a=[[["x", 0, 0, {}]]], dense=[[["a", 0, 0, {"k": ["x", 0, 0]}]]])
    for place in places(good):
        for value in odd:
            changed = copy.deepcopy(good)
            holder = changed
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = value
            with suppress(BadFile, Unsupported):
                read(write(tmp_path / "model.h5", changed, {"x": {}, "a": fitting(3), "dense": fitting(3)}))


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*above, key)
        yield from places(value[key], (*above, key))
