"""From a layer's configuration to its rule's arguments: a rule's keyword list is the list of options that it supports."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from etl.activations import canonical
from etl.errors import Unsupported
from etl.network import Array, Call, Layer, Network, Tensor, flow, placeholder, substitute, tensors
from etl.rules.scope import Scope, Weights

# Options that change nothing at inference, or only repeat what arrays and shapes say.
IGNORED = frozenset(
    "name trainable dtype batch_shape batch_input_shape build_config build_input_shape seed units filters rank input_shape input_dtype "
    "kernel_size depth_multiplier "
    "input_length implementation momentum renorm renorm_clipping renorm_momentum synchronized virtual_batch_size autocast "
    "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer kernel_constraint bias_constraint "
    "depthwise_initializer depthwise_regularizer depthwise_constraint pointwise_initializer pointwise_regularizer pointwise_constraint "
    "recurrent_initializer recurrent_regularizer recurrent_constraint embeddings_initializer embeddings_regularizer embeddings_constraint "
    "beta_initializer gamma_initializer moving_mean_initializer moving_variance_initializer beta_regularizer gamma_regularizer "
    "beta_constraint gamma_constraint alpha_initializer alpha_regularizer alpha_constraint unit_forget_bias use_bias unroll "
    "dropout recurrent_dropout sparse ragged optional layers lora_rank lora_alpha quantization_config shared_object_id zero_output_for_mask "
    "function out_type validate_indices query_shape key_shape value_shape".split()
)


@cache
def accepted(rule: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The named parameters of a rule but its scope."""
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {n: p for n, p in list(inspect.signature(rule).parameters.items())[1:] if p.kind in named}


def holds_tensor(value: Any) -> bool:
    """Whether ids, or a constant array, are in a keyword argument."""
    return isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and any(map(holds_tensor, value)))


def bind(layer: Layer, rule: Callable[..., Any], keywords: Mapping[str, Any], read: Callable[[Array], Weights]) -> dict[str, Any]:
    """The keyword arguments of `rule` for one call of `layer`. Raises Unsupported naming every option that the rule does not take."""
    known, bound, refused = accepted(rule), dict[str, Any](), list[str]()
    anything = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(rule).parameters.values())
    for name, value in {**layer.options, **{k: v for k, v in keywords.items() if v is not None}}.items():
        if name in known:
            bound[name] = canonical(value, layer.keras) if name.endswith("activation") else value
        elif not anything and holds_tensor(value):
            refused.append(f"a tensor as {name}")
        elif not anything and name not in IGNORED and value not in (None, False, [], {}, ""):
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


def run(layer: Layer, scope: Scope, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Run a layer's rule on ids: those of its outputs come back, its neurons are on the scope's tape."""
    if layer.network is not None:
        return run_network(layer.network, scope, inputs)
    rule = rule_of(layer)
    return rule(scope, *inputs, **bind(layer, rule, keywords, scope.tape.read))


def rule_of(layer: Layer) -> Callable[..., Any]:
    """Raises Unsupported where there is none."""
    from etl.rules.keras import REFUSED, RULES  # the table names every rule, and rules are written with what this module imports

    if layer.kind not in RULES:
        raise Unsupported(REFUSED.get(layer.kind, "there is no rule for this kind"))
    return RULES[layer.kind]


def check(call: Call) -> None:
    """Whether a call has a rule that takes its options, known without its inputs. Raises Unsupported."""
    keywords = substitute(dict(call.kwargs), dict.fromkeys(tensors(call.kwargs), np.empty(0)))
    bind(call.layer, rule_of(call.layer), keywords, placeholder)


def run_inside(layer: Layer, scope: Scope, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Run a layer that stands inside another one, which is the one to be refused: say what is in it."""
    try:
        return run(layer, scope, inputs, keywords)
    except Unsupported as error:
        raise Unsupported(f"holds {layer.name} ({layer.kind}): {error}") from error


def run_network(network: Network, scope: Scope, inputs: Sequence[Any]) -> Any:
    """Run a model that stands inside a layer (TimeDistributed, Bidirectional): its layers become the layer's sublayers."""

    def visit(call: Call, reach: Mapping[Tensor, Any]) -> Sequence[Any]:
        if not call.args:
            return list(reach.values())
        args, keywords = substitute((call.args, dict(call.kwargs)), reach)
        name = call.layer.name + (f":{call.number}" if call.number else "")
        made = run_inside(call.layer, scope.part(name), args, keywords)
        return made if isinstance(made, tuple | list) else [made]

    outputs = flow(network, inputs, visit) or []
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
