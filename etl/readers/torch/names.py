"""Names of layers, from the modules that nodes stand in: `layer1.0.conv1`, `layer1.0.relu:1`, `layer1.0/add`, `attn/linear`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from etl.readers.torch.nodes import RESULT, ModuleCall, Node

# Their results are constants, whatever flows into them: only its shape or type matters.
SHAPE_ONLY = frozenset(
    "sym_size sym_stride sym_numel sym_storage_offset size zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty "
    "new_empty_strided rand_like randn_like _assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range "
    "sym_constrain_range_for_size".split()
)


@dataclass(frozen=True)
class Name:
    """What a node's layer is called.

    name, number  the layer's own name, and which call of it this is: `layer1.0.relu`, 1
    type          the class of the module; None where the operation stands for itself
    label         the layer of the file that its neurons belong to
    """

    name: str
    number: int
    type: str | None
    label: str

    @property
    def title(self) -> str:
        return f"{self.name}:{self.number}" if self.number else self.name


def operator(node: Node) -> str:
    """`aten.add_` -> `add_`."""
    return node.target.rpartition(".")[2]


def live_names(nodes: Sequence[Node], inputs: Iterable[str]) -> set[str]:
    """The values that depend on the example."""
    live = set(inputs)
    for node in nodes:
        read = list(node.names())
        if operator(node) not in SHAPE_ONLY and not live.isdisjoint(read):
            live.update(name for name in node.outputs if name)
            if operator(node) in ("zero_", "fill_") and len(live.intersection(read[1:])) == 0:
                live.difference_update(read[:1], filter(None, node.outputs))
            elif operator(node).endswith("_"):  # what is written to is its first argument
                live.update(read[:1])
    return live


def names(nodes: Sequence[Node], live: set[str]) -> list[Name]:
    """A name for every node, unique among those that make layers.

    A module that is one operation is a layer; one that is several has sublayers, the last of which carries its name. An operation beside other
    modules belongs to none of them: it is a layer of its own, called after the module it stands in.
    """
    computing = [node.target != RESULT and any(name in live for name in node.outputs) for node in nodes]
    outer = {call for node, computes in zip(nodes, computing, strict=True) if computes for call in node.modules[:-1]}
    last: dict[ModuleCall, int] = {}
    count: Counter[ModuleCall] = Counter()
    for place, (node, computes) in enumerate(zip(nodes, computing, strict=True)):
        if computes and node.modules:
            last[node.modules[-1]] = place
            count[node.modules[-1]] += 1
    used: Counter[str] = Counter()
    unused: Counter[str] = Counter()  # constants make no layers: their names are for messages, and take none away
    return [
        name_of(node, place, outer, last, count, used if computes else unused)
        for place, (node, computes) in enumerate(zip(nodes, computing, strict=True))
    ]


def name_of(
    node: Node, place: int, outer: set[ModuleCall], last: Mapping[ModuleCall, int], count: Mapping[ModuleCall, int], used: Counter[str]
) -> Name:
    module = node.modules[-1] if node.modules else ModuleCall("", "")
    kind = module.kind.rpartition(".")[2]
    is_whole_module = module not in outer and last.get(module) == place  # all that the module is, or its last step
    if is_whole_module and module.path:
        return Name(module.path, module.number, kind, module.path)
    prefix = f"{module.path}:{module.number}" if module.number else module.path
    name = f"{prefix}/{operator(node)}" if prefix else operator(node)
    again = used[name]
    used[name] += 1
    name = f"{name}:{again}" if again else name
    if is_whole_module and count[module] == 1 and module.kind.startswith("torch.nn."):  # the model is one module of PyTorch's own
        return Name(name, 0, kind, name)
    return Name(name, 0, None, module.path if module not in outer and module.path else name)
