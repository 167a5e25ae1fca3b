"""Model files as networks: `read(path)` finds the format by looking inside, `read_keras_model` takes a live model.

Formats: whole-model HDF5 (Keras 2.0 to 3), `.keras` archives (2.12 on), weights of either layout with an architecture JSON; PyTorch's exported
programs (`.pt2`), `.safetensors` and state dicts with an architecture; and ONNX.
No framework is imported and nothing that a file names is run; sizes are checked before anything is allocated.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from etl.errors import BadFile, BadRequest, EtlError
from etl.network import Model
from etl.readers import formats as files
from etl.readers import torch
from etl.readers.keras.architecture import keras_major, model_layer, parsed
from etl.readers.keras.builder import network
from etl.readers.keras.lambdas import with_lambdas
from etl.readers.keras.masks import settle_masks
from etl.readers.keras.memory import read_keras_model
from etl.readers.torch.tensors import check_archive, read_safetensors, read_sharded, read_state_dict

Shapes = Sequence[Sequence[int]] | Mapping[str, Sequence[int]]
__all__ = ["check_finite", "read", "read_keras_model", "read_live"]


def read(
    path: str | Path,
    architecture: str | Path | None = None,
    *,
    ignore_masks: bool = False,
    constants: Mapping[str, Any] | None = None,
    input_shapes: Shapes = (),
    lambdas: Mapping[str, str] | None = None,
    lengths: Sequence[int] = (),
    masks_as_written: bool = False,
) -> Model:
    """Read a model file; weight arrays are read when they are needed.

    architecture  for files that hold weights only. Keras: the JSON that `model.to_json()` returns, a model file to take it from,
                  or `keras.applications:NAME` (`keras.applications:VGG16?include_top=false&input_shape=64,64,3`). PyTorch: a `.pt2`,
                  or code of your own that is called: `torchvision.models:resnet34?num_classes=5`, `model.py:Net?width=64`
    ignore_masks  take masks as absent, which is an approximation where steps are padded; layers that read masks are refused otherwise
    lengths       Keras: how many steps of masked sequences count; one for all inputs that are masked, or one for each of them in order
    constants     ONNX: values of inputs that are options and no data, by name
    input_shapes  for architectures that are code: a module has no shapes until it is called
    lambdas       Keras: what Lambda layers compute from their input x, by name: `{"scale": "x / 127.5 - 1"}`
    masks_as_written  Keras: leave the calls that make and read masks as they are in the file, for those who take it apart and not to neurons
    Raises BadFile, or Unsupported where arrays have no meaning here.
    """
    path = Path(path)
    if files.is_onnx(path):
        refuse_keras_options(path, lambdas, lengths)
        from etl.readers.onnx import read_onnx

        with stage(path, "reading it"):
            return read_onnx(path, constants)
    if constants:
        raise BadRequest(f"{path} has no inputs that may be constants: --constant is for ONNX files")
    with stage(path, "opening it"):
        family = files.family(path)
    if family != "keras":
        refuse_keras_options(path, lambdas, lengths)
        return read_torch(path, family, None if architecture is None else str(architecture), input_shapes)
    with stage(path, "opening it"):
        file = files.look(path)
    with stage(path, "reading its architecture"):
        file = files.with_architecture(file, path, architecture)
        text = file.architecture or ""
        root = model_layer(parsed(text, str(path)), keras_major(file.version, text), file.names, file.version)
        assert root.graph is not None
    with stage(path, "reading its weights"):
        file.assign(root)
        described = with_lambdas(network(root.graph), lambdas or {})
        described = described if masks_as_written else settle_masks(described, ignore_masks, lengths)
        return Model(path.stem, described, sha256(file.sources), file.format, file.version)


def refuse_keras_options(source: object, lambdas: Mapping[str, str] | None, lengths: Sequence[int]) -> None:
    """Raises BadRequest where expressions or lengths are given for a model that can't have Lambda layers or masks."""
    if lengths:
        raise BadRequest(f"{source} has no masks: --lengths is for Keras models")
    if lambdas:
        raise BadRequest(f"{source} has no Lambda layers: --lambda is for Keras models")


def read_live(
    source: Any,
    *,
    ignore_masks: bool = False,
    constants: Mapping[str, Any] | None = None,
    input_shapes: Shapes = (),
    lambdas: Mapping[str, str] | None = None,
    lengths: Sequence[int] = (),
) -> Model:
    """A model in memory: a built keras.Model, an onnx.ModelProto, a torch.export.ExportedProgram, or a torch.nn.Module with `input_shapes`."""
    if any(kind.__module__.partition(".")[0] == "torch" for kind in type(source).__mro__):
        refuse_keras_options(type(source).__name__, lambdas, lengths)
        return torch.read_live(source, in_order(input_shapes))
    if type(source).__name__ == "ModelProto" and type(source).__module__.startswith("onnx"):
        refuse_keras_options("an ONNX model", lambdas, lengths)
        from etl.readers.onnx import read_onnx_model

        return read_onnx_model(source, constants)
    return read_keras_model(source, ignore_masks=ignore_masks, lambdas=lambdas, lengths=lengths)


def in_order(shapes: Shapes) -> Sequence[Sequence[int]]:
    """Shapes of inputs as a module is called with them: by place."""
    return list(shapes.values()) if isinstance(shapes, Mapping) else shapes


def read_torch(path: Path, family: str, architecture: str | None, shapes: Shapes) -> Model:
    with stage(path, "reading it"):
        program, sources, file_format = parts_of_torch(path, family, architecture, shapes)
        return Model(path.stem, torch.network(program), sha256(sources), file_format, program.version)


def torch_program(path: Path, architecture: str | None = None, shapes: Shapes = ()) -> torch.Program:
    """The program in a file of PyTorch's, its weights joined to it."""
    with stage(path, "reading it"):
        return parts_of_torch(path, files.family(path), architecture, shapes)[0]


def parts_of_torch(path: Path, family: str, architecture: str | None, shapes: Shapes) -> tuple[torch.Program, tuple[Path, ...], str]:
    """A program with its weights, the files that both are in, and what the format is called. Raises BadFile for weights without an architecture."""
    if family == "torch-export":
        return torch.exported(path, architecture), (path,), family
    if family == "torch-weights":
        check_archive(path)
    if architecture is None:
        contents = "a state dict of PyTorch, a pickle, of which nothing is run" if family == "torch-weights" else "tensors of PyTorch"
        raise BadFile(f"{path} holds weights only ({contents}): pass --architecture MODEL.pt2, or package.module:callable, or script.py:callable")
    if family == "safetensors":
        weights = read_safetensors(path)
    elif family == "safetensors-index":
        weights = read_sharded(path, parsed(path.read_bytes(), str(path))["weight_map"])
    else:
        weights = read_state_dict(path)
    program, sources = torch.with_weights(path, weights, architecture, in_order(shapes))
    return program, sources, weights.format


# What h5py, zipfile, json and numpy raise over broken files, and what a configuration of the wrong make leads to.
BROKEN = (
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


@contextmanager
def stage(path: Path, doing: str) -> Iterator[None]:
    """One line about the file instead of what a library says about its insides. Raises BadFile for whatever a library raises over a broken file."""
    try:
        yield
    except EtlError as error:
        message = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise type(error)(printable(message)) from error
    except BROKEN as error:
        message = printable(" ".join(str(error).split()))
        if "truncated file" in message or isinstance(error, zipfile.BadZipFile):  # as the HDF5 library puts it; an archive ends with its contents
            raise BadFile(f"{path} is cut off or damaged: copy or download it again ({message})") from error
        raise BadFile(f"{path}: {doing} failed ({type(error).__name__}: {message}); the file is broken, or no model") from error


def printable(text: str) -> str:
    """Names in a file may hold anything; on a terminal and in one line they must not do anything."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)


def sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    return digest.hexdigest()


def check_finite(model: Model) -> None:
    """Raises BadFile for the first array that holds NaN or infinity."""
    for layer in model.network.every_layer():
        for array in layer.arrays:
            values = array.read()
            # both ends tell of every NaN and infinity without another array of the same size
            if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
                place = f"{model.name}: {array.role} of layer {layer.name!r} ({layer.kind})"
                raise BadFile(printable(f"{place} holds NaN or infinity; save an earlier state"))
