"""Weights of legacy HDF5 files: one group per layer, a nested model being one layer, arrays known by name and order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import h5py

from etl.errors import BadFile, Unsupported
from etl.readers.hdf5 import Container
from etl.readers.keras.builder import NOT_TRAINABLE, Part, Stored, identity
from etl.readers.keras.roles import PROJECTIONS, Pattern, expected, fits


@dataclass(frozen=True, eq=False)
class Slot:
    """One array that the configuration asks for.

    names   last parts of a path that may mean it
    owners  names of the layers around it, outermost first
    late    listed after the trainable variables of its group
    """

    part: Part
    role: str
    shape: Pattern
    names: tuple[str, ...]
    owners: tuple[str, ...]
    late: bool


def assign(container: Container, root: h5py.Group, parts: list[Part]) -> None:
    """Give every layer its arrays. Raises BadFile for missing arrays and wrong shapes."""
    names = container.texts(root, "layer_names") or []
    groups = {name: group_arrays(container, root, name) for name in names}
    slots = {part.name: list(slots_of(part, (), False)) for part in parts}
    places = by_name_or_place(groups, slots)
    for part in parts:
        fill(container.label, part, slots[part.name], groups.get(places.get(part.name, part.name), []))


def group_arrays(container: Container, root: h5py.Group, name: str) -> list[Stored]:
    group = container.group(root, name)
    if group is None:
        raise BadFile(f"{container.label}: layer {name!r} is listed but has no group; the file is broken")
    arrays = []
    for path in container.texts(group, "weight_names") or []:
        array = container.stored(group, path, path)
        if array is None:
            raise BadFile(f"{container.label}: array {path!r} of layer {name!r} is listed but not there; the file is broken")
        arrays.append(array)
    return arrays


def by_name_or_place(groups: dict[str, list[Stored]], slots: dict[str, list[Slot]]) -> dict[str, str]:
    """Layer -> group where they differ: without the same names, Keras takes the groups that have arrays in their order."""
    wanting = [name for name, some in slots.items() if some]
    having = [name for name, some in groups.items() if some]
    if all(groups.get(name) for name in wanting) or len(wanting) != len(having):
        return {}
    return dict(zip(wanting, having, strict=True))


def slots_of(part: Part, owners: tuple[str, ...], late: bool) -> Iterator[Slot]:
    """What the configuration asks for within a part, in the order of its layers."""
    late = late or part.options.get("trainable") is False
    owners = (*owners, part.name)
    for role, shape in expected(part.kind, part.options) or []:
        yield slot_of(part, role, shape, owners, late)
    for inside in part.within():
        yield from slots_of(inside, owners, late)
    if part.graph is not None:
        for inside in part.graph.parts:
            yield from slots_of(inside, owners, late)


def slot_of(part: Part, role: str, shape: Pattern, owners: tuple[str, ...], late: bool) -> Slot:
    names: tuple[str, ...] = (role,)
    if part.kind.startswith("DepthwiseConv"):
        names = ("kernel", "depthwise_kernel")
    elif part.kind == "SpectralNormalization":
        names = ("vector_u", "sn_u")
    elif part.kind == "LayerScale":
        names = ("gamma", "variable")
    elif part.kind in PROJECTIONS:
        projection, _, name = role.rpartition("_")
        names, owners = (name,), (*owners, "attention_output" if projection == "output" else projection)
    return Slot(part, role, shape, names, owners, late or role in NOT_TRAINABLE)


def fill(label: str, part: Part, slots: list[Slot], arrays: list[Stored]) -> None:
    """Match the arrays of one group with the slots of one layer: by names, and by order where names do not settle it."""
    slots, twins = (slots, []) if len(slots) <= len(arrays) else once(slots)
    pairs = by_names(slots, arrays)
    if pairs is None:
        pairs = by_order(slots, arrays)
    if pairs is None:
        first = missing(slots, arrays)
        lacks = f"has only {len(arrays)} of {len(slots)} arrays" if arrays else "has no weights"
        raise BadFile(f"{label}: layer {first.part.name!r} ({first.part.kind}) {lacks} in the file; save the model again with all its weights")
    for slot, array in pairs:
        check_shape(label, slot.part, slot.role, slot.shape, array)
        slot.part.arrays[slot.role] = array
    for twin, known in twins:
        twin.arrays = known.arrays
    taken = {id(array) for _, array in pairs}
    rest = [array for array in arrays if id(array) not in taken]
    give_rest(label, part, rest)
    part.order = arrays


def once(slots: list[Slot]) -> tuple[list[Slot], list[tuple[Part, Part]]]:
    """Slots without those of layers that came before, and these layers, each with the one before: a group has one copy of an object in two models."""
    first: dict[str, Part] = {}
    kept, twins = [], dict[int, tuple[Part, Part]]()
    for slot in slots:
        known = first.setdefault(identity(slot.part), slot.part)
        if known is slot.part:
            kept.append(slot)
        else:
            twins[id(slot.part)] = slot.part, known
    return kept, list(twins.values())


def check_shape(label: str, part: Part, role: str, shape: Pattern, array: Stored) -> None:
    if shape is not None and not fits(array.shape, shape):
        wanted = " x ".join("any" if n is None else str(n) for n in shape) or "a single number"
        found = " x ".join(map(str, array.shape)) or "a single number"
        raise BadFile(f"{label}: wrong shapes: {role} of layer {part.name!r} ({part.kind}) should be {wanted}, but is {found}")


def words(array: Stored) -> list[str]:
    """`conv1/kernel:0` -> conv1, kernel."""
    return array.name.removesuffix(":0").split("/")


def by_names(slots: list[Slot], arrays: list[Stored]) -> list[tuple[Slot, Stored]] | None:
    """Every slot with the one array whose name says its role and its owners; None if one is not settled so."""
    anywhere: dict[str, list[Stored]] = {}
    below: dict[tuple[str, str], list[Stored]] = {}
    for array in arrays:
        *path, last = words(array)
        anywhere.setdefault(last, []).append(array)
        for owner in set(path):
            below.setdefault((last, owner), []).append(array)
    pairs = []
    for slot in slots:
        found: list[Stored] = []
        for owner in reversed(slot.owners):
            owned = [array for name in slot.names for array in below.get((name, owner), ())]
            found = [array for array in found if array in owned] or found or owned
            if len(found) == 1:
                break
        found = found or [array for name in slot.names for array in anywhere.get(name, ())]
        if len(found) != 1:
            return None
        pairs.append((slot, found[0]))
    return pairs if len({id(array) for _, array in pairs}) == len(pairs) else None


def by_order(slots: list[Slot], arrays: list[Stored]) -> list[tuple[Slot, Stored]] | None:
    """Slots and arrays one by one, trainable variables first; None if a name speaks against it."""
    if len(slots) != len(arrays):
        return None
    known = {name for slot in slots for name in slot.names}
    pairs = list(zip(sorted(slots, key=lambda slot: slot.late), arrays, strict=True))
    return None if any(words(array)[-1] in known - set(slot.names) for slot, array in pairs) else pairs


def missing(slots: list[Slot], arrays: list[Stored]) -> Slot:
    """The first slot that no array is named for."""
    named = {(word, words(array)[-1]) for array in arrays for word in words(array)}
    return next((slot for slot in slots if not any((slot.part.name, name) in named for name in slot.names)), slots[0])


def give_rest(label: str, part: Part, rest: list[Stored]) -> None:
    """Arrays that nothing known asks for belong to classes that are not Keras' own, under the names that the file has."""
    unknown = [piece for piece in part.everything() if expected(piece.kind, piece.options) is None]
    for array in rest:
        owners = [piece for piece in unknown if piece.name in words(array)] or (unknown if len(unknown) == 1 else [])
        if not owners:
            raise Unsupported(
                f"{label}: layer {part.name!r} ({part.kind}) has an array {array.name!r} that its kind does not have otherwise "
                "(quantised, LoRA, or changed by code); save the model with plain float weights"
            )
        role = words(array)[-1]
        owners[-1].arrays[role if role not in owners[-1].arrays else array.name] = array
