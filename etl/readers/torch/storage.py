"""Tensors as bytes in a file: where each lies, what type it has, and how it is read without copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from etl.errors import BadFile, Unsupported

# torch's scalar types by the number that a .pt2 has for them: torch/_export/serde/schema.py. bfloat16 has no NumPy type and is widened.
DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool", 13: "bfloat16"}
OTHER_DTYPES = {9: "complex32", 10: "complex64", 11: "complex128", 28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 34: "uint32", 35: "uint64"}
STRIDED = 7
MOST_REPEATED = 2**24  # elements of a tensor that shows the same bytes several times, as `expand` makes it
MOST_AXES = 32


@dataclass(frozen=True)
class Tensor:
    """What a file says of a tensor; strides and offset count elements.

    Widths of one byte to eight; `dtype` is torch's name, `bfloat16` among them.
    """

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def stored(self) -> np.dtype[Any]:
        """The type of the bytes."""
        return np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype).newbyteorder("<")

    @property
    def read(self) -> np.dtype[Any]:
        """The type of the array that is read: half precision is widened to float32, exactly."""
        return np.dtype("float32") if self.dtype in ("float16", "bfloat16") else np.dtype(self.dtype)

    @property
    def extent(self) -> int:
        """Bytes from the storage's begin to the end of the last element."""
        if 0 in self.shape:
            return 0
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.stored.itemsize

    def check(self, label: str, size: int) -> None:
        """Raises BadFile where the tensor doesn't lie within a storage of `size` bytes."""
        if len(self.shape) > MOST_AXES:
            raise BadFile(f"{label}: a tensor of {len(self.shape):,} axes; the file is broken")
        if len(self.shape) != len(self.strides) or min((*self.shape, *self.strides, self.offset), default=0) < 0:
            raise BadFile(f"{label}: shape {list(self.shape)} and strides {list(self.strides)} describe no tensor; the file is broken")
        if self.extent > size:
            raise BadFile(f"{label}: {self.extent:,} bytes are declared, but {size:,} are stored; the file is broken")
        if prod(self.shape) * self.stored.itemsize > max(size, MOST_REPEATED):
            raise BadFile(f"{label}: {prod(self.shape):,} elements are declared over {size:,} bytes; the file is broken")


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor in C order."""
    return tuple(prod(max(n, 1) for n in shape[axis + 1 :]) for axis in range(len(shape)))


def tensor_of(meta: Mapping[str, Any], label: str) -> Tensor:
    """The tensor that a `tensor_meta` of a .pt2 describes. Raises Unsupported for types and layouts that no neuron holds."""
    number = meta["dtype"]
    if meta["layout"] != STRIDED:
        raise Unsupported(f"{label}: a sparse tensor; save the model with dense ones")
    if number not in DTYPES:
        raise Unsupported(f"{label}: numbers of type {OTHER_DTYPES.get(number, number)}, which are not read; save the model in float32")
    shape, strides = (tuple(plain_size(size, label) for size in meta[key]) for key in ("sizes", "strides"))
    return Tensor(DTYPES[number], shape, strides, plain_size(meta["storage_offset"], label))


def plain_size(size: Mapping[str, Any], label: str) -> int:
    """A size that is a number. Expressions are never evaluated: a stored tensor has none. Raises BadFile where it is none."""
    number = size.get("as_int")
    if not isinstance(number, int) or isinstance(number, bool) or not -(2**62) < number < 2**62:
        raise BadFile(f"{label}: a size that is no number; the file is broken")
    return number


@dataclass(frozen=True)
class FileBytes:
    """A stretch of a file."""

    path: Path
    begin: int
    size: int

    def array(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The bytes as numbers, mapped into memory page by page. Raises BadFile where the file has changed since."""
        count = self.size // dtype.itemsize
        if count == 0:
            return np.empty(0, dtype)
        try:
            return np.asarray(np.memmap(self.path, dtype, "r", self.begin, (count,)))
        except (OSError, ValueError) as error:
            raise BadFile(f"{self.path}: it has changed since it was opened ({error}); run the command again") from error


@dataclass(frozen=True)
class MemoryBytes:
    """A stretch of bytes that are in memory."""

    content: bytes
    begin: int
    size: int

    def array(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The bytes as numbers, without a copy."""
        return np.frombuffer(self.content, dtype, self.size // dtype.itemsize, self.begin)


@dataclass(frozen=True)
class StoredTensor:
    """Reads one tensor when it is called: a NumPy array in C order."""

    tensor: Tensor
    place: FileBytes | MemoryBytes

    def __call__(self) -> NDArray[Any]:
        tensor = self.tensor
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, tensor.read)
        numbers = self.place.array(tensor.stored)[tensor.offset :]
        strides = [step * tensor.stored.itemsize for step in tensor.strides]
        return widened(as_strided(numbers, tensor.shape, strides, writeable=False), tensor.dtype)


def widened(numbers: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Half precision as float32, exactly; everything else in C order and the machine's byte order."""
    if dtype == "bfloat16":
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        return numbers.astype(np.float32)
    return np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("=")).reshape(numbers.shape)
