"""From a layer's configuration to its rule's arguments: a rule's keyword list is the list of options that it supports."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.network import LARGEST_LITERAL, Array, Call, Layer, Network, Tensor, flow, placeholder, substitute
from etl.rules.dialect import Dialect, Rule
from etl.rules.misfits import Misfit, called
from etl.rules.scope import Scope, Weights


@cache
def accepted(rule: Rule) -> Mapping[str, inspect.Parameter]:
    """The named parameters of a rule but its scope."""
    parameters = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {n: p for n, p in list(inspect.signature(rule).parameters.items())[1:] if p.kind in parameters}


def holds_tensor(value: Any) -> bool:
    """Whether ids, or a constant array, are in a keyword argument."""
    return isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and any(map(holds_tensor, value)))


def bind(layer: Layer, rule: Rule, keywords: Mapping[str, Any], dialect: Dialect, read: Callable[[Array], Weights]) -> dict[str, Any]:
    """The keyword arguments of `rule` for one call of `layer`. Raises Unsupported naming every option that the rule does not take."""
    known, bound, refused = accepted(rule), dict[str, Any](), list[str]()
    for name, value in {**layer.options, **{k: v for k, v in keywords.items() if v is not None}}.items():
        if name in known:
            bound[name] = dialect.activation(value) if name.endswith("activation") else value
        elif holds_tensor(value):
            refused.append(f"a tensor as {name}")
        elif not dialect.ignores(layer.kind, name) and value not in (None, False, [], {}, ""):
            refused.append(f"{name}={value!r}")
    for array in layer.arrays:
        if array.role in known:
            bound[array.role] = read(array)
        else:
            refused.append(f"weights {array.role}")
    bound.update({name: inner for name, inner in layer.inner.items() if name in known})
    missing = [n for n, p in known.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty and n not in bound]
    if refused:
        raise Unsupported("has no rule for " + ", ".join(refused))
    if missing:
        raise Unsupported(f"does not say {', '.join(missing)}")
    return bound


def run(layer: Layer, here: Scope, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Run a layer's rule on live values and constants: those of its outputs come back, its neurons are on the scope's tape.

    Raises Unsupported where it is refused, Misfit where it is called with what its rule doesn't take.
    """
    if layer.refusal and not here.dialect.has_own_rule(layer.kind):
        raise Unsupported(layer.refusal)
    if layer.network is not None:
        return run_network(layer.network, here, inputs)
    rule = here.dialect.rule_of(layer.kind)
    return called(rule, here, inputs, bind(layer, rule, keywords, here.dialect, here.tape.read))


def check(call: Call, dialect: Dialect) -> None:
    """Whether a call has a rule that takes its options, known without its inputs. Raises Unsupported."""
    if call.layer.refusal and not dialect.has_own_rule(call.layer.kind):
        raise Unsupported(call.layer.refusal)
    keywords = substitute(dict(call.kwargs), Tensor, lambda tensor: np.empty(0))
    bind(call.layer, dialect.rule_of(call.layer.kind), keywords, dialect, placeholder)


def run_part(here: Scope, part: str, layer: Layer, *inputs: Any, **keywords: Any) -> Any:
    """Run a layer that stands inside another one, as its sublayer `part`. Raises Unsupported or Misfit: the outer one says what is in it."""
    try:
        return run(layer, here.part(part), inputs, keywords)
    except (Unsupported, Misfit) as error:
        raise type(error)(f"holds {layer.name} ({layer.kind}): {error}") from error


def array_within(here: Scope, array: Array) -> Weights:
    """A stored array of a model inside a layer: a small one's values also where only counts are wanted, since a loop's end may depend on them."""
    return array.read() if here.tape.read is placeholder and array.size <= LARGEST_LITERAL else here.tape.read(array)


def run_network(network: Network, here: Scope, inputs: Sequence[Any]) -> Any:
    """Run a model that stands inside a layer (TimeDistributed, Bidirectional): its layers become the layer's sublayers."""

    def visit(call: Call, reach: Mapping[Tensor, Any]) -> Sequence[Any]:
        args, keywords = substitute(
            (call.args, call.kwargs), (Tensor, Array), lambda leaf: array_within(here, leaf) if isinstance(leaf, Array) else reach[leaf]
        )
        outputs = run_part(here, call.title, call.layer, *args, **keywords)
        return outputs if isinstance(outputs, tuple | list) else [outputs]

    outputs = flow(network, inputs, visit) or []
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
