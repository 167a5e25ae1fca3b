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
    wanted = {key: name for name, (kind, key) in stored_keys(program).items() if kind != "tensor_constant"}
    known = {key for key in wanted if key in program.tensors}  # buffers that are no part of a state dict lie with the program
    given = without_prefix(weights.tensors, wanted)
    problems, tensors, used = [], dict[str, Any](program.tensors), set[str]()
    for key, name in wanted.items():
        twin = next((other for other in (key, *(ties or {}).get(key, ())) if other in given), None)
        shape = skeleton_shape(program, name)
        if twin is None:
            if key not in known:
                problems.append(f"{key} {list(shape)} is missing")
        elif given[twin].tensor.shape != shape:
            problems.append(f"{key} is {list(given[twin].tensor.shape)} instead of {list(shape)}")
        else:
            tensors[key] = given[twin]
            used.add(twin)
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > 10 * LISTED else ""
        raise BadFile(
            f"{label} does not fit the architecture: {'; '.join(problems[: 10 * LISTED])}{more}; give the architecture that it was trained with"
        )
    extra = [key for key in given if key not in used and not key.endswith(UNUSED)]
    if extra:
        more = f" and {len(extra) - LISTED} more" if len(extra) > LISTED else ""
        log.warning("%s: nothing in the architecture reads %s%s.", label, ", ".join(extra[:LISTED]), more)
    return replace(program, tensors=tensors)


def without_prefix(tensors: Mapping[str, Any], wanted: Collection[str]) -> Mapping[str, Any]:
    """The tensors under the keys that are wanted: as they are, else without a prefix that all of them share."""
    while tensors and not any(key in tensors for key in wanted):
        prefix = next((one for one in PREFIXES if all(key.startswith(one) for key in tensors)), None)
        if prefix is None:
            break
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors
