"""Where a framework runs a model; imported late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from etl.network import Model

Values = NDArray[Any]
Answers = tuple[dict[str, Values], list[Values]]  # each layer's output by name, and the model's outputs: (examples, *shape)


def is_onnx(model: Model) -> bool:
    """Whether a model is ONNX's: told by the dialect of its layers."""
    return any(layer.dialect == "onnx" for layer in model.network.layers())


def loaded(
    path: Path,
    model: Model,
    architecture: str | None,
    shapes: Mapping[str, Sequence[int]],
    flowing_shapes: Sequence[Sequence[int]],
    constants: Mapping[str, Any],
    trust: bool = False,
) -> Any:
    """A file in its own framework. Raises BadFile where the framework can't load it, Missing where it is not installed.

    shapes  of the inputs by their rows' names, without the batch axis; whole: of the model's inputs in order, as they flow through the graph
    trust   let it run code that is in the file too: of Lambda layers
    """
    if is_onnx(model):
        from etl.frameworks.onnx import OnnxModel

        return OnnxModel(path, model, flowing_shapes, constants)
    if any(layer.dialect == "aten" for layer in model.network.layers()):
        from etl.frameworks.torch import TorchModel

        return TorchModel(path, model, architecture, flowing_shapes)
    from etl.frameworks.keras import keras_model

    return keras_model(path, model, architecture, shapes, trust)


def predictions(model: Any, inputs: Sequence[Values]) -> Answers:
    """What a loaded model returns for examples."""
    if hasattr(model, "answers"):
        return model.answers(inputs)
    from etl.frameworks import keras

    return keras.predictions(model, inputs)


def precise_predictions(model: Any, inputs: Sequence[Values]) -> Answers | None:
    """The same in float64; None where the framework can't."""
    if hasattr(model, "answers"):
        return None
    from etl.frameworks import keras

    return keras.precise_predictions(model, inputs)
