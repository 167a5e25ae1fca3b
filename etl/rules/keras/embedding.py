"""Tables looked up by integer inputs, and masks, which depend on the example."""

from __future__ import annotations

from typing import Any

from etl.rules.scope import Edges, Ids, Scope, Weights


def embedding(
    here: Scope, inputs: Ids, *, embeddings: Weights, input_dim: int | None = None, output_dim: int | None = None, mask_zero: bool = False
) -> Ids:
    """Each position of an integer input, one-hot, times the table: (...) -> (..., d); embeddings (n, d), edges (..., d, n)."""
    if mask_zero:
        here.mask("mask_zero=True")
    return here.sum(Edges(here.onehot(inputs, len(embeddings))[..., None, :], embeddings.T))


def masking(here: Scope, inputs: Ids, *, mask_value: Any = 0.0) -> Ids:
    """Only with --ignore-masks: the mask left out, what remains moves nothing."""
    here.mask("a mask")
    return inputs
