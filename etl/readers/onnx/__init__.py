"""ONNX models as networks, read with the `onnx` package alone: `read_onnx(path)` a file, `read_onnx_model` a ModelProto in memory.

Constants are folded, functions written out, `If` with a known condition replaced by its branch; external data is mapped from the file's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from onnx import ModelProto

from etl.errors import BadFile
from etl.network import Array, Model, Network
from etl.readers.onnx.arrays import External
from etl.readers.onnx.graph import network, value_names
from etl.readers.onnx.protobuf import checked, opset, parsed

__all__ = ["named_values", "read_onnx", "read_onnx_model"]


def read_onnx(path: Path, constants: Mapping[str, Any] | None = None) -> Model:
    """Read an .onnx file; external data is read when it is needed.

    constants  values of inputs that are options and no data, by name
    Raises BadFile, Unsupported, or BadRequest where a constant does not fit.
    """
    proto = parsed(path)
    graph = graph_of(proto, path.parent, constants or {})
    digest = sha256(path.read_bytes())
    for source in sorted(external_files(graph)):
        with source.open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    return Model(path.stem, graph, digest.hexdigest(), "onnx", version(proto))


def read_onnx_model(proto: ModelProto, constants: Mapping[str, Any] | None = None) -> Model:
    """A model in memory as if it had been read from a file."""
    graph = graph_of(proto, None, constants or {})
    return Model(proto.graph.name or "model", graph, sha256(proto.SerializeToString(deterministic=True)).hexdigest(), "memory", version(proto))


def named_values(path: Path, constants: Mapping[str, Any]) -> tuple[ModelProto, dict[tuple[str, int], str]]:
    """The file with its functions written out, and what it calls the values of its nodes: (title of the call, number of the output) -> name."""
    model = checked(parsed(path))
    return model, value_names(model.graph, path.parent, opset(model), constants)


def graph_of(proto: ModelProto, folder: Path | None, constants: Mapping[str, Any]) -> Network:
    """The graph of a model as a network. Raises BadFile where it does not hold together."""
    try:
        model = checked(proto)
        return network(model.graph, folder, opset(model), constants)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError) as error:
        message = " ".join(str(error).split())[:200]
        raise BadFile(f"its graph does not hold together ({type(error).__name__}: {message}); the file is broken") from error


def version(proto: ModelProto) -> str:
    """The writer as it calls itself, and the opset: `pytorch 2.11.0, opset 16`."""
    writer = " ".join(text for text in (proto.producer_name, proto.producer_version) if text)
    return ", ".join(text for text in (writer, f"opset {opset(proto)}") if text)


def external_files(network: Network) -> set[Path]:
    arrays = [array for call in network.calls for array in call.stored()]
    return {array.read.path for array in arrays if isinstance(array, Array) and isinstance(array.read, External)}
