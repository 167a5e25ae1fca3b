"""Lambda layers are code, which is never run: whoever knows what one computes says it, `--lambda NAME='x / 127.5 - 1'`.

The layer keeps its kind and gets the text as an option; the rule for Lambda says what it means: see etl/rules/keras/expressions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from shlex import quote

from etl.errors import BadRequest
from etl.network import Layer, Network

KIND = "Lambda"


def with_lambdas(network: Network, expressions: Mapping[str, str]) -> Network:
    """The same model whose Lambda layers have the expressions given for them, and refuse with the option that is missing.

    expressions  by the layer's name, with the models around it (`outer/code`) or without
    Raises BadRequest for a name that no Lambda layer has.
    """
    names: set[str] = set()
    changed = with_expressions(network, expressions, "", names)
    own_names = {path.rpartition("/")[2] for path in names}
    for name in expressions:
        if name not in names | own_names:
            choices = f"its Lambda layers are {', '.join(sorted(names))}" if names else "it has no Lambda layer"
            raise BadRequest(f"--lambda {name}: no Lambda layer of the model is called so; {choices}")
    return changed


def with_expressions(network: Network, expressions: Mapping[str, str], place: str, names: set[str]) -> Network:
    """One model, `place` before the names of its layers; names of Lambda layers go into `names`. A layer called again stays one object."""
    layers = {id(layer): of_layer(layer, expressions, place, names) for layer in network.layers()}
    return replace(network, calls=tuple(replace(call, layer=layers[id(call.layer)]) for call in network.calls))


def of_layer(layer: Layer, expressions: Mapping[str, str], place: str, names: set[str]) -> Layer:
    """A layer and all that is in it."""
    path = place + layer.name
    if layer.kind == KIND:
        text = expressions.get(path, expressions.get(layer.name))
        names.add(path)
        if text is not None:
            return replace(layer, options={"expression": text})
        return replace(layer, refusal=layer.refusal or missing(path))
    inside = f"{path}/"
    changed = layer.with_inner(lambda inner: of_layer(inner, expressions, inside, names))
    return replace(changed, network=layer.network and with_expressions(layer.network, expressions, inside, names))


def missing(path: str) -> str:
    option = f"--lambda {quote(path)}='x / 127.5 - 1'"
    return (
        f"is a function of somebody's own, stored as code, which is never run; say what it computes from its input x, "
        f"for example {option} (of several inputs: x[0], x[1])"
    )
