"""Tensors of a file as arrays that are read when they are needed: kept in the protobuf, or as external data beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from etl.errors import BadFile, Unsupported
from etl.network import Array

MOST_BYTES = 2**40  # of one tensor: what no file holds, so that products of its dimensions stay numbers that numpy takes


@dataclass(frozen=True)
class Inline:
    """A tensor that stands in the protobuf.

    name    unique in the model, so that two tensors of equal numbers stay two
    tensor  a TensorProto, serialised
    """

    name: str
    tensor: bytes = field(repr=False)

    def __call__(self) -> NDArray[Any]:
        return widened(numpy_helper.to_array(TensorProto.FromString(self.tensor)))


@dataclass(frozen=True)
class External:
    """A tensor's bytes in a file of their own: little-endian, C order, from `offset` on. Mapped into memory, not read."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: str

    def __call__(self) -> NDArray[Any]:
        if not prod(self.shape):
            return widened(np.zeros(self.shape, self.dtype))
        try:
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except (OSError, ValueError) as error:
            raise BadFile(f"{self.path}: external data can no longer be read ({error})") from error
        return widened(np.asarray(mapped))


@dataclass(frozen=True)
class ConstantBytes:
    """A constant by value; `name` keeps equal numbers of two layers apart."""

    values: bytes = field(repr=False)
    dtype: str
    shape: tuple[int, ...]
    name: str = ""

    def __call__(self) -> NDArray[Any]:
        return np.frombuffer(self.values, self.dtype).reshape(self.shape)


def constant_array(values: NDArray[Any], role: str = "constant") -> Array:
    """A constant that is no stored number of the file. Raises Unsupported for text."""
    values = np.asarray(values)
    if values.dtype.kind in "OUS":
        raise Unsupported("holds text, which no neuron holds")
    return Array(role, values.shape, values.dtype, None, ConstantBytes(values.tobytes(), values.dtype.str, values.shape))


def learned(options: dict[str, Any], names: Sequence[str], layer: str) -> tuple[Array, ...]:
    """Numbers that an operator keeps in attributes, taken out of its options: stored arrays of the layer, laid end to end."""
    arrays, begin = list[Array](), 0
    for name in names:
        values = np.asarray(options.pop(name, ()), np.float32)
        if values.size:
            read = ConstantBytes(values.tobytes(), values.dtype.str, values.shape, f"{layer}/{name}")
            arrays.append(Array(name, values.shape, values.dtype, begin, read))
            begin += values.size
    return tuple(arrays)


def widened(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers of half precision and less as float32, four-bit whole numbers as eight bits, all exactly; others as they are."""
    name = values.dtype.name
    if "float" in name and values.dtype.itemsize < 4:
        return values.astype(np.float32)
    if values.dtype.kind == "V":
        return values.astype(np.uint8 if name.startswith("u") else np.int8)
    return values


def stored(tensor: TensorProto, folder: Path | None, scope: str = "") -> Array:
    """A tensor of the file as an array of its layer; what it takes is checked against what is there.

    folder  where external data may lie; None for a model in memory without a place
    scope   of the graph that it stands in: names repeat in functions and branches
    Raises BadFile where its declared shape and its bytes differ, or external data lies elsewhere.
    """
    shape = tuple(tensor.dims)
    if any(n < 0 for n in shape) or len(shape) > 32 or prod(shape) > MOST_BYTES:
        raise BadFile(f"tensor {tensor.name!r} has the shape {list(shape)[:8]}; the file is broken")
    if tensor.data_type == TensorProto.STRING:
        raise Unsupported(f"tensor {tensor.name!r} holds text, which no neuron holds")
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError):
        raise BadFile(f"tensor {tensor.name!r} has elements of an unknown type {tensor.data_type}; the file is broken") from None
    wide = widened(np.zeros(0, dtype)).dtype
    if tensor.data_location == TensorProto.EXTERNAL:
        return Array(tensor.name, shape, wide, 0, external(tensor, folder, dtype))
    if not held_size(tensor, prod(shape), dtype):
        raise BadFile(
            f"tensor {tensor.name!r} declares {prod(shape):,} elements of {dtype.name} and holds another number of them; the file is broken"
        )
    return Array(tensor.name, shape, wide, 0, Inline(f"{scope}{tensor.name}", tensor.SerializeToString(deterministic=True)))


def held_size(tensor: TensorProto, elements: int, dtype: np.dtype[Any]) -> bool:
    """Whether as many elements are there as are declared."""
    if tensor.HasField("raw_data"):
        packed = "int4" in dtype.name or "int2" in dtype.name or "float4" in dtype.name
        return len(tensor.raw_data) <= elements if packed else len(tensor.raw_data) == elements * dtype.itemsize
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    count = max(map(len, fields))
    return count in (elements, 2 * elements) or (count < elements and dtype.itemsize == 1 and count * 8 >= elements)


def external(tensor: TensorProto, folder: Path | None, dtype: np.dtype[Any]) -> External:
    """The place of a tensor's external data. Raises BadFile where it lies outside the file's own folder, or beyond the end of its file."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    subject = f"external data of tensor {tensor.name!r}"
    if folder is None:
        raise BadFile(f"{subject} lies in {location!r}, and a model in memory has no folder: load it with its external data, or give the file")
    if not location or "\0" in location or "\\" in location or Path(location).is_absolute():
        raise BadFile(f"{subject} lies in {location!r}, which is no path inside the file's own folder; it is not followed")
    path = (folder / location).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadFile(f"{subject} lies in {location!r}, outside the file's own folder; it is not followed")
    if not path.is_file():
        raise BadFile(f"{subject} lies in {location!r}, which is not beside the file; copy both together")
    try:
        offset, size = int(entries.get("offset") or 0), path.stat().st_size
        length = int(entries["length"]) if entries.get("length") else size - offset
    except ValueError:
        raise BadFile(f"{subject} has an offset or a length that is no number; the file is broken") from None
    needed = prod(tensor.dims) * dtype.itemsize
    if offset < 0 or length != needed or offset + needed > size:
        raise BadFile(f"{subject}: {needed:,} bytes at {offset:,} of {location!r}, which has {size:,}; the file is broken or was cut off")
    if dtype.kind == "V" and dtype.itemsize != 2:
        raise Unsupported(f"{subject} is of {dtype.name}, for which there is no rule")
    return External(path, offset, tuple(tensor.dims), dtype.str if dtype.kind != "V" else dtype.name)
