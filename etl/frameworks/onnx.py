"""Where ONNX files are run and cut: by onnxruntime, or by `onnx.reference` where onnxruntime has no kernel. Imported late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from etl.errors import BadFile, BadRequest
from etl.extras import needed
from etl.network import INPUT, Model, Tensor
from etl.network.cut_points import ModelPart
from etl.readers.onnx import named_values
from etl.readers.onnx.graph import every_graph
from etl.readers.onnx.protobuf import MOST_BYTES, every_node

Values = NDArray[Any]


class OnnxModel:
    """A file that onnxruntime runs, with all values of its own nodes as outputs.

    shapes  of the inputs with all axes of the file
    Raises Missing without onnxruntime, BadFile where neither it nor the reference takes the file.
    """

    def __init__(self, path: Path, model: Model, shapes: Sequence[Sequence[int]], constants: Mapping[str, Any]) -> None:
        needed("onnxruntime")
        proto, names = named_values(path, constants)
        self.shapes, self.inputs = shapes, [declared.name for declared in model.network.inputs]
        self.returned = [output.name for output in proto.graph.output]
        self.titles = {title: name for (title, output), name in names.items() if output == 0}
        self.output_names = list(dict.fromkeys([*self.returned, *self.titles.values()]))
        declared = {entry.name: entry.type.tensor_type.elem_type for entry in proto.graph.input if entry.HasField("type")}
        self.types = {name: helper.tensor_dtype_to_np_dtype(kind) for name, kind in declared.items()}
        self.fixed = {name: np.asarray(value, self.types[name]) for name, value in constants.items()}
        proto.graph.output.extend(ValueInfoProto(name=name) for name in self.output_names if name not in self.returned)
        self.run = runner(proto, path)

    def answers(self, examples: Sequence[Values]) -> tuple[dict[str, Values], list[Values]]:
        """What the nodes return, by the names of the layers, and the model's outputs: (examples, *shape), the batch of one among the axes."""
        values_by_example: list[dict[str, Values]] = []
        for number in range(len(examples[0])):
            arrays = zip(self.inputs, examples, self.shapes, strict=True)
            feed = {name: np.asarray(array[number], self.types[name]).reshape(shape) for name, array, shape in arrays}
            values_by_example.append(self.run(self.output_names, {**feed, **self.fixed}))
        stacked = {name: np.stack([np.asarray(values[name]) for values in values_by_example]) for name in self.output_names}
        return {title: stacked[name] for title, name in self.titles.items()}, [stacked[name] for name in self.returned]


def runner(proto: ModelProto, path: Path) -> Any:
    """A function from the names that are wanted and the inputs by name to the values by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent.resolve()))
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types, of which some stand in no module
        return referee(proto, path, error)

    def run(names: list[str], feed: dict[str, Values]) -> dict[str, Values]:
        try:
            return dict(zip(names, session.run(names, feed), strict=True))
        except Exception as error:
            raise BadFile(f"{path}: onnxruntime can't run it ({first_line(error)}); the graph can still be loaded") from error

    return run


def referee(proto: ModelProto, path: Path, reason: Exception) -> Any:
    """The same by `onnx.reference`, which has every operator of the standard. Raises BadFile where it can't take the model either."""
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(proto)
    except Exception as error:
        raise BadFile(f"{path}: onnxruntime can't run it ({first_line(reason)}), nor can onnx.reference; the graph can still be loaded") from error
    return lambda names, feed: dict(zip(names, evaluator.run(names, feed), strict=True))


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def part_models(path: Path, model: Model, planned: Sequence[ModelPart], constants: Mapping[str, Any]) -> list[ModelProto]:
    """The parts of a cut model, each an ONNX model of its own. Raises BadRequest where a cut lies inside a node."""
    import onnx
    from onnx import shape_inference

    proto, names = named_values(path, constants)
    onnx.load_external_data_for_model(proto, str(path.parent))
    for name, value in constants.items():
        declared = next(entry for entry in proto.graph.input if entry.name == name)
        dtype = helper.tensor_dtype_to_np_dtype(declared.type.tensor_type.elem_type)
        proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
    graph = shape_inference.infer_shapes(proto).graph
    types = {entry.name: entry for entry in (*graph.input, *graph.value_info, *graph.output)}

    def name_of(tensor: Tensor) -> str:
        if tensor.call == INPUT:
            return model.network.inputs[tensor.output].name
        title = model.network.calls[tensor.call].title
        if (title, tensor.output) not in names:
            raise BadRequest(f"{title} stands inside another node of the file, where no part can end: cut elsewhere")
        return names[title, tensor.output]

    return [submodel(proto, [name_of(t) for t in part.inputs], [name_of(t) for t in part.outputs], types) for part in planned]


def submodel(proto: ModelProto, inputs: Sequence[str], outputs: Sequence[str], types: Mapping[str, ValueInfoProto]) -> ModelProto:
    """What computes some values from others, as a model: with what branches and loops read from outside, which onnx.utils.Extractor leaves out.

    types  of values, as far as they are known; the others are floats, as what flows through a network is
    """
    makers = {name: place for place, node in enumerate(proto.graph.node) for name in node.output if name}
    needed, read, waiting = set[int](), set[str](), list(outputs)
    while waiting:
        name = waiting.pop()
        read.add(name)
        if name not in inputs and name in makers and makers[name] not in needed:
            needed.add(makers[name])
            waiting += reads(proto.graph.node[makers[name]])
    graph = helper.make_graph(
        [proto.graph.node[place] for place in sorted(needed)],
        proto.graph.name,
        [types.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
        [types.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [tensor for tensor in proto.graph.initializer if tensor.name in read],
        sparse_initializer=[tensor for tensor in proto.graph.sparse_initializer if tensor.values.name in read],
    )
    return helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version, producer_name="neuron-etl")


def save_part(model: ModelProto, path: Path) -> None:
    """Write a model; its weights beside it where they are more than protobuf can hold."""
    from onnx import save

    if model.ByteSize() > MOST_BYTES:
        save(model, path, save_as_external_data=True, location=f"{path.name}.data")
    else:
        save(model, path)


def reads(node: NodeProto) -> set[str]:
    """The names that a node reads, and those that the graphs inside it do."""
    inside = GraphProto(node=[node])
    return {name for inner in every_node(inside) for name in inner.input} | {output.name for graph in every_graph(inside) for output in graph.output}
