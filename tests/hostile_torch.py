"""PyTorch's files as an attacker would make them, written from the committed ones, byte by byte: no torch is needed.

`FILES` says what each is refused with. `python -m tests.hostile_torch FOLDER` writes all of them and plans each; a line of JSON says how that went.
"""

from __future__ import annotations

import json
import pickle
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from tests.hostile_pickles import BEFORE, PICKLES, TRAP, TWO_SIZES, number

DATA = Path(__file__).parent / "data"
PROGRAM, SKELETON = DATA / "digits_torch.pt2", DATA / "digits_torch_meta.pt2"
WEIGHTS = DATA / "digits_torch.pth"
TABLE, MODEL = "model_weights_config.json", "models/model.json"
LARGE = {"as_int": 10**6}


class Hostile(NamedTuple):
    """A hostile file: how it is written to a path of that suffix, and what its refusal says (None: it is harmless, and read)."""

    suffix: str
    write: Callable[[Path], object]
    refusal: str | None


# Exported programs -------------------------------------------------------------------------------------------------------------------------


def rewritten(source: Path, path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    """The archive with one of its members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, change(content) if entry.filename.endswith(member) else content)


def reworded(member: str, change: Callable[[Any], object], refusal: str | None) -> Hostile:
    """A program of whose JSON members one is changed."""

    def write(path: Path) -> None:
        def edit(content: bytes) -> bytes:
            document = json.loads(content)
            change(document)
            return json.dumps(document).encode()

        rewritten(PROGRAM, path, member, edit)

    return Hostile(".pt2", write, refusal)


def tensor(change: Callable[[Any], object], refusal: str | None) -> Hostile:
    """A program whose table of contents says something else of its first kernel."""
    return reworded(TABLE, lambda document: change(document["config"]["conv.weight"]), refusal)


def meta(refusal: str, **values: Any) -> Hostile:
    return tensor(lambda entry: entry["tensor_meta"].update(values), refusal)


def graph(change: Callable[[Any], object], refusal: str | None) -> Hostile:
    return reworded(MODEL, lambda document: change(document["graph_module"]["graph"]), refusal)


def replaced(content: bytes, refusal: str) -> Hostile:
    """A program with something else in the place of its JSON."""
    return Hostile(".pt2", lambda path: rewritten(PROGRAM, path, MODEL, lambda _: content), refusal)


def added(name: str, refusal: str) -> Hostile:
    """A program with one more member."""

    def write(path: Path) -> None:
        path.write_bytes(PROGRAM.read_bytes())
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"x")

    return Hostile(".pt2", write, refusal)


def archive(suffix: str, members: dict[str, bytes], refusal: str, compression: int = zipfile.ZIP_STORED) -> Hostile:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as new:
            for name, content in members.items():
                new.writestr(name, content)

    return Hostile(suffix, write, refusal)


def deflated(source: Path, refusal: str) -> Hostile:
    """The archive with every member compressed: a bomb could be, and the framework never does."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))

    return Hostile(source.suffix, write, refusal)


def declared(source: Path, member: str, size: int, refusal: str) -> Hostile:
    """An archive whose table of contents says that a member is larger than it is."""

    def write(path: Path) -> None:
        content = bytearray(source.read_bytes())
        place = content.rindex(f"digits_torch/{member}".encode()) - 46  # the last: the table of contents lies at the end
        assert content[place : place + 4] == b"PK\x01\x02"
        content[place + 20 : place + 28] = struct.pack("<II", size, size)
        path.write_bytes(content)

    return Hostile(source.suffix, write, refusal)


def operation(target: str, outputs: list[str], **arguments: Any) -> dict[str, Any]:
    return {
        "target": f"torch.ops.aten.{target}" if "." in target and not target.startswith(("_operator", "math", "torch")) else target,
        "inputs": [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()],
        "outputs": [{"as_tensor": {"name": name}} for name in outputs],
        "metadata": {},
    }


def named(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def operations(nodes: list[dict[str, Any]], refusal: str | None) -> Hostile:
    """A program of these operations, the last of which makes its output."""

    def change(document: Any) -> None:
        graph = document["graph_module"]["graph"]
        last = nodes[-1]["outputs"][0]
        graph["nodes"] = nodes
        graph["outputs"] = [last]
        for spec in document["graph_module"]["signature"]["output_specs"]:
            spec["user_output"]["arg"] = last

    return reworded(MODEL, change, refusal)


def multiplied(graph: Any) -> None:
    """Ten concatenations of a thousand times the tensor before: 10^30 times as many neurons."""
    graph["nodes"] += [
        operation("cat.default", [f"more_{n}"], tensors={"as_tensors": [{"name": f"more_{n - 1}" if n else "linear"}] * 1000}, dim={"as_int": 1})
        for n in range(10)
    ]
    graph["outputs"][0]["as_tensor"]["name"] = "more_9"


def many_calls(count: int, stack: Callable[[int], str], refusal: str | None = None) -> Hostile:
    """Many operations, each of which says where it stands."""
    nodes = [operation("relu.default", [f"relu_{n}"], self=named(f"relu_{n - 1}" if n else "image")) for n in range(count)]
    for place, node in enumerate(nodes):
        node["metadata"] = {"nn_module_stack": stack(place)}
    return operations(nodes, refusal)


def unused_values(graph: Any) -> None:
    graph["tensor_values"].update({f"unused_{number}": {"dtype": 99} for number in range(100_000)})


def old_program(pickled: bytes) -> dict[str, bytes]:
    """The layout of torch 2.6 and 2.7: the program beside files of torch.save."""
    with zipfile.ZipFile(PROGRAM) as new:
        document = new.read("digits_torch/models/model.json")
    return {"serialized_exported_program.json": document, "serialized_state_dict.pt": pickled, "serialized_constants.pt": b"", "version": b"8.8"}


# Pickles -------------------------------------------------------------------------------------------------------------------------------------------


def pickles() -> Iterator[tuple[str, Hostile]]:
    """Each pickle where one may lie: in an archive, in a file of before torch 1.6, and in an old program."""
    for title, (content, refusal) in PICKLES.items():
        members = {"x/data.pkl": content, "x/version": b"3\n", "x/byteorder": b"little", "x/data/0": TWO_SIZES}
        yield f"archive_{title}", archive(".pth", members, refusal)
        stored = pickle.dumps(["0"], 2) + struct.pack("<q", 54) + TWO_SIZES
        legacy = BEFORE + content.replace(number(54) + b"tQ", number(54) + b"NtQ") + stored
        yield f"legacy_{title}", Hostile(".pth", lambda path, legacy=legacy: path.write_bytes(legacy), refusal)

        def write(path: Path, members: dict[str, bytes] = members) -> None:
            inner = path.with_suffix(".inner")
            archive(".pt", members, "").write(inner)
            archive(".pt2", old_program(inner.read_bytes()), "").write(path)

        yield f"old_{title}", Hostile(".pt2", write, refusal)


# Safetensors -------------------------------------------------------------------------------------------------------------------------------


def safe(header: bytes | dict[str, Any], body: bytes = b"\0" * 8, length: int | None = None, refusal: str = "") -> Hostile:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = struct.pack("<Q", len(raw) if length is None else length) + raw + body
    return Hostile(".safetensors", lambda path: path.write_bytes(content), refusal)


def floats(begin: int, end: int, shape: Any = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def index(target: str, refusal: str) -> Hostile:
    """An index of shards that names a file elsewhere."""

    def write(path: Path) -> None:
        (path.parent / "outside.safetensors").write_bytes((DATA / "digits_torch.safetensors").read_bytes())
        path.write_text(json.dumps({"metadata": {}, "weight_map": {"conv.weight": target}}), "utf-8")

    return Hostile(".safetensors.index.json", write, refusal)


def ints(*values: int) -> dict[str, Any]:
    return {"as_ints": list(values)}


def of_image(target: str, **arguments: Any) -> Hostile:
    """A program of one operation on its input, which would make far too many neurons."""
    return operations([operation(target, ["large"], self=named("image"), **arguments)], "neurons")


def of_constant(made: dict[str, Any], computed: str, **arguments: Any) -> Hostile:
    """A program that adds to its input what it computes from a constant of 10^12 numbers and more."""
    added = operation("add.Tensor", ["sum"], self=named("image"), other=named("computed"))
    return operations([made, operation(computed, ["computed"], self=named("constant"), **arguments), added], "numbers|neurons")


def squares(count: int) -> list[dict[str, Any]]:
    """10^9, squared as often as that: a number of 2^60 digits, if it were computed."""
    first = operation("_operator.mul", ["p0"], a={"as_int": 10**9}, b={"as_int": 1})
    operands = ({"as_sym_int": {"as_name": f"p{n}"}} for n in range(count))
    return [first, *(operation("_operator.mul", [f"p{n + 1}"], a=operand, b=operand) for n, operand in enumerate(operands))]


FULL = operation("full.default", ["constant"], size=ints(10**6, 10**6), fill_value={"as_float": 1.0})
LARGE_OPERATIONS = {
    "large_power": operations(
        [
            operation("_operator.pow", ["p"], a={"as_int": 10**9}, b={"as_int": 10**9}),
            operation("view.default", ["v"], self=named("image"), size={"as_sym_ints": [{"as_name": "p"}]}),
        ],
        "power of",
    ),
    "large_product": operations(
        [*squares(60), operation("view.default", ["v"], self=named("image"), size={"as_sym_ints": [{"as_name": "p60"}]})], "a size of more than"
    ),
    "large_running_sum": of_constant(FULL, "cumsum.default", dim={"as_int": 0}),
    "large_flip": of_constant(FULL, "flip.default", dims=ints(0)),
    "large_roll": of_constant(FULL, "roll.default", shifts=ints(1), dims=ints(0)),
    "large_triangle": of_constant(FULL, "tril.default"),
    "large_cast": of_constant(FULL, "to.dtype", dtype={"as_scalar_type": 8}),
    "large_copy": of_constant(FULL, "clone.default"),
    "large_reshape": of_constant(FULL, "reshape.default", shape=ints(10**12)),
    "large_repetition": of_constant(FULL, "repeat.default", repeats=ints(3, 3)),
    "large_joined": of_constant(FULL, "pad.default", pad=ints(1, 1)),
    "large_sorted": of_constant(FULL, "sort.default"),
    "large_matrix": of_constant(FULL, "mm.default", mat2=named("constant")),
    "large_range": of_constant(operation("arange.default", ["constant"], end={"as_int": 10**13}), "sum.default"),
    "large_padding": of_image("pad.default", pad=ints(10**9, 10**9)),
    "large_upsampling": operations([operation("upsample_nearest2d.vec", ["large"], input=named("image"), output_size=ints(10**6, 10**6))], "neurons"),
    "large_pool": of_image("adaptive_avg_pool2d.default", output_size=ints(10**6, 10**6)),
    "large_expand": of_image("expand.default", size=ints(1, 10**12, 8, 8)),
    "large_repeat": of_image("repeat.default", repeats=ints(1, 10**6, 10**6, 1)),
    "large_one_hot": of_image("one_hot.default", num_classes={"as_int": 10**12}),
    "large_window": of_image("avg_pool2d.default", kernel_size=ints(1, 1), padding=ints(10**8, 10**8)),
}


# All ---------------------------------------------------------------------------------------------------------------------------------------

FILES: dict[str, Hostile] = {
    "use_pickle": tensor(lambda entry: entry.update(use_pickle=True), "stored as a pickle"),
    "no_meta": tensor(lambda entry: entry.pop("tensor_meta"), "stored as a pickle"),
    "outside": tensor(lambda entry: entry.update(path_name="../../secret"), "leads out"),
    "absolute": tensor(lambda entry: entry.update(path_name="/etc/passwd"), "leads out"),
    "not_there": tensor(lambda entry: entry.update(path_name="weight_99"), "is missing"),
    "no_name": tensor(lambda entry: entry.update(path_name=7), "leads out"),
    "terabytes": meta("are stored", sizes=[LARGE, LARGE], strides=[LARGE, {"as_int": 1}]),
    "repeated": meta("are declared", sizes=[LARGE, LARGE], strides=[{"as_int": 0}] * 2),
    "empty_repeated": meta("does not fit", sizes=[LARGE] * 3 + [{"as_int": 0}], strides=[{"as_int": 0}] * 4),
    "backwards": meta("no tensor", strides=[{"as_int": -9}, {"as_int": 9}, {"as_int": 3}, {"as_int": 1}]),
    "beyond": meta("are stored", storage_offset={"as_int": 10}),
    "far_beyond": meta("are stored|no number", storage_offset={"as_int": 2**61}),
    "huge_number": meta("no number", sizes=[{"as_int": 10**30}] * 4),
    "expression": meta("no number", sizes=[{"as_expr": {"expr_str": f"open('{TRAP}', 'w')"}}] * 4),
    "many_axes": meta("1,000 axes", sizes=[{"as_int": 1}] * 1000, strides=[{"as_int": 1}] * 1000),
    "other_type": meta("of type 99", dtype=99),
    "type_of_no_number": meta("broken|type", dtype=[7]),
    "sparse": meta("sparse", layout=1),
    "member_outside": added("../evil", "leads out"),
    "member_absolute": added("/tmp/evil", "leads out"),
    "member_backslash": added("..\\evil", "leads out"),
    "compressed_program": deflated(PROGRAM, "compressed"),
    "compressed_weights": deflated(WEIGHTS, "compressed"),
    "bomb": archive(".pt2", {"x/models/model.json": b"[]," * 2**24, "x/archive_format": b"pt2"}, "compressed|declares", zipfile.ZIP_DEFLATED),
    "declared_program": declared(PROGRAM, "models/model.json", 2**32 - 2, "declares|ends beyond"),
    "declared_weight": declared(PROGRAM, "data/weights/weight_4", 2**31, "declares|ends beyond"),
    "declared_pickle": declared(WEIGHTS, "data.pkl", 2**31, "declares|broken|load"),
    "two_programs": archive(".pt2", {"a/models/model.json": b"{}", "b/models/model.json": b"{}"}, "2 programs"),
    "torchscript": archive(".pt", {"x/data.pkl": b"\x80\x02}.", "x/code/__torch__.py": b"", "x/constants.pkl": b"\x80\x02)."}, "TorchScript"),
    "compiled": archive(".pt2", {"x/archive_format": b"pt2", "x/data/aotinductor/model/x.so": b"\x7fELF"}, "AOTInductor"),
    "old_compiled": archive(".pt2", {"data/aotinductor/model/x.so": b"\x7fELF"}, "AOTInductor"),
    "major": reworded(MODEL, lambda document: document["schema_version"].update(major=9), "schema 9"),
    "no_version": reworded(MODEL, lambda document: document.pop("schema_version"), "schema None"),
    "version_text": reworded(MODEL, lambda document: document.update(schema_version="8.20"), "schema None"),
    "no_json": replaced(b"\x80\x02.", "not JSON|failed"),
    "no_object": replaced(b"[]", "no program"),
    "nested_json": replaced(b"[" * 10**6, "nested too deeply"),
    "nested_object": replaced(b'{"a":' * 10**5, "nested too deeply"),
    "nothing": replaced(b'{"schema_version": {"major": 8}}', "broken"),
    "no_nodes": graph(lambda graph: graph.update(nodes=None), "broken"),
    "node_of_no_kind": graph(lambda graph: graph.update(nodes=[7]), "broken"),
    "values_of_no_kind": graph(lambda graph: graph.update(tensor_values=[]), "broken"),
    "unused_values": graph(unused_values, None),
    "input_of_no_kind": reworded(MODEL, lambda document: document["graph_module"]["signature"]["input_specs"][0].clear(), "broken"),
    "argument_of_no_kind": graph(lambda graph: graph["nodes"][0]["inputs"][0]["arg"].clear(), "broken"),
    "no_axis": operations([operation("select.int", ["x"], self=named("image"), dim={"as_int": 4}, index={"as_int": 0})], "works along axis 4, but"),
    "size_in_words": graph(lambda graph: graph["tensor_values"]["image"]["sizes"][1].update(as_int="eight"), "image: a size that is no number"),
    "size_of_truth": graph(lambda graph: graph["tensor_values"]["image"]["sizes"][1].update(as_int=True), "image: a size that is no number"),
    "dangling": graph(lambda graph: graph["nodes"][3]["inputs"][0].update(arg=named("nowhere")), "nowhere"),
    "cycle": graph(lambda graph: graph["nodes"][0]["inputs"][0].update(arg=named("linear")), "linear"),
    "output_dangling": graph(lambda graph: graph["outputs"][0]["as_tensor"].update(name="nowhere"), "nowhere"),
    "operator": graph(lambda graph: graph["nodes"][0].update(target="torch.ops.evil.run.default"), "evil.run"),
    "code": graph(lambda graph: graph["nodes"][0].update(target="os.system"), "os.system"),
    "builtin": graph(lambda graph: graph["nodes"][0].update(target="_operator.__import__"), "__import__"),
    "multiplied": graph(multiplied, "neurons"),
    **LARGE_OPERATIONS,
    "many_calls": many_calls(2000, lambda number: f"key_{number},layer,torch.nn.ReLU"),
    "deep_modules": many_calls(3, lambda number: ";".join(f"k{n},m{n},C" for n in range(100_000)), "modules"),
    "escapes": graph(lambda graph: graph["nodes"][0].update(target="torch.ops.\x1b[2Jevil\n.run"), "evil"),
    "header_huge": safe(b"{}", length=2**63, refusal="safetensors|model"),
    "header_beyond": safe(b'{"a":1}', length=10**6, refusal="safetensors|model|broken"),
    "header_large": safe(b"{" + b" " * 101 * 2**20 + b"}", refusal="header|safetensors"),
    "overlapping": safe({"a": floats(0, 8), "b": floats(4, 8)}, refusal="safetensors"),
    "gap": safe({"a": floats(4, 8)}, refusal="safetensors"),
    "unordered": safe({"b": floats(4, 8), "a": floats(0, 4)}, refusal="fit the architecture"),
    "backwards_offsets": safe({"a": floats(8, 0, [2])}, refusal="safetensors"),
    "beyond_end": safe({"a": floats(0, 2**40)}, refusal="safetensors"),
    "huge_shape": safe({"a": floats(0, 8, [2**62, 2**62])}, refusal="safetensors"),
    "empty_shape": safe({"a": floats(0, 0, [2**62, 0])}, b"", refusal="fit the architecture|safetensors"),
    "negative_shape": safe({"a": floats(0, 8, [-2])}, refusal="safetensors"),
    "unknown_type": safe({"a": floats(0, 8, dtype="F999")}, refusal="safetensors"),
    "eight_bits": safe({"conv.weight": floats(0, 8, [8], "F8_E4M3")}, refusal="F8_E4M3|safetensors"),
    "no_utf8": safe(b'{"\xff\xfe": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', refusal="safetensors"),
    "duplicate": safe(b"{" + b", ".join(b'"a": ' + json.dumps(floats(0, end)).encode() for end in (8, 4)) + b"}", refusal="safetensors"),
    "nested_header": safe(b'{"a":' + b"[" * 10**5, refusal="safetensors"),
    "no_tensors": safe(b"{}", b"", refusal="fit the architecture"),
    "index_above": index("../outside.safetensors", "beside it"),
    "index_absolute": index("/etc/outside.safetensors", "beside it"),
    "index_backslash": index("..\\outside.safetensors", "beside it"),
    "index_missing": index("nowhere.safetensors", "nowhere.safetensors"),
    "index_nul": index("x\0.safetensors", "beside it"),
    "index_newline": index("x\n/../outside.safetensors", "beside it"),
    "plain_pickle": Hostile(".pkl", lambda path: path.write_bytes(pickle.dumps({"conv.weight": [1.0]})), "torch.save|state dict|load"),
    **dict(pickles()),
}  # fmt: skip


def main(folder: Path, chosen: list[str]) -> None:
    """Write files and plan each, in one process that has read good ones before."""
    from etl.cli import main as command

    def plan(path: Path) -> tuple[int, str]:
        sys.argv = ["etl", "plan", str(path)]
        if path.suffix not in (".pt2",):
            sys.argv += ["--architecture", str(SKELETON)]
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
            return command(), said.getvalue()

    plan(DATA / "digits_torch.pt2")
    plan(DATA / "digits_torch.pth")
    for title in chosen:
        path = folder / f"{title}{FILES[title].suffix}"
        FILES[title].write(path)
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        code, said = plan(path)
        seconds, grown = time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        path.unlink()
        sys.stdout.write(json.dumps({"name": title, "code": code, "said": said, "seconds": round(seconds, 2), "megabytes": grown}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(FILES))
