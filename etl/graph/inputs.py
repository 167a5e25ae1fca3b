"""The shapes of a model's inputs: the file's, or those that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl.errors import BadRequest
from etl.network import Input, Network
from etl.rules.scope import MOST_AXES


def input_shape_list(network: Network, requested: Sequence[Sequence[int]] | Mapping[str, Sequence[int]]) -> list[tuple[int, ...]]:
    """The shape of each model input's ids: the file's, or the given one where it fits.

    Raises BadRequest for names and numbers of inputs that the model doesn't have.
    """
    if isinstance(requested, Mapping):
        names = [declared.name for declared in network.inputs]
        if unknown := set(requested) - set(names):
            raise BadRequest(f"there is no input {min(unknown)}; the inputs are {', '.join(names)}")
        return [input_shape(declared, tuple(requested[declared.name]) if declared.name in requested else None) for declared in network.inputs]
    if requested and len(requested) != len(network.inputs):
        listed = ", ".join(declared.name for declared in network.inputs)
        raise BadRequest(f"the model has {len(network.inputs)} inputs ({listed}): pass --input-shape once for each")
    return [input_shape(declared, tuple(requested[number]) if requested else None) for number, declared in enumerate(network.inputs)]


def input_shape(declared: Input, requested: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one input's ids. Raises BadRequest where it stays open or the given one does not fit."""
    name, batch = declared.name, (1,) if declared.batched else ()
    if declared.shape is None and requested is None:
        raise BadRequest(f"the file gives no shape for input {name}: pass --input-shape, once for each input")
    if declared.shape is not None and requested is not None and declared.batched and len(requested) == len(declared.shape):
        shape, batch, wish = declared.shape, (), requested  # all axes of the file
    elif declared.shape is None:
        shape, wish = (None,) * len(requested or ()), requested or ()
    elif declared.batched and declared.shape[0] not in (None, 1):
        raise BadRequest(
            f"input {name} holds a batch of {declared.shape[0]} {list(declared.shape)}: export the model for one example, "
            f"or, where its first axis is no batch, pass all axes: --input-shape {name}={','.join(str(size or '?') for size in declared.shape)}"
        )
    else:
        shape = declared.shape[len(batch) :]
        wish = requested if requested is not None else shape  # type: ignore[assignment]
    if len(wish) != len(shape) or any(size is not None and size <= 0 for size in wish):
        raise BadRequest(f"input {name} has {len(shape)} axes {list(shape)}: --input-shape {','.join(map(str, wish))} does not fit")
    if len(wish) > MOST_AXES:
        raise BadRequest(f"input {name} has {len(wish)} axes, more than the {MOST_AXES} that arrays have; the file is broken")
    if declared.fixed and any(size not in (None, wished) for size, wished in zip(shape, wish, strict=True)):
        raise BadRequest(f"input {name} was exported with the shape {list(shape)}, which --input-shape can't change; export the model again")
    if None in wish:
        raise BadRequest(f"the file leaves the shape of input {name} open {list(shape)}: pass --input-shape, once for each input")
    return (*batch, *(int(size) for size in wish))
