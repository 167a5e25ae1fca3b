"""A dialect: what the words of a file mean. Rules, refusals, options without effect, names of activations, all in one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from etl.errors import Unsupported
from etl.network.nesting import VIEW

Rule: TypeAlias = Callable[..., Any]  # of a Scope, values and options: values


OWN = "Your own"  # the family of rules that users add


def handed_on(here: Any, *values: Any) -> Any:
    """What it is given: a nested model, or an input of one."""
    return values


def constant_neurons(here: Any, values: Any) -> Any:
    """Neurons without edges whose bias is a constant: what a model returns whatever the example. Raises Unsupported where it is no number."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise Unsupported("is returned by the model, and is neither a tensor nor numbers")
    return here.sum(bias=array if array.dtype.kind == "f" else array.astype(np.float64))


def value_neurons(here: Any, positions: Any, *, width: int) -> Any:
    """The number that one-hot neurons stand for: each place times its neuron, added up. positions: the first neuron of each number, (...)"""
    return here.onehot_values(positions, width)


CONSTANT = "constant"  # the kind of an output that depends on no example
VALUE = "value"  # the kind of the numbers of an input that has one-hot neurons
EVERYWHERE: Mapping[str, Rule] = {VIEW: handed_on, CONSTANT: constant_neurons, VALUE: value_neurons}  # kinds of no framework


@dataclass(frozen=True)
class Dialect:
    """What kinds, options and activations mean in the files of one framework.

    title        as people call it: `Keras 3`
    families     headings -> kinds -> rules: the table
    refused      kinds that have no rule, with the reason
    ignored      options that change nothing at inference, whatever the kind
    ignored_by   kind -> further ones of that kind alone
    activation   a file's value as a function of `etl.activations`; raises Unsupported
    composed     activations that are no function of one number: names -> rules that write them out
    batched      tensors carry the batch, an axis of one place in front, which rows leave out
    """

    title: str
    families: Mapping[str, Mapping[str, Rule]]
    refused: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    ignored_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    activation: Callable[[Any], str] = str
    composed: Mapping[str, Rule] = field(default_factory=dict)
    batched: bool = False

    def rule_of(self, kind: str) -> Rule:
        """Raises Unsupported where there is none."""
        for rules in (EVERYWHERE, *self.families.values()):
            if kind in rules:
                return rules[kind]
        raise Unsupported(self.refused.get(kind, "there is no rule for this kind"))

    def has_own_rule(self, kind: str) -> bool:
        """Whether somebody has put a rule of their own into the table for a kind, which no refusal of the reader's stops then."""
        return kind in self.families.get(OWN, {})

    def ignores(self, kind: str, option: str) -> bool:
        """Whether an option of a kind changes nothing at inference."""
        return option in self.ignored or option in self.ignored_by.get(kind, ())
