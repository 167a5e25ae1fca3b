"""`.pt2` archives: what `torch.export.save` writes, read without torch. Nothing in one is unpickled or run.

Since torch 2.8: `models/model.json` is the program, `data/weights/` and `data/constants/` hold raw tensors beside their tables of contents.
Before: `serialized_exported_program.json`, and state dict and constants as files of `torch.save` within the archive (see pickled.py).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etl.errors import BadFile, Unsupported
from etl.readers import zip_archive
from etl.readers.torch.pickled import saved_tensors
from etl.readers.torch.storage import FileBytes, MemoryBytes, StoredTensor, tensor_of

MAJOR = 8  # of the schema: torch/_export/serde/schema.py. Minor versions only add
LARGEST_PROGRAM = 128 * 2**20  # bytes of JSON: ten thousand nodes with their stack traces are about 20 MB
PROGRAM, OLD_PROGRAM = "models/model.json", "serialized_exported_program.json"
TABLES = {"weights": "data/weights/model_weights_config.json", "constants": "data/constants/model_constants_config.json"}
OLD_TENSORS = ("serialized_state_dict.pt", "serialized_constants.pt")


@dataclass(frozen=True)
class Program:
    """An exported program: its JSON, and its tensors by key, none of which is read yet.

    label    what messages call it
    tensors  weights, buffers and constants by the key in the module that was exported; empty of weights where it was exported without any
    refused  key -> why it can't be read: told only where the program reads it
    ties     key -> other keys of the same tensor
    """

    label: str
    document: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    ties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """The torch that wrote it: `torch 2.15.0`."""
        written = self.document.get("torch_version")
        return f"torch {written.partition('+')[0]}" if isinstance(written, str) else None


@dataclass(frozen=True)
class Source:
    """The bytes of an archive: a file, or what `torch.export.save` wrote into memory."""

    path: Path
    content: bytes | None = None

    def opened(self) -> zipfile.ZipFile:
        return zip_archive.opened(self.path) if self.content is None else zipfile.ZipFile(io.BytesIO(self.content))

    def stretch(self, begin: int, size: int) -> FileBytes | MemoryBytes:
        return FileBytes(self.path, begin, size) if self.content is None else MemoryBytes(self.content, begin, size)

    def member_bytes(self, archive: zipfile.ZipFile, name: str) -> FileBytes | MemoryBytes:
        """Where a member's bytes lie. Raises BadFile where it is missing, compressed or beyond the file's end."""
        member = zip_archive.member(archive, self.path, name)
        if member is None:
            raise BadFile(f"{self.path}: member {name} is missing; export the model again")
        if member.compress_type != zipfile.ZIP_STORED:
            raise BadFile(f"{self.path}: member {name} is compressed, which torch.export.save never does; export the model again")
        begin = zip_archive.body(archive, self.path, member)
        if begin + member.file_size > zip_archive.size(archive):
            raise BadFile(f"{self.path}: member {name} ends beyond the file; copy or download it again")
        return self.stretch(begin, member.file_size)


def is_program(names: Collection[str]) -> bool:
    """Whether an archive with members of these names is an exported program, or what stands for one."""
    return any(name.endswith((f"/{PROGRAM}", "archive_format")) or name == OLD_PROGRAM or "/data/aotinductor/" in f"/{name}" for name in names)


def read_program(source: Source, ties: Mapping[str, tuple[str, ...]] | None = None) -> Program:
    """The program in a .pt2. Raises BadFile and Unsupported in one line each."""
    with source.opened() as archive:
        names = archive.namelist()
        odd = next((name for name in names if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")), None)
        if odd is not None:
            raise BadFile(f"{source.path}: member {odd} leads out of the archive; nothing in it is read")
        if OLD_PROGRAM in names:
            return read_old_program(source, archive)
        programs = [name for name in names if name.endswith(f"/{PROGRAM}")]
        if not programs:
            raise Unsupported(f"{source.path} is compiled code (AOTInductor), not a network; export the model with torch.export.save")
        if len(programs) > 1:
            raise BadFile(f"{source.path} holds {len(programs)} programs; save one model a file")
        top = programs[0].removesuffix(PROGRAM)
        document = program_document(source, archive, programs[0])
        tensors: dict[str, StoredTensor] = {}
        refused: dict[str, str] = {}
        keys = read_keys(document)
        for kind, table in TABLES.items():
            entries = table_of(source, archive, top + table)
            for key, entry in ((key, entry) for key, entry in entries.items() if key in keys):
                add_tensor(source, archive, f"{top}data/{kind}/", key, entry, tensors, refused)
    return Program(str(source.path), document, tensors, refused, ties or {})


def program_document(source: Source, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """The program's JSON. Raises Unsupported where it is of another schema."""
    document = json_member(source, archive, name)
    version = document.get("schema_version")
    major = version.get("major") if isinstance(version, dict) else None
    if major != MAJOR:
        raise Unsupported(f"{source.path} has schema {major} of torch.export, and {MAJOR} is read; export the model again with torch 2.6 or later")
    return document


def json_member(source: Source, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """A member that is a JSON object. Raises BadFile where it is missing or none."""
    text = zip_archive.text(archive, source.path, name, LARGEST_PROGRAM)
    if text is None:
        raise BadFile(f"{source.path}: member {name} is missing; export the model again")
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise BadFile(f"{source.path} ({name}): JSON nested too deeply; the file is broken") from error
    except ValueError as error:
        raise BadFile(f"{source.path} ({name}): not JSON ({error}); the file is broken") from error
    if not isinstance(document, dict):
        raise BadFile(f"{source.path} ({name}): JSON, but no program; export the model again")
    return document


def table_of(source: Source, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """A table of contents; a program without tensors of that kind may have none. Raises BadFile where it is none."""
    if name not in archive.namelist():
        return {}
    entries = json_member(source, archive, name).get("config")
    if not isinstance(entries, dict):
        raise BadFile(f"{source.path} ({name}): no table of tensors; export the model again")
    return entries


def read_keys(document: Mapping[str, Any]) -> set[str]:
    """The keys of all tensors that the program has as inputs."""
    return {
        str(name)
        for spec in document["graph_module"]["signature"]["input_specs"]
        for entry in spec.values()
        for kind, name in entry.items()
        if kind in ("parameter_name", "buffer_name", "tensor_constant_name")
    }


def add_tensor(
    source: Source,
    archive: zipfile.ZipFile,
    folder: str,
    key: str,
    entry: Mapping[str, Any],
    tensors: dict[str, StoredTensor],
    refused: dict[str, str],
) -> None:
    """Take in one tensor of a table; what can't be read goes into `refused`. Raises BadFile where its place leads out of the folder."""
    label = f"{source.path}: tensor {key}"
    meta = entry.get("tensor_meta")
    if entry.get("use_pickle") or meta is None:
        refused[key] = f"{label} is stored as a pickle, which could run code and is not read; save the model with plain tensors"
        return
    if meta["device"]["type"] == "meta":
        return
    name = entry["path_name"]
    if not isinstance(name, str) or "/" in name or "\\" in name:
        raise BadFile(f"{label}: its place {name!r} leads out of {folder}; the file is broken")
    try:
        tensor = tensor_of(meta, label)
    except Unsupported as error:
        refused[key] = str(error)
        return
    place = source.member_bytes(archive, folder + name)
    tensor.check(label, place.size)
    tensors[key] = StoredTensor(tensor, place)


def read_old_program(source: Source, archive: zipfile.ZipFile) -> Program:
    """The layout of torch 2.6 and 2.7. Raises BadFile where it is in memory and not in a file."""
    document = program_document(source, archive, OLD_PROGRAM)
    tensors: dict[str, StoredTensor] = {}
    for name in OLD_TENSORS:
        if name in archive.namelist():
            place = source.member_bytes(archive, name)
            if not isinstance(place, FileBytes):
                raise BadFile(
                    f"{source.path}: an exported program of torch 2.7 or earlier is read from a file: write it with torch.export.save first"
                )
            if place.size:
                tensors |= saved_tensors(place, f"{source.path} ({name})")
    return Program(str(source.path), document, tensors)
