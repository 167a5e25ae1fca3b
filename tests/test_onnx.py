"""ONNX files: read, folded, converted, verified, split; hostile ones refused in one line. Oracles: PyTorch, the operators' own tests, onnxruntime."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import etl
from etl.errors import BadFile, BadRequest, EtlError, Unsupported
from etl.graph.forward import forward, outputs
from etl.graph.trace import trace
from etl.readers import read
from etl.readers.onnx import read_onnx_model
from etl.rules.ids import is_live
from etl.rules.onnx import ONNX
from etl.rules.scope import Scope, Tape
from tests.forward import run_graph

DATA = Path(__file__).parent / "data"
DIGITS = DATA / "digits_cnn.onnx"


def model_of(nodes: Sequence[Any], inputs: Any = None, outputs: Sequence[str] = ("y",), opset: int = 21, **arrays: Any) -> onnx.ModelProto:
    """A model of these nodes; inputs by name with shapes, float unless an array says otherwise."""
    shapes = {"x": [1, 4]} if inputs is None else inputs
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)], ir_version=10)


def values_of(model: onnx.ModelProto, *given: Any, **options: Any) -> list[np.ndarray]:
    """What the graph of a model returns for one example."""
    graph = trace(read_onnx_model(model, **options), [np.shape(x) for x in given])
    made = run_graph(graph, [np.asarray(x, float) for x in given])
    return [values.reshape(ids.shape) for values, ids in zip(made, graph.outputs, strict=True)]


def test_a_trained_network_is_exact_and_read_without_any_framework():
    expected = np.load(DATA / "digits_cnn_onnx.npz")
    graph = trace(read(DIGITS))
    for image, digit in zip(expected["image"], expected["digit"], strict=True):
        (found,) = run_graph(graph, [image])
        np.testing.assert_allclose(found, digit, rtol=1e-5, atol=1e-5)
    assert [row.name for row in graph.rows][:3] == ["image", "conv1", "relu1"]
    conv = graph.rows[1]
    assert (conv.type, conv.shape, conv.axes, conv.parameters) == ("Conv", (4, 8, 8), "channel,row,column", 40)
    assert graph.parameters == 40 + 296 + 330
    code = "import sys, etl; etl.read(sys.argv[1]).plan(); print([m for m in ('torch', 'tensorflow', 'keras', 'onnxruntime') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code, DIGITS], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_kernels_are_rebuilt_from_the_edges():
    graph = etl.read(DIGITS)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(DIGITS).graph.initializer}
    edges = graph.to_pandas().weights.query("layer == 'conv2'").drop_duplicates("parameter").sort_values("parameter")
    np.testing.assert_array_equal(edges["weight"].to_numpy(), stored["conv2.weight"].reshape(-1))


def test_verify_and_split_by_onnxruntime(tmp_path):
    pytest.importorskip("onnxruntime")
    from etl.analysis.split import split
    from etl.analysis.verify import verify

    compared = verify(DIGITS)
    assert {"conv1", "relu2", "digit", "output 0"} <= {layer.layer for layer in compared}
    assert max(layer.relative for layer in compared) < 1e-5
    parts = split(DIGITS, ["pool"], tmp_path / "parts")
    values = np.load(DATA / "digits_cnn_onnx.npz")["image"]
    for part in parts:
        made = ReferenceEvaluator(onnx.load(tmp_path / "parts" / part.file))
        (values,) = made.run(None, {made.input_names[0]: values})
    np.testing.assert_allclose(values, np.load(DATA / "digits_cnn_onnx.npz")["digit"], rtol=1e-4, atol=1e-5)


# A handful of the onnx package's own tests of each family; benchmarks/onnx_nodes.py runs all of them.
SAMPLED = (
    "Add Gemm MatMul Einsum Clip Gelu Mod Conv ConvTranspose AveragePool MaxPool LpPool Resize LRN GroupNormalization "
    "LayerNormalization Softmax LogSoftmax Hardmax ArgMax TopK CumSum ReduceL2 ReduceMean LSTM GRU RNN Loop Scan If Slice Pad "
    "GatherND ScatterND DepthToSpace OneHot GridSample DFT Det Acos Asin Atan IsInf IsNaN Dropout TensorScatter OptionalHasElement FlexAttention"
).split()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("operator", SAMPLED)
def test_the_operators_own_tests(operator):
    """None wrong; at least one exact of each operator whose tests have a float input."""
    cases = [case for case in cases_of(operator) if exact_case(*case.data_sets[0])]
    exact = 0
    for case in cases:
        given, wanted = case.data_sets[0]
        try:
            found = run_case(case.model, given)
        except Unsupported:
            continue
        for ours, theirs in zip(found, wanted, strict=True):
            expected = np.asarray(theirs, float).reshape(ours.shape)
            np.testing.assert_allclose(ours, expected, **tolerance(case, theirs), err_msg=case.name)
        exact += 1
    assert exact or not cases


def cases_of(operator: str) -> list[Any]:
    """An operator's tests, which its module in the onnx package makes when it is imported."""
    from onnx.backend.test.case import node

    import_module(f"onnx.backend.test.case.node.{'if_' if operator == 'If' else operator.lower()}")
    return [case for case in node._NodeTestCases if case.model and case.data_sets and case.model.graph.node[0].op_type == operator]


def tolerance(case: Any, wanted: Any) -> dict[str, Any]:
    """A test's own; in half precision the answer was rounded at each step, the graph's is not: two spacings of its numbers."""
    spacing = np.finfo(np.float16).eps if np.asarray(wanted).dtype == np.float16 else 0.0
    return {"rtol": max(case.rtol, 2 * float(spacing)), "atol": max(case.atol, 1e-6)}


def exact_case(given: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether an operator's test has a live input and finite outputs."""
    plain = all(isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub" for value in [*given, *wanted])
    return (
        plain and any(value.dtype.kind == "f" and value.size for value in given) and all(value.size and np.isfinite(value).all() for value in wanted)
    )


def run_case(model: onnx.ModelProto, given: Sequence[Any]) -> list[np.ndarray]:
    """The outputs of an operator's test with every input but the first of floats turned into an initializer."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    live = next(k for k, value in enumerate(given) if value.dtype.kind == "f")
    for k, (declared, value) in enumerate(zip(model.graph.input, given, strict=False)):
        if k != live:
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(value), declared.name))
    graph = trace(read_onnx_model(made), [np.shape(given[live])])
    values = forward(graph, [np.asarray(given[live], float).reshape(1, *graph.inputs[0].shape)])
    return [found[0] for found in outputs(graph, values)]


def test_old_opsets_mean_what_they_meant():
    x = np.random.default_rng(0).normal(size=(1, 3, 4))
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)
    (found,) = values_of(model_of([node], {"x": [1, 3, 4]}, opset=6, b=np.array([1, 2, 3], np.float32)), x)
    np.testing.assert_allclose(found, x + np.array([1, 2, 3])[:, None])
    (found,) = values_of(model_of([helper.make_node("Softmax", ["x"], ["y"])], {"x": [1, 3, 4]}, opset=11), x)
    np.testing.assert_allclose(found, np.exp(x) / np.exp(x).sum())
    slices = helper.make_node("Slice", ["x"], ["y"], starts=[1], ends=[3], axes=[2])
    np.testing.assert_allclose(values_of(model_of([slices], {"x": [1, 3, 4]}, opset=9), x)[0], x[:, :, 1:3])


def test_conditions_and_loops_are_decided_by_constants_and_shapes():
    def branch(name: str, operator: str) -> onnx.GraphProto:
        return helper.make_graph([helper.make_node(operator, ["x"], [name])], name, [], [helper.make_empty_tensor_value_info(name)])

    choose = helper.make_node("If", ["c"], ["y"], then_branch=branch("a", "Neg"), else_branch=branch("b", "Relu"))
    x = np.array([[1.0, -2, 3, -4]])
    model = model_of([choose])
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    np.testing.assert_allclose(values_of(model, x, constants={"c": True})[0], -x)
    np.testing.assert_allclose(values_of(model, x, constants={"c": False})[0], np.maximum(x, 0))
    size = [helper.make_node("Size", ["x"], ["n"]), helper.make_node("Equal", ["n", "four"], ["c"]), choose]
    np.testing.assert_allclose(values_of(model_of(size, four=np.array(4)), x)[0], -x)
    with pytest.raises(Unsupported, match="depends on the example"):
        values_of(model_of([helper.make_node("Greater", ["x", "zero"], ["c"]), choose], zero=np.float32(0)), x)
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "x"], ["t"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, None),
        ],
        [helper.make_empty_tensor_value_info("on"), helper.make_empty_tensor_value_info("t")],
    )
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    np.testing.assert_allclose(values_of(model_of([helper.make_node("Size", ["x"], ["n"]), loop]), x)[0], 5 * x)
    with pytest.raises(BadRequest, match="no input"):
        values_of(model, x, constants={"d": 1})


def test_shapes_by_name_and_with_all_axes(tmp_path):
    onnx.save(model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [3, 4]}), tmp_path / "m.onnx")
    with pytest.raises(BadRequest, match=r"batch of 3.*--input-shape x=3,4"):
        etl.read(tmp_path / "m.onnx")
    assert etl.read(tmp_path / "m.onnx", input_shapes={"x": (3, 4)}).plan().neurons == 24


def bomb(operator: str, *inputs: str, **arrays: Any) -> Callable[[], onnx.ModelProto]:
    return lambda: model_of(
        [
            helper.make_node(operator, list(inputs), ["big"]),
            helper.make_node("ReduceMax", ["big"], ["m"]),
            helper.make_node("Add", ["x", "m"], ["y"]),
        ],
        **arrays,
    )


def sparse_bomb() -> onnx.ModelProto:
    """Tensors of a hundred million zeros, which take no room in the file."""
    model = model_of([helper.make_node("Sum", ["x", *(f"s{n}" for n in range(8))], ["y"])])
    for n in range(8):
        values, places = numpy_helper.from_array(np.float32([1]), f"s{n}"), numpy_helper.from_array(np.array([1]))
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2**24, 4]))
    return model


HUGE = np.array([10**12])
BOMBS: dict[str, Callable[[], onnx.ModelProto]] = {
    "ConstantOfShape": bomb("ConstantOfShape", "n", n=HUGE),
    "Expand": bomb("Expand", "a", "n", a=np.float32([1]), n=HUGE),
    "Tile": bomb("Tile", "a", "n", a=np.float32([1]), n=HUGE),
    "Range": bomb("Range", "a", "n", "b", a=np.array(0), n=np.array(10**12), b=np.array(1)),
    "Pad": bomb("Pad", "a", "n", a=np.float32([1]), n=np.array([0, 10**12])),
    "Resize": bomb("Resize", "a", "", "", "n", a=np.float32([1]), n=HUGE),
    "Resize that takes long": bomb("Resize", "a", "", "s", a=np.ones((1, 1, 64, 64), np.float32), s=np.float32([1, 1, 100, 100])),
    "LSTM that takes long": bomb("LSTM", "a", "w", "r", a=np.ones((10**5, 1, 4), np.float32), w=np.ones((1, 8, 4)), r=np.ones((1, 8, 2))),
    "GridSample that takes long": bomb("GridSample", "a", "g", a=np.ones((1, 64, 64, 64), np.float32), g=np.zeros((1, 300, 300, 2), np.float32)),
    "sparse tensors": lambda: sparse_bomb(),
    "live Concat": lambda: model_of(
        [helper.make_node("Expand", ["x", "n"], ["e"]), helper.make_node("Concat", ["e"] * 4, ["y"], axis=0)], n=np.array([2**25, 4])
    ),
    "live OneHot": lambda: model_of(
        [helper.make_node("Cast", ["x"], ["i"], to=7), helper.make_node("OneHot", ["i", "n", "v"], ["y"])], n=HUGE[0], v=np.float32([0, 1])
    ),
    "live LRN": lambda: model_of([helper.make_node("LRN", ["x"], ["y"], size=10**12)], {"x": [1, 4, 3, 3]}),
    "live Split": lambda: model_of([helper.make_node("Split", ["x"], ["y"], axis=1, num_outputs=10**12)]),
    "live GridSample": lambda: model_of(
        [helper.make_node("GridSample", ["x", "g"], ["y"])], {"x": [1, 1, 60, 60]}, g=np.zeros((1, 45, 45, 2), np.float32)
    ),
    "many layers": lambda: model_of([helper.make_node("Relu", [f"c{n}" if n else "x"], [f"c{n + 1}" if n < 69_999 else "y"]) for n in range(70_000)]),
    "live Expand": lambda: model_of([helper.make_node("Expand", ["x", "n"], ["y"])], n=np.array([10**12, 1, 4])),
    "live Tile": lambda: model_of([helper.make_node("Tile", ["x", "n"], ["y"])], n=np.array([10**12, 1])),
    "live Pad": lambda: model_of([helper.make_node("Pad", ["x", "n"], ["y"])], n=np.array([0, 0, 10**12, 0])),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_computed(name):
    began = time.monotonic()
    with pytest.raises(EtlError) as error:
        trace(read_onnx_model(BOMBS[name]()))
    assert "\n" not in str(error.value) and time.monotonic() - began < 60


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "a\0b", "", "sub/../../w.bin"])
def test_external_data_stays_in_the_files_own_folder(tmp_path, location):
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "inside").mkdir()
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], w=np.zeros(4, np.float32))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "inside" / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadFile, match="external data of tensor 'w'"):
        read(tmp_path / "inside" / "m.onnx")
    tensor.external_data[0].value = "w.bin"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert trace(read(tmp_path / "m.onnx")).neurons == 8
    (tmp_path / "w.bin").write_bytes(bytes(15))
    with pytest.raises(BadFile, match="cut off"):
        read(tmp_path / "m.onnx")


def test_functions_that_call_each_other_are_bounded():
    model = model_of([helper.make_node("F0", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    for level in range(40):
        inner = [helper.make_node(f"F{level + 1}", ["a"], ["b"], domain="own"), helper.make_node(f"F{level + 1}", ["b"], ["c"], domain="own")]
        last = [helper.make_node("Relu", ["a"], ["c"])]
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", f"F{level}", ["a"], ["c"], inner if level < 39 else last, imports))
    with pytest.raises(Unsupported, match="nodes once its functions are written out"):
        read_onnx_model(model)


def test_truncated_files_are_named(tmp_path):
    whole = DIGITS.read_bytes()
    for size in (1, 10, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "m.onnx").write_bytes(whole[:size])
        with pytest.raises(EtlError, match=r"m\.onnx"):
            trace(read(tmp_path / "m.onnx"))


def test_what_has_no_rule_is_named_all_at_once():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("Magic", ["q"], ["r"], domain="com.example"),
        helper.make_node("RandomUniformLike", ["r"], ["y"]),
    ]
    model = model_of(nodes, s=np.float32(1))
    with pytest.raises(Unsupported, match=r"3 layers.*quantized.*com.example.Magic.*random"):
        trace(read_onnx_model(model))


def test_outputs_that_depend_on_no_example_are_neurons_without_edges():
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Add", ["w", "w"], ["c"]), helper.make_node("Relu", ["x"], ["y"])]
    model = model_of(nodes, {"x": [1, 4]}, ("s", "y", "c", "s"), w=np.array([1.5, -2], np.float32))
    shape, y, constant, again = values_of(model, np.array([[1.0, -2, 3, -4]]))
    np.testing.assert_array_equal(shape, [1, 4])
    np.testing.assert_array_equal(again, [1, 4])
    np.testing.assert_array_equal(constant, [3, -4])
    np.testing.assert_array_equal(y, [[1, 0, 3, 0]])
    graph = trace(read_onnx_model(model))
    assert [(row.name, row.neurons, row.edges) for row in graph.rows if row.type == "constant"] == [("Shape_0/output_0", 2, 0), ("c/output_0", 2, 0)]


def counting_loop(trips: int, onward: Sequence[Any]) -> onnx.ModelProto:
    """A loop that adds x to x; `onward` gives "on", whether it goes on, of its turn "i" and its condition "go"."""
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "x"], ["t"]), *onward],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, None),
        ],
        [helper.make_empty_tensor_value_info("on"), helper.make_empty_tensor_value_info("t")],
    )
    return model_of([helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)], n=np.array(trips))


def test_loops_of_a_billion_turns_are_refused_before_the_first():
    identity = [helper.make_node("Identity", ["go"], ["on"])]
    with pytest.raises(EtlError, match="calls of layers within loops"):
        trace(read_onnx_model(counting_loop(10**9, identity)))
    ends = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2))),
        helper.make_node("Less", ["i", "two"], ["on"]),
    ]
    x = np.array([[1.0, -2, 3, -4]])
    np.testing.assert_allclose(values_of(counting_loop(10**9, ends), x)[0], 4 * x)  # turns 0, 1 and 2


def test_loops_of_thousands_of_turns_are_written_out():
    graph = trace(read_onnx_model(counting_loop(4000, [helper.make_node("Identity", ["go"], ["on"])])))
    assert (graph.neurons, graph.edges, graph.rows[-2].name) == (4 + 4000 * 4, 4000 * 8, "Loop_0/step_3999/Add_0")


def varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def field(number: int, content: bytes) -> bytes:
    """One length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


@pytest.mark.timeout(120)
@pytest.mark.parametrize("of_the_shape", [False, True])
def test_constants_that_are_read_twice_are_computed_once(of_the_shape):
    """Sixty steps that each read the one before twice: 2^60 evaluations, were each reader's constant computed by itself."""
    values = np.linspace(-1, 1, 5000, dtype=np.float32)[None]
    first = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Expand", ["c", "shape"], ["c0"])]
    nodes = first if of_the_shape else [helper.make_node("Neg", ["c"], ["c0"])]
    nodes += [helper.make_node("Max", [f"c{n}", f"c{n}"], [f"c{n + 1}"]) for n in range(60)]
    nodes += [helper.make_node("Add", ["x", "c60"], ["y"])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5000]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(values, "c")])
    found = trace(read_onnx_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)))
    (sums,) = outputs(found, forward(found, [np.ones((1, 5000))]))
    np.testing.assert_array_equal(sums.reshape(1, -1), 1 + np.float64(values if of_the_shape else -values))


def test_constants_may_be_computed_by_a_long_chain():
    nodes = [helper.make_node("Neg", [f"c{n}"], [f"c{n + 1}"]) for n in range(2001)] + [helper.make_node("Add", ["x", "c2001"], ["y"])]
    values, x = np.linspace(-1, 1, 5000, dtype=np.float32)[None], np.ones((1, 5000))
    found = trace(read_onnx_model(model_of(nodes, {"x": [1, 5000]}, c0=values)))
    (sums,) = outputs(found, forward(found, [x]))
    np.testing.assert_array_equal(sums.reshape(1, -1), 1 - np.float64(values))


def test_branches_a_thousand_deep_are_refused(tmp_path):
    graph = b""
    for _ in range(1000):
        branch = field(1, b"then_branch") + field(6, graph) + varint(20 << 3) + varint(5)
        graph = field(1, field(1, b"c") + field(2, b"y") + field(4, b"If") + field(5, branch)) + field(12, field(1, b"y"))
    (tmp_path / "deep.onnx").write_bytes(varint(1 << 3) + varint(8) + field(7, graph))
    with pytest.raises(BadFile, match=r"deep\.onnx") as error:
        read(tmp_path / "deep.onnx")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["LinearRegressor", "LinearClassifier"])
def test_what_linear_models_learned_is_counted_and_keeps_its_place(kind):
    coefficients = [1.0, 2, 3, 4, 5, 6, 7, 8]
    regressor = kind == "LinearRegressor"
    options = {"targets": 2} if regressor else {"classlabels_ints": [0, 1]}

    def node(label: str, scores: str) -> onnx.NodeProto:
        names = [scores] if regressor else [label, scores]
        return helper.make_node(kind, ["x"], names, domain="ai.onnx.ml", coefficients=coefficients, intercepts=[0.5, -1], **options)

    model = model_of([node("l", "y"), node("m", "z")], outputs=("y", "z"))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    x = np.array([[1.0, -2, 3, -4]])
    np.testing.assert_allclose(values_of(model, x)[0], x @ np.reshape(coefficients, (2, 4)).T + [0.5, -1])
    graph = trace(read_onnx_model(model))
    assert graph.parameters == 20


@pytest.mark.parametrize(
    ("kind", "arrays", "attributes"),
    [
        ("Pad", {"pads": np.array([0, 1]), "value": np.array(0.0, np.float32), "axes": np.array([2])}, {}),
        ("CenterCropPad", {"size": np.array([2])}, {"axes": [2]}),
        ("Resize", {"roi": np.array([], np.float32), "scales": np.array([2.0], np.float32)}, {"axes": [2]}),
    ],
)
def test_an_axis_that_the_tensor_does_not_have_is_refused(kind: str, arrays: dict[str, Any], attributes: dict[str, Any]) -> None:
    """It was taken for the first one."""
    node = helper.make_node(kind, ["x", *arrays], ["y"], **attributes)
    with pytest.raises(BadFile, match=r"axes \[2\] of a tensor of 2"):
        values_of(model_of([node], **arrays), np.ones((1, 4), np.float32))


def test_a_tensor_of_more_axes_than_numpy_has_is_refused() -> None:
    node = helper.make_node("Expand", ["x", "shape"], ["y"])
    with pytest.raises(EtlError, match="more than 32 axes"):
        values_of(model_of([node], shape=np.ones(33, np.int64)), np.ones((1, 4), np.float32))


@pytest.mark.parametrize(
    ("kind", "arguments", "made"),
    [
        ("ai.onnx.ml.ArrayFeatureExtractor", (np.array([[5, 7, 9]]), np.array([2, 0])), [[9, 5]]),
        ("GatherND", (np.array([5, 7, 9]), np.array([[2], [0]])), [9, 5]),
        ("Pad", (np.array([5, 7]), np.array([1, 1])), [0, 5, 7, 0]),
        ("Pad", (np.array([5, 7]), np.array([0, 1]), np.array(3)), [5, 7, 3]),
    ],
)
def test_constants_stay_constants(kind: str, arguments: Sequence[Any], made: Any) -> None:
    """They are no ids, and nothing of the graph comes from them."""
    rules = {name: rule for family in ONNX.families.values() for name, rule in family.items()}
    tape = Tape()
    found = rules[kind](Scope(tape, "layer", ONNX), *arguments)
    assert not is_live(found) and not tape.steps
    np.testing.assert_array_equal(found, made)
