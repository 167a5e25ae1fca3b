"""A program without weights and weights without a program, joined by key."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from etl.errors import BadFile
from etl.readers.torch.archive import Program
from etl.readers.torch.graph import skeleton_shape, stored_keys
from etl.readers.torch.tensors import Weights

PREFIXES = ("module.", "model.", "_orig_mod.")  # that wrappers put before every key
UNUSED = "num_batches_tracked"  # counts batches of training
LISTED = 12  # keys in a message
log = logging.getLogger("etl")


def join(program: Program, weights: Weights, label: str, ties: Mapping[str, Collection[str]] | None = None) -> Program:
    """The program with these weights. Raises BadFile naming every key that is missing or has another shape.

    ties  key -> others that are the same tensor: one of them is enough
    """
    names_by_key = {key: name for name, (kind, key) in stored_keys(program).items() if kind != "tensor_constant"}
    optional = {key for key in names_by_key if key in program.tensors}  # buffers that are no part of a state dict lie with the program
    tensors_by_key = without_prefix(weights.tensors, names_by_key)
    problems, tensors, used = [], dict[str, Any](program.tensors), set[str]()
    for key, name in names_by_key.items():
        twin = next((alias for alias in (key, *(ties or {}).get(key, ())) if alias in tensors_by_key), None)
        shape = skeleton_shape(program, name)
        if twin is None:
            if key not in optional:
                problems.append(f"{key} {list(shape)} is missing")
        elif tensors_by_key[twin].tensor.shape != shape:
            problems.append(f"{key} is {list(tensors_by_key[twin].tensor.shape)} instead of {list(shape)}")
        else:
            tensors[key] = tensors_by_key[twin]
            used.add(twin)
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > 10 * LISTED else ""
        raise BadFile(
            f"{label} does not fit the architecture: {'; '.join(problems[: 10 * LISTED])}{more}; give the architecture that it was trained with"
        )
    extra = [key for key in tensors_by_key if key not in used and not key.endswith(UNUSED)]
    if extra:
        more = f" and {len(extra) - LISTED} more" if len(extra) > LISTED else ""
        log.warning("%s: nothing in the architecture reads %s%s.", label, ", ".join(extra[:LISTED]), more)
    return replace(program, tensors=tensors)


def without_prefix(tensors: Mapping[str, Any], keys: Collection[str]) -> Mapping[str, Any]:
    """The tensors under the keys that are wanted: as they are, else without a prefix that all of them share."""
    while tensors and not any(key in tensors for key in keys):
        prefix = next((candidate for candidate in PREFIXES if all(key.startswith(candidate) for key in tensors)), None)
        if prefix is None:
            break
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors
