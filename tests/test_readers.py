"""What is read from each format equals what the framework that wrote it holds: arrays by role, calls by number, inputs and outputs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import etl
from etl.errors import BadFile, BadRequest
from etl.network import INPUT, Input, Model, Tensor
from etl.readers import check_finite, read, read_keras_model
from tests import zoo
from tests.live import calls_of, calls_of_network, compare_arrays

SHARED = Path(os.environ.get("ETL_SHARED", Path(__file__).parents[2] / "shared"))
FRAMEWORKS = ["keras", "tf_keras"]


@pytest.fixture(scope="session")
def built() -> dict[tuple[str, str], Any]:
    """Every model of the zoo in both frameworks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {(name, builder.__name__): zoo.build(builder, import_module(name)) for name in FRAMEWORKS for builder in zoo.BUILDERS}


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.name.endswith(".weights.h5") or path.name.startswith("weights"):
            model.save_weights(path)
        else:
            model.save(path)
    return path


def layer_inputs(model: Any) -> list[str]:
    return [(one._keras_history.operation if hasattr(one._keras_history, "operation") else one._keras_history.layer).name for one in model.inputs]


def layer_outputs(model: Any) -> list[tuple[str, int]]:
    histories = [one._keras_history for one in model.outputs]
    return [((one.operation if hasattr(one, "operation") else one.layer).name, one.tensor_index) for one in histories]


def agrees(found: Model, model: Any) -> None:
    network = found.network
    compare_arrays(network, model)
    at = network.calls
    assert [given.name for given in network.inputs] == layer_inputs(model)
    assert [(at[one.call].layer.name, one.output) for one in network.outputs] == layer_outputs(model)
    if hasattr(model, "_nodes_by_depth"):
        assert calls_of_network(network) == calls_of(model)
    for place, call in enumerate(at):
        assert all(one.call < place for one in tensors(call)), "calls come after those they read"


def tensors(call: Any) -> list[Tensor]:
    return [one for one in call.args if isinstance(one, Tensor)]


@pytest.mark.parametrize("form", ["model.h5", "model.keras", "live"])
@pytest.mark.parametrize("builder", zoo.BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_whole_models(framework: str, builder: zoo.Builder, form: str, built: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    model = built[framework, builder.__name__]
    found = read_keras_model(model) if form == "live" else read(saved(model, tmp_path / form))
    agrees(found, model)
    assert {layer.dialect for layer in found.network.layers()} == {"keras3" if framework == "keras" else "keras2"}
    assert found.version == import_module(framework).__version__
    check_finite(found)


@pytest.mark.parametrize("builder", zoo.BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize(("framework", "form"), [("keras", "model.weights.h5"), ("tf_keras", "model.weights.h5"), ("tf_keras", "weights.h5")])
def test_weights_with_their_architecture(framework: str, builder: zoo.Builder, form: str, built: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    """The v3 store, and the legacy layout that only Keras 2 writes."""
    model = built[framework, builder.__name__]
    architecture = tmp_path / "architecture.json"
    architecture.write_text(model.to_json())
    found = read(saved(model, tmp_path / form), architecture)
    agrees(found, model)
    assert found.format == "weights"


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared example files (ETL_SHARED)")
@pytest.mark.parametrize(
    ("name", "kinds", "parameters", "version"),
    [
        ("CIFAR-10_CNN5.h5", "Conv2D MaxPooling2D Conv2D MaxPooling2D Conv2D Flatten Dropout Dense Dense", 122_570, "2.2.4-tf"),
        ("mlpcn_network1.h5", "Dense Dense Dense", 784 * 200 + 200 * 100 + 100 * 10, "2.2.4"),
        ("teachable_machine.h5", "Sequential Sequential", 538_708, "2.4.0"),
    ],
)
def test_files_of_others(name: str, kinds: str, parameters: int, version: str) -> None:
    path = SHARED / "data" / name
    found = read(path)
    assert [call.layer.kind for call in found.network.calls] == kinds.split()
    assert sum(array.size for array in found.network.stored()) == parameters
    assert (found.version, found.format, found.name) == (version, "keras-h5", path.stem)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with h5py.File(path) as file:  # every array of the file is some layer's, bit for bit
        stored: list[Any] = []
        file["model_weights"].visititems(lambda _, one: stored.append(one[()]) if isinstance(one, h5py.Dataset) else None)
    assert sorted(one.tobytes() for one in stored) == sorted(one.read().tobytes() for one in found.network.stored())


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared example files (ETL_SHARED)")
def test_the_real_cnn_by_name() -> None:
    found = read(SHARED / "data" / "CIFAR-10_CNN5.h5")
    shapes = {(layer.name, array.role): (array.shape, array.begin) for layer in found.network.layers() for array in layer.arrays}
    assert shapes["conv_1", "kernel"] == ((3, 3, 32, 64), 0)
    assert shapes["conv_1", "bias"] == ((64,), 3 * 3 * 32 * 64)
    assert found.network.inputs == (Input("input", (32, 32, 3)),)  # the file names none


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared example files (ETL_SHARED)")
def test_no_framework_is_imported() -> None:
    program = "import sys; from etl.readers import read; read(sys.argv[1]); print({'keras', 'tf_keras', 'tensorflow', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program, SHARED / "data" / "teachable_machine.h5"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_kinds_and_arguments_of_operations(built: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    forms = [read(saved(built["keras", "operations"], tmp_path / name)) for name in ("model.h5", "model.keras")]
    for found in forms:
        calls = found.network.calls
        assert [call.layer.kind for call in calls] == ["Dense", "op:Multiply", "op:Add", "op:GetItem", "op:Subtract", "Dense"]
        assert calls[1].args == (Tensor(0), 2.0)
        assert calls[2].args == (Tensor(1), Tensor(INPUT))
        assert calls[3].args == (Tensor(2), [slice(None), slice(1, 3)])
    found = read(saved(built["tf_keras", "operations"], tmp_path / "two.h5"))
    kinds = [call.layer.kind for call in found.network.calls]
    assert kinds == ["Dense", "op:math.multiply", "op:__operators__.add", "op:__operators__.getitem", "op:math.subtract", "Dense"]
    assert found.network.calls[1].kwargs == {"y": 2.0}
    assert found.network.calls[2].kwargs == {"y": Tensor(INPUT)}
    assert found.network.calls[3].kwargs == {"slice_spec": [slice(None), slice(1, 3)]}


def test_initial_states_are_keyword_arguments(built: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    for framework in FRAMEWORKS:
        found = read(saved(built[framework, "states"], tmp_path / f"{framework}.h5"))
        names = [given.name for given in found.network.inputs]
        assert names == ["h", "x", "c"]  # Keras orders dictionaries by key: a, b, c
        lstm = found.network.calls[0]
        assert [lstm.args, lstm.kwargs] == [(Tensor(INPUT, 1),), {"initial_state": [Tensor(INPUT, 0), Tensor(INPUT, 2)]}]
        assert [one.output for one in found.network.outputs] == [1, 0]


def test_training_is_kept_only_where_the_framework_obeys_it(tmp_path: Path) -> None:
    """Keras 2 predicts with the `training=True` of the call, Keras 3 overrules it."""
    for framework, kept in (("keras", {}), ("tf_keras", {"training": True})):
        keras = import_module(framework)
        inputs = keras.Input((100,))
        model = keras.Model(inputs, keras.layers.Dropout(0.5)(inputs, training=True))
        assert bool(np.std(model.predict(np.ones((1, 100)), verbose=0))) == bool(kept)
        assert read_keras_model(model).network.calls[0].kwargs == kept


def test_inner_layers_of_wrappers(built: dict[tuple[str, str], Any]) -> None:
    for framework in FRAMEWORKS:
        model = built[framework, "recurrent"]
        layers = {layer.kind: layer for layer in read_keras_model(model).network.layers()}
        first = next(layer for layer in read_keras_model(model).network.layers() if layer.kind == "Bidirectional")
        forward, backward = first.inner["forward_layer"], first.inner["backward_layer"]
        assert [(one.kind, bool(one.options["go_backwards"])) for one in (forward, backward)] == [("GRU", False), ("GRU", True)]
        assert [array.role for array in backward.arrays] == ["kernel", "recurrent_kernel", "bias"]
        assert backward.arrays[0].begin == forward.parameters
        assert [one.kind for one in layers["RNN"].inner["cell"].inner["cells"]] == ["LSTMCell", "GRUCell", "LSTMCell"]
        assert layers["TimeDistributed"].inner["layer"].kind == "Dense"


def test_float64_stays_and_smaller_floats_widen(built: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    for form in ("model.h5", "model.keras"):
        found = read(saved(built["keras", "double"], tmp_path / form))
        assert {array.dtype for array in found.network.stored()} == {np.dtype(np.float64)}
    keras = import_module("keras")
    for dtype in ("float16", "bfloat16"):
        model = keras.Sequential([keras.Input((3,), dtype=dtype), keras.layers.Dense(2, dtype=dtype)])
        kernel = next(iter(read(saved(model, tmp_path / f"{dtype}.keras")).network.stored())).read()
        assert kernel.dtype == np.float32
        np.testing.assert_array_equal(kernel, np.asarray(model.weights[0].numpy()).astype(np.float32))


def test_architectures_by_name(tmp_path: Path) -> None:
    """Weights of a keras.applications model, the classifier left out or not, with nothing but its name."""
    keras = import_module("keras")
    for top in (True, False):
        model = keras.applications.MobileNet(weights=None, alpha=0.25, include_top=top, input_shape=(32, 32, 3))
        weights = saved(model, tmp_path / f"{top}.weights.h5")
        name = f"keras.applications:MobileNet?alpha=0.25&input_shape=32,32,3&include_top={str(top).lower()}"
        compare_arrays(read(weights, name).network, model)
    with pytest.raises(BadRequest, match="no such model; it has ConvNeXtBase"):
        read(weights, "keras.applications:VGG17")
    with pytest.raises(BadFile, match="no weights in the file"):
        read(weights, "keras.applications:MobileNet?alpha=0.25&include_top=true")


def test_architectures_by_name_with_weights_of_keras_2(tmp_path: Path) -> None:
    """The JSON is that of the Keras that is installed here, whoever wrote the weights."""
    model = import_module("tf_keras").applications.MobileNet(weights=None, alpha=0.25, include_top=False, input_shape=(32, 32, 3))
    for form in ("weights.h5", "model.weights.h5"):
        found = read(saved(model, tmp_path / form), "keras.applications:MobileNet?alpha=0.25&include_top=false&input_shape=32,32,3").network
        kernels = [array.read() for layer in found.layers() for array in layer.arrays]
        assert len(kernels) == len(model.weights)
        for layer in found.layers():
            for array, live in zip(layer.arrays, model.get_layer(layer.name).weights, strict=True) if layer.arrays else ():
                np.testing.assert_array_equal(array.read(), live.numpy())


@pytest.mark.filterwarnings("ignore")  # of Keras while it saves
def test_weights_in_shards(tmp_path: Path) -> None:
    """A table of contents and the files beside it; the arrays of one layer may lie in two of them."""
    keras = import_module("keras")
    inner = keras.Sequential([keras.Input((20,)), keras.layers.Dense(30), keras.layers.Dense(40)])
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(20), inner, keras.layers.BatchNormalization()])
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=4900 / 2**30)  # the second Dense of `inner`: its kernel, then its bias elsewhere
    (tmp_path / "m.json").write_text(model.to_json())
    shards = sorted(tmp_path.glob("*.h5"))
    assert len(shards) > 1
    found = read(tmp_path / "m.weights.json", tmp_path / "m.json")
    compare_arrays(found.network, model)
    assert (
        found.sha256
        == hashlib.sha256(b"".join((tmp_path / n).read_bytes() for n in ("m.weights.json", *(s.name for s in shards), "m.json"))).hexdigest()
    )
    shards[0].unlink()
    with pytest.raises(BadFile, match=r"m.weights.json lists m_00000.weights.h5, which does not lie beside it"):
        read(tmp_path / "m.weights.json", tmp_path / "m.json")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_live_model_as_a_graph(framework: str, tmp_path: Path) -> None:
    """What Python gives to `etl.read` may be the model itself: the graph is that of its file."""
    keras = import_module(framework)
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.Conv1D(3, 2), keras.layers.BatchNormalization(), keras.layers.LSTM(2)])
    live, filed = etl.read(model, fold=True), etl.read(saved(model, tmp_path / "m.keras"), fold=True)
    assert live.neurons().read_all() == filed.neurons().read_all() and live.weights().read_all() == filed.weights().read_all()
    assert live.outputs == filed.outputs
    with pytest.raises(BadFile, match=r"int is no Keras model; give a keras.Model, or the path of a file"):
        etl.read(3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layer_in_two_models_is_stored_once(framework: str, tmp_path: Path) -> None:
    """Keras 3 counts it again where it comes again, Keras 2 does not: either way every later layer must find its own arrays."""
    model = zoo.build(zoo.borrowed, import_module(framework))
    compare_arrays(read_keras_model(model).network, model)
    compare_arrays(read(saved(model, tmp_path / "model.keras")).network, model)
    (tmp_path / "model.json").write_text(model.to_json())
    compare_arrays(read(saved(model, tmp_path / "model.weights.h5"), tmp_path / "model.json").network, model)


def test_an_input_without_a_shape_is_asked_for(tmp_path: Path) -> None:
    """Sequential models of old Keras, and of those who edit files, say nothing of it."""
    path = tmp_path / "shapeless.h5"
    path.write_bytes((Path(__file__).parent / "data/digits_cnn.h5").read_bytes())
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        del config["config"]["layers"][0], config["config"]["build_input_shape"]
        file.attrs["model_config"] = json.dumps(config)
        file["model_weights"].attrs["layer_names"] = [
            name for name in file["model_weights"].attrs["layer_names"] if name not in ("pixels", b"pixels")
        ]
    with pytest.raises(BadRequest, match="gives no shape for input input: pass --input-shape"):
        etl.read(path)
    assert etl.read(path, input_shapes=((8, 8, 1),)).plan().edges == 47_360


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_model_in_two_models_of_a_third(framework: str, form: str, tmp_path: Path) -> None:
    """The file has one copy of it; neither Keras can load its own file of that."""
    model = zoo.build(zoo.thrice, import_module(framework))
    graph = etl.read(saved(model, tmp_path / f"model.{form}"))
    given = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    (found,) = graph.forward(given)
    np.testing.assert_allclose(found, np.asarray(model(given)), rtol=1e-5, atol=1e-6)
    assert graph.plan().parameters == model.count_params()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_arrays_of_a_class_of_ones_own(framework: str, tmp_path: Path) -> None:
    """In the order and under the names of the file; it is the rules that know no such kind."""
    keras = import_module(framework)

    @keras.saving.register_keras_serializable("mine")
    class Scale(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(name="factor", shape=(shape[-1],), initializer="uniform")
            self.shift = self.add_weight(name="shift", shape=(2,), trainable=False)
            self.built = True

        def call(self, x: Any) -> Any:
            return x * self.factor

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), Scale(), keras.Sequential([keras.Input((4,)), Scale(), Scale()])])
    for form in ("model.h5", "model.keras"):
        found = read(saved(model, tmp_path / form)).network
        layer, nested = found.calls[1].layer, found.calls[2].layer.network
        assert layer.kind.rpartition(">")[2] == "Scale"
        assert nested is not None
        for one, live in ((layer, model.layers[1]), (nested.calls[1].layer, model.layers[2].layers[1])):
            assert [array.role for array in one.arrays] == (["factor", "shift"] if form == "model.h5" else ["0", "1"])
            assert [array.begin for array in one.arrays] == [0, 4]
            np.testing.assert_array_equal(one.arrays[0].read(), live.factor.numpy())
