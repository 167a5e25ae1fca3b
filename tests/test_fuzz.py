"""Files changed at random, read to the last batch: an error of ours or a graph, never anything else, no hang, no memory past a few times the file.

A few seconds by default; ETL_FUZZ_SECONDS makes it longer. Each file is made from a number: a find is repeated by `python -m tests.test_fuzz NUMBER`.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import h5py

from tests.hostile_torch import SKELETON, old_program

DATA = Path(__file__).parent / "data"
TORCH = ["digits_torch.pt2", "digits_torch_meta.pt2", "digits_torch.pth", "digits_torch_legacy.pth", "digits_torch.safetensors"]
SEEDS = [DATA / name for name in ("digits_cnn.h5", "digits_cnn.keras", "digits_cnn.onnx", *TORCH)] + sorted((DATA / "old").glob("*.keras"))
OLD = "old.pt2"  # an exported program of torch 2.6, made from the others
LONGEST = 30.0  # seconds for one file, on a machine that does other things
MEMORY = 1500  # MB above what imports take: a graph may have a billion neurons declared, and is refused before
ODD: list[Any] = [None, True, -1, 0, 1, 2, 3, 7, 10**9, 10**30, 0.5, -1e300, float("nan"), "", "same", "channels_first", "relu", [], [1], [[]], {}]


Change: TypeAlias = Callable[[random.Random, bytes], bytes]


def changed(seed: int) -> tuple[str, bytes]:
    """File number `seed`: its suffix and its bytes."""
    draw = random.Random(seed)
    source = draw.choice([*SEEDS, DATA / OLD])
    content = old_torch() if source.name == OLD else source.read_bytes()
    return source.suffix, draw.choice(changes(source))(draw, content)


def changes(source: Path) -> list[Change]:
    """Of the bytes of any file; of the JSON, arrays and pickles in some, which stay whole otherwise."""
    inner: list[Change] = {
        ".onnx": [],
        ".pt2": [repacked, repacked, repacked],
        ".pth": [] if source.name.endswith("_legacy.pth") else [repacked, repacked],
        ".safetensors": [retitled, retitled],
    }.get(source.suffix, [reworded, reworded, rearranged])
    return [flipped, spliced, cut, *inner]


def old_torch() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as new:
        for name, content in old_program((DATA / "digits_torch.pth").read_bytes()).items():
            new.writestr(name, content)
    return archive.getvalue()


def repacked(draw: random.Random, content: bytes) -> bytes:
    """An archive of PyTorch's with one of its members changed: values of the JSON, instructions of the pickle, an archive within."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(made, "w") as target:
        inner = [name for name in source.namelist() if name.endswith((".json", ".pkl", "_dict.pt"))]
        chosen = draw.choice(inner)
        for name in source.namelist():
            member = source.read(name)
            if name == chosen and name.endswith(".json"):
                member = json.dumps(twisted(draw, json.loads(member))).encode()
            elif name == chosen:
                member = (repacked if name.endswith(".pt") else draw.choice([flipped, spliced, cut]))(draw, member)
            target.writestr(name, member)
    return made.getvalue()


def retitled(draw: random.Random, content: bytes) -> bytes:
    """Safetensors whose header says something else."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(twisted(draw, json.loads(content[8 : 8 + length]))).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def flipped(draw: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(draw.randint(1, 20)):
        made[draw.randrange(len(made))] = draw.randrange(256)
    return bytes(made)


def spliced(draw: random.Random, content: bytes) -> bytes:
    begin, size, to = draw.randrange(len(content)), draw.randint(1, 4096), draw.randrange(len(content))
    return content[:to] + content[begin : begin + size] + content[to + draw.choice([0, size]) :]


def cut(draw: random.Random, content: bytes) -> bytes:
    begin = draw.randrange(len(content))
    return content[:begin] + content[begin + draw.choice([1, 8, 512, len(content)]) :]


def reworded(draw: random.Random, content: bytes) -> bytes:
    """Some values of the architecture replaced by others, within a file that is whole."""
    return rewritten(content, lambda text: json.dumps(twisted(draw, json.loads(text))), lambda file: None)


def rearranged(draw: random.Random, content: bytes) -> bytes:
    """Arrays of the file moved, dropped, linked or of another shape or type."""

    def rearrange(file: h5py.File) -> None:
        names: list[str] = []
        file.visit(names.append)
        for name in draw.sample(names, min(len(names), draw.randint(1, 3))):
            with suppress(KeyError, ValueError, OSError, TypeError, RuntimeError):  # what an earlier change left nothing of
                rearrange_one(draw, file, name, draw.choice(names))

    return rewritten(content, lambda text: text, rearrange)


def rearrange_one(draw: random.Random, file: h5py.File, name: str, other: str) -> None:
    change = draw.randrange(5)
    if change < 3:
        del file[name]
    if change == 1:
        file[name] = h5py.SoftLink(f"/{other}")
    elif change == 2:
        file.create_dataset(name, draw.choice([(), (0,), (3,), (2, 2), (2**40,)]), draw.choice(["f4", "f8", "i1", "S3", "?"]))
    elif change == 3:
        file.move(name, f"{other}_")
    else:
        file[name].attrs[draw.choice(["name", "weight_names", "layer_names"])] = draw.choice([1, "x", [b"a", b"b"], h5py.Empty("f4")])


def rewritten(content: bytes, reword: Callable[[str], str], rearrange: Callable[[h5py.File], None]) -> bytes:
    if not content.startswith(b"PK"):
        stream = io.BytesIO(content)
        with h5py.File(stream, "a") as file:
            file.attrs["model_config"] = reword(file.attrs["model_config"])
            rearrange(file)
        return stream.getvalue()
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            member = source.read(name)
            if name == "config.json":
                member = reword(member.decode()).encode()
            elif name == "model.weights.h5":
                stream = io.BytesIO(member)
                with h5py.File(stream, "a") as file:
                    rearrange(file)
                member = stream.getvalue()
            target.writestr(name, member)
    return made.getvalue()


def twisted(draw: random.Random, config: Any) -> Any:
    """The same JSON with a few values replaced: by odd ones, by a neighbour's, by one twice as deep or as large."""
    for _ in range(draw.randint(1, 3)):
        places = list(holders(config))
        if not places:
            break
        holder, key = draw.choice(places)
        other, place = draw.choice(places)
        value = holder[key]
        larger = value * draw.choice([-1, 2, 1000]) if isinstance(value, int | float) else [value]
        holder[key] = json.loads(json.dumps(draw.choice([draw.choice(ODD), other[place], larger])))
    return config


def holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value: what holds it, and its key there."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from holders(value[key])


def read_all(path: Path) -> None:
    """The whole path of a load but the store: read, trace, and some batches."""
    from etl.errors import EtlError
    from etl.graph.batches import neuron_batches, weight_batches
    from etl.graph.selection import Selection, graph_of
    from etl.readers import check_finite

    weights = path.suffix in (".pth", ".safetensors")
    with suppress(EtlError):
        graph = graph_of(path, Selection(architecture=str(SKELETON) if weights else None))
        if graph.neurons < 10**6:
            check_finite(graph.model)
            for batches in (neuron_batches(graph), weight_batches(graph)):
                for _, _ in zip(range(3), batches, strict=False):
                    pass


def main(seeds: Iterator[int], seconds: float) -> None:
    """Read files until the time is over. What goes wrong ends the process, behind the number of the file."""
    import resource
    import warnings

    warnings.simplefilter("ignore")  # arithmetic with odd options overflows
    with TemporaryDirectory() as folder:
        for name in ("digits_cnn.h5", "digits_torch.pth"):
            read_all(DATA / name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        end, count = time.monotonic() + seconds, 0
        for seed in seeds:
            sys.stdout.write(f"{seed}\n")
            sys.stdout.flush()
            suffix, content = changed(seed)
            path = Path(folder) / f"model{suffix}"
            path.write_bytes(content)
            faulthandler.dump_traceback_later(LONGEST, exit=True)
            read_all(path)
            faulthandler.cancel_dump_traceback_later()
            taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
            assert taken < MEMORY, f"{taken} MB"
            count += 1
            if time.monotonic() > end:
                break
    sys.stdout.write(f"{count} files\n")


def test_files_changed_at_random() -> None:
    """In a process of its own: a crash of the HDF5 library, a hang or too much memory would take the others along."""
    seconds = os.environ.get("ETL_FUZZ_SECONDS", "5")
    command = [sys.executable, "-m", "tests.test_fuzz", "--seconds", seconds]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    last = re.findall(r"^\d+$", done.stdout, re.M)[-1:]
    assert done.returncode == 0, f"python -m tests.test_fuzz {' '.join(last)}\n{done.stderr}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--seconds"]:
        main(iter(range(10**9)), float(sys.argv[2]))
    else:
        main(map(int, sys.argv[1:]), 3600)
