"""Split models composed again: what comes out is what the whole model predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import etl
from etl.analysis.split import keras_part_models, tag
from etl.analysis.split import split as write_parts
from etl.cli import main
from etl.errors import BadRequest, Conflict
from etl.graph.selection import Selection, graph_of
from etl.network import INPUT, Call, Input, Layer, Network, Tensor
from etl.network import cut_points as split
from etl.readers import read
from tests import zoo

pytestmark = [  # Keras' own, in saving
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]

DIGITS = Path(__file__).parent / "data" / "digits_cnn.h5"


def wired(*calls: tuple[str, str], outputs: str = "") -> Network:
    """`("c", "a b")`: a call of c on the outputs of the last calls of a and b; no reads is an input."""
    made: list[Call] = []
    inputs: list[Input] = []
    last: dict[str, Tensor] = {}
    numbers: dict[str, int] = {}
    for name, sources in calls:
        if not sources:
            last[name] = Tensor(INPUT, len(inputs))
            inputs.append(Input(name, (1,)))
            continue
        made.append(Call(Layer(name, "Dense"), tuple(last[source] for source in sources.split()), number=numbers.get(name, 0)))
        last[name], numbers[name] = Tensor(len(made) - 1), numbers.get(name, 0) + 1
    ends = outputs.split() or [calls[-1][0]]
    return Network(tuple(made), tuple(inputs), tuple(last[name] for name in ends))


RESIDUAL = wired(("x", ""), ("a", "x"), ("b", "a"), ("c", "b"), ("add", "a c"), ("relu", "add"), ("end", "relu"))
TWINS = wired(("left", ""), ("right", ""), ("l", "left"), ("r", "right"), ("join", "l r"), ("end", "join"))
SIAMESE = wired(("left", ""), ("right", ""), ("tower", "left"), ("l", "tower"), ("tower", "right"), ("join", "l tower"), ("end", "join"))


def test_cut_points() -> None:
    for network, clean in ((RESIDUAL, ["a", "add", "relu"]), (TWINS, ["join"]), (SIAMESE, ["tower", "join"])):
        assert split.Wiring(network).clean() == clean


@pytest.mark.parametrize(
    ("network", "at", "branches", "calls"),
    [
        (RESIDUAL, ["a", "relu"], False, [["a"], ["b", "c", "add", "relu"], ["end"]]),
        (RESIDUAL, ["relu", "a", "add"], False, [["a"], ["b", "c", "add"], ["relu"], ["end"]]),
        (RESIDUAL, ["b"], True, [["a", "b"], ["c", "add", "relu", "end"]]),
        (RESIDUAL, ["a", "b"], False, [["a"], ["b"], ["c", "add", "relu", "end"]]),
        (TWINS, ["l", "r"], False, [["l", "r"], ["join", "end"]]),
        (TWINS, ["l"], True, [["l", "r"], ["join", "end"]]),
        (SIAMESE, ["tower"], False, [["tower", "tower"], ["l", "join", "end"]]),
    ],
)
def test_parts(network: Network, at: list[str], branches: bool, calls: list[list[str]]) -> None:
    found = split.parts(network, at, branches=branches)
    assert [[network.calls[n].layer.name for n in part.calls] for part in found] == calls
    assert found[0].inputs == tuple(Tensor(INPUT, n) for n in range(len(network.inputs))) and found[-1].outputs == network.outputs
    assert all(one.outputs == following.inputs for one, following in pairwise(found))


@pytest.mark.parametrize(
    ("network", "at", "told"),
    [
        (RESIDUAL, ["b"], r"--at b is inside a branch: a goes around it; cut at a or add instead, or .*--allow-branches"),
        (RESIDUAL, ["relu", "c"], r"--at c is inside a branch: a goes"),
        (TWINS, ["l"], r"cut at join instead"),
        (RESIDUAL, ["x"], "it is an input"),
        (RESIDUAL, ["end"], "nothing comes after it"),
        (RESIDUAL, ["rely"], r"no layer rely \(did you mean relu\?\)"),
    ],
)
def test_refused(network: Network, at: list[str], told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        split.parts(network, at)


def composed(keras: Any, folder: Path, inputs: Any) -> list[Any]:
    """What the parts return, one after the other, as anybody would run them."""
    for path in sorted(folder.glob("*.keras")):
        read(path)  # they are models that can be loaded like any other
        given = keras.models.load_model(path, compile=False)(inputs)
        inputs = [np.asarray(value) for value in given] if isinstance(given, list | tuple) else np.asarray(given)
    return inputs if isinstance(inputs, list) else [inputs]


def check(keras: Any, model: Any, at: list[str], folder: Path, count: int, branches: bool = False) -> None:
    """Save, split, compose: equal to the whole."""
    folder.mkdir(exist_ok=True)
    path = folder / "whole.keras"
    if not path.exists():
        model.save(path)
    out = folder / "_".join(at).replace("/", "-")
    written = write_parts(path, at, out, branches=branches)
    assert [part.file for part in written] == sorted(p.name for p in out.iterdir()) and len(written) == count
    compare(keras, model, out)


def compare(keras: Any, model: Any, folder: Path) -> None:
    """The parts, run one after the other, return what the model returns."""
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    given = inputs if len(inputs) > 1 else inputs[0]
    whole = model(given)
    for ours, theirs in zip(composed(keras, folder, given), whole if isinstance(whole, list | tuple) else [whole], strict=True):
        assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def keras(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def shuffled(model: Any) -> Any:
    """Fresh weights hide what they are multiplied with: none is 0 or 1 afterwards."""
    rng = np.random.default_rng(1)
    model.set_weights(
        [
            rng.uniform(0.1, 0.5, size=one.shape) * rng.choice([-0.3, 0.3], size=one.shape) if one.ndim > 1 else rng.uniform(0.1, 1, one.shape)
            for one in model.get_weights()
        ]
    )
    return model


def siamese(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((6,), name="image")
    tower = keras.Model(image, layers.Dense(3, activation="tanh", name="deep")(layers.Dense(4, activation="relu", name="wide")(image)), name="tower")
    shared = layers.Dense(5, activation="tanh", name="shared")
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    a, b = shared(tower(left)), shared(tower(right))
    joined = layers.Concatenate(name="join")([layers.Subtract(name="minus")([a, b]), layers.Multiply(name="times")([a, b])])
    return shuffled(keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(joined), name="siamese"))


def test_siamese(keras: Any, tmp_path: Path) -> None:
    model = siamese(keras)
    check(keras, model, ["shared"], tmp_path, 2)
    check(keras, model, ["tower", "shared", "join"], tmp_path, 4)
    check(keras, model, ["minus", "times"], tmp_path, 2)
    with pytest.raises(BadRequest, match="cut at shared or join instead"):
        write_parts(tmp_path / "whole.keras", ["minus"], tmp_path / "refused")
    check(keras, model, ["tower/wide"], tmp_path, 2)
    check(keras, model, ["tower/deep", "join"], tmp_path, 3)
    with pytest.raises(BadRequest, match="name the last layer inside"):
        write_parts(tmp_path / "whole.keras", ["tower/wide", "tower"], tmp_path / "refused")
    with pytest.raises(BadRequest, match=r"no layer tower/wild \(did you mean tower/wide\?\)"):
        write_parts(tmp_path / "whole.keras", ["tower/wild"], tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    check(keras, model, ["times"], tmp_path, 2, branches=True)


def test_residual_branches_outputs_and_repeated_layers(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    image, extra = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="extra")
    stem = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    branch = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, padding="same", name="branch")(stem))
    block = layers.Activation("relu", name="block")(layers.Add(name="add")([stem, branch]))
    again = layers.Conv2D(4, 1, name="again")
    twice = again(layers.Activation("tanh", name="tanh")(again(block)))
    pooled = layers.GlobalAveragePooling2D(name="pool")(twice)
    side = layers.Dense(2, name="side")(layers.GlobalMaxPooling2D(name="top")(block))
    main_output = layers.Dense(3, activation="softmax", name="main")(layers.Concatenate(name="join")([pooled, extra]))
    model = shuffled(keras.Model([image, extra], [main_output, side], name="many"))
    check(keras, model, ["stem", "block"], tmp_path, 3, branches=True)
    check(keras, model, ["branch"], tmp_path, 2, branches=True)
    check(keras, model, ["again", "top"], tmp_path, 3, branches=True)
    with pytest.raises(BadRequest, match=r"--at block is inside a branch: extra goes around it"):
        write_parts(tmp_path / "whole.keras", ["block"], tmp_path / "refused")


def test_resnet(tmp_path: Path) -> None:
    """Two of the four stacks of ResNet50, by Keras' own code and with its names, of thinner blocks."""
    keras = pytest.importorskip("keras")
    from keras.src.applications import resnet

    def stacks(x: Any) -> Any:
        x = resnet.stack_residual_blocks_v1(x, 4, 3, stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 8, 4, name="conv3")

    model = shuffled(resnet.ResNet(stacks, False, True, name="resnet", weights=None, input_shape=(32, 32, 3), classes=5))
    check(keras, model, ["conv3_block2_out"], tmp_path, 2)
    check(keras, model, ["conv2_block2_out", "conv3_block1_out"], tmp_path, 3)  # the same layers in other parts
    clean = etl.read(tmp_path / "whole.keras").cut_points()
    assert {"conv1_relu", "conv2_block1_out", "conv3_block4_add", "avg_pool"} <= set(clean)
    assert not [name for name in clean if name.endswith(("_1_conv", "_2_relu", "_3_bn"))]
    with pytest.raises(BadRequest, match="cut at conv3_block3_out or conv3_block4_add instead"):
        write_parts(tmp_path / "whole.keras", ["conv3_block4_2_relu"], tmp_path / "refused")


def test_two_splits_of_one_model_in_memory(keras: Any, tmp_path: Path) -> None:
    """They overlap, and share the layers of the model, which is what it was afterwards."""
    made = siamese(keras)
    made.save(tmp_path / "whole.keras")
    model, given = read(tmp_path / "whole.keras"), [np.full((2, 6), 0.3, np.float32), np.full((2, 6), -0.7, np.float32)]
    whole = np.asarray(made(given))
    for at in (["shared"], ["tower", "join"], ["shared"]):
        values: Any = given
        for part in keras_part_models(model, made, split.parts(model.network, at)):
            values = part(values)
        assert_allclose(np.asarray(values), whole, rtol=1e-5, atol=1e-6)
    assert_allclose(np.asarray(made(given)), whole)


def test_models_within_models(keras: Any, tmp_path: Path) -> None:
    """Names that are inside and outside, a model called on its own kind, two levels deep."""
    layers = keras.layers
    core = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="relu", name="one"), layers.Dense(4, name="two")], name="core")
    x = keras.Input((4,))
    middle = keras.Model(x, layers.Add(name="add")([core(layers.Dense(4, name="one")(x)), x]), name="middle")
    y = keras.Input((4,))
    model = shuffled(keras.Model(y, layers.Dense(2, name="two")(middle(layers.Dense(4, name="one")(middle(y)))), name="outer"))
    check(keras, model, ["middle", "one"], tmp_path, 4)
    check(keras, model, ["middle/add"], tmp_path, 3)
    check(keras, model, ["middle/core/one", "one"], tmp_path, 4, branches=True)
    with pytest.raises(BadRequest, match="middle/core/one is inside a branch"):
        write_parts(tmp_path / "whole.keras", ["middle/core/one"], tmp_path / "refused")


def test_layers_above_mixed9() -> None:
    keras = pytest.importorskip("keras")
    keras.backend.clear_session()
    model = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(75, 75, 3))
    from etl.readers import read_keras_model

    found = split.layers_above(read_keras_model(model).network, "mixed9")
    numbered = [f"{kind}_{n}" for kind in ("conv2d", "batch_normalization", "activation") for n in range(85, 94)]
    assert sorted(found) == sorted(["mixed9", "mixed9_1", "mixed10", "concatenate_1", "average_pooling2d_8", *numbered]) and found[0] == "mixed9"


@pytest.mark.parametrize("builder", [zoo.nested, zoo.operations, zoo.chain], ids=lambda b: b.__name__)
def test_every_clean_point(keras: Any, builder: Callable[[Any], Any], tmp_path: Path) -> None:
    model, path = zoo.build(builder, keras), tmp_path / ("whole.h5" if builder is zoo.nested else "whole.keras")
    model.save(path)  # nested: an archive of it can't be loaded by its own framework
    clean = etl.read(path).cut_points()
    for number, at in enumerate([clean, *([name] for name in clean)]):
        if at:
            write_parts(path, at, tmp_path / str(number))
            compare(keras, model, tmp_path / str(number))


def test_masks_do_not_get_lost(keras: Any, tmp_path: Path) -> None:
    """In Keras 3 they are tensors of the model, which go around the cut; in Keras 2 they cling to other tensors."""
    layers = keras.layers
    words = keras.Input((5,), dtype="int32", name="numbers")
    model = keras.Model(words, layers.LSTM(3, name="lstm")(layers.Embedding(7, 4, mask_zero=True, name="words")(words)))
    path = tmp_path / "masked.keras"
    model.save(path)
    new = keras.__name__ == "keras"
    with pytest.raises(BadRequest, match=r"not_equal(_\d+)? goes around it" if new else "words gives a mask along"):
        write_parts(path, ["words"], tmp_path / "out")
    if new:
        write_parts(path, ["words"], tmp_path / "out", branches=True)
        given = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]], np.int32)
        assert_allclose(composed(keras, tmp_path / "out", given)[0], np.asarray(model(given)), rtol=1e-5, atol=1e-6)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "parts"
    monkeypatch.setattr("sys.argv", ["etl", "split", str(DIGITS), "--at", "flatten", "--out", str(out), "--format", "json"])
    assert main() == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == [path.name for path in sorted(out.glob("*.keras"))] and len(rows) == 2
    (out / "002_old.keras").write_text("of an earlier split, with more parts")
    assert main() == 0 and json.loads(capsys.readouterr().out) == rows and len(list(out.iterdir())) == 2
    (out / "notes.txt").write_text("somebody's")
    assert main() == 1 and len(list(out.iterdir())) == 3
    assert "holds something else than parts: choose another --out" in capsys.readouterr().err


def test_parts_are_numbered_in_the_store(store: Any, tmp_path: Path) -> None:
    from etl.sinks.neo4j import live as neo4j

    neo4j.load(graph_of(DIGITS), store, "split_digits", replace=True)
    for at in (["flatten"], ["strokes", "flatten"]):
        written = write_parts(DIGITS, at, tmp_path / "_".join(at))
        tag(store, "split_digits", written)
        rows = store.read("MATCH (l:Layer {model: 'split_digits'}) RETURN l.name AS name, l.part AS part ORDER BY l.position")
        expected = {name: number for number, part in enumerate(written) for name in part.layers} | {rows[0]["name"]: 0}
        assert {row["name"]: row["part"] for row in rows} == expected
    neo4j.load(graph_of(DIGITS, Selection(fold=True, layers=("strokes", None))), store, "split_other", replace=True)
    store.write("MATCH (m:Model {name: 'split_other'}) SET m.sha256 = 'another'")
    with pytest.raises(Conflict, match="of another file"):
        tag(store, "split_other", written)
