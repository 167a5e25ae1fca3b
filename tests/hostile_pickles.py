"""Pickles as an attacker would write them, instruction by instruction, and what their refusal says."""

from __future__ import annotations

import pickle
import struct

TRAP = "trap_was_run"  # the file that appears where any code of a file runs


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, function: str) -> bytes:
    return f"c{module}\n{function}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def entry(value: bytes, key: bytes = text("conv.weight")) -> bytes:
    """A pickle of a dict of one item."""
    return b"\x80\x02}" + key + value + b"s."


def storage(elements: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + number(elements) + b"tQ"


def rebuilt(elements: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    sizes = [b"(" + b"".join(map(number, one)) + b"t" for one in (shape, strides)]
    return call(
        name("torch._utils", "_rebuild_tensor_v2"), storage(elements), number(offset), *sizes, b"\x89", call(name("collections", "OrderedDict"))
    )


def nested(depth: int) -> bytes:
    """A tuple of two tuples of two tuples ...: a hundred bytes of pickle, and 2^depth steps to compute its hash."""
    return b"(t" + b"".join(b"q\x00h\x00\x86" for _ in range(depth))


SYSTEM = call(name("posix", "system"), text(f"touch {TRAP}"))
PICKLES = {
    "system": (entry(SYSTEM), "posix.system"),
    "built": (entry(call(name("builtins", "eval"), text(f"open('{TRAP}', 'w')"))), "eval"),
    "stacked": (b"\x80\x04" + text("posix") + text("system") + b"\x93" + text(f"touch {TRAP}") + b"\x85R.", "posix.system"),
    "object": (entry(b"(" + text(f"touch {TRAP}") + b"iposix\nsystem\n"), "INST"),
    "set_state": (entry(name("collections", "OrderedDict") + b")R" + b"}" + text("__setstate__") + name("posix", "system") + b"sb"), "posix.system"),
    "extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "attribute": (entry(call(name("builtins", "getattr"), name("torch", "Tensor"), text("__reduce__"))), "getattr"),
    "bytes": (entry(call(name("builtins", "bytearray"), number(2**36))), "bytearray"),
    "indirect_bytes": (
        entry(
            call(
                name("torch._tensor", "_rebuild_from_type_v2"), name("builtins", "bytearray"), name("torch", "Tensor"), number(2**36) + b"\x85", b"}"
            )
        ),
        "bytearray",
    ),
    "encoding": (entry(call(name("_codecs", "encode"), text("ä" * 10**6), text("punycode"))), "encode"),
    "hashes": (entry(b"N", nested(60)), "key"),
    "set": (entry(call(name("builtins", "set"), b"]" + nested(60) + b"a")), "set|key"),
    "memo": (b"\x80\x02]r\xff\xff\xff\xff(" + b"jff\xff\xff" + b".", "broken|load"),
    "deep": (b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".", "at once"),
    "long_text": (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "broken|weights|load"),
    "endless": (b"\x80\x02" + b"(" * 10**6, "at once"),
    "offset": (entry(rebuilt(54, 2**40, (6, 1, 3, 3), (9, 9, 3, 1))), "out of bounds|declared|load"),
    "negative": (entry(rebuilt(54, 0, (6, 1, 3, 3), (-9, 9, 3, 1))), "negative|no tensor|load"),
    "strides": (entry(rebuilt(54, 0, (6, 1, 3, 3), (10**9, 9, 3, 1))), "out of bounds|declared|load"),
    "repeated": (entry(rebuilt(54, 0, (10**6, 10**6), (0, 0))), "declared|instead"),
    "terabytes": (entry(rebuilt(2**40, 0, (2**20, 2**20), (2**20, 1))), "out of bounds|declared|load"),
    "empty": (b"\x80\x02}.", "state dict|load|without weights"),
    "member": (entry(rebuilt(54, 0, (6, 1, 3, 3), (9, 9, 3, 1)).replace(text("0"), text("../../../etc/passwd"))), "storage|load|missing"),
}
MAGIC = b"\x80\x02" + pickle.dumps(0x1950A86A20F9469CFC6C, 2)[2:]
BEFORE = MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)
TWO_SIZES = b"\x00" * 216
