"""State dicts and checkpoints as `torch.save` pickles them: their instructions are read one by one, and nothing is called.

A pickle is a program for a stack machine. This one knows the instructions that dicts of tensors, numbers and texts need, and of functions only names:
what rebuilds a tensor is understood, everything else is refused. Old `.pt2` archives are read by it; what torch itself is to load is looked at first,
since a pickle of a hundred bytes without any code of its own can ask for all memory (`bytearray(2**40)`), or for a hash that takes years.
Format: `pickletools`, torch/serialization.py, torch/_utils.py, torch/_weights_only_unpickler.py.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from etl.errors import BadFile, Unsupported
from etl.readers import zip_archive
from etl.readers.torch.storage import FileBytes, StoredTensor, Tensor

LARGEST_PICKLE = 16 * 2**20  # bytes of an archive's pickle, in which tensors are named only
MOST_INSTRUCTIONS = 2**20  # of a pickle: a tensor takes about forty
MOST_STACKED = 2**14  # values at once: writers put a thousand items into a dict at a time
MAGIC = 0x1950A86A20F9469CFC6C  # begins the files of before torch 1.6: a run of pickles, and the tensors' bytes
STORAGES = {
    "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64",
    "HalfStorage": "float16", "FloatStorage": "float32", "DoubleStorage": "float64", "BoolStorage": "bool", "BFloat16Storage": "bfloat16",
}  # fmt: skip
DICTS = ("collections OrderedDict", "collections Counter")
TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
PARAMETERS = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state", "torch.nn.parameter Parameter")
SUBCLASSES = "torch._tensor _rebuild_from_type_v2"
SET = "builtins set"
ENCODE, ENCODINGS = "_codecs encode", (("latin1",), ("latin-1",), ("utf-8",))  # others take a time that grows with the square
BYTES = "builtins bytearray"  # of a number it would be as many zeros
PLAIN = {  # calls that make something small of what they are given
    "builtins complex", "torch Size", "torch device", "torch.serialization _get_layout", "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_qtensor", "torch._utils _rebuild_meta_tensor_no_storage",
    "torch._utils _rebuild_wrapper_subclass", "torch._utils _rebuild_device_tensor_from_numpy", "torch._utils _rebuild_device_tensor_from_cpu_tensor",
}  # fmt: skip
ALLOWED = {*DICTS, *TENSORS, *PARAMETERS, SUBCLASSES, SET, ENCODE, BYTES, *PLAIN}
REMEDY = "nothing in it is run: save PyTorch's model.state_dict(), not the model itself"


@dataclass(frozen=True)
class GlobalName:
    """A class or function that a pickle names: data, never looked up."""

    text: str


class Mark:
    """Where a run of items on the stack begins."""


class OtherObject:
    """Something that a checkpoint may hold beside tensors."""


@dataclass(frozen=True)
class Storage:
    """A storage by its type and the archive's member that holds it."""

    dtype: str
    key: str
    elements: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.elements * Tensor(self.dtype, (), ()).stored.itemsize


@dataclass(frozen=True)
class RebuiltTensor:
    """A tensor over a storage."""

    storage: Storage
    tensor: Tensor


def saved_tensors(place: FileBytes, label: str) -> dict[str, StoredTensor]:
    """The tensors of a file of `torch.save` that lies within another file. Raises BadFile, or Unsupported for a tensor of another kind."""
    window = zip_archive.windowed(place.path, place.begin, place.size)
    with zipfile.ZipFile(window) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise BadFile(f"{label}: no state dict; export the model again")
        content = zip_archive.text(archive, place.path, pickles[0], LARGEST_PICKLE) or b""
        entries = run_pickle(io.BytesIO(content), label, place.size)
        if not isinstance(entries, dict):
            raise BadFile(f"{label}: no state dict; export the model again")
        top = pickles[0].removesuffix("data.pkl")
        return {key: stored(archive, place, f"{top}data/", value, f"{label}: tensor {key}") for key, value in entries.items() if key is not None}


def stored(archive: zipfile.ZipFile, place: FileBytes, folder: str, value: Any, label: str) -> StoredTensor:
    """A tensor of an archive, checked but not read. Raises Unsupported or BadFile where it has no numbers there."""
    if not isinstance(value, RebuiltTensor):
        raise Unsupported(f"{label} is no plain tensor; export the model again")
    member = zip_archive.member(archive, place.path, folder + value.storage.key)
    if member is None or member.compress_type != zipfile.ZIP_STORED:
        raise BadFile(f"{label}: its numbers are missing; export the model again")
    value.tensor.check(label, member.file_size)
    begin = place.begin + zip_archive.body(archive, place.path, member)
    return StoredTensor(value.tensor, FileBytes(place.path, begin, member.file_size))


def check_saved(path: Path) -> None:
    """Raises BadFile where a file of `torch.save` holds, or does, anything but a state dict's or a checkpoint's.

    An archive: its one pickle. A file of before torch 1.6: pickles one after the other, of a number that says so, a version, the writer's
    machine, and the object.
    """
    label = str(path)
    if zipfile.is_zipfile(path):
        with zip_archive.opened(path) as archive:
            pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
            content = zip_archive.text(archive, path, pickles[0], LARGEST_PICKLE) if len(pickles) == 1 else None
        if content is None:
            raise BadFile(f"{label}: no archive of torch.save, or several; save the weights again")
        run_pickle(io.BytesIO(content), label, path.stat().st_size)
        return
    with path.open("rb") as file:
        if run_pickle(file, label) != MAGIC:
            raise BadFile(f"{label} is a pickle, but none of torch.save; save model.state_dict() with torch.save")
        for _ in range(3):
            run_pickle(file, label, path.stat().st_size)


def run_pickle(stream: BinaryIO, label: str, stored: int | None = None) -> Any:
    """What a pickle describes, as dicts, lists, tuples and RebuiltTensors.

    stored  the bytes that all tensors' numbers are in: none of them can have more
    Raises BadFile for any pickle that is broken, too large or more than a state dict.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                return stack[-1]
            if count == MOST_INSTRUCTIONS or len(stack) > MOST_STACKED:
                raise BadFile(f"{label}: a pickle of more than a state dict ({count:,} instructions, {len(stack):,} values at once); {REMEDY}")
            step(opcode.name, argument, stack, memo, label, stored)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise BadFile(f"{label}: a broken pickle ({' '.join(str(error).split())}); copy or download it again") from error
    raise BadFile(f"{label}: a pickle without an end; copy or download it again")


def step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any], label: str, stored: int | None) -> None:
    """One instruction. Raises BadFile for one that torch.save doesn't write, or that could run code."""
    if name in ("PROTO", "FRAME"):
        return
    if name in CONSTANTS:
        stack.append(CONSTANTS[name])
    elif name in WITH_VALUE:
        stack.append(argument)
    elif name in EMPTY:
        stack.append(EMPTY[name]())
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[int(argument)] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[int(argument)])
    elif name == "GLOBAL":
        stack.append(allowed(str(argument).replace("__builtin__ ", "builtins "), label))
    elif name == "STACK_GLOBAL":
        allowed(" ".join(map(str, stack[-2:])), label)
        raise BadFile(f"{label}: a pickle of another make than torch.save's; save the weights again with torch.save")
    elif name == "TUPLE":
        stack.append(tuple(popped(stack)))
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        stack[-count:] = [tuple(stack[-count:])]
    elif name in ("SETITEMS", "SETITEM"):
        items = popped(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        check_keys(items[::2], label)
        stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name in ("APPENDS", "APPEND"):
        items = popped(stack) if name == "APPENDS" else [stack.pop()]
        stack[-1].extend(items)
    elif name == "BINPERSID":
        stack.append(storage(stack.pop(), label, stored))
    elif name in ("REDUCE", "NEWOBJ"):
        arguments, function = stack.pop(), stack.pop()
        stack.append(rebuilt(function, arguments, label))
    elif name == "BUILD":  # attributes of an OrderedDict: `_metadata` of a state dict
        stack.pop()
    else:
        raise BadFile(f"{label}: a pickle with {name}, which could run code; {REMEDY}")


CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
WITH_VALUE = ("BINUNICODE", "SHORT_BINSTRING", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
EMPTY: Mapping[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": OtherObject, "MARK": Mark}
HASHED_AT_ONCE = (str, int, float, type(None), GlobalName)


def popped(stack: list[Any]) -> list[Any]:
    """The items down to the last mark, which goes too."""
    place = len(stack) - 1
    while not isinstance(stack[place], Mark):
        place -= 1
    items = stack[place + 1 :]
    del stack[place:]
    return items


def check_keys(keys: Sequence[Any], label: str) -> None:
    """Raises BadFile for keys that are no texts or numbers, or tuples of such: the hash of a tuple of tuples may take for ever."""
    if not all(isinstance(element, HASHED_AT_ONCE) for key in keys for element in (key if isinstance(key, tuple) else (key,))):
        raise BadFile(f"{label}: a pickle of a dict whose keys are neither texts nor numbers; {REMEDY}")


def allowed(text: str, label: str) -> GlobalName:
    """A function that state dicts need, or a storage's or number's type, which nothing can call. Raises BadFile for any other."""
    if text not in ALLOWED and not text.startswith("torch "):
        raise BadFile(f"{label}: a pickle that names {text.replace(' ', '.')}, which could run code; {REMEDY}")
    return GlobalName(text)


def storage(described: Sequence[Any], label: str, stored: int | None) -> Storage | OtherObject:
    """('storage', type, key, device, elements). Raises BadFile where it declares more than is stored."""
    kind, name, key = described[:3]
    if kind != "storage" or not isinstance(name, GlobalName) or not isinstance(key, str) or "/" in key:
        raise BadFile(f"{label}: a storage of an unknown make; export the model again")
    dtype = STORAGES.get(name.text.removeprefix("torch "))
    if dtype is None:
        return OtherObject()
    declared = Storage(dtype, key, described[4] if len(described) > 4 else 0)
    if not isinstance(declared.elements, int) or declared.elements < 0 or (stored is not None and declared.size > stored):
        raise BadFile(f"{label}: storage {key}: {declared.elements:,} numbers are declared, but {stored:,} bytes are stored; the file is broken")
    return declared


def rebuilt(function: Any, arguments: Sequence[Any], label: str) -> Any:
    """What a call would make, for the few functions that state dicts and checkpoints need. Raises BadFile for all others."""
    text = function.text if isinstance(function, GlobalName) else ""
    if text in DICTS:
        check_keys(list(arguments[0]) if arguments and isinstance(arguments[0], dict) else (), label)
        if not arguments or isinstance(arguments[0], dict):
            return dict(*arguments)
    elif text in PARAMETERS:
        return arguments[0]
    elif text in TENSORS:
        return tensor_over(arguments, label)
    elif text == SUBCLASSES:
        return rebuilt(arguments[0], arguments[2], label)
    elif text == SET:
        check_keys(arguments[0] if arguments else (), label)
        return OtherObject()
    elif text in PLAIN or (text == ENCODE and arguments[1:] in ENCODINGS) or (text == BYTES and not isinstance(arguments[0], int)):
        return OtherObject()
    raise BadFile(f"{label}: a pickle that calls {text.replace(' ', '.') or 'something'} as no state dict does; {REMEDY}")


def tensor_over(arguments: Sequence[Any], label: str) -> RebuiltTensor | OtherObject:
    """(storage, offset, shape, strides, ...) as a tensor. Raises BadFile where it doesn't lie within the storage."""
    over, offset, shape, strides = arguments[:4]
    if not isinstance(over, Storage):
        return OtherObject()
    if not all(isinstance(number, int) for number in (offset, *shape, *strides)):
        raise BadFile(f"{label}: a tensor whose shape is no number; the file is broken")
    tensor = Tensor(over.dtype, tuple(shape), tuple(strides), offset)
    tensor.check(f"{label}: a tensor over storage {over.key}", over.size)
    return RebuiltTensor(over, tensor)
