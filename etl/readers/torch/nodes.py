"""The nodes of an exported program as plain records: targets, arguments by name, outputs, and the modules that each stands in.

What the program says as text to be evaluated (`as_expr`) is never evaluated: sizes that depend on an input are computed from that input's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.errors import BadFile, Unsupported
from etl.network import leaves
from etl.readers.torch.storage import DTYPES, OTHER_DTYPES

REGIONS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")  # of a program in which some mode is set: their nodes are run as they stand
RESULT = "region.result"  # what a region returns, by the name that it has outside
MOST_NODES = 2**18
MOST_NESTED = 256  # modules within modules
NOWHERE = "_empty_nn_module_stack_from_metadata_hook"  # of sizes that the example gives
FLOATS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}
NO_MEANING = ("as_none", "as_device", "as_layout", "as_memory_format")  # for values: where and how they lie in memory


@dataclass(frozen=True)
class ValueName:
    """A value of the program by its name, as a leaf of arguments."""

    name: str


@dataclass(frozen=True)
class ModuleCall:
    """One call of one module: its path (`layer1.0.conv1`; empty: the model itself), its class, and which call of it this is."""

    path: str
    kind: str
    number: int = 0


@dataclass(frozen=True)
class Node:
    """One operation: `target` as `aten.add`, its overload, its arguments by the operator's own names (None where it is unnamed: by place).

    outputs  a name each; None for one that nobody reads
    modules  the module calls that it stands in, from the outermost
    """

    target: str
    overload: str
    arguments: Mapping[str, Any]
    outputs: tuple[str | None, ...]
    modules: tuple[ModuleCall, ...] = ()

    def names(self) -> Iterator[str]:
        """The values that it reads."""
        yield from (value.name for value in leaves(self.arguments, ValueName))


@dataclass
class Modules:
    """Tells the calls of a module apart: by what the program calls them, in the order in which they come."""

    calls: dict[str, dict[tuple[str, ...], int]] = field(default_factory=dict)

    def parse(self, written: str) -> tuple[ModuleCall, ...]:
        """`key,path,class;key,path,class`, from the outermost module; a key ends in `@1` at a module's second call.

        Raises BadFile past MOST_NESTED modules.
        """
        stack: list[ModuleCall] = []
        keys: tuple[str, ...] = ()
        entries = [entry for entry in written.split(";") if entry]
        if len(entries) > MOST_NESTED:
            raise BadFile(f"an operation within {len(entries):,} modules; the file is broken")
        for entry in entries:
            key, _, path_and_class = entry.partition(",")
            if key == NOWHERE:
                continue
            path, _, kind = path_and_class.partition(",")
            path = re.sub(r"@\d+$", "", path)
            keys = (*keys, key)
            numbers = self.calls.setdefault(path, {})
            stack.append(ModuleCall(path, kind, numbers.setdefault(keys, len(numbers))))
        return tuple(stack)


def read_nodes(graph: Mapping[str, Any]) -> list[Node]:
    """All nodes of a graph in order, those of regions within it in their places."""
    nodes: list[Node] = []
    _append(nodes, graph["nodes"], {}, "", Modules())
    return nodes


def _append(nodes: list[Node], written: list[Mapping[str, Any]], outer: Mapping[str, Any], prefix: str, modules: Modules) -> None:
    """Nodes of a region are called `region/name`; `outer` says what its inputs are. Raises BadFile past MOST_NODES."""
    for node in written:
        if len(nodes) >= MOST_NODES:
            raise BadFile(f"more than {MOST_NODES:,} operations; the file is broken")
        target = str(node["target"]).removeprefix("torch.ops.")
        region = target.removeprefix("higher_order.")
        if region in REGIONS:
            _append_region(nodes, node, region, outer, prefix, modules)
            continue
        space, _, operator = target.partition(".")
        name, _, overload = operator.partition(".")
        arguments = {}
        for number, entry in enumerate(node["inputs"]):
            value = argument(entry["arg"], outer, prefix)
            if value is not None:
                arguments[str(entry["name"] or number)] = value
        stack = modules.parse((node.get("metadata") or {}).get("nn_module_stack", ""))
        nodes.append(Node(f"{space}.{name}" if operator else target, overload, arguments, tuple(output_names(node["outputs"], prefix)), stack))


def _append_region(nodes: list[Node], node: Mapping[str, Any], region: str, outer: Mapping[str, Any], prefix: str, modules: Modules) -> None:
    """The nodes of a region, and its outputs as aliases of what they make. Raises Unsupported for autocast, which rounds."""
    arguments = [entry["arg"] for entry in node["inputs"]]
    place = ["as_graph" in value for value in arguments].index(True)
    if region == "wrap_with_autocast" and argument(arguments[place - 2], outer, prefix) is True:
        raise Unsupported("an autocast region, which rounds on the way; export the model without autocast")
    graph = arguments[place]["as_graph"]["graph"]
    within = f"{prefix}{node.get('name') or len(nodes)}/"
    values = [argument(value, outer, prefix) for value in arguments[place + 1 :]]
    inputs = dict(zip((str(name_of(value)) for value in graph["inputs"]), values, strict=True))
    _append(nodes, graph["nodes"], inputs, within, modules)
    results = [argument(value, inputs, within) for value in graph["outputs"]]
    for name, value in zip(output_names(node["outputs"], prefix), results, strict=True):
        nodes.append(Node(RESULT, "", {"self": value}, (name,)))


def output_names(outputs: list[Mapping[str, Any]], prefix: str = "") -> Iterator[str | None]:
    """The names of a node's outputs; those of a list stand as if they were outputs of their own."""
    for output in outputs:
        listed = output.get("as_tensors")
        for value in [{"as_tensor": tensor} for tensor in listed] if listed is not None else [output]:
            name = name_of(value)
            yield None if name is None else prefix + name


def name_of(value: Mapping[str, Any]) -> str | None:
    """The name of a value that an output or input of a graph is, None where it has none."""
    for kind in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
        if kind in value:
            inside = value[kind]
            return inside.get("name", inside.get("as_name"))
    return None


def tagged(written: Mapping[str, Any]) -> tuple[str, Any]:
    """The kind and the value of what the schema writes as {kind: value}. Raises ValueError where there is not one of them."""
    ((kind, value),) = written.items()
    return kind, value


def argument(written: Mapping[str, Any], outer: Mapping[str, Any], prefix: str) -> Any:
    """One argument: a plain value, or a structure with `ValueName` leaves. None where it says nothing.

    Raises Unsupported for complex numbers, BadFile for a kind that the schema doesn't have.
    """
    kind, value = tagged(written)

    def named(tensor: Mapping[str, Any]) -> Any:
        name = tensor.get("name", tensor.get("as_name"))
        return outer[name] if name in outer else ValueName(prefix + name)

    def symbol(entry: Mapping[str, Any]) -> Any:
        return named(entry) if "as_name" in entry else number(tagged(entry)[1])

    def optional(entry: Mapping[str, Any]) -> Any:
        return named(entry["as_tensor"]) if "as_tensor" in entry else None

    if kind in NO_MEANING:
        return None
    if kind in ("as_int", "as_bool", "as_string", "as_ints", "as_bools", "as_strings", "as_int_lists"):
        return value
    if kind in ("as_float", "as_floats", "as_float_lists"):
        return number(value)
    if kind == "as_scalar_type":
        return DTYPES.get(value, OTHER_DTYPES.get(value, str(value)))
    if kind == "as_tensor":
        return named(value)
    if kind == "as_tensors":
        return [named(entry) for entry in value]
    if kind == "as_nested_tensors":
        return [[named(entry) for entry in row] for row in value]
    if kind == "as_optional_tensor":
        return optional(value)
    if kind == "as_optional_tensors":
        return [optional(entry) for entry in value]
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float"):
        return symbol(value)
    if kind in ("as_sym_ints", "as_sym_bools", "as_sym_floats"):
        return [symbol(entry) for entry in value]
    if kind == "as_complex":
        raise Unsupported("a complex number, which no neuron holds")
    if kind in ("as_graph", "as_operator", "as_custom_obj"):
        return f"<{kind.removeprefix('as_')}>"
    raise BadFile(f"an argument of the kind {kind}; the file is broken, or of a later schema")


def number(value: Any) -> Any:
    """Numbers that JSON has no word for are written as text."""
    if isinstance(value, list):
        return [number(element) for element in value]
    return FLOATS.get(value, value) if isinstance(value, str) else value
