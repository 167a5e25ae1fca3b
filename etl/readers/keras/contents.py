"""What a file of weights holds: its layers with their arrays and shapes, which is what somebody needs to write the architecture."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from etl.readers.hdf5 import Container
from etl.readers.keras.builder import StoredArray
from etl.readers.keras.legacy import group_arrays


def legacy_layers(container: Container, group: h5py.Group) -> Iterator[tuple[str, list[StoredArray]]]:
    """Layers in their order, those without arrays left out."""
    for name in container.texts(group, "layer_names") or []:
        if arrays := group_arrays(container, group, name):
            yield name, arrays


def store_layers(container: Container, root: h5py.Group) -> Iterator[tuple[str, list[StoredArray]]]:
    """Groups with arrays, by their paths without what every path has: `dense_1`, `functional/dense`."""
    waiting = [("", root)]
    while waiting:
        place, group = waiting.pop(0)
        arrays = []
        for name in sorted(group, key=lambda name: (int(name) if name.isdecimal() else -1, name)):
            inside = container.find(group, name)
            path = f"{place}/{name}".lstrip("/")
            if isinstance(inside, h5py.Group):
                waiting.append((path, inside))
            elif array := container.stored(group, name, name):
                arrays.append(array)
        words = place.replace("\\", "/").split("/")
        if arrays and words[0] not in ("optimizer", "metrics"):
            yield "/".join(word for word in words if word not in ("layers", "_layer_checkpoint_dependencies", "vars")), arrays


def contents_text(layers: Iterator[tuple[str, list[StoredArray]]]) -> str:
    """`conv2d: kernel 3x3x1x8, bias 8; dense: kernel 72x10, bias 10`"""
    return "; ".join(f"{name}: {', '.join(map(array_text, arrays))}" for name, arrays in layers)


def array_text(array: StoredArray) -> str:
    name = array.name.removesuffix(":0").rpartition("/")[2]
    return f"{name} {'x'.join(map(str, array.shape)) or 'a number'}"
