"""Weights in the v3 store (`model.weights.h5`): groups named by class and number, arrays by number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import h5py

from etl.errors import BadFile, Unsupported
from etl.readers.hdf5 import Container
from etl.readers.keras.builder import KerasLayer, StoredArray, identity
from etl.readers.keras.legacy import check_shape
from etl.readers.keras.roles import CELLS, PROJECTIONS, Slots, expected, projected

OLD = "_layer_checkpoint_dependencies"  # what Keras 2.12 to 2.14 call the list of layers
LAMBDAS = {"TFOpLambda", "SlicingOpLambda"}  # operations that are layers to the store
Shard = tuple[Container, h5py.Group]  # a file and what is in it: a store in one piece is one shard
Path = tuple[str, ...] | None  # None: nowhere, the arrays are those of the same layer elsewhere


@dataclass
class MissingArrays(Exception):
    """A layer whose arrays are not where they should be."""

    layer: KerasLayer
    count: int


def is_store(root: h5py.Group) -> bool:
    return any(name == "layers" or name.startswith((OLD, "layers\\")) for name in root)


def assign(label: str, shards: Sequence[Shard], model: KerasLayer, version: str | None) -> None:
    """Give every layer its arrays. Raises BadFile for missing arrays and wrong shapes."""
    names = [name for _, root in shards for name in root]
    layers = OLD if any(name.startswith(OLD) for name in names) else "layers"
    separator = "\\" if any(name.startswith(layers + "\\") for name in names) else "/"
    steps = [1]
    if layers == OLD:  # 2.12 and 2.13 count each layer with weights twice, 2.14 does not
        steps = [2] if version and version.startswith(("2.12", "2.13")) else [1] if version else [2, 1]
    failures = []
    for step in steps:
        walk = StoreReader(label, shards, layers, separator, step)
        try:
            walk.model(model, ())
        except MissingArrays as error:
            failures.append(error)
        else:
            return
    layer, count = failures[-1].layer, failures[-1].count
    lacks = f"has only {count} arrays" if count else "has no weights"
    raise BadFile(f"{label}: layer {layer.name!r} ({layer.kind}) {lacks} in the file; save the model again with all its weights")


# Classes that Keras exports, and writes in the architecture, by another name than the one that groups are called by.
PYTHON_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}


def snake(name: str) -> str:
    """Keras' `to_snake_case` of the class: PReLU -> p_re_lu, `My package>Scale` -> scale."""
    name = name.rpartition(">")[2]
    name = re.sub(r"\W+", "", PYTHON_NAMES.get(name, name))
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@dataclass
class StoreReader:
    """One way through the store, in the order in which Keras wrote it."""

    label: str
    shards: Sequence[Shard]
    layers: str
    separator: str
    step: int
    visited: dict[str, KerasLayer] = field(default_factory=dict)

    def model(self, model: KerasLayer, path: Path) -> None:
        """Layers of one model are numbered class by class, weightless ones too; Keras 3's operations are not."""
        assert model.graph is not None
        path = None if path is None else (*path, self.layers)
        stored = [layer for layer in model.graph.layers if not layer.kind.startswith("op:") or layer.written in LAMBDAS]
        totals, counts = Counter(snake(layer.written) for layer in stored), Counter[str]()
        for layer in stored:
            name = snake(layer.written)
            if layer.keras == 2 and self.step == 1 and self.groups(path, name) < totals[name] and self.is_known(layer):
                self.layer(layer, None)  # an object stored where it was met first, and not counted here
                continue
            numbered = f"{name}_{counts[name]}" if counts[name] else name
            weighted = self.layer(layer, None if path is None else (*path, numbered))
            counts[name] += self.step if weighted else 1

    def layer(self, layer: KerasLayer, path: Path) -> bool:
        """Fill one layer and all inside it; whether it has arrays."""
        self.visited.setdefault(identity(layer), layer)
        if layer.graph is not None:
            self.model(layer, path)
            return True
        weighted = self.own_arrays(layer, path)
        for role, inside in layer.inner.items():
            if isinstance(inside, tuple):
                counts = Counter[str]()
                for cell in inside:
                    name = snake(cell.written)
                    weighted |= self.layer(cell, subpath(path, role, f"{name}_{counts[name]}" if counts[name] else name))
                    counts[name] += 1
            else:
                weighted |= self.layer(inside, subpath(path, role))
        return weighted

    def own_arrays(self, layer: KerasLayer, path: Path) -> bool:
        """The arrays that a layer has itself, wherever the store keeps them."""
        slots = expected(layer.kind, layer.options)
        if slots is None:
            layer.arrays = self.everything(path)
            return bool(layer.arrays)
        if layer.kind in PROJECTIONS:
            places = [(subpath(path, f"{name}_dense"), subpath(path, f"_{name}_dense")) for name in projected(layer.options)]
            arrays = [array for public, private in places for array in self.variables(public) or self.variables(private)]
        else:
            arrays = self.variables(subpath(path, "cell") if layer.kind in CELLS else path)
        if layer.kind == "SpectralNormalization":
            arrays = arrays[-1:]  # before it the inner layer's kernel once more
        twin = self.visited[identity(layer)]
        if slots and not arrays and twin is not layer:
            layer.arrays = twin.arrays
            return True
        self.fill(layer, slots, arrays)
        return bool(slots)

    def fill(self, layer: KerasLayer, slots: Slots, arrays: list[StoredArray]) -> None:
        """Give a layer its arrays by role. Raises MissingArrays for too few, Unsupported for too many."""
        if len(arrays) < len(slots):
            raise MissingArrays(layer, len(arrays))
        if len(arrays) > len(slots):
            raise Unsupported(
                f"{self.label}: layer {layer.name!r} ({layer.kind}) has {len(arrays)} arrays where its kind has {len(slots)} "
                "(quantised, or changed by code); save the model with plain float weights"
            )
        for (role, shape), array in zip(slots, arrays, strict=True):
            check_shape(self.label, layer, role, shape, array)
            layer.arrays[role] = array

    def is_known(self, layer: KerasLayer) -> bool:
        return identity(layer) in self.visited

    def groups(self, path: Path, name: str) -> int:
        """How many layers of a class the store has in one model."""
        if path is None:
            return 0
        if self.separator == "/":
            names = {group_name for _, group in self.at(path) for group_name in group}
        else:
            start = self.separator.join(path) + self.separator
            names = {group_name.removeprefix(start) for _, root in self.shards for group_name in root if group_name.startswith(start)}
        return sum(1 for group_name in names if re.fullmatch(re.escape(name) + r"(_\d+)?", group_name))

    def at(self, path: Path) -> list[Shard]:
        """The group of that path in every shard that has it."""
        if not path:
            return [] if path is None else list(self.shards)
        return self.inside(self.shards, self.separator.join(path))

    def inside(self, shards: Sequence[Shard], name: str) -> list[Shard]:
        groups = ((container, container.group(group, name)) for container, group in shards)
        return [(container, group) for container, group in groups if group is not None]

    def variables(self, path: Path) -> list[StoredArray]:
        """The arrays in a layer's `vars`, in the order of their numbers; those of one layer may lie in several shards.

        Raises BadFile for one that is no array.
        """
        groups, arrays = self.inside(self.at(path), "vars"), list[StoredArray]()
        while holder := next(((container, group) for container, group in groups if str(len(arrays)) in group), None):
            container, group = holder
            array = container.stored(group, str(len(arrays)), str(len(arrays)))
            if array is None:
                raise BadFile(f"{container.label}: {group.name}/{len(arrays)} is no array; the file is broken")
            arrays.append(array)
        return arrays

    def everything(self, path: Path) -> dict[str, StoredArray]:
        """All arrays of a layer of unknown class: its own by number, those below by path."""
        arrays: dict[str, StoredArray] = {}
        visited = set[tuple[int, int]]()
        waiting = [("", *shard) for shard in self.at(path)]
        while waiting:
            place, container, group = waiting.pop(0)
            address = (id(container), h5py.h5o.get_info(group.id).addr)
            if address in visited:
                continue
            visited.add(address)
            for name in sorted(group, key=by_number):
                inside = container.find(group, name)
                if isinstance(inside, h5py.Group):
                    waiting.append((place if name == "vars" else f"{place}{name}/", container, inside))
                else:
                    array = container.stored(group, name, f"{place}{name}")
                    if array is not None:
                        arrays[array.name] = array
        return arrays


def subpath(path: Path, *names: str) -> Path:
    return None if path is None else (*path, *names)


def by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else -1, name)
