"""PyTorch's files as networks: exported programs (`.pt2`), and weights (`.safetensors`, state dicts) with an architecture."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from etl.errors import BadFile, BadRequest
from etl.network import Model
from etl.readers.torch.archive import Program, Source, read_program
from etl.readers.torch.graph import network, stored_keys
from etl.readers.torch.joining import join
from etl.readers.torch.modules import Shapes, is_callable, program_of_callable, program_of_exported, program_of_module
from etl.readers.torch.tensors import Weights

MEMORY = "memory"


def exported(path: Path, architecture: str | None = None) -> Program:
    """The program in a `.pt2` of torch.export.save. Raises BadRequest where another architecture is asked for."""
    if architecture is not None:
        raise BadRequest(f"{path} has an architecture of its own; leave --architecture out")
    return read_program(Source(path))


def with_weights(path: Path, weights: Weights, architecture: str, shapes: Shapes = ()) -> tuple[Program, tuple[Path, ...]]:
    """Weights with an architecture (an exported program, or code of the user's that makes a module), and the files that they are in."""
    if is_callable(architecture):
        program = program_of_callable(architecture, shapes)
        if lacks(program, weights):  # buffers that no state dict holds: the module has to be built for real
            program = program_of_callable(architecture, shapes, "cpu")
        sources = weights.sources
    else:
        program, sources = skeleton(Path(architecture)), (*weights.sources, Path(architecture))
    return join(program, weights, str(path), program.ties), sources


def skeleton(path: Path) -> Program:
    """The program that gives the architecture. Raises BadRequest where there is no such file, BadFile where it is no program."""
    if not path.is_file():
        raise BadRequest(f"{path} does not exist; give a .pt2, or package.module:callable, or script.py:callable as --architecture")
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK":
        raise BadFile(f"{path} is no exported program; give a .pt2 of torch.export.save as --architecture")
    return read_program(Source(path))


def lacks(program: Program, weights: Weights) -> bool:
    """Whether the program reads tensors that are neither in it nor of a kind that state dicts hold."""
    specs = program.document["graph_module"]["signature"]["input_specs"]
    transient = {entry["buffer_name"] for spec in specs for entry in spec.values() if "buffer_name" in entry and not entry.get("persistent", True)}
    return any(key in transient and key not in program.tensors for _, key in stored_keys(program).values()) or any(
        kind == "tensor_constant" and key not in program.tensors for kind, key in stored_keys(program).values()
    )


def read_live(model: Any, shapes: Shapes = ()) -> Model:
    """A module or an exported program in memory. Modules need the shapes of their inputs, without the batch.

    Raises BadRequest where those are missing.
    """
    name = type(model).__name__
    if hasattr(model, "graph_signature"):
        program = program_of_exported(model, name)
    else:
        if not shapes:
            raise BadRequest(f"{name} is a module, which has no shape: pass input_shapes, one for each input, without the batch")
        program = program_of_module(model, shapes, name)
    return Model(name, network(program), digest(program), MEMORY, program.version)


def digest(program: Program) -> str:
    """SHA-256 of a program's JSON and of all tensors that it reads."""
    sha = hashlib.sha256(repr(sorted(program.document["graph_module"]["graph"].items())).encode())
    for _, key in stored_keys(program).values():
        if key in program.tensors:
            sha.update(program.tensors[key]().tobytes())
    return sha.hexdigest()


__all__ = ["Program", "exported", "joined", "network", "read_live"]
