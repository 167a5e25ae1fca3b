"""Feature maps: pictures prepared by arithmetic written out, maps equal to the framework's own, values in the store equal to both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from etl.analysis import features
from etl.cli.analysis import Preset
from etl.errors import BadFile, BadRequest, NotInStore
from etl.graph.selection import Selection, graph_of
from etl.network import Call, Layer, Model, Network
from tests.command import Run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras' own, in saving

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """300 x 200 colours, all different."""
    y, x = np.mgrid[:200, :300]
    path = tmp_path / "photo.png"
    Image.fromarray(np.stack([x * 255 // 299, y * 255 // 199, (x + y) % 256], -1).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    from sklearn.datasets import load_digits

    path = tmp_path / "four.png"
    Image.fromarray((load_digits().images[4] * 255 / 16).astype(np.uint8)).save(path)
    return path


def test_a_photograph_is_prepared_as_for_imagenet(photo: Path) -> None:
    """The shorter side 256, so 384 x 256, and of that the middle 224 x 224."""
    with Image.open(photo) as picture:
        large = np.asarray(picture.resize((384, 256), Image.Resampling.BILINEAR), dtype=float)
    middle = large[16:240, 80:304]
    red, green, blue = ((middle[..., c] / 255 - mean) / deviation for c, mean, deviation in ((0, 0.485, 0.229), (1, 0.456, 0.224), (2, 0.406, 0.225)))
    assert_allclose(features.prepared(photo, (224, 224, 3), "imagenet"), np.stack([red, green, blue], -1), atol=1e-6)
    assert_allclose(features.prepared(photo, (224, 224, 3), "caffe"), middle[..., [2, 1, 0]] - [103.939, 116.779, 123.68], atol=1e-4)


@pytest.mark.parametrize("size", [(457, 243), (230, 231), (301, 563), (239, 640)])
def test_a_photograph_is_prepared_as_torchvision_does(size: tuple[int, int], tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    picture.save(tmp_path / "noise.png")
    tensor = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])(picture)
    theirs = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(tensor).permute(1, 2, 0).numpy()
    assert_allclose(features.prepared(tmp_path / "noise.png", (224, 224, 3), "imagenet"), theirs, atol=1e-6)


def test_other_ranges_and_sizes(photo: Path) -> None:
    """The shorter side is the crop's own, nothing of it is lost: 48 x 32 of which the middle 32, or, standing, 60 x 40 of which the middle 20."""
    with Image.open(photo) as picture:
        small, large = (np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=float) for size in ((48, 32), (60, 40)))
        grey = np.asarray(picture.convert("L").resize((48, 32), Image.Resampling.BILINEAR), dtype=float)
    assert_allclose(features.prepared(photo, (32, 32, 3), "none"), small[:, 8:40])
    assert_allclose(features.prepared(photo, (40, 20, 3), "symmetric"), large[:, 20:40] / 127.5 - 1, atol=1e-6)
    assert_allclose(features.prepared(photo, (32, 32, 1), "unit"), grey[:, 8:40, None] / 255, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_greys_of_sixteen_bits_are_those_of_eight(tmp_path: Path, dtype: Any) -> None:
    greys = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    Image.fromarray(greys).save(tmp_path / "eight.png")
    Image.fromarray((greys.astype(int) * 257).astype(dtype)).save(tmp_path / "sixteen.tif")
    for shape, preset in (((20, 24, 1), "unit"), ((20, 20, 3), "imagenet")):
        eight, sixteen = (features.prepared(tmp_path / name, shape, preset) for name in ("eight.png", "sixteen.tif"))
        assert_array_equal(sixteen, eight)
        assert shape[2] != 1 or np.abs(sixteen[..., 0] * 255 - greys).max() < 1e-4


def test_numbers_that_are_no_greys(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)).save(tmp_path / "floats.tif")
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "large.tif")
    for name in ("floats.tif", "large.tif"):
        with pytest.raises(BadFile, match=rf"{name} holds numbers that are no greys .* as \.npy"):
            features.prepared(tmp_path / name, (4, 4, 1), "unit")


def test_presets_are_listed_for_the_command_line() -> None:
    assert {preset.value for preset in Preset} == set(features.PRESETS)


@pytest.mark.parametrize(
    ("names", "preset"),
    [
        (["resnet50", "input_1"], "caffe"),
        (["ResNet50V2"], "symmetric"),
        (["my_model", "densenet121"], "imagenet"),
        (["my_model", "expanded_conv_depthwise"], "symmetric"),
        (["my_model", "conv2d"], "unit"),
        (["resnet50", "rescaling"], "none"),
    ],
)
def test_what_a_model_was_trained_with(names: list[str], preset: str) -> None:
    calls = tuple(Call(Layer(name, "Rescaling" if name == "rescaling" else "Functional")) for name in names[1:])
    model = Model(names[0], Network(calls, (), ()), "", "memory")
    assert features.trained_with(model) == preset
    photographs = any(name.lower().startswith(("resnet", "densenet")) for name in names)
    assert features.trained_with(model, torch=True) == ("none" if preset == "none" else "imagenet" if photographs else "unit")


def test_maps_are_the_frameworks_own(digit: Path) -> None:
    import keras

    found = features.features(DIGITS, digit)
    model = keras.models.load_model(DIGITS, compile=False)
    with Image.open(digit) as picture:
        given = np.asarray(picture, np.float32)[None, ..., None] / 255
    assert found.preset == "unit"
    assert_allclose(found.inputs[0], given, atol=1e-7)
    for layer in model.layers:
        assert_array_equal(found.values[layer.name], np.asarray(keras.Model(model.inputs, layer.output)([given]))[0])
    assert features.chosen(found, []) == ["strokes", "shapes"] and features.chosen(found, ["digit"]) == ["digit"]
    assert int(found.values["digit"].argmax()) == 4


def test_channels() -> None:
    values = np.zeros((2, 2, 20))
    values[..., 7], values[..., 3] = 2, 1
    assert features.channels(values, None) == list(range(12)) and features.channels(values, 2) == [7, 3]
    assert features.channels(values[0, 0], 1) == [7]


def test_command_draws(digit: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("features", DIGITS, digit, "--layer", "shapes", "--layer", "digit", "--top", 3, "--format", "json")
    rows = json.loads(out)
    assert code == 0 and "four_features.png" in err and "prepared as unit" in err
    assert [row["layer"] for row in rows] == ["shapes"] * 3 + ["digit"] * 3 and rows[3]["channel"] == 4
    with Image.open(tmp_path / "four_features.png") as picture:
        assert min(picture.size) > 300 and len(set(picture.convert("L").get_flattened_data())) > 50
    for suffix in (".svg", ".npz"):
        assert run("features", DIGITS, digit, "--layer", "shapes", "--out", tmp_path / f"maps{suffix}", "--quiet")[::2] == (0, "")
    assert "channel 11" in (tmp_path / "maps.svg").read_text() or (tmp_path / "maps.svg").stat().st_size > 10_000
    with np.load(tmp_path / "maps.npz") as maps:
        assert maps["shapes"].shape == (6, 6, 16)
        assert_allclose(maps["shapes"].mean(axis=(0, 1)).max(), rows[0]["mean"], rtol=1e-6)


def test_an_array_is_taken_as_it_is(tmp_path: Path) -> None:
    given = np.random.default_rng(0).normal(size=(8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "x.npy", given)
    found = features.features(DIGITS, tmp_path / "x.npy")
    assert found.preset is None
    assert_array_equal(found.inputs[0][0], given)
    np.save(tmp_path / "y.npy", given[:4])
    with pytest.raises(BadRequest, match="has shape"):
        features.features(DIGITS, tmp_path / "y.npy")


def test_what_is_no_picture(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "half.png").write_bytes(photo.read_bytes()[:-200])
    for name, told in (("text.png", "is no picture"), ("half.png", "can't be read as a picture"), ("none.png", "can't be read as a picture")):
        with pytest.raises(BadFile, match=told):
            features.features(DIGITS, tmp_path / name)
    monkeypatch.setattr(features, "MOST_PIXELS", 1000)
    with pytest.raises(BadFile, match="too many"):
        features.features(DIGITS, photo)
    with pytest.raises(BadRequest, match="for three colours"):
        features.features(DIGITS, photo, preprocess="imagenet")


def test_values_in_the_store(store: Any, digit: Path, tmp_path: Path, run: Run) -> None:
    """Every neuron has the value that the framework computes, whether normalizations and activations are merged into others or not."""
    import keras

    from etl.sinks.neo4j import live as neo4j
    from etl.store import queries

    layers = keras.layers
    image = keras.Input((6, 6, 3))
    x = layers.Activation("relu", name="relu")(layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(image)))
    x = layers.SeparableConv2D(3, 2, activation="tanh", name="separable")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="end")(layers.Flatten(name="flat")(layers.Dropout(0.5, name="drop")(x))))
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.2, 0.9, one.shape) for one in model.get_weights()])
    path = tmp_path / "features_model.keras"
    model.save(path)
    Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).save(tmp_path / "noise.png")
    given = features.prepared(tmp_path / "noise.png", (6, 6, 3), "symmetric")[None]
    for name, fold in (("features_plain", False), ("features_folded", True)):
        neo4j.load(graph_of(path, Selection(fold=fold)), store, name, replace=True)
        code, _, err = run("features", path, tmp_path / "noise.png", "--preprocess", "symmetric", "--out", tmp_path / "x.png", "--write", name, "-q")
        assert (code, err) == (0, "")
        query = "MATCH (n:Neuron {model: $name}) RETURN n.layer AS layer, collect(n.value) AS found, count(*) AS neurons"
        for row in store.read(query, name=name):
            assert len(row["found"]) == row["neurons"]
            if row["layer"] in ("relu", "separable", "end") or (row["layer"] in ("norm", "conv") and not fold):
                theirs = keras.Model(model.inputs, model.get_layer(row["layer"]).output)([given])
                found = store.read("MATCH (n:Neuron {model: $name, layer: $layer}) RETURN n.value AS v ORDER BY n.id", name=name, layer=row["layer"])
                assert_allclose([one["v"] for one in found], np.asarray(theirs).reshape(-1), rtol=1e-5, atol=1e-6)
        computed = queries.run(store, "forward", {"model": name, "input": given.reshape(-1).astype(float).tolist()})
        ends = store.read("MATCH (:Model {name: $name})-[o:OUTPUT]->(n) RETURN n.value AS v ORDER BY o.position", name=name)
        assert_allclose([row["value"] for row in computed], [row["v"] for row in ends], atol=1e-5)
    code, _, err = run("features", DIGITS, digit, "--out", tmp_path / "x.png", "--write", "features_plain", "-q")
    assert code == 1 and "is not the whole graph of this file" in err
    with pytest.raises(NotInStore):
        features.write(store, "nobody", features.features(DIGITS, digit))
