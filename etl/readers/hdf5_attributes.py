"""What the texts of an HDF5 attribute claim, read from its object header and from the heaps before the HDF5 library does.

The library allocates (and clears) what a variable-length text declares, up to 4 GiB for each element, and compares with what is stored only then;
and in a heap with free space of no size it goes on for ever.
Format: https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (object headers, attribute message, global heap).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from etl.errors import BadFile

CONTINUATION, ATTRIBUTE = 0x10, 0x0C
ELEMENT = 16  # length, address of the heap, number in it
HEAP = b"GCOL"
PIECE = 1 << 20


def claimed(stream: BinaryIO, address: int, name: str) -> int:
    """Sum of the lengths of all elements of a variable-length attribute of the object at an address.

    Raises BadFile where it is stored in a way that is not read here.
    """
    superblock = bytes_at(stream, 0, 16)
    if superblock[13:15] != b"\x08\x08" and superblock[9:11] != b"\x08\x08":
        raise BadFile("HDF5 with addresses of an unusual size; save the model again with Keras")
    for kind, content in messages(stream, address):
        if kind == ATTRIBUTE:
            attribute_name, values = attribute(content)
            if attribute_name == name.encode():
                return sum(struct.unpack_from("<I", values, place)[0] for place in range(0, len(values) - ELEMENT + 1, ELEMENT))
    raise BadFile(f"HDF5 attribute {name!r} is stored in an unusual way; save the model again with Keras")


def bytes_at(stream: BinaryIO, place: int, size: int) -> bytes:
    stream.seek(place)
    return stream.read(size)


def messages(stream: BinaryIO, address: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each message of an object header, of version 1 or 2, in all its blocks."""
    if bytes_at(stream, address, 4) == b"OHDR":
        flags = bytes_at(stream, address, 6)[5]
        begin = address + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        blocks = [(begin + width, int.from_bytes(bytes_at(stream, begin, width), "little"))]
        head, cut = ("<BHBxx" if flags & 4 else "<BHB"), 4  # further blocks have a signature in front and a checksum behind
    else:
        blocks = [(address + 16, struct.unpack_from("<I", bytes_at(stream, address, 16), 8)[0])]
        head, cut = "<HHB3x", 0
    visited = set()
    while blocks:
        block = blocks.pop(0)
        if block in visited:
            continue
        visited.add(block)
        content, place = bytes_at(stream, *block), 0
        while place + struct.calcsize(head) <= len(content):
            kind, size, _ = struct.unpack_from(head, content, place)
            place += struct.calcsize(head)
            inside = content[place : place + size]
            place += size
            if kind == CONTINUATION:
                begin, length = struct.unpack_from("<QQ", inside)
                blocks.append((begin + cut, max(0, min(length, 2**32) - 2 * cut)))
            else:
                yield kind, inside


def attribute(content: bytes) -> tuple[bytes, bytes]:
    """Name and values of an attribute message."""
    version, _, *sizes = struct.unpack_from("<BBHHH", content)
    place = 9 if version == 3 else 8
    pieces = []
    for size in sizes:  # name, type, shape
        pieces.append(content[place : place + size])
        place += -(-size // 8) * 8 if version == 1 else size
    return pieces[0].partition(b"\0")[0], content[place:]


def has_endless_heap(stream: BinaryIO) -> bool:
    """Whether a heap, where HDF5 keeps texts, holds free space of no size: the HDF5 library steps over it by its size, and never ends."""
    position, piece = 0, b""
    while chunk := stream.read(PIECE):
        piece = piece[-len(HEAP) + 1 :] + chunk  # a signature may lie across two of them
        position += len(chunk)
        heap = piece.find(HEAP)
        while heap >= 0:
            if is_endless_heap(stream, position - len(piece) + heap):
                return True
            heap = piece.find(HEAP, heap + 1)
        stream.seek(position)
    return False


def is_endless_heap(stream: BinaryIO, begin: int) -> bool:
    """The same of the one heap that may begin there: version 1, then its size, then objects, each with its number (0: free space) and its size."""
    stream.seek(begin)
    head = stream.read(16)
    size, offset = int.from_bytes(head[8:], "little"), 16
    while head[4:8] == b"\1\0\0\0" and offset + 16 <= size:
        stream.seek(begin + offset)
        entry = stream.read(16)
        number, length = int.from_bytes(entry[:2], "little"), int.from_bytes(entry[8:], "little")
        if len(entry) < 16:
            return False
        if not (number or length):
            return True
        offset += 16 + -(-length // 8) * 8 if number else length
    return False
