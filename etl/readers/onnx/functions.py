"""Operators that the onnx package defines as functions of others, as networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, defs, helper

from etl.errors import Unsupported
from etl.network import Array, Network, substitute
from etl.readers.onnx.evaluation import node_of


def function_network(
    kind: str, options: Mapping[str, Any], types: Sequence[np.dtype[Any] | None], shapes: Sequence[Sequence[int] | None], outputs: int
) -> Network:
    """The body of an operator for inputs of these types and shapes (None: left out), with those of its outputs that are read."""
    from etl.readers.onnx.graph import network

    domain, _, operator = kind.rpartition(".")
    schema = defs.get_schema(operator, domain)
    missing = [k for k, dtype in enumerate(types) if dtype is None]
    node = node_of(kind, options, len(types), outputs, missing)
    body = body_of(schema, node, types, shapes)
    graph = GraphProto(name=operator)
    for k, (formal, dtype) in enumerate(zip(body.input, types, strict=False)):
        if dtype is not None:
            graph.input.append(helper.make_tensor_value_info(formal, helper.np_dtype_to_tensor_dtype(dtype), shapes[k]))
    attributes = {attribute.name: attribute for attribute in node.attribute}
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items() if attribute.default_value.name}
    defaults |= {attribute.name: attribute for attribute in body.attribute_proto}
    left_out = {formal for k, formal in enumerate(body.input) if k >= len(types) or types[k] is None}
    for inner in body.node:
        graph.node.append(resolved(inner, defaults | attributes, left_out))
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in list(body.output)[:outputs])
    version = max((entry.version for entry in body.opset_import if entry.domain == ""), default=defs.onnx_opset_version())
    described = network(graph, None, version, {})

    def constant(array: Array) -> Array:
        return replace(array, begin=None)

    return replace(described, calls=tuple(replace(call, args=substitute(call.args, Array, constant)) for call in described.calls))


def body_of(schema: Any, node: NodeProto, types: Sequence[np.dtype[Any] | None], shapes: Sequence[Sequence[int] | None]) -> FunctionProto:
    """The function that a schema has for a node. Raises Unsupported where it has none."""
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        raise Unsupported("there is no rule for this kind")
    written = [
        b"" if dtype is None else helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), shapes[k]).SerializeToString()
        for k, dtype in enumerate(types)
    ]
    body = schema.get_context_dependent_function(node.SerializeToString(), [text or TypeProto().SerializeToString() for text in written])
    if not body:
        raise Unsupported("has options for which the onnx package defines no function")
    return FunctionProto.FromString(body)


def resolved(node: NodeProto, attributes: Mapping[str, AttributeProto], left_out: set[str]) -> NodeProto:
    """A function's node with the attributes of its caller in the places that refer to them, in graphs inside it too."""
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.input[:] = ["" if name in left_out else name for name in node.input]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name in attributes:
                copied = copy.attribute.add()
                copied.CopyFrom(attributes[attribute.ref_attr_name])
                copied.name = attribute.name
            continue
        copied = copy.attribute.add()
        copied.CopyFrom(attribute)
        if attribute.type == AttributeProto.GRAPH:
            inner = [resolved(inner_node, attributes, left_out) for inner_node in attribute.g.node]
            del copied.g.node[:]
            copied.g.node.extend(inner)
    return copy
