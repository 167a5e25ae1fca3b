"""A copy of a Keras file with some numbers of its arrays changed in place: all else is the file's own, and no framework runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from zipfile import ZipFile, ZipInfo

import h5py
import numpy as np
from numpy.typing import NDArray

from etl.readers.hdf5 import Container

WEIGHTS = "model.weights.h5"  # the member of a .keras archive that holds the arrays
PIECE = 1 << 20


@dataclass(frozen=True)
class Change:
    """Other numbers for an array that lies at a place of a container: values at places that count through it in C order."""

    container: Container
    place: str
    at: NDArray[np.int64]
    values: NDArray[Any]


def rewrite(source: Path, out: IO[bytes], changes: Sequence[Change]) -> None:
    """Copy a file into `out`; without changes byte by byte."""
    with source.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped and changes:
        rewrite_archive(source, out, changes)
        return
    with changed(source, changes) as copy, copy.open("rb") as file:
        shutil.copyfileobj(file, out, PIECE)


def rewrite_archive(source: Path, out: IO[bytes], changes: Sequence[Change]) -> None:
    """The same members in the same order, compressed as they were; only the arrays' differ."""
    with ZipFile(source) as archive, ZipFile(out, "w") as written, TemporaryDirectory() as folder:
        for member in archive.infolist():
            path = Path(folder) / "member"
            with archive.open(member) as stream, path.open("wb") as file:
                shutil.copyfileobj(stream, file, PIECE)
            with changed(path, changes if member.filename == WEIGHTS else []) as copy:
                entry = ZipInfo(member.filename, member.date_time)
                entry.compress_type, entry.external_attr = member.compress_type, member.external_attr
                large = copy.stat().st_size >= 1 << 31
                with copy.open("rb") as stream, written.open(entry, "w", force_zip64=large) as file:
                    shutil.copyfileobj(stream, file, PIECE)


@contextmanager
def changed(path: Path, changes: Sequence[Change]) -> Iterator[Path]:
    """An HDF5 file with its arrays changed, for as long as the block runs; the file itself where nothing changes."""
    if not changes:
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.h5"
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            for change in changes:
                dataset: Any = change.container.find(file, change.place)
                values = dataset[()]
                flat = values.reshape(-1)
                flat[change.at] = narrowed(change.values, values.dtype)
                dataset[...] = flat.reshape(values.shape)
        yield copy


def narrowed(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers as the file has them: the inverse of `widened` in etl/readers/hdf5.py, rounded to nearest."""
    if dtype.kind != "V":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))  # to nearest, ties to even
    return (rounded >> np.uint32(16)).astype(np.uint16).view(dtype)
