"""Operations that write in place, and tensors that share memory, told as a program in which nothing changes.

    slice_1 = slice(add, 1, 0, 2);  add_(slice_1, 1.0);  flatten(add)        reads the new values in `add`
    slice_1 = slice(add, 1, 0, 2);  new = add(slice_1, 1.0);  add' = write(add, new, [slice 1, 0, 2]);  flatten(add')

A tensor that was made by an operation owns a storage. A view of it has the same storage and the chain of views that lead to it. Whoever writes
into one of them leaves the others out of date; they are made again when they are read, from the storage's own tensor, by their chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from etl.network import Array, Tensor

Value: TypeAlias = Tensor | Array
View: TypeAlias = tuple[str, Mapping[str, Any], int]  # kind, arguments but the tensor itself, number of the output
Emit: TypeAlias = Callable[[str, Mapping[str, Any]], Tensor]  # a call that moves values: its kind and arguments

# Operators whose result is a view of their first argument, whatever its strides.
VIEWS = frozenset(
    "alias atleast_1d atleast_2d atleast_3d broadcast_to chunk detach diagonal expand expand_as hsplit vsplit dsplit lift lift_fresh "
    "movedim moveaxis mT matrix_H adjoint narrow numpy_T permute positive real select slice split split_with_sizes squeeze swapaxes swapdims "
    "t tensor_split transpose unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze view view_as resolve_conj resolve_neg as_strided".split()
)
# Those whose result is the argument itself in evaluation, if they are told that it is one.
AT_TRAINING_ONLY = frozenset("dropout feature_dropout alpha_dropout feature_alpha_dropout".split())


@dataclass
class Storage:
    """Memory that several tensors share: the tensor that owns it, and what was written into views of it since."""

    owner: Value
    version: int = 0
    pending: list[tuple[tuple[View, ...], Value]] = field(default_factory=list)


@dataclass
class Alias:
    """A tensor: its storage, the views that lead to it from the storage's owner, and its value as of some version."""

    storage: Storage
    value: Value
    chain: tuple[View, ...] = ()
    version: int = 0


def in_own_memory(value: Value) -> Alias:
    """A tensor with memory of its own."""
    return Alias(Storage(value), value)


def view_of(alias: Alias, value: Value, view: View) -> Alias:
    """A view of a tensor that was just read."""
    return Alias(alias.storage, value, (*alias.chain, view), alias.storage.version)


def read(alias: Alias, emit: Emit) -> Value:
    """The tensor's value now: made again where something was written through another view."""
    storage = alias.storage
    if alias.version == storage.version:
        return alias.value
    for chain, value in storage.pending:
        storage.owner = emit("inplace.write", {"self": storage.owner, "value": value, "views": chain})
    storage.pending.clear()
    alias.value = emit("inplace.read", {"self": storage.owner, "views": alias.chain}) if alias.chain else storage.owner
    alias.version = storage.version
    return alias.value


def write(alias: Alias, value: Value) -> None:
    """The tensor has this value from now on, and so have all that share its memory."""
    storage = alias.storage
    storage.version += 1
    if alias.chain:
        storage.pending.append((alias.chain, value))
    else:
        storage.owner = value
        storage.pending.clear()
    alias.value, alias.version = value, storage.version


def shares_memory(operator: str, arguments: Mapping[str, Any], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether an operator's result is a view of its first argument.

    before, after  what the file says of both (`tensor_meta`): some operators copy only where they must
    """
    if operator in VIEWS:
        return True
    if operator in AT_TRAINING_ONLY:
        return not arguments.get("train")
    if operator not in ("reshape", "flatten", "contiguous", "to", "type_as", "ravel", "reshape_as"):
        return False
    if before is None or after is None:
        return True
    if operator in ("to", "type_as"):
        return before["dtype"] == after["dtype"] and not arguments.get("copy")
    sizes, strides = ([hint(size) for size in before[key]] for key in ("sizes", "strides"))
    if operator == "contiguous":  # a copy lies in another order: otherwise there would be none
        return all(step == hint(new) for size, step, new in zip(sizes, strides, after["strides"], strict=True) if size != 1)
    return viewable(sizes, strides, [hint(size) for size in after["sizes"]])


def hint(size: Mapping[str, Any]) -> int:
    """A size, or what the program was exported with where it is open: strides only matter relative to sizes."""
    if "as_int" in size:
        return int(size["as_int"])
    return int(((size.get("as_expr") or {}).get("hint") or {}).get("as_int", 2))


def viewable(sizes: Sequence[int], strides: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a tensor can be seen in another shape without a copy: ATen's `computeStride` (aten/src/ATen/TensorUtils.cpp)."""
    if 0 in sizes:
        return True
    runs: list[int] = []  # elements of each stretch of memory without a jump, from the last axis
    expected = None
    for size, step in zip(reversed(sizes), reversed(strides), strict=True):
        if size == 1:
            continue
        if expected == step and runs:
            runs[-1] *= size
        else:
            runs.append(size)
        expected = size * step
    axes = [size for size in reversed(shape) if size != 1]
    for run in runs:
        covered = 1
        while axes and covered < run:
            covered *= axes.pop(0)
        if covered != run:
            return False
    return not axes or prod(axes) == 1
