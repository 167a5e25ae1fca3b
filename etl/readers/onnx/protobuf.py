"""A file's bytes as a ModelProto that is fit to be read: of an opset that is known, with its own functions written out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, defs

from etl.errors import BadFile, Unsupported

MOST_BYTES = 2**31 - 1  # a limit of protobuf's own
MOST_NODES = 2**18  # once functions are written out

Key = tuple[str, str]


def parsed(path: Path) -> ModelProto:
    """Raises BadFile where the file is no ONNX model."""
    if path.stat().st_size > MOST_BYTES:
        raise BadFile(f"{path} has {path.stat().st_size:,} bytes, more than protobuf can hold; save it with external data")
    try:
        return ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise BadFile(f"{path} is no ONNX model, or it was cut off ({error}); export it again") from error


def checked(model: ModelProto) -> ModelProto:
    """The model with its functions written out. Raises BadFile or Unsupported where there is nothing in it that can be read."""
    if not model.HasField("graph") or not model.graph.output:
        raise BadFile("there is no graph with an output in it; the file is broken, or no ONNX model")
    newest = defs.onnx_opset_version()
    if opset(model) > newest:
        raise Unsupported(f"is of opset {opset(model)}, and the onnx package that is installed knows {newest}: pip install --upgrade onnx")
    return inlined(model) if model.functions else model


def opset(model: ModelProto) -> int:
    """The version of the default domain; 1 where the file says nothing, as before there were versions."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)


def inlined(model: ModelProto) -> ModelProto:
    """The model without functions of its own: each call is replaced by the function's nodes.

    Raises Unsupported where they become too many, BadFile where that can't be done.
    """
    from onnx import inliner

    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[Key, int] = {}
    total = sum(size_of(node, functions, sizes, ()) for node in every_node(model.graph))
    if total > MOST_NODES:
        raise Unsupported(f"has {total:,} nodes once its functions are written out; there is a rule for up to {MOST_NODES:,}")
    try:
        return inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # the C++ inliner's checks, of which it says no type
        raise BadFile(f"its functions can't be written out ({' '.join(str(error).split())[:200]}); the file is broken") from error


def size_of(node: NodeProto, functions: dict[Key, FunctionProto], sizes: dict[Key, int], callers: tuple[Key, ...]) -> int:
    """How many nodes one node becomes. Raises BadFile where functions call each other in a circle."""
    key = (node.domain, node.op_type)
    if key not in functions:
        return 1
    if key in callers or len(callers) > 64:
        raise BadFile(f"function {node.op_type!r} calls itself; the file is broken")
    if key not in sizes:
        sizes[key] = sum(size_of(inner, functions, sizes, (*callers, key)) for inner in every_node(functions[key]))
    return sizes[key]


def every_node(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of those inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from every_node(inner)
