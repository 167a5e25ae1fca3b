"""Layers with one option that is odd: a graph, or an error of ours in one line. An odd option never looks like a slip in a rule.

One in a few of all that there are; ETL_ODD_EVERY=1 tries each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras

from etl.errors import EtlError
from etl.graph.leaf import Leaf
from etl.graph.selection import Selection, graph_of
from etl.graph.trace import trace
from etl.graph.traced import Graph
from etl.network import INPUT, Call, Input, Model, Network, Tensor, substitute
from etl.readers import read_keras_model
from etl.rules.binding import accepted
from etl.rules.dialects import DIALECTS
from etl.rules.ids import Live
from tests import zoo

EVERY = int(os.environ.get("ETL_ODD_EVERY", "3"))
DATA = Path(__file__).parent / "data"
ODD: list[Any] = [None, True, -1, 0, 10**9, 0.5, float("nan"), "", "same", [], [1], [[]], {}, 10**30]


def of_zoo(package: Any) -> Iterator[Leaf]:
    for builder in zoo.BUILDERS:
        yield from trace(read_keras_model(builder(package))).leaves


def of_files(names: Sequence[str]) -> Iterator[Leaf]:
    for name in names:
        yield from graph_of(DATA / name, Selection()).leaves


CASES = {
    "keras3": partial(of_zoo, keras),
    "keras2": partial(of_zoo, tf_keras),
    "torch": partial(of_files, ["digits_torch.pt2"]),
    "onnx": partial(of_files, ["digits_cnn.onnx"]),
}


@pytest.mark.parametrize("source", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")  # arithmetic with odd options overflows
def test_odd_options(source: str) -> None:
    seen, tries = set[tuple[str, tuple[str, ...]]](), count()
    for leaf in CASES[source]():
        what = (leaf.layer.kind, tuple(leaf.layer.options))
        if leaf.layer.network is None and what not in seen:
            seen.add(what)
            graph_alone(leaf)
            for changed, odd in variants(leaf):
                if next(tries) % EVERY == 0:
                    tried(changed, f"{leaf.name} ({leaf.layer.kind}) {odd}")


def variants(leaf: Leaf) -> Iterator[tuple[Leaf, str]]:
    """The same call with each of its options replaced by each odd value, each of its inputs likewise, and with an input more and one less."""
    known = set(accepted(DIALECTS[leaf.layer.dialect].rule_of(leaf.layer.kind))) | set(leaf.layer.options) | set(leaf.keywords)
    for name in sorted(known - {array.role for array in leaf.layer.arrays} - set(leaf.layer.inner)):
        for odd in ODD:
            layer, keywords = replace(leaf.layer, options={**leaf.layer.options, name: odd}), dict(leaf.keywords)
            if name in keywords:
                layer, keywords[name] = leaf.layer, odd
            yield replace(leaf, layer=layer, keywords=keywords), f"{name}={odd!r}"
    for place in range(len(leaf.inputs)):
        for odd in ODD:
            yield replace(leaf, inputs=(*leaf.inputs[:place], odd, *leaf.inputs[place + 1 :])), f"input {place}: {odd!r}"
    yield replace(leaf, inputs=leaf.inputs[:-1]), "an input less"
    yield replace(leaf, inputs=(*leaf.inputs, *leaf.inputs[-1:])), "an input more"


def tried(leaf: Leaf, what: str) -> None:
    """A graph, or an error of ours in one line."""
    said = ""
    try:
        graph_alone(leaf)
    except EtlError as error:
        said = str(error)
    except Exception as error:
        raise AssertionError(what) from error
    assert "\n" not in said, what


def graph_alone(leaf: Leaf) -> Graph:
    """The graph of a model of that one layer."""
    shapes: list[tuple[int, ...]] = []

    def given(ids: Live) -> Tensor:
        shapes.append(ids.shape)
        return Tensor(INPUT, len(shapes) - 1)

    args, keywords = substitute((leaf.inputs, dict(leaf.keywords)), Live, given)
    inputs = tuple(Input(f"input_{number}", shape, "int64") for number, shape in enumerate(shapes))
    return trace(Model("alone", Network((Call(leaf.layer, args, keywords),), inputs, (Tensor(0),)), "", "memory"))
