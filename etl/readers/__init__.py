"""Model files as networks: `read(path)` finds the format by looking inside, `read_keras_model` takes a live model.

Formats: whole-model HDF5 (Keras 2.0 to 3), `.keras` archives (2.12 on), weights of either layout with an architecture JSON, and ONNX.
No framework is imported and nothing that a file names is run; sizes are checked before anything is allocated.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from etl.errors import BadFile, BadRequest, EtlError
from etl.network import Model
from etl.readers import formats as files
from etl.readers.keras.architecture import keras_major, model_part, parsed
from etl.readers.keras.builder import network
from etl.readers.keras.masks import settled
from etl.readers.keras.memory import read_keras_model

__all__ = ["check_finite", "read", "read_keras_model", "read_live"]


def read(
    path: str | Path, architecture: str | Path | None = None, *, ignore_masks: bool = False, constants: Mapping[str, Any] | None = None
) -> Model:
    """Read a model file; weight arrays are read when they are needed.

    architecture  for files that hold weights only: the JSON that `model.to_json()` returns, a model file to take it from,
                  or `keras.applications:NAME` (`keras.applications:VGG16?include_top=false&input_shape=64,64,3`)
    ignore_masks  take masks as absent, which is an approximation where steps are padded; layers that mask are refused otherwise
    constants     ONNX: values of inputs that are options and no data, by name
    Raises BadFile, or Unsupported where arrays have no meaning here.
    """
    path = Path(path)
    if files.is_onnx(path):
        from etl.readers.onnx import read_onnx

        with stage(path, "reading it"):
            return read_onnx(path, constants)
    if constants:
        raise BadRequest(f"{path} has no inputs that may be constants: --constant is for ONNX files")
    with stage(path, "opening it"):
        found = files.look(path)
    with stage(path, "reading its architecture"):
        found = files.with_architecture(found, path, architecture)
        text = found.architecture or ""
        part = model_part(parsed(text, str(path)), keras_major(found.version, text), found.names, found.version)
        assert part.graph is not None
    with stage(path, "reading its weights"):
        found.assign(part)
        return Model(path.stem, settled(network(part.graph), ignore_masks), sha256(found.sources), found.format, found.version)


def read_live(source: Any, *, ignore_masks: bool = False, constants: Mapping[str, Any] | None = None) -> Model:
    """A model in memory: a built keras.Model, or an onnx.ModelProto."""
    if type(source).__name__ == "ModelProto" and type(source).__module__.startswith("onnx"):
        from etl.readers.onnx import read_onnx_model

        return read_onnx_model(source, constants)
    return read_keras_model(source, ignore_masks=ignore_masks)


# What h5py, zipfile, json and numpy raise over broken files, and what a configuration of the wrong make leads to.
BROKEN = (
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


@contextmanager
def stage(path: Path, doing: str) -> Iterator[None]:
    """One line about the file instead of what a library says about its insides."""
    try:
        yield
    except EtlError as error:
        said = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise type(error)(printable(said)) from error
    except BROKEN as error:
        said = printable(" ".join(str(error).split()))
        raise BadFile(f"{path}: {doing} failed ({type(error).__name__}: {said}); the file is broken, or no Keras model") from error


def printable(text: str) -> str:
    """Names in a file may hold anything; on a terminal and in one line they must not do anything."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


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
