"""State dicts inside old `.pt2` archives, which `torch.save` wrote as pickles: their instructions are read one by one, and nothing is called.

A pickle is a program for a stack machine. This one knows the handful of instructions that a dict of tensors needs, and of functions only names:
what rebuilds a tensor is understood, everything else is refused. Format: `pickletools`, torch/serialization.py, torch/_utils.py.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etl.errors import BadFile, Unsupported
from etl.readers import zip_archive
from etl.readers.torch.storage import FileBytes, Stored, Tensor

LARGEST_PICKLE = 16 * 2**20
STORAGES = {
    "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BoolStorage": "bool", "BFloat16Storage": "bfloat16",
}  # fmt: skip
KNOWN = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", *(f"torch {name}" for name in STORAGES)}


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names: data, never looked up."""

    text: str


class Mark:
    """Where a run of items on the stack begins."""


@dataclass(frozen=True)
class Storage:
    """A storage by its type and the archive's member that holds it."""

    dtype: str
    key: str


@dataclass(frozen=True)
class Rebuilt:
    """A tensor over a storage."""

    storage: Storage
    tensor: Tensor


def saved_tensors(place: FileBytes, label: str) -> dict[str, Stored]:
    """The tensors of a file of `torch.save` that lies within another file. Raises BadFile, or Unsupported for a pickle of anything else."""
    window = zip_archive.windowed(place.path, place.begin, place.size)
    with zipfile.ZipFile(window) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise BadFile(f"{label}: no state dict; export the model again")
        content = zip_archive.text(archive, place.path, pickles[0], LARGEST_PICKLE) or b""
        entries = run_pickle(content, label)
        if not isinstance(entries, dict):
            raise BadFile(f"{label}: no state dict; export the model again")
        top = pickles[0].removesuffix("data.pkl")
        return {key: stored(archive, place, f"{top}data/", value, f"{label}: tensor {key}") for key, value in entries.items() if key is not None}


def stored(archive: zipfile.ZipFile, place: FileBytes, folder: str, value: Any, label: str) -> Stored:
    if not isinstance(value, Rebuilt):
        raise Unsupported(f"{label} is no plain tensor; export the model again")
    member = zip_archive.member(archive, place.path, folder + value.storage.key)
    if member is None or member.compress_type != zipfile.ZIP_STORED:
        raise BadFile(f"{label}: its numbers are missing; export the model again")
    value.tensor.check(label, member.file_size)
    begin = place.begin + zip_archive.body(archive, place.path, member)
    return Stored(value.tensor, FileBytes(place.path, begin, member.file_size))


def run_pickle(content: bytes, label: str) -> Any:
    """What a pickle describes, as dicts, tuples and Rebuilt tensors."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack[-1]
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in WITH_VALUE:
            stack.append(argument)
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "MARK"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "MARK": Mark}[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[int(argument or 0)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument or 0)])
        elif name == "GLOBAL":
            stack.append(known(str(argument), label))
        elif name == "TUPLE":
            stack.append(tuple(popped(stack)))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("SETITEMS", "SETITEM"):
            items = popped(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            stack.append(storage(stack.pop(), label))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(rebuilt(function, arguments, label))
        elif name == "BUILD":  # attributes of an OrderedDict: `_metadata` of a state dict
            stack.pop()
        else:
            raise Unsupported(f"{label}: a pickle with {name}, which could run code; nothing in it is run")
    raise BadFile(f"{label}: a pickle without an end; copy or download it again")


CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
WITH_VALUE = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")


def popped(stack: list[Any]) -> list[Any]:
    """The items down to the last mark, which goes too."""
    place = max(number for number, item in enumerate(stack) if isinstance(item, Mark))
    items = stack[place + 1 :]
    del stack[place:]
    return items


def known(text: str, label: str) -> Name:
    if text not in KNOWN:
        raise Unsupported(f"{label}: a pickle that names {text.replace(' ', '.')}, which could run code; nothing in it is run")
    return Name(text)


def storage(described: Sequence[Any], label: str) -> Storage:
    """('storage', type, key, device, elements)"""
    kind, name, key = described[:3]
    if kind != "storage" or not isinstance(name, Name) or not isinstance(key, str) or "/" in key:
        raise BadFile(f"{label}: a storage of an unknown make; export the model again")
    return Storage(STORAGES[name.text.removeprefix("torch ")], key)


def rebuilt(function: Any, arguments: Sequence[Any], label: str) -> Any:
    """What a call would make, for the three functions that a state dict needs."""
    text = function.text if isinstance(function, Name) else ""
    if text == "collections OrderedDict" and not arguments:
        return {}
    if text == "torch._utils _rebuild_parameter":
        return arguments[0]
    if text == "torch._utils _rebuild_tensor_v2":
        over, offset, shape, strides = arguments[:4]
        return Rebuilt(over, Tensor(over.dtype, tuple(shape), tuple(strides), offset))
    raise Unsupported(f"{label}: a pickle that calls {text or 'something'}, which could run code; nothing in it is run")
