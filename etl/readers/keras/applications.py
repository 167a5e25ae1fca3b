"""Architectures by name: `keras.applications:VGG16`. The one place where a reader runs Keras, its own code and nothing of the file's."""

from __future__ import annotations

import inspect
from typing import Any
from urllib.parse import parse_qsl

from etl.errors import BadRequest

PREFIX = "keras.applications:"


def application(address: str, names: tuple[str, ...]) -> tuple[str, str]:
    """Version of Keras, and its JSON of `keras.applications:NAME?option=value&...`.

    names  of the layers in the weights file: they tell whether the classifier is in it where `include_top` is not given
    Raises BadRequest for names and options that Keras doesn't have.
    """
    import keras

    name, _, query = address.removeprefix(PREFIX).partition("?")
    functions = {
        model_name: getattr(keras.applications, model_name)
        for model_name in dir(keras.applications)
        if inspect.isfunction(getattr(keras.applications, model_name))
    }
    if name not in functions:
        raise BadRequest(f"{address}: no such model; it has {', '.join(sorted(functions))}")
    options = {key: option(value) for key, value in parse_qsl(query)}
    try:
        model = functions[name](weights=None, **options)
        if "include_top" not in options and names and model.layers[-1].name not in names:
            model = functions[name](weights=None, include_top=False, **options)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{address}: {' '.join(str(error).split())}") from error
    return keras.__version__, str(model.to_json())


def option(text: str) -> Any:
    """`true`, `64`, `0.5`, `64,64,3`, `none`, or text."""
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    if "," in text:
        return tuple(option(element) for element in text.split(","))
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
