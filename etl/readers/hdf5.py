"""Reading HDF5 that nobody vouches for: no links out of the file, nothing allocated that the file does not hold.

The HDF5 library follows soft links, external links, external storage and virtual datasets by itself, and allocates what a header declares.
Here every step of a path is checked to be a hard link, and every dataset's size against the bytes stored for it, before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import psutil
from numpy.typing import NDArray

from etl.errors import BadFile
from etl.readers.hdf5_attributes import claimed, has_endless_heap
from etl.readers.keras.builder import StoredArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
# Keras never compresses weights, and trained ones hardly shrink; pruned ones may. Deflate itself could reach 1,032.
EXPANSION = 100
SMALL = 64 * 2**20  # a compressed file may always unfold to this many bytes


class Container:
    """An HDF5 file, or one inside an archive, that is opened anew for each access.

    label   how messages call it
    source  its path, or a function that opens it as a binary stream
    size    of the whole of it in bytes
    """

    def __init__(self, label: str, source: Path | Callable[[], BinaryIO], size: int) -> None:
        self.label = label
        self.size = size
        self._memory = psutil.virtual_memory().available
        self._source = source
        self._seen: set[str] = set()
        self._looked_through = False
        self._filed = self._unfolded = 0  # bytes of all arrays seen, in the file and in memory

    @contextmanager
    def open(self) -> Iterator[h5py.File]:
        """The file, open for reading. Raises BadFile where the HDF5 library would never end with it."""
        if not self._looked_through:
            with self.bytes() as stream:
                if has_endless_heap(stream):
                    raise BadFile(f"{self.label}: its texts have no end; the file is broken")
            self._looked_through = True
        if isinstance(self._source, Path):
            with h5py.File(self._source, "r", locking=False) as file:
                yield file
        else:
            with self._source() as stream, h5py.File(stream, "r") as file:
                yield file

    def bytes(self) -> BinaryIO:
        return self._source.open("rb") if isinstance(self._source, Path) else self._source()

    def find(self, group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
        """What lies at `path` below `group`, each step of the way checked to be no link to elsewhere. Raises BadFile where one is."""
        here: Any = group
        for name in path.split("/"):
            if name in ("", "."):
                continue
            link = here.get(name, getlink=True) if isinstance(here, h5py.Group) else None
            if link is None:
                return None
            if not isinstance(link, h5py.HardLink):
                raise BadFile(f"{self.label}: {path!r} is a link to somewhere else, which is not followed; save the model again in one file")
            here = here[name]
        return here

    def group(self, parent: h5py.Group, path: str) -> h5py.Group | None:
        child = self.find(parent, path)
        return child if isinstance(child, h5py.Group) else None

    def text(self, group: h5py.Group, name: str) -> str | None:
        """A string attribute, or None where there is none. Raises BadFile where it is something else."""
        if name not in group.attrs:
            return None
        value = self._attribute(group, name)
        if value is None or value.shape != ():
            raise BadFile(f"{self.label}: attribute {name!r} is not a text; the file is broken or no Keras file")
        return decoded(value.item())

    def texts(self, group: h5py.Group, name: str) -> list[str] | None:
        """A list of strings; long ones are cut into attributes name0, name1 ... None where there is none."""
        if name in group.attrs:
            pieces = [self._attribute(group, name)]
        else:
            pieces, count = [], 0
            while f"{name}{count}" in group.attrs:
                pieces.append(self._attribute(group, f"{name}{count}"))
                count += 1
            if not pieces:
                return None
        return [decoded(element) for piece in pieces if piece is not None for element in piece.ravel().tolist()]

    def _attribute(self, group: h5py.Group, name: str) -> NDArray[Any] | None:
        """An attribute's value. Raises BadFile where it is no text, or declares more bytes than the file has."""
        attribute = h5py.h5a.open(group.id, name.encode())
        shape = attribute.shape
        if shape is None or prod(shape) == 0:  # no names at all are kept as an empty array of numbers
            return None
        if attribute.get_storage_size() > self.size:
            raise BadFile(f"{self.label}: attribute {name!r} declares more bytes than the file has; the file is broken")
        kind = attribute.dtype
        if kind.kind != "S" and h5py.check_string_dtype(kind) is None:
            raise BadFile(f"{self.label}: attribute {name!r} is not a text; the file is broken or no Keras file")
        if kind.kind != "S":
            with self.bytes() as stream:
                length = claimed(stream, h5py.h5o.get_info(group.id).addr, name)
            if length > self.size:
                raise BadFile(f"{self.label}: attribute {name!r} declares more bytes than the file has; the file is broken")
        return np.asarray(group.attrs[name])

    def stored(self, group: h5py.Group, path: str, name: str) -> StoredArray | None:
        """The array at `path` below `group`, checked but not read. None where there is none.

        Raises BadFile where it declares more than the file has.
        """
        dataset = self.find(group, path)
        if not isinstance(dataset, h5py.Dataset):
            return None
        place = dataset.name if isinstance(dataset.name, str) else path
        filed, unfolded = self._check(dataset, place)
        if place not in self._seen:
            self._seen.add(place)
            self._filed += filed
            self._unfolded += unfolded
        if self._filed > self.size or self._unfolded > max(SMALL, EXPANSION * self.size):
            raise BadFile(
                f"{self.label}: its arrays up to {place!r} declare {self._unfolded:,} bytes, but the file has {self.size:,}; the file is broken"
            )
        shape = tuple(int(n) for n in dataset.shape)
        dtype = np.dtype(np.float64 if dataset.dtype.kind == "f" and dataset.dtype.itemsize == 8 else np.float32)
        return StoredArray(name, shape, dtype, Dataset(self, place, shape))

    def _check(self, dataset: h5py.Dataset, place: str) -> tuple[int, int]:
        """Bytes of a dataset in the file and in memory. Raises BadFile where they can't be true or the data lie elsewhere."""
        where = f"{self.label}: array {place!r}"
        kind = dataset.dtype
        numbers = kind.kind in "iu" or (kind.kind == "f" and kind.itemsize <= 8) or kind == np.dtype("V2")
        if dataset.shape is None or not numbers:
            raise BadFile(f"{where} holds no numbers (type {kind}); the file is broken or no Keras file")
        if dataset.is_virtual or dataset.external:
            raise BadFile(f"{where} takes its values from another file, which is not followed; save the model again in one file")
        memory = prod(dataset.shape) * kind.itemsize
        if memory > self._memory:
            raise BadFile(f"{where} declares {memory:,} bytes, more than there is memory; the file is broken, or needs a larger machine")
        filed = dataset.id.get_storage_size()
        if dataset.chunks is None:
            if filed != memory:
                raise BadFile(f"{where} declares {memory:,} bytes, but {filed:,} are stored; the file is broken")
            return filed, memory
        return filed, self._check_chunks(dataset, where, filed)

    def _check_chunks(self, dataset: h5py.Dataset, where: str, filed: int) -> int:
        """Raises BadFile for a dataset in chunks that are missing, too small for what it declares, or compressed in another way than Keras does."""
        filters = dataset.id.get_create_plist()
        codes = {filters.get_filter(i)[0] for i in range(filters.get_nfilters())}
        if not codes <= FILTERS:
            raise BadFile(f"{where} is compressed in a way (filter {min(codes - FILTERS)}) that is not read; save the model again with Keras")
        chunks = prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        memory = int(chunks * prod(dataset.chunks) * dataset.dtype.itemsize)
        if memory > max(SMALL, EXPANSION * filed) or (not codes and memory != filed):
            raise BadFile(f"{where} declares {memory:,} bytes, but {filed:,} are stored; the file is broken")
        if dataset.id.get_num_chunks() != chunks:
            raise BadFile(f"{where} is not stored in full; the file is broken")
        return memory

    def read(self, place: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The dataset at `place`, checked again. Raises BadFile where it is not the one of that shape any more."""
        try:
            with self.open() as file:
                dataset = self.find(file, place)
                if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape:
                    raise BadFile(f"{self.label} was changed while it was read; start again")
                self._check(dataset, place)
                return widened(dataset[()])
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise BadFile(f"{self.label}: array {place!r} can't be read ({' '.join(str(error).split())}); the file is broken") from error


@dataclass(frozen=True)
class Dataset:
    """Reads the array at one place of a container. Equal where layers share an array."""

    container: Container
    place: str
    shape: tuple[int, ...]

    def __call__(self) -> NDArray[Any]:
        return self.container.read(self.place, self.shape)


def decoded(text: bytes | str) -> str:
    return text.decode("utf-8") if isinstance(text, bytes) else text


def widened(values: Any) -> NDArray[Any]:
    """As float32 or float64, in C order. Two opaque bytes are a bfloat16: the upper half of a float32."""
    values = np.asarray(values)
    if values.dtype.kind == "V":
        bits: NDArray[np.uint32] = values.view(np.uint16).astype(np.uint32) << np.uint32(16)
        return bits.view(np.float32)
    wide = values.dtype.kind == "f" and values.dtype.itemsize == 8
    return np.ascontiguousarray(values, dtype=np.float64 if wide else np.float32).reshape(values.shape)
