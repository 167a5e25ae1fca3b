"""What layers are called: by the module that the writer names, the node's own name, its weights' prefix, or its operator and number."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass

from onnx import NodeProto

SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Name:
    """Of one node: its layer's name, which call of that layer it is, and the module that it belongs to where it is a part of one."""

    layer: str
    number: int = 0
    label: str | None = None


def names(nodes: Sequence[NodeProto], weights: Container[str], used: set[str]) -> list[Name]:
    """A name for each node, in order; unique and the same at every reading.

    weights  names of the tensors that the file stores
    used     names that are given out, to which these are added
    """
    modules = [module(node) for node in nodes]
    members = defaultdict[str, list[NodeProto]](list)
    for node, path in zip(nodes, modules, strict=True):
        if path:
            members[path].append(node)
    containers = {path[:k] for path in members for k, letter in enumerate(path) if letter == "."}
    single = {
        path
        for path, nodes_of_module in members.items()
        if path not in containers and len({signature(node, weights) for node in nodes_of_module}) == 1
    }
    single -= used
    calls, repeats, result = Counter[str](), Counter[str](), list[Name]()
    for number, (node, path) in enumerate(zip(nodes, modules, strict=True)):
        if path in single:
            used.add(str(path))
            result.append(Name(str(path), calls[str(path)]))
            calls[str(path)] += 1
            continue
        if path is not None:
            wish = f"{path}/{node.op_type}" if path else node.op_type
        else:
            wish = node.name or prefix(node, weights) or f"{node.op_type}_{number}"
        name = wish
        while name in used or name in single:
            repeats[wish] += 1
            name = f"{wish}_{repeats[wish] + 1}"
        used.add(name)
        result.append(Name(name, 0, path if path and path not in containers else None))
    return result


def signature(node: NodeProto, weights: Container[str]) -> tuple[object, ...]:
    """What two calls of the same module have in common."""
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return node.op_type, *attributes, *(name for name in node.input if name in weights)


def module(node: NodeProto) -> str | None:
    """The path of the module that made a node, as torch.onnx writes it; None where no such metadata is there."""
    text = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), None)
    if text is None or len(text) > 10_000:
        return None
    try:
        scopes = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        return None
    return scopes[-2] if len(scopes) > 1 else ""


def prefix(node: NodeProto, weights: Container[str]) -> str | None:
    """`layer1.0.conv1` of a node that reads `layer1.0.conv1.weight`."""
    for name in node.input:
        for mark in "./":
            before, _, after = name.rpartition(mark)
            if name in weights and before and after.isidentifier():
                return before
    return None
