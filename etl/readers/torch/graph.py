"""An exported program as a network: each operation a call of a layer that is named after its module, in-place operations resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from etl.errors import BadFile, Unsupported
from etl.network import INPUT, Array, Call, Input, Layer, Network, Tensor, substitute
from etl.readers.torch.aliases import Alias, Value, in_own_memory, read, shares_memory, view_of, write
from etl.readers.torch.archive import Program
from etl.readers.torch.names import Name, live_names, names, operator
from etl.readers.torch.nodes import RESULT, Node, ValueName, name_of, read_nodes, tagged
from etl.readers.torch.storage import DTYPES, StoredTensor, plain_size, tensor_of

DIALECT = "aten"
SIZES = ("_operator.", "math.", "torch.")  # arithmetic of sizes, whose arguments have places and no names
WITH_PLACES = re.compile(r"aten\.(max|min|sort|cummax|cummin|(adaptive_)?max_pool\dd(_with_indices)?)")  # of what they return, in a second output
CASTS = ("to", "_to_copy", "type_as")
LIKE = frozenset("full_like zeros_like ones_like empty_like new_full new_zeros new_ones new_empty".split())
BITWISE = frozenset("bitwise_and bitwise_or bitwise_xor bitwise_not __and__ __or__ __xor__".split())
WRITES = frozenset("copy index_put index_copy masked_scatter scatter slice_scatter select_scatter diagonal_scatter put index_add scatter_add".split())
WRITTEN = ("src", "source", "values")  # what those operators call the tensor that they write
WRITTEN_OUT = {"__iand__": "__and__", "__ior__": "__or__", "__ixor__": "__xor__"}  # operators in place that don't end as others do
CHECKS = frozenset("_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range sym_constrain_range_for_size".split())
STORED = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


def network(program: Program) -> Network:
    """The network that a program describes. Raises Unsupported and BadFile, naming the operation and its module."""
    return Builder(program).run()


def stored_keys(program: Program) -> dict[str, tuple[str, str]]:
    """The stored tensors that nodes or outputs read: name in the program -> (parameter, buffer or tensor_constant; key), in the file's order."""
    module = program.document["graph_module"]
    keys: dict[str, tuple[str, str]] = {}
    for spec in module["signature"]["input_specs"]:
        kind, entry = tagged(spec)
        if kind in STORED:
            keys[entry["arg"]["name"]] = kind, str(entry[STORED[kind]])
    read = {name for node in read_nodes(module["graph"]) for name in node.names()} | set(output_names(module))
    return {name: key for name, key in keys.items() if name in read}


def user_inputs(module: Mapping[str, Any]) -> list[str]:
    """The names of the example's tensors, in order."""
    specs = map(tagged, module["signature"]["input_specs"])
    return [name for kind, entry in specs if kind == "user_input" and (name := name_of(entry["arg"])) is not None]


def output_names(module: Mapping[str, Any]) -> list[str]:
    """The tensors that a program returns; None and plain numbers among its outputs are left out."""
    return [name for value in module["graph"]["outputs"] if (name := name_of(value)) is not None]


class Builder:
    """Builds one network.

    values   what each name of the program stands for: a tensor with its memory, or (sizes) the result of a call
    calls    those made so far
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.module: Mapping[str, Any] = program.document["graph_module"]
        self.described: Mapping[str, Any] = self.module["graph"]["tensor_values"]
        self.nodes = read_nodes(self.module["graph"])
        self.calls: list[Call] = []
        self.layers: dict[str, Layer] = {}
        self.values: dict[str, Alias] = {}
        self.name = Name("", 0, None, "")
        self.moves: dict[str, int] = {}

    def run(self) -> Network:
        self.stored = stored_keys(self.program)
        inputs = self.inputs()
        self.read = {name for node in self.nodes for name in node.names()} | set(output_names(self.module))
        self.live = live = live_names(self.nodes, [entry.name for entry in inputs])
        call_names = names(self.nodes, live)
        self.begins = self.array_begins(call_names, live)
        for node, name in zip(self.nodes, call_names, strict=True):
            self.name = name
            self.node(node)
        outputs = tuple(self.output(name) for name in output_names(self.module))
        return Network(tuple(self.calls), inputs, outputs)

    def inputs(self) -> tuple[Input, ...]:
        """The example's tensors, in order; stored tensors become values on the way. Raises Unsupported for an input that is no tensor."""
        specs = self.module["signature"]["input_specs"]
        inputs: list[Input] = []
        for spec in specs:
            kind, entry = tagged(spec)
            if kind == "user_input":
                name = name_of(entry["arg"])
                if name is None:
                    continue  # None, or a number that was fixed at export
                self.values[name] = in_own_memory(Tensor(INPUT, len(inputs)))
                inputs.append(self.input(name))
            elif kind in ("custom_obj", "token"):
                raise Unsupported(f"{self.program.label} has an object of its own ({kind}) as input; only tensors can be read")
        return tuple(inputs)

    def input(self, name: str) -> Input:
        meta = self.described.get(name)
        if meta is None:
            return Input(name, (), "int64")  # a size that the example gives
        shape = tuple(plain_size(size, f"input {name}") if "as_int" in size else None for size in meta["sizes"])  # None: any size will do
        return Input(name, shape, DTYPES.get(meta["dtype"], "float32"), batched=bool(shape), fixed=True)

    def array_begins(self, call_names: Sequence[Name], live: set[str]) -> dict[tuple[str, str], int]:
        """(label, name in the program) -> the place of each array's first element among those of its layer, laid end to end in the file's order."""
        read: dict[str, set[str]] = {}
        for node, name in zip(self.nodes, call_names, strict=True):
            if any(output in live for output in node.outputs):
                read.setdefault(name.label, set()).update(set(node.names()) & self.stored.keys())
        begins: dict[tuple[str, str], int] = {}
        for label, members in read.items():
            begin = 0
            for member in (member for member in self.stored if member in members):
                begins[label, member] = begin
                begin += self.array(member, None).size
        return begins

    def array(self, name: str, begin: int | None) -> Array:
        """A stored tensor as an argument. Raises Unsupported or BadFile where it can't be read."""
        kind, key = self.stored[name]
        source = self.program.tensors.get(key)
        if source is None:
            if key in self.program.refused:
                raise Unsupported(self.program.refused[key])
            source = self.absent(key)
        tensor = source.tensor
        is_constant = tensor.read.kind != "f" or kind == "tensor_constant"  # no weight: places in a table, a mask, a number in the program's text
        return Array(key.rpartition(".")[2], tensor.shape, tensor.read, None if is_constant else begin or 0, source)

    def absent(self, key: str) -> StoredTensor:
        """Raises BadFile: the program was exported without the numbers of this array."""
        raise BadFile(f"{self.program.label} was exported without weights ({key} is missing); give it with --architecture, beside a file of weights")

    def node(self, node: Node) -> None:
        """One operation: its call, and what it writes to."""
        if operator(node) in CHECKS:
            return
        if node.target == RESULT:
            self.result(node)
            return
        kind, in_place = node.target, False
        plain = operator(node)
        if plain.endswith("_") and not plain.startswith("__"):
            plain, in_place = plain[:-1], True
            kind = kind[:-1]
        if plain in WRITTEN_OUT:
            plain, in_place = WRITTEN_OUT[plain], True
            kind = f"aten.{plain}"
        read_before = self.first(node)
        arguments = {key: self.resolved(value, node) for key, value in node.arguments.items()}
        self.fit_types(plain, node, arguments)
        if len(node.outputs) > 1 and WITH_PLACES.fullmatch(kind) and node.outputs[1] in self.read:
            arguments["indices"] = True
        kind = f"aten.{self.typed(plain, node)}" if kind.startswith("aten.") else kind
        result = self.call(kind, arguments, node)
        alias = read_before is not None and shares_memory(plain, node.arguments, self.meta(self.first_name(node)), self.meta(node.outputs[0]))
        for number, name in enumerate(node.outputs):
            value = Tensor(result.call, number)
            if alias and read_before is not None:
                options = dict(list(arguments.items())[1:])
                output = view_of(read_before, value, (kind, options, number))
            elif in_place and read_before is not None and number == 0:
                write(read_before, value)
                output = read_before
            else:
                output = in_own_memory(value)
            if name is not None:
                self.values[name] = output
        if alias and in_place:
            self.values[self.first_name(node) or ""] = self.values[node.outputs[0] or ""]

    def result(self, node: Node) -> None:
        """A region's result is the very tensor that its last node made."""
        value, name = node.arguments.get("self"), node.outputs[0]
        if isinstance(value, ValueName) and name is not None:
            self.values[name] = self.value(value.name)

    def typed(self, plain: str, node: Node) -> str:
        """The operator whose rule says what this one does to numbers of these types, which live values don't know of."""
        before, after = self.type_of(self.first_name(node)), self.type_of(node.outputs[0] if node.outputs else None)
        if plain in CASTS:
            return "truncate" if before == "f" and after in "iu" else "truth" if after == "b" != before else plain
        if plain == "add" and after == "b":
            return "logical_or"  # of two truths
        return f"{plain}_whole" if plain in BITWISE and after != "b" else plain

    def fit_types(self, plain: str, node: Node, arguments: dict[str, Any]) -> None:
        """What rules can't know: the type of a tensor made like another, a cast of what is written into another type, that a mask is of truths."""
        after = self.meta(node.outputs[0] if node.outputs else None)
        if plain in LIKE and after is not None and after["dtype"] in DTYPES:
            arguments.setdefault("dtype", DTYPES[after["dtype"]])
        mask = node.arguments.get("attn_mask")
        if isinstance(mask, ValueName) and mask.name in self.live and self.type_of(mask.name) == "b":
            arguments["attn_mask"] = self.move("aten.log", {"self": arguments["attn_mask"]})  # 0 of true, -infinity of false
        into = self.type_of(self.first_name(node))
        for role in WRITTEN if plain in WRITES and into != "f" else ():
            value = node.arguments.get(role)
            if isinstance(value, ValueName) and value.name in self.live and self.type_of(value.name) == "f":
                arguments[role] = self.move("aten.truth" if into == "b" else "aten.truncate", {"self": arguments[role]})

    def type_of(self, name: str | None) -> str:
        """`f`, `i`, `u` or `b`, as NumPy calls kinds of types; a float where the file doesn't say."""
        meta = self.meta(name)
        return np.dtype(DTYPES.get(meta["dtype"], "float32").replace("bfloat16", "float16")).kind if meta else "f"

    def first_name(self, node: Node) -> str | None:
        """The name of an operation's first argument, where that is a tensor."""
        value = next(iter(node.arguments.values()), None)
        return value.name if isinstance(value, ValueName) else None

    def first(self, node: Node) -> Alias | None:
        name = self.first_name(node)
        return None if name is None else self.value(name)

    def meta(self, name: str | None) -> Mapping[str, Any] | None:
        return None if name is None else self.described.get(name.rpartition("/")[2])

    def value(self, name: str) -> Alias:
        """What a name of the program stands for. Raises BadFile where nothing makes it."""
        if name in self.stored and name not in self.values:
            self.values[name] = in_own_memory(self.array(name, 0))
        try:
            return self.values[name]
        except KeyError:
            raise BadFile(f"{self.program.label}: {self.name.title} reads {name!r}, which nothing makes; the file is broken") from None

    def resolved(self, value: Any, node: Node) -> Any:
        """Arguments with tensors of the network in the places of names."""

        def current(named: ValueName) -> Value:
            alias = self.value(named.name)
            current_value = read(alias, self.move)
            if isinstance(current_value, Array) and named.name in self.stored and current_value.begin is not None:
                return self.array(named.name, self.begins.get((self.name.label, named.name), 0))
            return current_value

        return substitute(value, ValueName, current)

    def call(self, kind: str, arguments: Mapping[str, Any], node: Node) -> Tensor:
        """Add a call; a module's layer is one, however often it is called."""
        refusal = "writes to a tensor that it is given to write to" if node.overload == "out" or node.overload.endswith("_out") else None
        return self.add(self.name, kind, node.target, arguments, refusal)

    def add(self, name: Name, kind: str, target: str, arguments: Mapping[str, Any], refusal: str | None = None) -> Tensor:
        layer = self.layers.get(name.name)
        if layer is None or layer.kind != kind:
            shown = name.type or (target if target != kind else None)
            layer = Layer(name.name, kind, dialect=DIALECT, type=shown, label=None if name.label == name.name else name.label, refusal=refusal)
            self.layers[name.name] = layer
        if kind.startswith(SIZES):
            self.calls.append(Call(layer, args=tuple(arguments.values()), number=name.number))
        else:
            self.calls.append(Call(layer, kwargs=dict(arguments), number=name.number))
        return Tensor(len(self.calls) - 1)

    def move(self, kind: str, arguments: Mapping[str, Any]) -> Tensor:
        """A call that writes into a view's place, or reads from there again: a view of its own, called after the layer that is being read for."""
        plain = kind.rpartition(".")[2]
        base = f"{self.name.label}/{plain}"
        number = self.moves[base] = self.moves.get(base, -1) + 1
        name = f"{base}:{number}" if number else base
        return self.add(Name(name, 0, None, self.name.label), kind, kind, arguments)

    def output(self, name: str) -> Tensor:
        """A tensor that the program returns, as it is at the program's end."""
        self.name = Name(f"{name}/output", 0, None, f"{name}/output")
        value = read(self.value(name), self.move)
        if isinstance(value, Tensor) and name in self.live:
            return value
        self.name = Name(name, 0, None, name)
        return self.add(self.name, "aten.constant", "aten.constant", {"self": value})


def skeleton_shape(program: Program, name: str) -> tuple[int, ...]:
    """The shape that a program wants a stored tensor to have."""
    return tensor_of(program.document["graph_module"]["graph"]["tensor_values"][name], name).shape
