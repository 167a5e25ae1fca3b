"""Tables looked up by integer inputs."""

from __future__ import annotations

from etl.rules.ids import axis_names
from etl.rules.scope import Edges, Ids, Scope, Weights


def embedding(
    here: Scope, inputs: Ids, *, embeddings: Weights, input_dim: int | None = None, output_dim: int | None = None, mask_zero: bool = False
) -> Ids:
    """Each position of an integer input, one-hot, times the table: (...) -> (..., d); embeddings (n, d), edges (..., d, n)."""
    axes = (*axis_names(inputs), "channel") if inputs.ndim != 1 else ("step", "channel")
    return here.sum(Edges(here.onehot(inputs, embeddings.shape[0])[..., None, :], embeddings.T), axes=axes)
