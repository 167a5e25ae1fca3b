"""Whose fault it is where a rule raises TypeError or AttributeError: the file's, if an argument contradicts the rule's annotations, otherwise ours.

Looked at after the fact alone: what a rule accepts costs nothing. So an annotation says all that the body takes and no more, and what is
left as Any is checked by the rule itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as short_repr
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np

from etl.network import Layer
from etl.rules.ids import Live

WORDS: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Live: ("a layer's output", "layers' outputs"),
    np.ndarray: ("an array of numbers", "arrays of numbers"),
    Layer: ("a layer", "layers"),
    Mapping: ("a dictionary", "dictionaries"),
    Any: ("anything", "anything"),
}
# What files and NumPy have for these types.
NUMBERS: Mapping[Any, Any] = {
    int: int | np.integer,
    float: int | float | np.integer | np.floating,
    np.ndarray: np.ndarray | np.number | np.bool_,
}


class Misfit(ValueError):
    """What a rule is called with is nothing that it takes: says which argument, and what it should be."""


def called(rule: Callable[..., Any], here: Any, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """What a rule returns. Raises Misfit in place of its TypeError or AttributeError where an argument contradicts its annotations."""
    try:
        return rule(here, *inputs, **keywords)
    except (TypeError, AttributeError) as error:
        why = misfit(rule, here, inputs, keywords)
        if why is None:
            raise
        raise Misfit(why) from error


def misfit(rule: Callable[..., Any], here: Any, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> str | None:
    """What first contradicts a rule's signature, in words; None where nothing does."""
    signature = signature_of(rule)
    try:
        arguments = signature.bind(here, *inputs, **keywords).arguments
    except TypeError as error:
        return f"called on {len(inputs)} input{'s' if len(inputs) != 1 else ''}: {error}"
    for name, argument in list(arguments.items())[1:]:
        parameter = signature.parameters[name]
        for value in argument if parameter.kind is parameter.VAR_POSITIONAL else (argument,):
            if parameter.annotation is not parameter.empty and not fits(value, parameter.annotation):
                return f"{name}={shown(value)} should be {in_words(parameter.annotation)}"
    return None


def signature_of(rule: Callable[..., Any]) -> inspect.Signature:
    """A rule's signature with its types; without them where they name what can't be found."""
    try:
        return inspect.signature(rule, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        without = inspect.signature(rule)
        return without.replace(parameters=[p.replace(annotation=p.empty) for p in without.parameters.values()])


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, all that it holds looked at. A truth value is no number, and text no list, as in a file; no array holds text.

    What takes another form than rules and files have says nothing: any value is of that type.
    """
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, arg) for arg in args)
    if origin is Any or not isinstance(origin, type):
        return True
    if isinstance(value, bool | str):
        return origin is type(value)
    if not isinstance(value, NUMBERS.get(origin, origin)):
        return False
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    if isinstance(value, Mapping):
        return not args or all(fits(key, args[0]) and fits(element, args[1]) for key, element in value.items())
    if origin is tuple and args and args[-1] is not ...:
        return len(value) == len(args) and all(map(fits, value, args))
    return not isinstance(value, Sequence) or not args or all(fits(element, args[0]) for element in value)


def shown(value: Any) -> str:
    """A value in a few characters of one line."""
    if isinstance(value, np.ndarray):
        return f"<{'layer output' if isinstance(value, Live) else value.dtype} of shape {list(value.shape)}>"
    return f"<layer {value.name}>" if isinstance(value, Layer) else " ".join(short_repr(value).split())


def in_words(hint: Any, many: bool = False) -> str:
    """A type as people say it: `a whole number or a list of whole numbers`."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(in_words(arg, many) for arg in args if arg is not NoneType))
    if origin in WORDS:
        return WORDS[origin][many]
    if args and issubclass(origin, Sequence):
        return f"{'lists' if many else 'a list'} of {in_words(args[0], True)}"
    return f"{'of the type' if many else 'a'} {getattr(hint, '__name__', hint)}"
