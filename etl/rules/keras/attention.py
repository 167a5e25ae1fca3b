"""Attention: how much each query position takes from each key position, as products, a softmax over the keys, and a weighted sum.

Formulas: Vaswani et al. 2017; https://keras.io/api/layers/attention_layers/. Arrays of ids are (*lead, positions, depth), `lead` being the
heads and whatever else is not attended over.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.arguments import SomeAxes
from etl.rules.ids import live
from etl.rules.keras.dense import check_width
from etl.rules.keras.masking import counting_steps, in_places
from etl.rules.primitives.einsum import contract
from etl.rules.scope import NOTHING, ZERO, Edges, Ids, Scope, Weights

Allowed: TypeAlias = NDArray[np.bool_] | None  # (queries, keys): which pairs may meet; None: all


def allowed_pairs(queries: NDArray[np.bool_], keys: NDArray[np.bool_], causal: bool, window: int | None = None, mask: Any = None) -> Allowed:
    """Who may see whom: nobody later (causal), nobody `window` or more places away, whom a constant mask says, keys that count.

    queries, keys  which of them count; queries that don't see everybody
    Raises Unsupported where a query may see no key.
    """
    if not causal and window is None and mask is None and queries.all() and keys.all():
        return None
    ahead = np.arange(len(keys)) - np.arange(len(queries))[:, None]
    allowed = (ahead <= 0) if causal else np.ones(ahead.shape, dtype=bool)
    if window is not None:
        allowed &= abs(ahead) < window
    if mask is not None:
        allowed &= np.broadcast_to(np.asarray(mask, dtype=bool).reshape(np.shape(mask)[-2:]), allowed.shape)
    allowed = (allowed & keys) | ~queries[:, None]
    if not allowed.any(axis=1).all():
        raise Unsupported("has query positions that may see no key at all")
    return allowed


def pairs(query: Ids, key: Ids, allowed: Allowed) -> tuple[Ids, Ids]:
    """Each query beside each key: two arrays that broadcast to (*lead, queries, keys, depth), or (*lead, allowed pairs, depth)."""
    if allowed is None:
        return query[..., :, None, :], key[..., None, :, :]
    rows, columns = np.nonzero(allowed)
    return query[..., rows, :], key[..., columns, :]


def pairs_in_places(ids: Ids, allowed: NDArray[np.bool_], elsewhere: int) -> Ids:
    """Ids of allowed pairs back in their places: (*lead, pairs) -> (*lead, queries, keys)."""
    placed = live(np.full((*ids.shape[:-1], *allowed.shape), elsewhere))
    placed[..., allowed] = ids
    return placed


def distribution(here: Scope, terms: Ids, weight: Weights | float, allowed: Allowed) -> Ids:
    """How each query divides its attention among the keys: softmax of the weighted sum of `terms` over depth.

    terms (*lead, queries, keys, depth) or (*lead, pairs, depth) -> (*lead, queries, keys), ZERO where two may not meet
    """
    edges = Edges(terms, weight)
    if allowed is None:
        return here.sum(edges, part="scores", activation="softmax")
    scores, rows = here.sum(edges, part="scores"), np.nonzero(allowed)[0]
    largest = here.max(Edges(pairs_in_places(scores, allowed, NOTHING)), part="largest")
    shifted = here.sum(Edges(scores, over=0), Edges(largest[..., rows], -1.0, over=0), part="exponential", activation="exponential")
    share = here.sum(Edges(pairs_in_places(shifted, allowed, NOTHING)), part="share", activation="reciprocal")
    return pairs_in_places(here.product(Edges(shifted, over=0), Edges(share[..., rows], over=0), part="softmax"), allowed, ZERO)


def weighted_values(here: Scope, shares: Ids, value: Ids, allowed: Allowed, part: str | None) -> Ids:
    """What each query takes: the sum over keys of share times value. (*lead, queries, keys), (*lead, keys, depth) -> (*lead, queries, depth)"""
    if allowed is None:
        products = here.product(Edges(shares[..., :, None, :], over=0), Edges(np.swapaxes(value, -1, -2)[..., None, :, :], over=0), part="weighted")
        return here.sum(Edges(products), part=part)
    columns = np.nonzero(allowed)[1]
    products = here.product(Edges(shares[..., None, allowed], over=0), Edges(np.swapaxes(value, -1, -2)[..., columns], over=0), part="weighted")
    return here.sum(Edges(np.swapaxes(pairs_in_places(products, allowed, NOTHING), -2, -3)), part=part)


def attention(
    here: Scope,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    *,
    scale: Weights | None = None,
    concat_score_weight: Weights | None = None,
    score_mode: str = "dot",
    use_scale: bool = False,
    causal: bool = False,
    use_causal_mask: bool = False,
    return_attention_scores: bool = False,
    query_length: int | None = None,
    value_length: int | None = None,
) -> Ids | tuple[Ids, Ids]:
    """Luong's: scores are scale * (q . k), or with `concat` w * sum(tanh(scale * (q + k))); (queries, d), (keys, d) -> (queries, d)"""
    key = value if key is None else key
    asking = counting_steps(len(query), query_length)
    allowed = allowed_pairs(asking, counting_steps(len(key), value_length), causal or use_causal_mask)
    query, allowed = query[asking], allowed if allowed is None else allowed[asking]
    factor = 1.0 if scale is None else scale
    left, right = pairs(query, key, allowed)
    if score_mode == "dot":
        terms, weight = here.product(Edges(left, over=0), Edges(right, over=0), part="products"), factor
    elif score_mode == "concat" and concat_score_weight is not None:
        terms = here.sum(Edges(left, factor, over=0), Edges(right, factor, over=0), part="sums", activation="tanh")
        weight = concat_score_weight
    else:
        raise Unsupported(f"has no rule for score_mode={score_mode!r}")
    return counting_outputs(here, distribution(here, terms, weight, allowed), value, allowed, asking, return_attention_scores)


def additive_attention(
    here: Scope,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    *,
    scale: Weights | None = None,
    use_scale: bool = True,
    causal: bool = False,
    use_causal_mask: bool = False,
    return_attention_scores: bool = False,
    query_length: int | None = None,
    value_length: int | None = None,
) -> Ids | tuple[Ids, Ids]:
    """Bahdanau's: scores are sum(scale * tanh(q + k)); (queries, d), (keys, d) -> (queries, d)"""
    key = value if key is None else key
    asking = counting_steps(len(query), query_length)
    allowed = allowed_pairs(asking, counting_steps(len(key), value_length), causal or use_causal_mask)
    query, allowed = query[asking], allowed if allowed is None else allowed[asking]
    left, right = pairs(query, key, allowed)
    terms = here.sum(Edges(left, over=0), Edges(right, over=0), part="sums", activation="tanh")
    shares = distribution(here, terms, 1.0 if scale is None else scale, allowed)
    return counting_outputs(here, shares, value, allowed, asking, return_attention_scores)


def counting_outputs(here: Scope, shares: Ids, value: Ids, allowed: Allowed, asking: NDArray[np.bool_], with_scores: bool) -> Ids | tuple[Ids, Ids]:
    """What the queries take that count; zeros for the others."""
    if with_scores and not asking.all():
        raise Unsupported("returns scores of queries that don't count, for which there is no rule")
    outputs = in_places(weighted_values(here, shares, value, allowed, None if asking.all() and not with_scores else "output"), asking)
    return (outputs, shares) if with_scores else outputs


def multi_head_attention(
    here: Scope,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    *,
    query_kernel: Weights,
    key_kernel: Weights,
    value_kernel: Weights,
    output_kernel: Weights,
    query_bias: Weights | None = None,
    key_bias: Weights | None = None,
    value_bias: Weights | None = None,
    output_bias: Weights | None = None,
    gate_kernel: Weights | None = None,
    gate_bias: Weights | None = None,
    num_heads: int | None = None,
    key_dim: int | None = None,
    value_dim: int | None = None,
    output_shape: Any = None,
    attention_axes: SomeAxes | None = None,
    use_gate: bool = False,
    sliding_window: int | None = None,
    attention_mask: Any = None,
    use_causal_mask: bool = False,
    return_attention_scores: bool = False,
    query_length: int | None = None,
    value_length: int | None = None,
    key_length: int | None = None,
) -> Ids | tuple[Ids, Ids]:
    """Projections to heads, attention in each of them, and one projection back: (*places, n) -> (*places, *output_shape).

    query_kernel (n, heads, depth), key_kernel, value_kernel alike, output_kernel (heads, depth, *output_shape)
    """
    q = projected(here, query, query_kernel, query_bias, "query")
    k = projected(here, value if key is None else key, key_kernel, key_bias, "key")
    v = projected(here, value, value_kernel, value_bias, "value")
    gate = None if gate_kernel is None else projected(here, query, gate_kernel, gate_bias, "gate", "sigmoid")
    counting = counting_steps(len(query), query_length), counting_steps(len(value), value_length) & counting_steps(len(k), key_length)
    outputs, shares = attention_along(
        here, q, k, v, attended_axes(attention_axes, query.ndim), use_causal_mask, sliding_window, attention_mask, counting
    )
    outputs = output_projection(here, outputs, gate, output_kernel, output_bias, "output" if return_attention_scores else None)
    return (outputs, shares) if return_attention_scores else outputs


def group_query_attention(
    here: Scope,
    query: Ids,
    value: Ids,
    key: Ids | None = None,
    *,
    query_kernel: Weights,
    key_kernel: Weights,
    value_kernel: Weights,
    output_kernel: Weights,
    query_bias: Weights | None = None,
    key_bias: Weights | None = None,
    value_bias: Weights | None = None,
    output_bias: Weights | None = None,
    gate_kernel: Weights | None = None,
    gate_bias: Weights | None = None,
    head_dim: int | None = None,
    num_query_heads: int | None = None,
    num_key_value_heads: int | None = None,
    use_gate: bool = False,
    sliding_window: int | None = None,
    attention_mask: Any = None,
    use_causal_mask: bool = False,
    return_attention_scores: bool = False,
) -> Ids | tuple[Ids, Ids]:
    """Multi-head attention in which several query heads share one key and value head: (positions, n) -> (positions, n)."""
    q = projected(here, query, query_kernel, query_bias, "query")
    k = projected(here, value if key is None else key, key_kernel, key_bias, "key")
    v = projected(here, value, value_kernel, value_bias, "value")
    gate = None if gate_kernel is None else projected(here, query, gate_kernel, gate_bias, "gate", "sigmoid")
    shared = q.shape[-2] // k.shape[-2]
    outputs, shares = attention_along(
        here, q, np.repeat(k, shared, axis=-2), np.repeat(v, shared, axis=-2), (0,), use_causal_mask, sliding_window, attention_mask
    )
    outputs = output_projection(here, outputs, gate, output_kernel, output_bias, "output" if return_attention_scores else None)
    return (outputs, shares) if return_attention_scores else outputs


def projected(here: Scope, inputs: Ids, kernel: Weights, bias: Weights | None, part: str, activation: str = "linear") -> Ids:
    """(*places, n), kernel (n, heads, depth) -> (*places, heads, depth)"""
    check_width(inputs.shape[-1], kernel.shape[0])
    places = "abcdefg"[: inputs.ndim - 1]
    return contract(here, [(inputs, f"{places}x"), (kernel, "xyz")], f"{places}yz", bias=bias, part=part, activation=activation)


def output_projection(here: Scope, heads: Ids, gate: Ids | None, kernel: Weights, bias: Weights | None, part: str | None) -> Ids:
    """(*places, heads, depth), kernel (heads, depth, *out) -> (*places, *out)"""
    if gate is not None:
        heads = here.product(Edges(heads, over=0), Edges(gate, over=0), part="gated")
    places, out = "abcdefg"[: heads.ndim - 2], "hijklmn"[: kernel.ndim - 2]
    return contract(here, [(heads, f"{places}yz"), (kernel, f"yz{out}")], places + out, bias=bias, part=part)


def attended_axes(axes: SomeAxes | None, rank: int) -> tuple[int, ...]:
    """The attended axes without the batch axis, of inputs of that rank (without it); all but the last where none are given."""
    if axes is None:
        return tuple(range(rank - 1))
    listed = [axes] if isinstance(axes, int) else axes
    return tuple((axis if axis >= 0 else rank + 1 + axis) - 1 for axis in listed)


def attention_along(
    here: Scope,
    query: Ids,
    key: Ids,
    value: Ids,
    axes: Sequence[int],
    causal: bool,
    window: int | None,
    mask: Any,
    counting: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
) -> tuple[Ids, Ids]:
    """Attention along some axes of (*places, heads, depth): what each query takes, in the query's order of axes, and the shares.

    counting  which queries and which keys count, along the first axis; a query that doesn't takes the same of everybody
    Raises Unsupported for a mask along other axes than the first.
    """
    masked = counting is not None and not all(counts.all() for counts in counting)
    if (causal or window is not None or mask is not None or masked) and tuple(axes) != (0,):
        raise Unsupported(f"has a mask along the axes {[a + 1 for a in axes]}; there is a rule for the first alone")
    rank = query.ndim
    order = [*(a for a in range(rank - 1) if a not in axes), *axes, rank - 1]  # others, heads, attended, depth
    lead = rank - 1 - len(axes)
    q, k, v = (array.transpose(order) for array in (query, key, value))
    flat = [array.reshape(*array.shape[:lead], -1, array.shape[-1]) for array in (q, k, v)]
    everybody = counting_steps(flat[0].shape[-2], None), counting_steps(flat[1].shape[-2], None)
    queries, keys = counting if counting is not None and masked else everybody
    allowed = allowed_pairs(queries, keys, causal, window, mask)
    left, right = pairs(flat[0], flat[1], allowed)
    products = here.product(Edges(left, over=0), Edges(right, over=0), part="products")
    scale: Weights | float = 1 / sqrt(query.shape[-1])
    if allowed is not None and not queries.all():
        scale = scale * queries[np.nonzero(allowed)[0], None]
    shares = distribution(here, products, scale, allowed)
    outputs = weighted_values(here, shares, flat[2], allowed, "context").reshape(*q.shape[:-1], v.shape[-1])
    return outputs.transpose(np.argsort(order)), shares.reshape(*q.shape[:-1], *k.shape[lead:-1])
