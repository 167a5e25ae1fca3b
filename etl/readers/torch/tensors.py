"""Weights without a program: `.safetensors`, one file or shards, and the state dicts that `torch.save` writes."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.errors import BadFile, Unsupported
from etl.readers import zip_archive
from etl.readers.torch.pickled import check_saved
from etl.readers.torch.storage import FileBytes, StoredTensor, Tensor, contiguous

SAFE_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "F16": "float16", "BF16": "bfloat16",
    "F32": "float32", "F64": "float64",
}  # fmt: skip
LARGEST_HEADER = 64 * 2**20
NESTED = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the state dict among an optimizer's state and more
WITHOUT_TORCH = "needs torch to be read: pip install 'neuron-etl[torch]'"
Source: TypeAlias = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Weights:
    """Tensors by their keys, none of which is read yet, and the files that they are in."""

    tensors: Mapping[str, StoredTensor | SavedTensor]
    format: str
    sources: tuple[Path, ...]


def read_safetensors(path: Path) -> Weights:
    """One `.safetensors` file. Raises BadFile where its header doesn't fit its bytes."""
    return Weights(safe_tensors(path), "safetensors", (path,))


def safe_tensors(path: Path) -> dict[str, StoredTensor]:
    """A header of JSON, whose length stands in the first eight bytes, then the tensors' bytes (https://github.com/huggingface/safetensors).

    Raises BadFile where it is none, Unsupported for a type of numbers that is not read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # checks the header: sizes, order, no gaps
            pass
    except SafetensorError as error:
        raise BadFile(f"{path}: no safetensors file ({error}); copy or download it again") from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            raise BadFile(f"{path}: a header of {length:,} bytes; the file is broken")
        header = json.loads(file.read(length))
    tensors = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        dtype = SAFE_DTYPES.get(entry["dtype"])
        if dtype is None:
            raise Unsupported(f"{path}: tensor {key} has numbers of type {entry['dtype']}, which are not read; save it in float32")
        begin, end = entry["data_offsets"]
        shape = tuple(int(size) for size in entry["shape"])
        tensor = Tensor(dtype, shape, contiguous(shape))
        tensor.check(f"{path}: tensor {key}", end - begin)
        tensors[key] = StoredTensor(tensor, FileBytes(path, 8 + length + begin, end - begin))
    return tensors


def read_sharded(path: Path, table: Mapping[str, Any]) -> Weights:
    """Shards by their index: they lie beside it, a name that leads elsewhere is not followed.

    Raises BadFile where one is missing, or lacks a tensor that is listed.
    """
    names = sorted(set(map(str, table.values())))
    odd = [name for name in names if not re.fullmatch(r"[^/\\\0]+\.safetensors", name)]
    if odd or not names:
        raise BadFile(f"{path} lists {odd[0] if odd else 'nothing'!r} where it should list .safetensors files that lie beside it")
    shards = [path.with_name(name) for name in names]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise BadFile(f"{path} lists {missing[0]}, which does not lie beside it; copy all files of the weights together")
    tensors = {key: tensor for shard in shards for key, tensor in safe_tensors(shard).items()}
    lost = [key for key in table if key not in tensors]
    if lost:
        raise BadFile(f"{path} lists {lost[0]}, which is not in {table[lost[0]]}; download the files again")
    return Weights(tensors, "safetensors", (path, *shards))


@dataclass(frozen=True)
class SavedTensor:
    """Reads one tensor of a state dict when it is called.

    written  when the file was, in nanoseconds: one that was written again has other tensors
    """

    path: Path
    written: int
    key: str
    tensor: Tensor

    def __call__(self) -> NDArray[Any]:
        import torch

        tensor = state_dict(self.path, self.written)[self.key].detach()
        return np.ascontiguousarray((tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()).reshape(
            self.tensor.shape
        )


def read_state_dict(path: Path) -> Weights:
    """The state dict in a file that `check_archive` has seen, by torch itself with `weights_only=True`: nothing in the file is run.

    Raises Unsupported for a type of numbers that is not read.
    """
    tensors, written = {}, path.stat().st_mtime_ns
    for key, tensor in state_dict(path, written).items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        try:
            np.dtype("float32" if dtype in ("float16", "bfloat16") else dtype)
        except TypeError:
            raise Unsupported(f"{path}: tensor {key} has numbers of type {dtype}, which are not read; save it in float32") from None
        tensors[key] = SavedTensor(path, written, key, Tensor(dtype, tuple(tensor.shape), contiguous(tuple(tensor.shape))))
    return Weights(tensors, "torch-weights", (path,))


@lru_cache(maxsize=2)
def state_dict(path: Path, written: int) -> dict[str, Any]:
    """The tensors by their keys: mapped into memory where the file's format allows it. Raises BadFile where the file was written again since."""
    if path.stat().st_mtime_ns != written:
        raise BadFile(f"{path}: it has changed since it was opened; run the command again")
    try:
        import torch
    except ImportError as error:
        raise BadFile(f"{path} is a state dict of PyTorch, which {WITHOUT_TORCH}") from error
    zipped = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # torch says a dozen things of files that it will not load, most of them over several lines
        raise BadFile(f"{path}: {load_failure(error)}") from error
    state = content
    if isinstance(content, dict):
        state = next((content[name] for name in NESTED if isinstance(content.get(name), dict)), content)
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise BadFile(f"{path} holds no state dict; save model.state_dict() with torch.save")
    return tensors


def check_archive(path: Path) -> None:
    """Raises what is wrong with a file before torch reads it: TorchScript, compressed members, pickles of more than weights."""
    if not zipfile.is_zipfile(path):
        check_saved(path)  # pickles of before torch 1.6
        return
    with zip_archive.opened(path) as archive:
        names = archive.namelist()
        if any("/code/" in name or name.endswith("constants.pkl") for name in names):
            raise Unsupported(f"{path} is TorchScript, which keeps no keys of weights; save the model with torch.export.save")
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.filelist):
            raise BadFile(f"{path}: compressed, which torch.save never does; save the weights again")
    check_saved(path)


def load_failure(error: Exception) -> str:
    """One line about what torch will not load."""
    text = " ".join(str(error).split())
    blocked = re.search(r"(?:Unsupported global: GLOBAL|Trying to call|disallowed.*?:) ?([\w.]+)", text)
    if "weights_only" in text.lower() or "Unsupported" in text:
        code = f" ({blocked.group(1)})" if blocked else ""
        return f"a pickle that names code{code} and holds more than weights: nothing in it was run; save model.state_dict(), not the model itself"
    return f"torch can't load it ({text[:200]}); copy or download it again"
