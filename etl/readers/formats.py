"""Which format is it? Found out from a file's bytes, never from its name."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import h5py

from etl.errors import BadFile, BadRequest
from etl.readers import zip_archive as archive
from etl.readers.hdf5 import SIGNATURE, Container
from etl.readers.keras import legacy
from etl.readers.keras import v3_weights as store
from etl.readers.keras.applications import PREFIX, application
from etl.readers.keras.architecture import LARGEST, parsed
from etl.readers.keras.builder import KerasLayer
from etl.readers.keras.contents import contents_text, legacy_layers, store_layers
from etl.readers.keras.conversion import Writer
from etl.readers.torch.archive import is_program

OTHER_FORMATS = {
    b"version https://git-lfs": "a pointer that Git LFS left in the file's place: run git lfs pull",
    b"\x93NUMPY": "a NumPy array",
    b"\x08\x01\x12": "a TensorFlow graph",
    b"TFL3": "a TensorFlow Lite model",
    b"MATLAB": "a MATLAB file",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
}


@dataclass(frozen=True)
class KerasFile:
    """What a file turned out to be.

    version       of the Keras that wrote it, where it says so
    architecture  its JSON, or None where it holds weights only
    weights       its arrays, in one piece or in shards; empty where it holds an architecture only. `legacy` or `store` is their layout
    names         of its layers in order, where the layout has them
    sources       the files it is made of
    """

    format: str
    version: str | None
    architecture: str | None
    weights: tuple[Container, ...]
    layout: str = "legacy"
    names: tuple[str, ...] = ()
    sources: tuple[Path, ...] = ()

    def assign(self, model: KerasLayer) -> None:
        """Give all layers their arrays."""
        assert model.graph is not None
        with ExitStack() as opened:
            shards = [(container, opened.enter_context(container.open())) for container in self.weights]
            if self.layout == "store":
                store.assign(str(self.sources[0]), shards, model, self.version)
            else:
                ((container, root),) = shards
                group = container.group(root, "model_weights") or root
                legacy.assign(container, group, model.graph.layers, writer(container, root, group))

    def written_by_theano(self) -> bool:
        """Whether Keras ran on Theano when it wrote a legacy file, whose kernels then stand the other way round."""
        if self.layout != "legacy" or not self.weights:
            return False
        with self.weights[0].open() as root:
            return writer(self.weights[0], root, self.weights[0].group(root, "model_weights") or root).backend == "theano"

    def contents(self) -> str:
        """The layers that have arrays, with their shapes."""
        layers = legacy_layers if self.layout == "legacy" else store_layers
        with ExitStack() as opened:
            shards = [(container, opened.enter_context(container.open())) for container in self.weights]
            return "; ".join(contents_text(layers(container, container.group(root, "model_weights") or root)) for container, root in shards)


def writer(container: Container, root: h5py.Group, group: h5py.Group) -> Writer:
    """Keras 1 writes no version beside the weights, its 1.x at most beside the architecture."""
    version, backend = (container.text(group, name) or container.text(root, name) for name in ("keras_version", "backend"))
    return Writer(keras_1=version is None or version.startswith(("0.", "1.")), backend=backend)


def family(path: Path) -> str:
    """Whose file it is: `torch-export`, `torch-weights`, `safetensors`, `safetensors-index`, or `keras` for all else. Opens it, runs nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return "keras"  # where `look` says what is wrong
    if head.startswith(b"PK"):
        with archive.opened(path) as opened:
            names = opened.namelist()
        if is_program(names):
            return "torch-export"
        return "torch-weights" if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names) else "keras"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size:  # before pickles: a length may begin as they do
        return "safetensors"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):  # a pickle, as torch.save wrote before its archives
        return "torch-weights"
    if head.lstrip()[:1] == b"{" and path.stat().st_size <= LARGEST and b'"weight_map"' in path.read_bytes():
        table = parsed(path.read_bytes(), str(path)).get("weight_map")
        if isinstance(table, dict) and table and all(isinstance(name, str) and name.endswith(".safetensors") for name in table.values()):
            return "safetensors-index"
    return "keras"


def is_onnx(path: Path) -> bool:
    """Whether a file is an ONNX model: a protobuf that begins with the version of its format, as all writers put it, and a field of a model.

    TensorFlow's graphs may begin alike, so those of the first version must also be called .onnx. What is called that and nothing else is one, broken.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    begins = len(head) > 2 and head[0] == 0x08 and head[1] < 0x40 and head[2] in MODEL_FIELDS and not head.startswith(b"\x08\x01\x12")
    is_another_format = head.startswith((b"PK", SIGNATURE, *OTHER_FORMATS)) or head.lstrip().startswith(b"{")
    return begins or (path.suffix == ".onnx" and bool(head) and (not is_another_format or head.startswith(b"\x08")))


# first bytes of ModelProto's fields: producer's name and version, domain, model's version, documentation, graph, opsets, metadata, functions
MODEL_FIELDS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xCA})


def look(path: Path) -> KerasFile:
    """Raises BadFile for everything that is no Keras model."""
    if path.is_dir():
        raise BadFile(f"{path} is a folder; a SavedModel can't be read: load it with its framework and save it as .keras or .h5")
    try:
        with path.open("rb") as file:
            head = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    except FileNotFoundError:
        raise BadFile(f"{path} does not exist; check the path") from None
    except PermissionError:
        raise BadFile(f"{path} may not be read by this user; change its permissions") from None
    if path.stat().st_size == 0:
        raise BadFile(f"{path} is empty; copy or download it again")
    if head.startswith(b"PK"):
        return look_into_archive(path)
    if head.startswith(SIGNATURE):
        return look_into_hdf5(Container(str(path), path, path.stat().st_size), path)
    if head.startswith(b"{"):
        return look_into_json(path)
    other = next(
        (description for start, description in OTHER_FORMATS.items() if head.startswith(start)),
        "neither HDF5 nor a zip archive, JSON, a pickle or ONNX",
    )
    raise BadFile(f"{path} is no model: it is {other}; give a file that Keras (.keras, .h5), PyTorch (.pt2, .pth) or an ONNX exporter saved")


def look_into_archive(path: Path) -> KerasFile:
    """A `.keras` archive. Raises BadFile where its configuration or its weights are missing."""
    with archive.opened(path) as opened:
        names = opened.namelist()
        config, metadata = archive.text(opened, path, "config.json"), archive.text(opened, path, "metadata.json")
        if config is None:
            raise BadFile(f"{path} is an archive without config.json; give a file that Keras saved")
        weights = archive.container(opened, path, "model.weights.h5")
        if weights is None:
            sharded = " in one piece (it holds shards)" if "model.weights.json" in names else ""
            raise BadFile(f"{path} is an archive without model.weights.h5{sharded}; save the model again with all its weights")
    version = parsed(metadata, f"{path} (metadata.json)").get("keras_version") if metadata is not None else None
    return KerasFile("keras-zip", text_or_none(version), config.decode("utf-8"), (weights,), "store", sources=(path,))


def look_into_hdf5(container: Container, path: Path) -> KerasFile:
    """A model or weights in HDF5. Raises BadFile where there are no weights of Keras in it."""
    with container.open() as root:
        version = container.text(root, "keras_version")
        architecture = container.text(root, "model_config")
        if architecture is None and not lists_layers(root) and store.is_store(root):
            return KerasFile("weights", version, None, (container,), "store", sources=(path,))
        group = container.group(root, "model_weights") or root
        if not lists_layers(group):
            lacks = "its weights" if architecture else "layers or weights in it"
            raise BadFile(f"{path} is HDF5 without {lacks}, not a whole Keras model; save the model again with model.save(...)")
        names = tuple(container.texts(group, "layer_names") or ())
        version = version or container.text(group, "keras_version")
    return KerasFile("keras-h5" if architecture else "weights", version, architecture, (container,), "legacy", names, (path,))


def lists_layers(group: h5py.Group) -> bool:
    return "layer_names" in group.attrs or "layer_names0" in group.attrs


def look_into_json(path: Path) -> KerasFile:
    """An architecture, or the table of contents of weights in shards. Raises BadFile where it is neither."""
    if path.stat().st_size > LARGEST:
        raise BadFile(f"{path}: {path.stat().st_size:,} bytes of JSON are no architecture; the file is broken")
    text = path.read_bytes()
    document = parsed(text, str(path))
    if "weight_map" in document:
        return look_into_shards(path, document["weight_map"])
    if not {"class_name", "config"} <= set(document):
        raise BadFile(f"{path} is JSON, but no architecture; give the text that model.to_json() returns")
    return KerasFile("json", text_or_none(document.get("keras_version")), text.decode("utf-8-sig"), (), sources=(path,))


def look_into_shards(path: Path, table: dict[str, str | list[str]]) -> KerasFile:
    """Weights in several files, by their table of contents. They lie beside it: a name that leads elsewhere is not followed.

    Raises BadFile where one is missing or is no part of weights.
    """
    names = sorted({name for entry in table.values() for name in ([entry] if isinstance(entry, str) else entry)})
    odd = [name for name in names if not re.fullmatch(r"[^/\\]+\.weights\.h5", name)]
    if odd or not names:
        raise BadFile(f"{path} lists {odd[0] if odd else 'nothing'!r} where Keras lists files of weights that lie beside it; save the weights again")
    shards = [path.with_name(name) for name in names]
    missing = [name for name, shard in zip(names, shards, strict=True) if not shard.is_file()]
    if missing:
        raise BadFile(f"{path} lists {missing[0]}, which does not lie beside it; copy all files of the weights together")
    shard_files = [look_into_hdf5(Container(str(shard), shard, shard.stat().st_size), shard) for shard in shards]
    if any(entry.layout != "store" for entry in shard_files):
        raise BadFile(f"{path} lists files that are no parts of weights; save the weights again")
    return KerasFile("weights", None, None, tuple(entry.weights[0] for entry in shard_files), "store", sources=(path, *shards))


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def with_architecture(file: KerasFile, path: Path, architecture: str | os.PathLike[str] | None) -> KerasFile:
    """The file with the architecture that was asked for, where it has none itself.

    Raises BadFile where there is none, or no weights, BadRequest where the file has one of its own and another is asked for.
    """
    if not file.weights:
        raise BadFile(f"{path} is an architecture without weights; give the weights file instead, and this one with --architecture")
    if architecture is None:
        if file.architecture is None:
            raise BadFile(
                f"{path} holds weights only; give what model.to_json() returns with --architecture FILE (or keras.applications:NAME). "
                f"It holds {file.contents()}"
            )
        return file
    if file.architecture is not None:
        raise BadRequest(f"{path} has an architecture of its own; leave --architecture out")
    if str(architecture).startswith(PREFIX):
        version, text = application(str(architecture), file.names)
        return replace(file, architecture=text, version=version)
    architecture_file = look(Path(architecture))
    if architecture_file.architecture is None:
        raise BadFile(f"{architecture} holds no architecture; give what model.to_json() returns")
    return replace(
        file,
        architecture=architecture_file.architecture,
        version=architecture_file.version or file.version,
        sources=file.sources + architecture_file.sources,
    )
