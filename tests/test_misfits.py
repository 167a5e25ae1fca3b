"""Whose fault an error in a rule is: what a broken file causes is one line, a slip of ours keeps its traceback."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from etl.errors import BadFile, EtlError, Unsupported
from etl.graph.trace import trace
from etl.network import INPUT, Call, Input, Model, Network, Tensor
from etl.rules.arguments import PerAxis
from etl.rules.dialects import DIALECTS
from etl.rules.ids import live
from etl.rules.keras import FAMILIES, OWN
from etl.rules.misfits import fits, in_words, signature_of
from etl.rules.scope import Edges, Ids, Scope, Weights
from tests.handmade import graph_of, layer


def slipping(error: type[Exception]) -> Callable[..., Any]:
    """A rule of ours with a slip in it."""

    def rule(here: Scope, inputs: Ids, *, kernel: Weights, strides: PerAxis = 1, activation: str = "linear") -> Ids:
        if isinstance(strides, str):
            return inputs + strides
        return inputs.missing if error is AttributeError else len(3)  # type: ignore[arg-type, attr-defined]

    return rule


@pytest.fixture(params=[TypeError, AttributeError])
def slip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    monkeypatch.setitem(FAMILIES["Convolution"], "Conv1D", slipping(request.param))
    return request.param


KERNEL = {"kernel": np.ones((2, 3, 4), np.float32)}


def test_a_slip_of_ours_keeps_its_traceback(slip: type[Exception]) -> None:
    with pytest.raises(slip):
        graph_of(layer("Conv1D", KERNEL, strides=2, activation="relu"), (5, 3))


def test_a_slip_of_ours_keeps_its_traceback_within_other_layers(slip: type[Exception]) -> None:
    with pytest.raises(slip):
        graph_of(layer("TimeDistributed", inner={"layer": layer("Conv1D", KERNEL)}), (2, 5, 3))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strides": "abc"}, "strides='abc' should be a whole number or a list of whole numbers"),
        ({"strides": [1, None]}, "strides=[1, None] should be"),
        ({"strides": ""}, "strides='' should be"),
        ({"strides": True}, "strides=True should be"),
        ({"strides": ["x" * 1000] * 1000}, "should be"),
    ],
)
def test_an_option_of_another_type_is_the_files_fault(slip: type[Exception], options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadFile) as found:
        graph_of(layer("Conv1D", KERNEL, **options), (5, 3))
    assert str(found.value).startswith("layer layer (Conv1D) does not fit its input, its weights or its own options: ")
    assert said in str(found.value)
    assert "\n" not in str(found.value) and len(str(found.value)) < 400


def test_what_stands_in_a_layer_is_named(slip: type[Exception]) -> None:
    with pytest.raises(BadFile, match=r"layer layer \(TimeDistributed\) .*: holds layer \(Conv1D\): strides='abc' should be a whole number"):
        graph_of(layer("TimeDistributed", inner={"layer": layer("Conv1D", KERNEL, strides="abc")}), (2, 5, 3))


def test_too_many_or_too_few_inputs_are_the_files_fault() -> None:
    with pytest.raises(BadFile, match="called on 2 inputs: too many positional arguments"):
        graph_of(layer("Flatten"), (5, 3), (5, 3))
    with pytest.raises(BadFile, match="called on 1 input: missing a required argument: 'second'"):
        graph_of(layer("Subtract"), (5, 3))
    with pytest.raises(BadFile, match="has 2 states, and is given 0"):
        graph_of(layer("LSTMCell", {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8))}), (3,))


@pytest.mark.parametrize(
    ("value", "hint", "holds"),
    [
        (3, int, True),
        (np.int64(3), int, True),
        (3.0, int, False),
        (True, int, False),
        (True, bool, True),
        (3, float, True),
        (np.float32(3), float, True),
        ("3", float, False),
        (None, float | None, True),
        ([1, (2,)], int | Sequence[int | Sequence[int]], True),
        ([1, ("2",)], int | Sequence[int | Sequence[int]], False),
        ("", Sequence[int], False),
        ({"a": 1}, Mapping[str, int], True),
        ({"a": []}, Mapping[str, int], False),
        (np.zeros(3), Weights, True),
        (np.zeros(3, "S3"), Weights, False),
        (np.zeros(3), Ids, False),
        (live(np.zeros(3)), Ids, True),
        (live(np.zeros(3)), Any, True),
        (object(), "a name that means nothing", True),
    ],
)
def test_what_is_of_a_type(value: Any, hint: Any, holds: bool) -> None:
    assert fits(value, hint) is holds


def test_types_in_words() -> None:
    assert in_words(PerAxis) == "a whole number or a list of whole numbers"
    assert in_words(Ids | Weights | None) == "a layer's output or an array of numbers"
    assert in_words(Sequence[int | Sequence[float]]) == "a list of whole numbers or lists of numbers"
    assert in_words(bool) == "true or false"
    assert in_words(Mapping[str, Any]) == "a dictionary"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_argument_of_a_rule_has_a_type(dialect: str) -> None:
    """Any is what a rule checks by itself, or doesn't look at."""
    rules = {kind: rule for rules in DIALECTS[dialect].families.values() for kind, rule in rules.items()}
    untyped = [
        f"{kind}: {parameter}"
        for kind, rule in rules.items()
        for parameter in list(signature_of(rule).parameters.values())[1:]
        if parameter.annotation is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    assert not untyped


SQUARE = np.ones((1, 3, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("diff", {"self": Tensor(INPUT, 0), "n": 10**9}),
        ("linalg_matrix_power", {"self": Tensor(INPUT, 0), "n": 10**9}),
        ("combinations", {"self": np.ones(3), "r": 10**9}),
        ("col2im", {"self": Tensor(INPUT, 0), "output_size": 10**9, "kernel_size": 1, "dilation": 1, "padding": 0, "stride": 1}),
        ("conv2d", {"input": SQUARE, "weight": SQUARE, "padding": 10**6}),
        ("view", {"self": Tensor(INPUT, 0), "size": Tensor(INPUT, 0)}),
        ("view", {"self": Tensor(INPUT, 0)}),
        ("matrix_exp", {}),
        ("lstm_cell", {"input": Tensor(INPUT, 0), "hx": [Tensor(INPUT, 0)], "w_ih": np.ones((4, 3)), "w_hh": np.ones((4, 1))}),
        ("index_select", {"self": Tensor(INPUT, 0), "dim": 0, "index": np.array([0.5])}),
        ("conv1d", {"input": Tensor(INPUT, 0), "weight": np.ones((3, 3, 1)), "padding": np.ones((2, 2))}),
        ("movedim", {"self": Tensor(INPUT, 0), "source": 0, "destination": np.ones((2, 2))}),
        ("sum", {"self": Tensor(INPUT, 0), "dim": np.full((2, 2), 7)}),
        ("bitwise_and", {"self": np.ones(3), "other": 1}),
        ("gcd", {"self": np.ones(3), "other": 1}),
        ("bitwise_not", {"self": np.ones(3)}),
        ("gradient", {"self": Tensor(INPUT, 0), "spacing": [np.ones(3)], "dim": 0}),
        ("trapezoid", {"y": Tensor(INPUT, 0), "dx": np.ones(3)}),
        ("pdist", {"self": np.array(1.0)}),
        ("combinations", {"self": np.array(1.0)}),
        ("embedding", {"weight": np.array(1.0), "indices": Tensor(INPUT, 0)}),
        ("repeat_interleave", {"self": np.ones(2), "repeats": np.ones(2)}),
        ("batch_norm", {"input": np.ones((1, 3)), "running_mean": np.ones(3)}),
        ("adaptive_max_pool3d", {"self": Tensor(INPUT, 0), "output_size": [1]}),
        ("adaptive_avg_pool3d", {"self": Tensor(INPUT, 0), "output_size": [1]}),
        # what is live where a constant belongs
        ("linspace", {"start": Tensor(INPUT, 0), "end": 1, "steps": 3}),
        ("full", {"size": [3, 3], "fill_value": Tensor(INPUT, 0)}),
        ("fake_quantize_per_tensor_affine", {"self": np.ones(3), "scale": Tensor(INPUT, 0), "zero_point": 0, "quant_min": 0, "quant_max": 9}),
    ],
)
def test_what_no_operator_can_mean_is_an_error_of_ours_at_once(kind: str, given: dict[str, Any]) -> None:
    shapes = [(3, 3)] if any(isinstance(value, Tensor) for value in given.values()) else []
    begin = time.monotonic()
    if kind == "diff":
        assert not graph_of(layer(f"aten.{kind}", dialect="aten"), *shapes, given=given).outputs[0].size
    else:
        with pytest.raises(EtlError) as refused:
            graph_of(layer(f"aten.{kind}", dialect="aten"), *shapes, given=given)
        assert "\n" not in str(refused.value)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("numbers", [(), (1,), (1, 1.5), (Tensor(INPUT, 0), 1)])
def test_sizes_that_nothing_computes_are_an_error_of_ours(numbers: tuple[Any, ...]) -> None:
    kind, shapes = ("_operator.add", [(1,)]) if len(numbers) != 2 or numbers[0] != 1 else ("_operator.and_", [])
    inputs = tuple(Input(f"input_{place}", shape) for place, shape in enumerate(shapes))
    with pytest.raises(EtlError):
        trace(Model("sizes", Network((Call(layer(kind, dialect="aten"), numbers),), inputs, (Tensor(0),)), "", "memory"))


def test_tensors_where_numbers_belong_are_an_error_of_ours() -> None:
    """Their ids would be taken for numbers."""
    first, second = Tensor(INPUT, 0), Tensor(INPUT, 1)
    for kind, given in (("op:Add", (1.0, [first, second])), ("op:GetItem", (np.ones((9, 9)), first)), ("op:Reshape", (first, second))):
        inputs = (Input("first", (2,)), Input("second", (2,)))
        with pytest.raises(EtlError):
            trace(Model("lists", Network((Call(layer(kind, dialect="keras3"), given),), inputs, (Tensor(0),)), "", "memory"))
    with pytest.raises(EtlError, match="which have no steps"):
        graph_of(layer("SimpleRNN", {"kernel": np.ones((3, 2)), "recurrent_kernel": np.ones((2, 2))}), (3,))


@pytest.mark.parametrize("slope", [[], [1], {}, "much"])
def test_an_activations_argument_that_is_no_number_is_an_error_of_ours(slope: Any) -> None:
    activation = {"class_name": "LeakyReLU", "config": {"alpha": slope}}
    with pytest.raises(EtlError, match="where a number belongs"):
        graph_of(layer("Dense", {"kernel": np.ones((3, 2))}, activation=activation), (3,))


def gate(here: Scope, inputs: Ids, *, floor: float = 0.0, mode=None) -> Ids:  # type: ignore[no-untyped-def]
    """A rule of somebody's own, with a slip in it, and an argument without a type."""
    return here.max(Edges(inputs, over=0), bias=floor + len(mode or 3))  # type: ignore[arg-type]


def test_a_rule_of_ones_own_is_judged_by_its_types_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OWN, "mine>Gate", gate)
    for options in ({}, {"floor": 1}, {"mode": 5}):
        with pytest.raises(TypeError):
            graph_of(layer("mine>Gate", **options), (3,))
    with pytest.raises(BadFile, match="floor='low' should be a number"):
        graph_of(layer("mine>Gate", floor="low"), (3,))
    monkeypatch.setitem(gate.__annotations__, "floor", "any number")  # no Python
    with pytest.raises(TypeError):
        graph_of(layer("mine>Gate"), (3,))


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda ids: ids + 0.5, "combines constants with what depends on the example"),
        (lambda ids: np.float32(2) * ids, "combines constants with what depends on the example"),
        (lambda ids: np.maximum(np.ones(3), ids), "combines constants with what depends on the example"),
        (lambda ids: np.ones(3), "reads constants where neurons are read"),
        (lambda ids: ids + 1, "reads constants where neurons are read"),
    ],
)
def test_ids_are_never_taken_for_numbers_nor_numbers_for_ids(read: Callable[[Ids], Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(here: Scope, inputs: Ids, *, kernel: Weights) -> Ids:
        return here.sum(Edges(read(inputs), over=0))

    monkeypatch.setitem(FAMILIES["Convolution"], "Conv1D", rule)
    with pytest.raises(Unsupported, match=said):
        graph_of(layer("Conv1D", KERNEL), (5, 3))
