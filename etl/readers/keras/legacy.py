"""Weights of legacy HDF5 files: one group per layer, a nested model being one layer.

Keras takes groups and arrays by their order and looks at no name. So do we, except where that can't be right: where an array's name says another
role or another direction of a Bidirectional layer, or its shape does not fit. There the names decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import h5py

from etl.errors import BadFile, Unsupported
from etl.readers.hdf5 import Container
from etl.readers.keras.builder import NOT_TRAINABLE, KerasLayer, StoredArray, identity
from etl.readers.keras.conversion import Writer, adapted, convert, is_computed, with_joined_gates
from etl.readers.keras.roles import PROJECTIONS, Pattern, expected, matches_pattern


@dataclass(frozen=True, eq=False)
class Slot:
    """One array that the configuration asks for.

    names   last parts of a path that may mean it
    owners  names of the layers around it, outermost first
    late    listed after the trainable variables of its group
    """

    layer: KerasLayer
    role: str
    shape: Pattern
    names: tuple[str, ...]
    owners: tuple[str, ...]
    late: bool


def assign(container: Container, root: h5py.Group, layers: list[KerasLayer], writer: Writer) -> None:
    """Give every layer its arrays. Raises BadFile for missing arrays and wrong shapes, Unsupported for what is not converted."""
    names = container.texts(root, "layer_names") or []
    groups = {name: group_arrays(container, root, name) for name in names}
    slots = {layer.name: list(slots_of(layer, (), False)) for layer in layers}
    places = group_names(layers, groups, slots, writer)
    for layer in layers:
        fill(container.label, layer, slots[layer.name], groups.get(places[layer.name], []), writer)


def group_arrays(container: Container, root: h5py.Group, name: str) -> list[StoredArray]:
    """The arrays of a layer's group, in the order in which the file lists them. Raises BadFile where one is listed and not there."""
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


def group_names(layers: list[KerasLayer], groups: dict[str, list[StoredArray]], slots: dict[str, list[Slot]], writer: Writer) -> dict[str, str]:
    """Layer -> its group: the groups that have arrays in their order, else those of the layers' names."""
    by_name = {layer.name: layer.name for layer in layers}
    wanting = [layer for layer in layers if slots[layer.name]]
    having = [name for name, arrays in groups.items() if arrays]
    if len(wanting) != len(having):
        return by_name
    by_place = by_name | {layer.name: name for layer, name in zip(wanting, having, strict=True)}
    named = all(groups.get(layer.name) for layer in wanting)
    if (
        by_place != by_name
        and named
        and any(matched(slots[p.name], with_joined_gates(p, groups[by_place[p.name]], writer), writer) is None for p in wanting)
    ):
        return by_name
    return by_place


def slots_of(layer: KerasLayer, owners: tuple[str, ...], late: bool) -> Iterator[Slot]:
    """What the configuration asks for within a layer, in the order of its layers."""
    frozen = layer.options.get("trainable") is False
    late = late or (frozen and (layer.graph is None or (layer.kind == "Functional" and layer.keras == 3)))  # others leave it to the layers inside
    owners = (*owners, layer.name)
    for role, shape in expected(layer.kind, layer.options) or []:
        yield slot_of(layer, role, shape, owners, late)
    for inside in layer.within():
        yield from slots_of(inside, owners, late)
    if layer.graph is not None:
        for inside in layer.graph.layers:
            yield from slots_of(inside, owners, late)


def slot_of(layer: KerasLayer, role: str, shape: Pattern, owners: tuple[str, ...], late: bool) -> Slot:
    names: tuple[str, ...] = (role,)
    if layer.kind.startswith("DepthwiseConv"):
        names = ("kernel", "depthwise_kernel")
    elif layer.kind == "SpectralNormalization":
        names = ("vector_u", "sn_u")
    elif layer.kind == "LayerScale":
        names = ("gamma", "variable")
    elif layer.kind in PROJECTIONS:
        projection, _, name = role.rpartition("_")
        names, owners = (name,), (*owners, "attention_output" if projection == "output" else projection)
    return Slot(layer, role, shape, names, owners, late or role in NOT_TRAINABLE)


def fill(label: str, layer: KerasLayer, slots: list[Slot], arrays: list[StoredArray], writer: Writer) -> None:
    """Give all of one layer the arrays of one group. Raises BadFile where they don't fit."""
    arrays = adapted(layer, with_joined_gates(layer, arrays, writer))
    slots, twins = (slots, []) if len(slots) <= len(arrays) else without_twins(slots)
    matches = matched(slots, arrays, writer)
    if matches is None:
        raise misfit(label, slots, arrays, writer)
    for slot, _, array in matches:
        slot.layer.arrays[slot.role] = array
    for twin, original in twins:
        twin.arrays = original.arrays
    converted = {id(stored): array for _, stored, array in matches}
    assign_unlisted(label, layer, [array for array in arrays if id(array) not in converted])
    layer.order = [converted.get(id(array), array) for array in arrays if not is_computed(array)]


Match = tuple[Slot, StoredArray, StoredArray]  # a slot, the array that lies in the file, and what Keras makes of it


def matched(slots: list[Slot], arrays: list[StoredArray], writer: Writer) -> list[Match] | None:
    """Every slot with its array, by order or else by names; None where neither fits."""
    for pairs in (by_order(slots, arrays), by_names(slots, arrays)):
        matches = converted(pairs, writer) if pairs is not None else None
        if matches is not None and all(matches_pattern(array.shape, slot.shape) for slot, _, array in matches):
            return matches
    return None


def converted(pairs: list[tuple[Slot, StoredArray]], writer: Writer) -> list[Match]:
    """The arrays of each layer as Keras takes them."""
    by_role: dict[int, dict[str, StoredArray]] = {}
    for slot, array in pairs:
        by_role.setdefault(id(slot.layer), {})[slot.role] = array
    layers = {id(slot.layer): slot.layer for slot, _ in pairs}
    by_layer = {number: convert(layer, by_role[number], writer) for number, layer in layers.items()}
    return [(slot, array, by_layer[id(slot.layer)][slot.role]) for slot, array in pairs]


def without_twins(slots: list[Slot]) -> tuple[list[Slot], list[tuple[KerasLayer, KerasLayer]]]:
    """Slots without those of layers that came before, and these layers, each with the one before: a group has one copy of an object in two models."""
    first: dict[str, KerasLayer] = {}
    distinct, twins = [], dict[int, tuple[KerasLayer, KerasLayer]]()
    for slot in slots:
        original = first.setdefault(identity(slot.layer), slot.layer)
        if original is slot.layer:
            distinct.append(slot)
        else:
            twins[id(slot.layer)] = slot.layer, original
    return distinct, list(twins.values())


def check_shape(label: str, layer: KerasLayer, role: str, shape: Pattern, array: StoredArray) -> None:
    """Raises BadFile for an array of another shape than its role has."""
    if shape is not None and not matches_pattern(array.shape, shape):
        expected_shape = " x ".join("any" if n is None else str(n) for n in shape) or "a single number"
        stored_shape = " x ".join(map(str, array.shape)) or "a single number"
        raise BadFile(f"{label}: wrong shapes: {role} of layer {layer.name!r} ({layer.kind}) should be {expected_shape}, but is {stored_shape}")


def path_words(array: StoredArray) -> list[str]:
    """`conv1/kernel:0` -> conv1, kernel."""
    return array.name.removesuffix(":0").split("/")


def by_names(slots: list[Slot], arrays: list[StoredArray]) -> list[tuple[Slot, StoredArray]] | None:
    """Every slot with the one array whose name says its role and its owners; None if one is not settled so."""
    by_role: dict[str, list[StoredArray]] = {}
    for array in arrays:
        by_role.setdefault(path_words(array)[-1], []).append(array)
    pairs = []
    for slot in slots:
        anywhere = [array for name in slot.names for array in by_role.get(name, ())]
        candidates: list[StoredArray] = []
        for owner in reversed(slot.owners):
            owned = [array for array in anywhere if is_under(array, owner)]
            candidates = [array for array in candidates if array in owned] or candidates or owned
            if len(candidates) == 1:
                break
        candidates = candidates or anywhere
        if len(candidates) != 1:
            return None
        pairs.append((slot, candidates[0]))
    return pairs if len({id(array) for _, array in pairs}) == len(pairs) else None


def is_under(array: StoredArray, owner: str) -> bool:
    """Whether a layer stands in the path of an array; names of layers may hold slashes themselves."""
    return f"/{owner}/" in f"/{array.name}"


def by_order(slots: list[Slot], arrays: list[StoredArray]) -> list[tuple[Slot, StoredArray]] | None:
    """Slots and arrays one by one, trainable variables first; None if a name speaks against it."""
    if len(slots) != len(arrays):
        return None
    all_names = {name for slot in slots for name in slot.names}
    pairs = list(zip(sorted(slots, key=lambda slot: slot.late), arrays, strict=True))
    return None if any(path_words(array)[-1] in all_names - set(slot.names) or other_direction(slot, array) for slot, array in pairs) else pairs


def other_direction(slot: Slot, array: StoredArray) -> bool:
    """Whether an array is called after the other half of a Bidirectional layer: a half that was frozen comes last, and only names say so."""
    halves = ("forward_", "backward_")
    return any(
        owner.startswith(half) and is_under(array, opposite + owner.removeprefix(half))
        for owner in slot.owners
        for half, opposite in (halves, halves[::-1])
    )


def misfit(label: str, slots: list[Slot], arrays: list[StoredArray], writer: Writer) -> BadFile:
    """What is wrong with the arrays of one group."""
    pairs = by_order(slots, arrays) or by_names(slots, arrays)
    for slot, _, array in converted(pairs, writer) if pairs is not None else ():
        check_shape(label, slot.layer, slot.role, slot.shape, array)
    first = missing(slots, arrays)
    place = f"{label}: layer {first.layer.name!r} ({first.layer.kind})"
    if not arrays:
        return BadFile(f"{place} has no weights in the file; save the model again with all its weights")
    if len(arrays) < len(slots):
        return BadFile(f"{place} has only {len(arrays)} of {len(slots)} arrays in the file; save the model again with all its weights")
    names = ", ".join(array.name for array in arrays[:4]) + (" ..." if len(arrays) > 4 else "")
    return BadFile(
        f"{place} takes {array_count(len(slots))}, but its group has {len(arrays)} ({names}), neither in the order nor under the names of Keras; "
        "if weights and architecture belong together, save the model again"
    )


def array_count(count: int) -> str:
    return f"{count} array" + ("" if count == 1 else "s")


def missing(slots: list[Slot], arrays: list[StoredArray]) -> Slot:
    """The first slot that no array is named for."""
    return next(
        (slot for slot in slots if not any(is_under(array, slot.layer.name) and path_words(array)[-1] in slot.names for array in arrays)), slots[0]
    )


def assign_unlisted(label: str, layer: KerasLayer, arrays: list[StoredArray]) -> None:
    """Arrays that nothing known asks for belong to classes that are not Keras' own, under the names that the file has.

    Raises Unsupported where there is no such class.
    """
    unknown = [piece for piece in layer.everything() if expected(piece.kind, piece.options) is None]
    for array in arrays:
        owners = [piece for piece in unknown if piece.name in path_words(array)] or (unknown if len(unknown) == 1 else [])
        if not owners:
            raise Unsupported(
                f"{label}: layer {layer.name!r} ({layer.kind}) has an array {array.name!r} that its kind does not have otherwise "
                "(quantised, LoRA, or changed by code); save the model with plain float weights"
            )
        role = path_words(array)[-1]
        owners[-1].arrays[role if role not in owners[-1].arrays else array.name] = array
