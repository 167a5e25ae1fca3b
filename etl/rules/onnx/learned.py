"""Linear models as scikit-learn's are exported: operators of the domain ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.arguments import Numbers, Value
from etl.rules.ids import is_live
from etl.rules.primitives.elementwise import affine, constant, function, multiply
from etl.rules.primitives.reductions import place_of, reduced, softmax
from etl.rules.scope import Edges, Ids, Scope


def scaler(here: Scope, x: Ids, *, offset: Numbers, scale: Numbers) -> Ids:
    """(x - offset) scale, one number for each feature or one for all."""
    factor = np.asarray(scale, np.float64)
    return affine(here, x, factor, -np.asarray(offset, np.float64) * factor)


def normalizer(here: Scope, x: Ids, *, norm: str = "MAX") -> Ids:
    """Each row over its largest, or over the sum or the length of its absolute values; a length of 0 counts as 1."""
    axes = (x.ndim - 1,)
    if norm == "MAX":
        size = reduced(here, "max", x, axes, True, part="length")
    elif norm == "L1":
        size = reduced(here, "sum", function(here, x, "abs", "abs"), axes, True, part="length")
    elif norm == "L2":
        size = reduced(here, "sum", function(here, x, "square", "square"), axes, True, part="length", activation="sqrt")
    else:
        raise Unsupported(f"has no rule for norm={norm!r}")
    empty = function(here, size, "is_zero", "empty")
    inverse = here.sum(Edges(size, over=0), Edges(empty, over=0), activation="reciprocal", part="inverse")
    return multiply(here, x, inverse)


def linear(here: Scope, x: Ids, coefficients: Numbers, intercepts: Numbers | None, rows: int, part: str | None = None) -> Ids:
    """One weighted sum of all features for each row of coefficients. Raises ValueError where they don't fit."""
    weights = np.asarray(coefficients, np.float32).reshape(rows, -1)
    if weights.shape[1] != x.shape[-1]:
        raise ValueError(f"{x.shape[-1]} features and coefficients for {weights.shape[1]}")
    bias = None if intercepts is None or not np.size(intercepts) else np.asarray(intercepts, np.float32)
    return here.sum(Edges(x[..., None, :], weights), bias=bias, part=part)


def transformed(here: Scope, x: Ids, post_transform: str, part: str | None = None) -> Ids:
    """What a score becomes. Raises Unsupported for another transform."""
    if post_transform == "NONE":
        return x
    if post_transform == "SOFTMAX":
        return softmax(here, x, (x.ndim - 1,), part=part)
    if post_transform == "LOGISTIC":
        return function(here, x, "sigmoid", part)
    raise Unsupported(f"has no rule for post_transform={post_transform!r}")


def linear_regressor(
    here: Scope, x: Ids, *, coefficients: Numbers, intercepts: Numbers | None = None, post_transform: str = "NONE", targets: int = 1
) -> Ids:
    """Weighted sums of the features, one for each target."""
    plain = post_transform == "NONE"
    return transformed(here, linear(here, x, coefficients, intercepts, targets, None if plain else "scores"), post_transform)


def linear_classifier(
    here: Scope,
    x: Ids,
    *,
    coefficients: Numbers,
    intercepts: Numbers | None = None,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
    outputs: int = 1,
) -> tuple[Ids, Ids]:
    """The label of the class with the largest score, then the scores of all classes; of two classes, one score may stand for both."""
    labels = list(classlabels_ints or range(len(classlabels_strings or ())))
    rows = np.size(coefficients) // x.shape[-1]
    scores = linear(here, x, coefficients, intercepts, rows, "scores")
    if rows == 1 and len(labels) == 2:
        if post_transform == "LOGISTIC":
            scores = np.concatenate([affine(here, scores, -1.0, None, "sigmoid", "first"), affine(here, scores, 1.0, None, "sigmoid", "second")], -1)
        elif post_transform == "NONE":
            scores = np.concatenate([affine(here, scores, -1.0, part="first"), scores], -1)
        else:
            raise Unsupported(f"has no rule for post_transform={post_transform!r} of one score for two classes")
        shown = scores
    else:
        shown = transformed(here, scores, post_transform, "probabilities")
    place = place_of(here.part("label"), scores, scores.ndim - 1, False, largest=True)
    if labels != list(range(len(labels))):
        steps = np.diff(labels)
        above = affine(here, place[..., None], 1.0, -np.arange(len(steps)) - 0.5, "step", "label/above")
        place = here.sum(Edges(above, steps.astype(np.float64)), bias=float(labels[0]), part="label/name")
    return place, shown


def binarizer(here: Scope, x: Ids, *, threshold: float = 0.0) -> Ids:
    """1 above a threshold, otherwise 0."""
    return affine(here, x, 1.0, -threshold, "step")


def array_feature_extractor(here: Scope, x: Value, places: Value) -> Value:
    """Chosen places of the last axis; of a constant row (the names of classes, say) those that live numbers name, one-hot in `chosen`."""
    if is_live(places):
        row = np.ravel(constant(x, "a row beside live places"))
        chosen = affine(here, places.reshape(1, -1, 1), 1.0, -np.arange(row.size, dtype=np.float64), "is_zero", "chosen")
        return here.sum(Edges(chosen, row))
    picked = np.take(x, np.ravel(places).astype(int), axis=-1)
    return picked if x.ndim > 1 else picked[None]


LEARNED: dict[str, Callable[..., Any]] = {
    "ai.onnx.ml.ArrayFeatureExtractor": array_feature_extractor,
    "ai.onnx.ml.Binarizer": binarizer,
    "ai.onnx.ml.LinearClassifier": linear_classifier,
    "ai.onnx.ml.LinearRegressor": linear_regressor,
    "ai.onnx.ml.Normalizer": normalizer,
    "ai.onnx.ml.Scaler": scaler,
}
