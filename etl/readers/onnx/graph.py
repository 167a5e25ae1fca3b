"""Nodes as calls in a network: names resolved, constants folded, branches whose condition is known taken."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, TypeProto, ValueInfoProto, defs, helper, numpy_helper

from etl.errors import BadFile, BadRequest, EtlError, Unsupported
from etl.network import INPUT, Array, Call, Input, Layer, Network, Tensor, placeholder, substitute
from etl.readers.onnx.arrays import constant_array, learned, stored
from etl.readers.onnx.evaluation import MOST_ELEMENTS, SIZES, Computed, evaluate, node_of
from etl.readers.onnx.names import Name, names
from etl.readers.onnx.opsets import Node, newest
from etl.readers.onnx.protobuf import every_node

Value: TypeAlias = Tensor | Array | None
SMALL = 4096  # elements of an array of floats that is read to fold with it; constants made of larger ones are computed when they are needed
MOST_AXES = 32

# Inputs that decide what a rule does rather than flow into weights: constants, no stored numbers of the layer.
LITERALS = {"Pow": {1}, "Clip": {1, 2}, "Pad": {2}, "Resize": {1, 2}, "OneHot": {1, 2}, "Dropout": {1}}
# Attributes that hold what was learned.
ATTRIBUTES = {
    "ai.onnx.ml.LinearClassifier": ("coefficients", "intercepts"),
    "ai.onnx.ml.LinearRegressor": ("coefficients", "intercepts"),
    "ai.onnx.ml.Scaler": ("offset", "scale"),
}
BODIES = {"If", "Loop", "Scan"}  # that run graphs inside them
EVERY_OUTPUT = BODIES | {"Split", "LSTM", "GRU", "RNN", "TopK"}  # whose rules return all their outputs


@dataclass
class Context:
    """What all graphs of one file share.

    folder  where external data may lie
    opset   of the default domain
    read    names that some node or output reads
    folded  elements of all constants that were computed and kept
    """

    folder: Path | None
    opset: int
    read: Container[str]
    folded: int = 0


def network(graph: GraphProto, folder: Path | None, opset: int, constants: Mapping[str, Any]) -> Network:
    """A file's graph as a network: those of its nodes that an output depends on.

    folder     where external data may lie
    constants  values of inputs that are options and no data, by name
    Raises BadFile where the graph is none, BadRequest where a constant has no input.
    """
    if unknown := set(constants) - {declared.name for declared in graph.input}:
        raise BadRequest(f"there is no input {min(unknown)}; the inputs are {', '.join(declared.name for declared in graph.input)}")
    used = {name for node in every_node(graph) for name in node.input} | {output.name for inner in every_graph(graph) for output in inner.output}
    return Builder(graph, Context(folder, opset, used), constants=constants).network()


def value_names(graph: GraphProto, folder: Path | None, opset: int, constants: Mapping[str, Any]) -> dict[tuple[str, int], str]:
    """What the file calls the values of its own nodes: (title of the call, number of the output) -> name."""
    used = {name for node in every_node(graph) for name in node.input}
    builder = Builder(graph, Context(folder, opset, used), constants=constants)
    builder.network()
    own_names = {name for node in graph.node for name in node.output}
    names = {(builder.calls[v.call].title, v.output): name for name, v in builder.values.items() if isinstance(v, Tensor) and v.call != INPUT}
    return {key: name for key, name in names.items() if name in own_names}


class Builder:
    """One graph of the file: the main one, or the body of a branch or loop.

    parent    the graph around it, whose names it sees
    inputs    its own, then those that it takes from the graph around it
    captured  the names of the latter, outside
    """

    def __init__(
        self, graph: GraphProto, context: Context, parent: Builder | None = None, scope: str = "", constants: Mapping[str, Any] | None = None
    ) -> None:
        self.graph, self.context, self.parent, self.scope = graph, context, parent, scope
        self.values: dict[str, Value] = {"": None}
        self.inputs: list[Input] = []
        self.captured: list[Tensor] = []
        self.calls: list[Call] = []
        self.layers: dict[str, Layer] = {}
        self.used_names: set[str] = set()
        self.store(graph, scope)
        for declared in graph.input:
            if constants and declared.name in constants:
                self.values[declared.name] = constant_array(typed(declared, constants[declared.name]))
            elif declared.name not in self.values and parent is None and not declared.HasField("type"):
                self.values[declared.name] = None  # an optional input that nobody feeds
            elif declared.name not in self.values:
                self.values[declared.name] = Tensor(INPUT, len(self.inputs))
                self.inputs.append(Input(declared.name, None) if parent and not declared.type.WhichOneof("value") else input_of(declared))
                self.used_names.add(declared.name)

    def store(self, graph: GraphProto, scope: str) -> None:
        """The tensors that a graph stores."""
        for tensor in graph.initializer:
            self.values[tensor.name] = stored(tensor, self.context.folder, scope)
        for sparse in graph.sparse_initializer:
            self.values[sparse.values.name] = self.dense(sparse)

    def network(self) -> Network:
        self.add(self.graph)
        outputs: list[Tensor] = []
        for declared in self.graph.output:
            value = self.value(declared.name)
            if value is None:
                raise BadFile("an output of the graph has no name; the file is broken")
            outputs.append(value if isinstance(value, Tensor) else self.identity(declared.name, value))
        return pruned(Network(tuple(self.calls), tuple(self.inputs), tuple(outputs)))

    def add(self, graph: GraphProto) -> None:
        """Take in the nodes of a graph: this one, or a branch that is always taken."""
        weights = {tensor.name for tensor in graph.initializer}
        for node, name in zip(graph.node, names(graph.node, weights, self.used_names), strict=True):
            try:
                self.node(node, name)
            except Unsupported as error:
                self.call(node, Node(kind_of(node), [], {}, list(node.output)), self.reached(node), name, str(error))
            except EtlError as error:
                raise type(error)(f"{name.layer} ({node.op_type}): {error}") from error

    def node(self, proto: NodeProto, name: Name) -> None:
        """One node: a constant, or a call."""
        node = read(proto)
        if node.kind == "Constant":
            self.values[node.outputs[0]] = self.constant(proto, f"{self.scope}{node.outputs[0]}/")
            return
        if "." not in node.kind:
            newest(node, self.context.opset)
        inputs = [self.value(entry) if isinstance(entry, str) else constant_array(entry) if entry is not None else None for entry in node.inputs]
        if node.kind == "Identity" and isinstance(inputs[0], Array):
            self.values[node.outputs[0]] = inputs[0]
        elif node.kind == "If" and inputs and isinstance(inputs[0], Array):
            self.branch(proto, inputs[0], node.outputs)
        elif not (node.kind in SIZES and not any(isinstance(value, Tensor) for value in inputs)):
            self.call(proto, node, inputs, name)
        else:
            self.fold(node, inputs)

    def reached(self, proto: NodeProto) -> list[Value]:
        return [self.value(entry) for entry in proto.input]

    def value(self, name: str) -> Value:
        """What a name stands for; what flows in a graph outside becomes an input of this one. Raises BadFile where nothing gives it."""
        if name in self.values:
            return self.values[name]
        if self.parent is None:
            raise BadFile(f"{name!r} is read, but nothing before it gives it; the file is broken")
        outside = self.parent.value(name)
        if not isinstance(outside, Tensor):
            return outside
        self.values[name] = Tensor(INPUT, len(self.inputs))
        self.inputs.append(Input(name, None))
        self.captured.append(outside)
        return self.values[name]

    def branch(self, proto: NodeProto, condition: Array, outputs: Sequence[str]) -> None:
        """An `If` whose condition is constant: the nodes of the branch that is taken stand in its place.

        Raises BadFile where that branch is missing.
        """
        branch_name = "then_branch" if bool(np.asarray(condition.read()).reshape(-1)[:1].all()) else "else_branch"
        graph = next((a.g for a in proto.attribute if a.name == branch_name), None)
        if graph is None:
            raise BadFile(f"has no {branch_name}; the file is broken")
        outside, self.values = self.values, dict(self.values)
        self.store(graph, f"{self.scope}{outputs[0]}/")
        self.add(graph)
        inside, self.values = self.values, outside
        for name, declared in zip(outputs, graph.output, strict=False):
            self.values[name] = inside[declared.name] if declared.name in inside else self.value(declared.name)

    def fold(self, node: Node, inputs: Sequence[Value]) -> None:
        """Compute a node of constants: at once, or when it is needed where it reads large arrays."""
        arrays = [value if isinstance(value, Array) else None for value in inputs]
        proto = node_of(node.kind, node.options, len(inputs), len(node.outputs), [k for k, array in enumerate(arrays) if array is None])
        large = any(array is not None and array.size > SMALL and array.dtype.kind == "f" for array in arrays)
        results = evaluate(proto, [None if array is None else placeholder(replace(array, begin=None)) for array in arrays])
        if large:
            reads = tuple(None if array is None else array.read for array in arrays)
            for place, (name, value) in enumerate(zip(node.outputs, results, strict=False)):
                self.values[name] = Array("constant", value.shape, value.dtype, None, Computed(proto.SerializeToString(), reads, place))
            return
        self.spend(sum(value.size for value in results if value.size > SMALL))
        self.values.update({name: constant_array(value) for name, value in zip(node.outputs, results, strict=False)})

    def spend(self, elements: int) -> None:
        """Count what is kept of constants that the file doesn't hold itself. Raises Unsupported where all of them are too many."""
        self.context.folded += elements
        if self.context.folded > MOST_ELEMENTS:
            raise Unsupported(f"brings the computed constants of this file to {self.context.folded:,} elements, more than {MOST_ELEMENTS:,}")

    def dense(self, sparse: SparseTensorProto) -> Array:
        """A sparse tensor with its zeros. Raises BadFile where its places and numbers contradict each other."""
        values, places, shape = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices), tuple(sparse.dims)
        if any(n < 0 for n in shape):
            raise BadFile(f"tensor {sparse.values.name!r} has the shape {list(shape)[:8]}; the file is broken")
        if len(places) != values.size:
            raise BadFile(f"tensor {sparse.values.name!r} has {values.size:,} values at {len(places):,} places; the file is broken")
        self.spend(prod(shape))
        dense_values = np.zeros(shape, values.dtype)
        if places.ndim == 1:
            dense_values.reshape(-1)[places] = values
        else:
            dense_values[tuple(places.T)] = values
        return constant_array(dense_values)

    def constant(self, proto: NodeProto, scope: str) -> Array:
        """What a Constant node holds: its tensor is stored in the file as initializers are. Raises Unsupported for text."""
        (attribute,) = proto.attribute
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return stored(value, self.context.folder, scope)
        if attribute.name == "sparse_value":
            return self.dense(value)
        dtype = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}.get(attribute.name)
        if dtype is None:
            raise Unsupported("holds text, which no neuron holds")
        return constant_array(np.asarray(value, dtype))

    def call(self, proto: NodeProto, node: Node, inputs: Sequence[Value], name: Name, refusal: str | None = None) -> None:
        """One call of one layer, which several calls of a module share."""
        inner, captured = self.bodies(proto, name) if refusal is None else ({}, [])
        args = laid_end_to_end(node.kind, inputs)
        if name.number and name.layer in self.layers:
            layer = self.layers[name.layer]
        else:
            options = dict(node.options)
            if inner:
                options["captured"] = [len(tensors) for tensors in captured]
            used = max((place + 1 for place, output in enumerate(node.outputs) if output in self.context.read), default=1)
            if used > 1 and node.kind not in EVERY_OUTPUT:
                options["outputs"] = used
            arrays = learned(options, ATTRIBUTES.get(node.kind, ()), f"{self.scope}{name.layer}")
            layer = Layer(name.layer, node.kind, options, arrays, inner, None, "onnx", label=name.label, refusal=refusal)
            self.layers[name.layer] = layer
        self.calls.append(Call(layer, (*args, *(tensor for tensors in captured for tensor in tensors)), {}, name.number))
        for place, output in enumerate(node.outputs):
            if output:
                self.values[output] = Tensor(len(self.calls) - 1, place)

    def bodies(self, proto: NodeProto, name: Name) -> tuple[dict[str, Layer], list[list[Tensor]]]:
        """The graphs inside a node as layers that are models, and what each takes from outside. Raises Unsupported for a graph that no rule takes."""
        inner: dict[str, Layer] = {}
        captured: list[list[Tensor]] = []
        graphs = sorted((a for a in proto.attribute if a.type == AttributeProto.GRAPH), key=lambda a: a.name)
        if graphs and kind_of(proto) not in BODIES:
            raise Unsupported(f"has no rule for a graph as {', '.join(attribute.name for attribute in graphs)}")
        for attribute in graphs:
            builder = Builder(attribute.g, self.context, self, f"{self.scope}{name.layer}/{attribute.name}/")
            inner[attribute.name] = Layer(attribute.name, "Graph", {}, (), {}, builder.network(), "onnx")
            captured.append(builder.captured)
        return inner, captured

    def identity(self, name: str, value: Array) -> Tensor:
        """A constant that the graph returns, as a call."""
        self.calls.append(Call(Layer(name, "Identity", dialect="onnx"), (value,)))
        return Tensor(len(self.calls) - 1)


def every_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from every_graph(attribute.g)


def kind_of(proto: NodeProto) -> str:
    return proto.op_type if proto.domain in ("", "ai.onnx") else f"{proto.domain}.{proto.op_type}"


def read(proto: NodeProto) -> Node:
    """A node with its attributes as Python values; graphs aside. Raises BadFile where an attribute refers to a function that is not there."""
    options = {}
    for attribute in proto.attribute:
        if attribute.ref_attr_name:
            raise BadFile(f"has an attribute {attribute.name!r} of a function that is not there; the file is broken")
        if attribute.type not in (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR) and proto.op_type != "Constant":
            options[attribute.name] = plain(helper.get_attribute_value(attribute))
    return Node(kind_of(proto), list(proto.input), options, list(proto.output))


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, TensorProto):
        return stored(value, None).read()
    if isinstance(value, list | tuple) or type(value).__name__.startswith("Repeated"):
        return [plain(element) for element in value]
    return value


def dimensions(declared: ValueInfoProto) -> tuple[int | None, ...] | None:
    """The shape that a value is declared with, None for open axes; None where nothing is said.

    Raises Unsupported for an input that is no tensor, BadFile for one of too many axes.
    """
    value_type = type_of(declared)
    if not value_type.HasField("tensor_type"):
        raise Unsupported(f"input {declared.name} is no tensor but {value_type.WhichOneof('value') or 'of no type'}, for which there is no rule")
    if not value_type.tensor_type.HasField("shape"):
        return None
    sizes = value_type.tensor_type.shape.dim
    if len(sizes) > MOST_AXES:
        raise BadFile(f"input {declared.name} has {len(sizes)} axes, more than the {MOST_AXES} that arrays have; the file is broken")
    return tuple(size.dim_value if size.HasField("dim_value") and size.dim_value > 0 else None for size in sizes)


def type_of(declared: ValueInfoProto) -> TypeProto:
    """The type of a value; of an optional one that of what it may hold, since an input is always given."""
    return declared.type.optional_type.elem_type if declared.type.HasField("optional_type") else declared.type


def input_of(declared: ValueInfoProto) -> Input:
    """An input of a graph; its first axis is the batch where it is open, one long, or one of several."""
    shape, dtype = dimensions(declared), dtype_of(declared)
    return Input(declared.name, shape, dtype.name, batched=shape is not None and len(shape) > 0 and (len(shape) > 1 or shape[0] in (None, 1)))


def dtype_of(declared: ValueInfoProto) -> np.dtype[Any]:
    """The type of an input's elements. Raises BadFile for one that ONNX doesn't have."""
    try:
        return helper.tensor_dtype_to_np_dtype(type_of(declared).tensor_type.elem_type or TensorProto.FLOAT)
    except (KeyError, ValueError):
        raise BadFile(f"input {declared.name} has elements of an unknown type; the file is broken") from None


def typed(declared: ValueInfoProto, value: Any) -> np.ndarray[Any, Any]:
    """A value for an input, in the input's type and rank. Raises BadRequest where it is no such number."""
    shape = dimensions(declared)
    try:
        array = np.asarray(value).astype(dtype_of(declared))
        return array.reshape((1,) * len(shape)) if shape is not None and array.ndim == 0 else array
    except (TypeError, ValueError) as error:
        raise BadRequest(f"--constant {declared.name}={value}: the input takes {dtype_of(declared).name}") from error


def laid_end_to_end(kind: str, inputs: Sequence[Value]) -> list[Value]:
    """A node's inputs, each stored array with the operator's own name for it and its place among the layer's."""
    roles = formal_names(kind, len(inputs))
    begin, args = 0, list[Value]()
    for place, (value, role) in enumerate(zip(inputs, roles, strict=True)):
        if isinstance(value, Array):
            is_parameter = value.begin is not None and value.dtype.kind == "f" and place not in LITERALS.get(kind, ())
            value = replace(value, role=role, begin=begin if is_parameter else None)
            begin += value.size if is_parameter else 0
        args.append(value)
    return args


@cache
def formal_names(kind: str, count: int) -> list[str]:
    """What an operator calls its inputs."""
    domain, _, operator = kind.rpartition(".")
    try:
        formal = [entry.name for entry in defs.get_schema(operator, domain).inputs]
    except defs.SchemaError:
        formal = []
    return [formal[min(place, len(formal) - 1)] if formal else f"input_{place}" for place in range(count)]


def pruned(network: Network) -> Network:
    """The network without calls that no output depends on."""
    needed, waiting = set[int](), [tensor.call for tensor in network.outputs]
    while waiting:
        call = waiting.pop()
        if call != INPUT and call not in needed:
            needed.add(call)
            waiting += [tensor.call for tensor in network.calls[call].reads]
    places = {INPUT: INPUT, **{call: place for place, call in enumerate(sorted(needed))}}

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(places[tensor.call], tensor.output)

    calls = (network.calls[call] for call in sorted(needed))
    needed_calls = tuple(replace(call, args=substitute(call.args, Tensor, moved)) for call in calls)
    return Network(needed_calls, network.inputs, tuple(map(moved, network.outputs)))
