"""Values put at places of a tensor, or joined with what is there. The places are constants, counted in C order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.rules.ids import NOTHING, axis_names, is_live, live
from etl.rules.primitives.elementwise import neurons, operand
from etl.rules.scope import Edges, Ids, Scope, bounded


def overwritten(here: Scope, data: Any, flat_indices: NDArray[Any], updates: Any) -> Ids:
    """Data with updates at their places, the last of several."""
    old_ids, new_ids = neurons(here, data, "data"), neurons(here, updates, "updates")
    ids = np.asarray(old_ids).copy()
    ids.reshape(-1)[flat_indices] = np.broadcast_to(np.asarray(new_ids), flat_indices.shape)
    return live(ids, axis_names(old_ids))


def combined(
    here: Scope, op: str, data: Any, flat_indices: NDArray[Any], updates: Any, *, scale: float = 1.0, mean: bool = False, include: bool = True
) -> Ids:
    """Data in which op (`sum`, `product`, `max`, `min`) joins each place that has updates with all of those.

    scale    of the updates, in a sum
    mean     the sum is divided by how many it adds
    include  whether what is there counts among them
    Of live data the other places stay as they are; constant data are biases of as many neurons.
    """
    new_ids = np.reshape(np.broadcast_to(neurons(here, updates, "updates"), flat_indices.shape), (-1,))
    shape, flat = np.shape(data), flat_indices.reshape(-1)
    order = np.argsort(flat, kind="stable")
    targets, counts = np.unique(flat[order], return_counts=True)
    longest = int(counts.max(initial=0))
    bounded((len(targets), longest + 1))
    rank = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    candidates = np.full((len(targets), longest + 1), NOTHING)
    candidates[np.repeat(np.arange(len(targets)), counts), rank + 1] = np.asarray(new_ids)[order]
    shares = scale / (counts + include) if mean else np.full(len(targets), scale)
    weights: Any = np.broadcast_to(shares[:, None], candidates.shape).copy()
    weights[:, 0] = shares / scale
    weights = 1.0 if (weights == 1).all() else weights
    if is_live(data):
        ids = np.asarray(data).copy()
        if include:
            candidates[:, 0] = ids.reshape(-1)[targets]
        ids.reshape(-1)[targets] = np.asarray(here.neurons(op, [Edges(live(candidates), weights)], part="joined"))
        return live(ids, axis_names(data))
    bias = np.array(operand(data), np.float64).reshape(-1)
    bias[targets] = bias[targets] * (shares / scale) if include else np.nan
    sources, factors = np.full((bias.size, longest + 1), NOTHING), np.ones((bias.size, longest + 1))
    sources[targets], factors[targets] = candidates, weights
    return here.neurons(op, [Edges(live(sources), 1.0 if (factors == 1).all() else factors)], bias=bias, shape=shape)
