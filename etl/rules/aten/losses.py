"""Losses that stay in a network: sums and means of differences. Arguments as ATen names them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.aten import logic, reduce
from etl.rules.aten import values as place
from etl.rules.aten.distances import cosine_similarity, pairwise_distance
from etl.rules.aten.functions import x_log_y
from etl.rules.aten.values import Value, function, numbers
from etl.rules.ids import is_live
from etl.rules.scope import Edges, Scope

Rule = Callable[..., Any]


def mse_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """The square of each difference, their mean or sum."""
    return reduced(here, function(here, "square", np.square, place.subtract(here, self, target, part="difference"), part="square"), reduction)


def l1_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """The size of each difference, their mean or sum."""
    return reduced(here, function(here, "abs", np.abs, place.subtract(here, self, target, part="difference"), part="abs"), reduction)


def huber_loss(here: Scope, self: Value, target: Value, reduction: int = 1, delta: float = 1.0) -> Value:
    """x^2 / 2 of each difference within delta, delta (|x| - delta / 2) beyond; their mean or sum."""
    return reduced(here, huber(here, place.subtract(here, self, target, part="difference"), delta), reduction)


def smooth_l1_loss(here: Scope, self: Value, target: Value, reduction: int = 1, beta: float = 1.0) -> Value:
    """x^2 / (2 beta) of each difference within beta, |x| - beta / 2 beyond; their mean or sum."""
    if beta == 0:
        return l1_loss(here, self, target, reduction)
    return reduced(here, huber(here, place.subtract(here, self, target, part="difference"), beta, 1 / beta), reduction)


def kl_div(here: Scope, self: Value, target: Value, reduction: int = 1, log_target: bool = False) -> Value:
    """target (log(target) - self); exp(target) (target - self) where the target is a logarithm. A target of 0 counts nothing."""
    if log_target:
        gap = place.subtract(here, target, self, part="difference")
        return reduced(here, place.multiply(here, function(here, "exponential", np.exp, target, part="exponential"), gap, part="loss"), reduction)
    spread = x_log_y(here.part("spread"), target, target)
    return reduced(here, place.subtract(here, spread, place.multiply(here, target, self, part="products"), part="loss"), reduction)


def binary_cross_entropy(here: Scope, self: Value, target: Value, weight: Value | None = None, reduction: int = 1) -> Value:
    """-(target log(x) + (1 - target) log(1 - x)), logarithms at least -100, times the weight; their mean or sum."""
    near = place.clip(here, function(here, "log", np.log, self, part="log"), -100.0, part="first")
    complement = place.subtract(here, 1.0, self, part="complement")
    far = place.clip(here, function(here, "log", np.log, complement, part="other_log"), -100.0, part="second")
    other_target = place.subtract(here, 1.0, target, part="other_target")
    both = (place.multiply(here, target, near, part="share"), place.multiply(here, other_target, far, part="other_share"))
    return reduced(here, weighted(here, place.multiply(here, place.add(here, *both, part="sum"), -1.0, part="loss"), weight), reduction)


def binary_cross_entropy_with_logits(
    here: Scope, self: Value, target: Value, weight: Value | None = None, pos_weight: Value | None = None, reduction: int = 1
) -> Value:
    """(1 - target) x + (1 + (pos_weight - 1) target) softplus(-x), times the weight; their mean or sum."""
    curve = place.scaled_function(here.part("curve"), "softplus", lambda x: np.logaddexp(x, 0), self, before=-1.0)
    if pos_weight is not None:
        more = place.multiply(here, target, place.subtract(here, pos_weight, 1.0, part="more"), part="positive")
        curve = place.multiply(here, place.add(here, more, 1.0, part="factor"), curve, part="weighted_curve")
    line = place.multiply(here, place.subtract(here, 1.0, target, part="other_target"), self, part="line")
    return reduced(here, weighted(here, place.add(here, line, curve, part="loss"), weight), reduction)


def cross_entropy_loss(
    here: Scope, self: Value, target: Value, weight: Value | None = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Value:
    """-log(softmax(x)) at the target class, or its mean over given shares of the classes; times the class's weight. Classes lie along axis 1."""
    axis = 1 if self.ndim > 1 else 0
    logs = reduce.log_softmax(here.part("log_softmax"), self, axis)
    if np.shape(target) == self.shape:
        shares = place.multiply(here, target, 1 - label_smoothing, part="shares") if label_smoothing else target
        shares = place.add(here, shares, label_smoothing / self.shape[axis], part="smoothed") if label_smoothing else shares
        shares = shares if weight is None else place.multiply(here, shares, class_numbers_along(weight, axis, self.ndim), part="weighted")
        return entropy(here, logs, shares, self.size // self.shape[axis], axis, reduction)
    return likelihood(here, logs, target, weight, reduction, ignore_index, label_smoothing)


def nll_loss(here: Scope, self: Value, target: Value, weight: Value | None = None, reduction: int = 1, ignore_index: int = -100) -> Value:
    """-x at the target class, times the class's weight; their mean (over the weights) or sum. Classes lie along axis 1."""
    return likelihood(here, self, target, weight, reduction, ignore_index)


def likelihood(
    here: Scope, logs: Value, target: Value, weight: Value | None, reduction: int, ignore_index: int, label_smoothing: float = 0.0
) -> Value:
    """The loss of a target that names classes: shares of 1 there, 0 elsewhere and for the class to be ignored."""
    axis = 1 if logs.ndim > 1 else 0
    classes = class_numbers_along(np.arange(logs.shape[axis]), axis, logs.ndim)
    if is_live(target):
        chosen = logic.equal(here, np.expand_dims(target, axis), classes, part="one_hot")
    else:
        chosen = (np.expand_dims(target, axis) == classes).astype(np.float64)
    factors = (1.0 if weight is None else class_numbers_along(numbers(weight), axis, logs.ndim)) * (classes != ignore_index)
    shares = place.multiply(here, chosen, np.broadcast_to(factors, chosen.shape), part="shares")
    whole = reduce.reduced(here, "sum", shares, tuple(range(shares.ndim)), part="whole") if is_live(shares) else shares.sum()
    if label_smoothing:
        counted = logic.not_equal(here.part("counted"), np.expand_dims(target, axis), ignore_index)
        even = np.ones(classes.shape) if weight is None else class_numbers_along(numbers(weight), axis, logs.ndim)
        spread = place.multiply(here, counted, even * label_smoothing / classes.size, part="spread")
        shares = place.add(here, place.multiply(here, shares, 1 - label_smoothing, part="kept"), spread, part="smoothed")
    return entropy(here, logs, shares, whole, axis, reduction)


def entropy(here: Scope, logs: Value, shares: Value, whole: Value, axis: int, reduction: int) -> Value:
    """-shares logs, added up along the classes; all of them over the `whole`, or their sum."""
    terms = place.multiply(here, logs, shares, part="terms")
    if reduction == 0:
        return reduce.reduced(here, "sum", terms, (axis,), weight=-1.0)
    if reduction == 2 or not is_live(whole):
        with np.errstate(divide="ignore"):  # while counting, stored weights of classes are zeros
            share = -1.0 if reduction == 2 else float(np.divide(-1.0, whole))
        return reduce.reduced(here, "sum", terms, tuple(range(terms.ndim)), weight=share)
    return place.divide(here, reduce.reduced(here, "sum", terms, tuple(range(terms.ndim)), weight=-1.0, part="sum"), whole)


def class_numbers_along(array: Value, axis: int, rank: int) -> Value:
    """Numbers of classes laid along their axis."""
    return np.reshape(array, [-1 if k == axis else 1 for k in range(rank)])


def poisson_nll_loss(here: Scope, input: Value, target: Value, log_input: bool, full: bool, eps: float, reduction: int) -> Value:
    """exp(x) - target x, or x - target log(x + eps); with Stirling's formula of targets above 1 where `full`."""
    if log_input:
        rate, logarithm = function(here, "exponential", np.exp, input, part="exponential"), input
    else:
        rate, logarithm = input, function(here, "log", np.log, place.add(here, input, eps, part="shifted"), part="log")
    loss = place.subtract(here, rate, place.multiply(here, target, logarithm, part="products"), part="plain" if full else "loss")
    if full:
        at_least_one = place.clip(here, target, 1.0, part="many")  # Stirling's formula is finite there, and left out below
        log = function(here, "log", np.log, at_least_one, part="log_target")
        inner = place.subtract(
            here, place.multiply(here, place.add(here, at_least_one, 0.5, part="half_more"), log, part="powers"), at_least_one, part="inner"
        )
        stirling = place.add(here, inner, 0.5 * np.log(2 * np.pi), part="stirling")
        above = logic.greater(here, target, 1.0, part="above")
        loss = place.add(here, loss, place.multiply(here, above, stirling, part="counted"), part="loss")
    return reduced(here, loss, reduction)


def soft_margin_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """log(1 + exp(-target x)); their mean or sum."""
    signed = place.multiply(here, self, target, part="signed")
    return reduced(here, place.scaled_function(here.part("loss"), "softplus", lambda x: np.logaddexp(x, 0), signed, before=-1.0), reduction)


def hinge_embedding_loss(here: Scope, self: Value, target: Value, margin: float = 1.0, reduction: int = 1) -> Value:
    """x where the target is 1, max(0, margin - x) where it is -1; their mean or sum."""
    return reduced(here, sided(here, target, self, hinge(here, place.subtract(here, margin, self, part="gap"))), reduction)


def sided(here: Scope, target: Value, positive: Value, negative: Value) -> Value:
    """One value where a target isn't -1, and another where it isn't 1, added."""
    first = place.multiply(here, numbers_of(logic.not_equal(here.part("unless_negative"), target, -1)), positive, part="positive")
    second = place.multiply(here, numbers_of(logic.not_equal(here.part("unless_positive"), target, 1)), negative, part="negative")
    return place.add(here, first, second, part="loss")


def numbers_of(truth: Value) -> Value:
    return truth if is_live(truth) else numbers(truth)


def hinge(here: Scope, gap: Value, part: str = "hinge") -> Value:
    """max(0, x)."""
    return function(here, "relu", lambda x: np.maximum(x, 0), gap, part=part)


def margin_ranking_loss(here: Scope, input1: Value, input2: Value, target: Value, margin: float = 0.0, reduction: int = 1) -> Value:
    """max(0, margin - target (x1 - x2)); their mean or sum."""
    gap = place.multiply(here, place.subtract(here, input1, input2, part="difference"), target, part="signed")
    return reduced(here, hinge(here, place.subtract(here, margin, gap, part="gap"), "loss"), reduction)


def cosine_embedding_loss(here: Scope, input1: Value, input2: Value, target: Value, margin: float = 0.0, reduction: int = 1) -> Value:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1; their mean or sum."""
    cosine = cosine_similarity(here.part("cosine"), input1, input2, max(np.ndim(input1), np.ndim(input2)) - 1, 1e-6)
    near = place.subtract(here, 1.0, cosine, part="distance")
    return reduced(here, sided(here, target, near, hinge(here, place.subtract(here, cosine, margin, part="gap"))), reduction)


def triplet_margin_loss(
    here: Scope,
    anchor: Value,
    positive: Value,
    negative: Value,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Value:
    """max(0, margin + |anchor - positive| - |anchor - negative|); with `swap` the smaller distance to the negative one counts."""
    near = pairwise_distance(here.part("near"), anchor, positive, p, eps)
    far = pairwise_distance(here.part("far"), anchor, negative, p, eps)
    if swap:
        far = place.extreme(here, "min", far, pairwise_distance(here.part("other"), positive, negative, p, eps), part="smaller")
    gap = place.add(here, place.subtract(here, near, far, part="difference"), margin, part="gap")
    return reduced(here, hinge(here, gap, "loss"), reduction)


def multi_margin_loss(
    here: Scope, self: Value, target: Value, p: float = 1, margin: float = 1, weight: Value | None = None, reduction: int = 1
) -> Value:
    """The mean over the other classes of max(0, margin - x at the target + x)^p, times the target's weight."""
    named = constant_target(target)
    values = np.reshape(self, (-1, self.shape[-1]))
    rows, classes = np.arange(len(values)), values.shape[1]
    gaps = place.add(here, place.subtract(here, values, values[rows, named.reshape(-1)][:, None], part="difference"), margin, part="gap")
    hinged = hinge(here, gaps)
    powered = function(here, "square", np.square, hinged, part="square") if p == 2 else hinged
    shares = (np.arange(classes) != named.reshape(-1, 1)) / classes * (1.0 if weight is None else numbers(weight)[named.reshape(-1, 1)])
    losses = reduce.reduced(here, "sum", place.multiply(here, powered, shares, part="terms"), (1,), part="loss" if reduction else None)
    return reduced(here, losses if named.ndim else losses[0], reduction)


def multilabel_margin_loss(here: Scope, self: Value, target: Value, reduction: int = 1) -> Value:
    """The mean of max(0, 1 - x at each target class + x at each other class); a target ends at its first -1."""
    named = np.reshape(constant_target(target), (-1, self.shape[-1]))
    values, classes = np.reshape(self, named.shape), named.shape[1]
    ends = [int(np.argmax(row < 0)) if (row < 0).any() else classes for row in named]
    pairs = [[(y, k) for y in row[:end] for k in range(classes) if k not in row[:end]] for row, end in zip(named, ends, strict=True)]
    longest = max(max(map(len, pairs)), 1)
    places = np.array([row + [(0, 0)] * (longest - len(row)) for row in pairs], dtype=np.int64)
    counted = np.array([[k < len(row) for k in range(longest)] for row in pairs]) / classes
    rows = np.arange(len(values))[:, None]
    gaps = place.add(here, place.subtract(here, values[rows, places[..., 1]], values[rows, places[..., 0]], part="difference"), 1.0, part="gap")
    terms = place.multiply(here, hinge(here, gaps), counted, part="terms")
    losses = reduce.reduced(here, "sum", terms, (1,), part="loss" if reduction else None)
    return reduced(here, losses if self.ndim > 1 else losses[0], reduction)


def constant_target(target: Value) -> Any:
    """A target whose pairs of classes make the graph. Raises Unsupported where it depends on the example."""
    if is_live(target):
        raise Unsupported("has a target that depends on the example; there is a rule for constant ones")
    return np.asarray(target)


def weighted(here: Scope, loss: Value, weight: Value | None) -> Value:
    return loss if weight is None else place.multiply(here, loss, weight, part="weighted")


def reduced(here: Scope, x: Value, reduction: int) -> Value:
    """Nothing, the mean or the sum of all."""
    if reduction == 0:
        return x
    weight = 1 / prod(x.shape) if reduction == 1 else 1.0
    return reduce.reduced(here, "sum", x, tuple(range(x.ndim)), weight=weight)


def huber(here: Scope, gap: Value, delta: float = 1.0, scale: float = 1.0) -> Value:
    """scale times x^2 / 2 within delta, delta (|x| - delta / 2) beyond: m^2 / 2 + delta (|x| - m) with m = min(|x|, delta)."""
    size = here.sum(Edges(gap, over=0), activation="abs", part="abs")
    near = here.min(Edges(size, over=0), bias=delta, part="near")
    square = here.sum(Edges(near, over=0), activation="square", part="square")
    return here.sum(Edges(square, scale / 2, over=0), Edges(size, scale * delta, over=0), Edges(near, -scale * delta, over=0), part="loss")


LOSSES: dict[str, Rule] = {
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "cosine_embedding_loss": cosine_embedding_loss,
    "cross_entropy_loss": cross_entropy_loss,
    "hinge_embedding_loss": hinge_embedding_loss,
    "huber_loss": huber_loss,
    "kl_div": kl_div,
    "l1_loss": l1_loss,
    "margin_ranking_loss": margin_ranking_loss,
    "mse_loss": mse_loss,
    "multi_margin_loss": multi_margin_loss,
    "multilabel_margin_loss": multilabel_margin_loss,
    "nll_loss": nll_loss,
    "nll_loss2d": nll_loss,
    "nll_loss_nd": nll_loss,
    "poisson_nll_loss": poisson_nll_loss,
    "smooth_l1_loss": smooth_l1_loss,
    "soft_margin_loss": soft_margin_loss,
    "triplet_margin_loss": triplet_margin_loss,
}
