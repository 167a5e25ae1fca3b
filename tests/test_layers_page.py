"""The page of all layers: made from the rules, complete against both frameworks, and true."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest
import tf_keras

from etl.errors import Unsupported
from etl.graph.trace import trace
from etl.network import INPUT, Call, Input, Layer, Model, Network, Tensor
from etl.readers.keras.architecture import ALIASES
from etl.rules.binding import run
from etl.rules.keras import FAMILIES, KERAS3, OWN, REFUSED
from etl.rules.layers_page import layer_rows, layers_page
from etl.rules.scope import Ids, Scope, Tape

PAGE = Path(__file__).parents[1] / "docs" / "layers.md"
RULES = {kind: rule for rules in FAMILIES.values() for kind, rule in rules.items()}
WALKED = {"InputLayer"}  # by the walk itself, see etl/graph/trace.py


def classes(module):
    return {name for name in dir(module) if name[0].isupper() and isinstance(getattr(module, name), type)} | {"Input"}


@pytest.mark.parametrize(
    "module", [keras.layers, tf_keras.layers, tf_keras.layers.experimental, tf_keras.layers.experimental.preprocessing], ids=lambda m: m.__name__
)
def test_every_layer_has_a_rule_or_a_reason(module):
    kinds = {ALIASES.get(name, name) for name in classes(module)} - WALKED
    assert not kinds - set(RULES) - set(REFUSED)


def test_nothing_has_both():
    assert not set(RULES) & set(REFUSED)
    assert len(RULES) == sum(map(len, FAMILIES.values()))


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == layers_page(), "python -m etl.rules.layers_page > docs/layers.md"


def test_the_page_names_every_kind():
    text = layers_page()
    words = set(text.replace("|", " ").replace(",", " ").split())
    assert not (set(RULES) | set(REFUSED)) - words


def test_rows_say_what_a_rule_takes():
    rows = {row["kind"]: row for row in layer_rows() if ":" not in row["family"]}  # those of Keras
    assert rows["ReLU"] == {
        "family": "Activation",
        "kind": "ReLU",
        "options": ["max_value", "negative_slope", "threshold"],
        "weights": [],
        "makes": "x above the threshold, up to max_value; below it negative_slope (x - threshold).",
    }
    assert rows["LayerNormalization"]["weights"] == ["gamma", "beta"]
    assert all(row["makes"] for row in rows.values())


@pytest.mark.parametrize(("kind", "reason"), [("StringLookup", "reads text"), ("Mine>Own", "there is no rule")])
def test_a_refusal_says_why(kind, reason):
    with pytest.raises(Unsupported, match=reason):
        run(Layer("layer", kind), Scope(Tape(), "layer", KERAS3), (), {})


def test_the_way_to_add_a_layer_works_as_written(monkeypatch):
    monkeypatch.delitem(OWN, "mine>ChannelGate", raising=False)  # and put back as it was
    blocks = re.findall(r"^```python\n(.*?)^```$", (PAGE.parent / "adding-a-layer.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    exec("\n".join(blocks), {"__name__": "mine"})


def test_a_slip_in_a_rule_of_ones_own_keeps_its_traceback(monkeypatch):
    """What is wrong with a file is said in one line; where the rule is, only its traceback says."""

    def slip(here: Scope, inputs: Ids) -> Ids:
        return inputs.absent

    model = Model("m", Network((Call(Layer("gate", "mine>Slip"), (Tensor(INPUT),)),), (Input("x", (3,)),), (Tensor(0),)), "0" * 64, "memory")
    monkeypatch.setitem(OWN, "mine>Slip", slip)
    with pytest.raises(AttributeError, match="absent"):
        trace(model)
