"""`.keras` archives and other zips that nobody vouches for: members are read by name, within bounds, and never extracted."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from etl.errors import BadFile
from etl.readers.hdf5 import EXPANSION, Container
from etl.readers.keras.architecture import LARGEST

DIRECTORY = 8 * 2**20  # bytes of a zip's table of contents: Keras has three members, and assets
PIECE = 2**20


class Window(io.RawIOBase):
    """A stretch of a file as a file: a member that is stored as it is."""

    def __init__(self, path: Path, begin: int, size: int) -> None:
        self._file = path.open("rb")
        self._begin, self._size, self._place = begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._begin + self._place)
        count = self._file.readinto(memoryview(buffer)[: max(0, self._size - self._place)])  # a slice of a bytearray would be a copy
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def opened(path: Path) -> zipfile.ZipFile:
    """A zip whose table of contents is of a sane size: zipfile reads all of it at once. Raises BadFile where it is none."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 2**16 - 100))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise BadFile(f"{path}: a zip archive without its end; copy or download it again")
    length = int.from_bytes(tail[end + 12 : end + 16], "little")
    if tail[max(0, end - 20) :].startswith(b"PK\x06\x07"):  # the 64-bit table's place is in front of it
        length = max(length, large_length(path, int.from_bytes(tail[end - 12 : end - 4], "little")))
    if length > DIRECTORY:
        raise BadFile(f"{path}: an archive of far too many files; it is no model")
    return zipfile.ZipFile(path)


def large_length(path: Path, place: int) -> int:
    with path.open("rb") as file:
        file.seek(min(place, 2**62))
        record = file.read(56)
    return struct.unpack("<Q", record[40:48])[0] if len(record) == 56 else 0


def member(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo | None:
    """The one member of a name. Raises BadFile where it can't be read safely."""
    entry = archive.NameToInfo.get(name)
    if entry is None:
        return None
    if len(archive.filelist) > len(archive.NameToInfo) and sum(another.filename == name for another in archive.filelist) > 1:
        raise BadFile(f"{path}: two members are called {name}; the archive is broken")
    if entry.flag_bits & 0x1:
        raise BadFile(f"{path}: encrypted; unpack it and save it as a plain archive")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadFile(f"{path}: member {name} is compressed in an unusual way; save the model again with Keras")
    stored = entry.compress_type == zipfile.ZIP_STORED
    if entry.compress_size > size(archive) or entry.file_size > (1 if stored else EXPANSION) * entry.compress_size + (0 if stored else PIECE):
        raise BadFile(f"{path}: member {name} declares {entry.file_size:,} bytes, but {entry.compress_size:,} are stored; the archive is broken")
    return entry


def size(archive: zipfile.ZipFile) -> int:
    """Bytes of the whole archive."""
    assert archive.fp is not None
    return archive.fp.seek(0, io.SEEK_END)


def text(archive: zipfile.ZipFile, path: Path, name: str, largest: int = LARGEST) -> bytes | None:
    """A small member's bytes, or None where there is none. Raises BadFile where it is too large."""
    entry = member(archive, path, name)
    if entry is None:
        return None
    if entry.file_size > largest:
        raise BadFile(f"{path}: member {name} is too large for a configuration ({entry.file_size:,} bytes); the archive is broken")
    with archive.open(entry) as stream:
        return stream.read(entry.file_size)


def container(archive: zipfile.ZipFile, path: Path, name: str) -> Container | None:
    """An HDF5 member. Stored ones are read in place; compressed ones are unfolded into memory once."""
    entry = member(archive, path, name)
    if entry is None:
        return None
    label = f"{path} ({name})"
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        with archive.open(entry) as stream:
            unfolded = stream.read(entry.file_size)
        return Container(label, lambda: io.BytesIO(unfolded), len(unfolded))
    with archive.open(entry) as stream:
        while stream.read(PIECE):  # compares the checksum: a flipped bit in a weight is seen nowhere else
            pass
    begin, length = body(archive, path, entry), entry.file_size
    return Container(label, lambda: windowed(path, begin, length), length)


def windowed(path: Path, begin: int, size: int) -> BinaryIO:
    return io.BufferedReader(Window(path, begin, size), PIECE)


def body(archive: zipfile.ZipFile, path: Path, entry: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind a header of its own, whose length may differ from the table's. Raises BadFile where it is not there."""
    assert archive.fp is not None
    archive.fp.seek(entry.header_offset)
    header = archive.fp.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise BadFile(f"{path}: member {entry.filename} is not where the archive says; the archive is broken")
    return entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
