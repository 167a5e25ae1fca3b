"""Which of a model's outputs has the classes that a file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from etl.errors import BadRequest

Row = Mapping[str, Any]


def classified(outputs: Sequence[Row], classes: Sequence[str]) -> Row:
    """The output layer whose neurons, or those of its last axis, are as many as the classes: the last such one; without classes the last one.

    outputs: name, begin, end and shape of each, at least one. Raises BadRequest where none has so many.
    """
    for layer in reversed(outputs):
        if not classes or len(classes) in (layer["end"] - layer["begin"], (layer["shape"] or [1])[-1]):
            return layer
    sizes = ", ".join(f"{layer['name']}: {(layer['shape'] or [1])[-1]:,}" for layer in outputs)
    named = f"{len(classes):,} name{'' if len(classes) == 1 else 's'}"
    raise BadRequest(f"the file of --classes has {named}, and no output has so many classes ({sizes}): write one name a line for each")


def class_names(layer: Row, classes: Sequence[str]) -> dict[int, str]:
    """What the layer's neurons are called, by id: nothing where there is not one class a neuron."""
    return dict(enumerate(classes, layer["begin"])) if len(classes) == layer["end"] - layer["begin"] else {}
