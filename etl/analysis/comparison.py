"""How far apart the graph's values and the framework's are, and how far that is more than the framework's own rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.frameworks import precise_predictions, predictions

TOLERANCE = 2e-4  # of a layer's largest value: float32 sums of a deep network differ by about 1e-5
ROUNDINGS = 10  # times as far as the framework's answer moves with the last bit of its input, which is one of many roundings on the way
MOVES = 3  # of the input, by its last bit
LEAST = 1e-12  # of a largest value: below it, all is zero

Values = NDArray[Any]
Key = str | int  # a layer of the file by its name, or the number of an output
Answers = Mapping[Key, Values]


@dataclass(frozen=True)
class Comparison:
    """How far one layer of the graph is from the framework.

    error       largest |graph - framework| over all examples, absolute; relative: by the framework's largest |value|; infinite where shapes
                differ, or only one of them has no number. Where the framework's float32 does not settle it, its float64 is what counts
    values      how many were compared
    arithmetic  the framework's: `float32` or `float64`
    noise       how far its float32 answer itself is off, or moves with the last bit of its input, as a share like `relative`; None: not looked at
    """

    layer: str
    type: str
    values: int
    error: float
    relative: float
    arithmetic: str = "float32"
    noise: float | None = None

    @property
    def right(self) -> bool:
        """Whether the graph computes what the framework computes, as well as that can be told."""
        worth = ROUNDINGS * self.noise if self.noise is not None and self.arithmetic == "float32" else 0.0
        return self.relative <= max(TOLERANCE, worth)


def compared(ours: Answers, kinds: Mapping[Key, str], framework_model: Any, inputs: Sequence[Values]) -> tuple[list[Comparison], list[str]]:
    """One comparison for each of our values that the framework's model has too, in their order; and the layers that it does not tell.

    A layer that differs is looked at again in float64, or, where the framework can't compute so, beside how far its answer moves with
    the last bit of its input: its own rounding is no fault of the graph.
    """
    theirs = answers(*predictions(framework_model, inputs))
    both = {key: values for key, values in ours.items() if key in theirs}
    comparisons = {key: compare(key, kinds[key], values, theirs[key]) for key, values in both.items() if theirs[key].size}
    doubtful = [key for key, comparison in comparisons.items() if not comparison.right]
    if doubtful:
        precise = precise_predictions(framework_model, inputs)
        if precise is not None:
            exact = answers(*precise)
            for key in doubtful:
                noise = compare(key, "", theirs[key], exact[key]).relative
                comparisons[key] = compare(key, kinds[key], ours[key], exact[key], arithmetic="float64", noise=noise)
        else:
            moved = [answers(*predictions(framework_model, rounded(inputs, seed))) for seed in range(MOVES)]
            for key in doubtful:
                noise = max(compare(key, "", comparison[key], theirs[key]).relative for comparison in moved)
                comparisons[key] = compare(key, kinds[key], ours[key], theirs[key], noise=noise)
    return list(comparisons.values()), [str(key) for key in ours if key not in theirs]


def answers(layers: Mapping[str, Values], outputs: Sequence[Values]) -> Answers:
    """A framework's predictions by key."""
    by_key: dict[Key, Values] = dict(enumerate(outputs))
    return by_key | dict(layers.items())


def compare(key: Key, kind: str, ours: Values, theirs: Values, *, arithmetic: str = "float32", noise: float | None = None) -> Comparison:
    """The comparison of two arrays; what is infinite or no number on both sides is the same."""
    name = f"output {key}" if isinstance(key, int) else key
    error = relative = float("inf")
    if ours.shape == theirs.shape:
        with np.errstate(invalid="ignore", over="ignore"):
            same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
            apart = np.where(same, 0.0, np.abs(ours - theirs.astype(np.float64)))
        error = float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))
        largest = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
        relative = error / max(largest, LEAST)
    return Comparison(name, kind, theirs.size, error, relative, arithmetic, noise)


def rounded(inputs: Sequence[Values], seed: int) -> list[Values]:
    """The same examples with every number moved by its last bit, up or down; whole numbers stay."""
    generator = np.random.default_rng(seed)
    return [np.nextafter(x, np.where(generator.random(x.shape) < 0.5, -np.inf, np.inf).astype(x.dtype)) if x.dtype.kind == "f" else x for x in inputs]
