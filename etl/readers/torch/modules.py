"""Modules of PyTorch as programs: built by code that the user named, exported by torch. The one place where a reader runs torch.

torchvision.models:resnet34?num_classes=5        resnet_model.py:resnet34?num_classes=5
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from etl.errors import BadFile, BadRequest, EtlError
from etl.readers.keras.applications import option
from etl.readers.torch.archive import Program, Source, read_program
from etl.readers.torch.tensors import WITHOUT_TORCH

CALLABLE = re.compile(r"(?P<place>[\w.]+|.*\.py):(?P<name>[A-Za-z_][\w.]*)(\?(?P<query>.*))?", re.DOTALL)
Shapes = Sequence[Sequence[int]]


def is_callable(architecture: str) -> bool:
    """Whether an architecture is code to call rather than a file."""
    return CALLABLE.fullmatch(architecture) is not None and not Path(architecture).exists()


def program_of_callable(architecture: str, shapes: Shapes, device: str = "meta") -> Program:
    """Call what the user named, and export what comes back. Raises BadRequest where it can't be found, called or exported."""
    torch = import_torch(architecture)
    if not shapes:
        raise BadRequest(f"{architecture} is code, which has no shape: pass --input-shape (3,224,224), once for each input")
    with torch.device(device), quiet():  # a model that loads weights of its own says that none arrive on `meta`
        module = build(architecture)
    if not isinstance(module, torch.nn.Module):
        raise BadRequest(f"{architecture} returns a {type(module).__name__}; name a class or function that makes an nn.Module")
    return program_of_module(module.eval(), shapes, architecture)


def import_torch(label: str) -> Any:
    """torch, which is needed for what `label` names. Raises BadFile where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise BadFile(f"{label} {WITHOUT_TORCH}") from error
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]  # export imports it if it can: beside TensorFlow's LLVM it aborts the process
    return torch


def build(architecture: str) -> Any:
    """The model that a callable makes. Raises BadRequest with whatever the user's code raises."""
    match = CALLABLE.fullmatch(architecture)
    assert match is not None
    place, name = match["place"], match["name"]
    options = {key: option(value) for key, value in parse_qsl(match["query"] or "", keep_blank_values=True)}
    try:
        definition: Any = script(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        for attribute in name.split("."):
            definition = getattr(definition, attribute)
        return definition(**options)
    except EtlError:
        raise
    except AttributeError as error:
        raise BadRequest(f"{architecture}: {' '.join(str(error).split())}") from error
    except Exception as error:  # the user's own code may raise anything
        raise BadRequest(f"{architecture}: {type(error).__name__}: {' '.join(str(error).split())}") from error


def script(path: Path) -> Any:
    """A script of the user's as a module; what lies beside it can be imported from it. Raises BadRequest where it does not exist."""
    if not path.is_file():
        raise BadRequest(f"{path} does not exist; give the script that makes the model")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def program_of_module(module: Any, shapes: Shapes, label: str) -> Program:
    """Export a module for inputs of these shapes, with a batch of one in front. Inputs are floats, or whole numbers where those don't do.

    Raises BadRequest where torch can't export it.
    """
    torch = import_torch(label)
    tensor = next((tensor for tensor in [*module.parameters(), *module.buffers()]), torch.zeros(()))
    dtype = tensor.dtype if tensor.dtype.is_floating_point else torch.get_default_dtype()
    training, errors = module.training, []
    for kind in (dtype, torch.long):
        example = tuple(torch.zeros((1, *shape), dtype=kind, device=tensor.device) for shape in shapes)
        try:
            with quiet(), torch.no_grad():
                exported = torch.export.export(module.eval(), example)
            return program_of_exported(exported, label, ties_of(module))
        except Exception as error:  # torch.export raises whatever the traced code does
            errors.append(error)
        finally:
            module.train(training)
    first = str(errors[0]).strip().splitlines()
    raise BadRequest(f"{label}: torch.export can't export it ({type(errors[0]).__name__}: {first[0] if first else ''})") from errors[0]


def program_of_exported(exported: Any, label: str, ties: Mapping[str, tuple[str, ...]] | None = None) -> Program:
    """A `torch.export.ExportedProgram` as it would be saved."""
    import torch

    buffer = io.BytesIO()
    with quiet():
        torch.export.save(exported, buffer)
    return read_program(Source(Path(label), buffer.getvalue()), ties or {})


def ties_of(module: Any) -> dict[str, tuple[str, ...]]:
    """Parameters with several keys: each key -> the others."""
    keys: dict[int, list[str]] = {}
    for key, parameter in module.named_parameters(remove_duplicate=False):
        keys.setdefault(id(parameter), []).append(key)
    return {key: tuple(alias for alias in group if alias != key) for group in keys.values() if len(group) > 1 for key in group}


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch warns of while modules are made and exported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
