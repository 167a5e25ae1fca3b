"""Attention: how much each query position takes from each key position, as products, a softmax over the keys, and a weighted sum.

Formula: Vaswani et al. 2017. Values are (*lead, positions, depth), `lead` being examples, heads and whatever else is not attended over.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl.errors import Unsupported
from etl.rules.aten.reduce import softmax
from etl.rules.aten.values import TRAINING, Value, all_constant, live_or_constant_sum, multiply, numbers
from etl.rules.ids import NOTHING, ZERO, Ids, axis_names, is_live, live
from etl.rules.scope import Edges, Scope


def scaled_dot_product_attention(
    here: Scope,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Attention over the last two axes (positions, depth), the other axes being examples and heads."""
    if dropout_p:
        raise Unsupported(f"drops values at random: it {TRAINING}")
    if enable_gqa:
        key, value = (np.repeat(tensor, query.shape[-3] // tensor.shape[-3], axis=-3) for tensor in (key, value))
    if is_causal:
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    return attention(here, query, key, value, 1 / sqrt(query.shape[-1]) if scale is None else scale, attn_mask)


def attention(here: Scope, query: Value, key: Value, value: Value, scale: float, mask: Any = None) -> Value:
    """softmax(scale q k + mask) v: (*lead, n, d), (*lead, m, d), (*lead, m, e) -> (*lead, n, e).

    mask  of truths (who may meet whom), or of numbers that are added to the scores; broadcasts to (*lead, n, m)
    """
    allowed = pattern(mask, query.shape[-2], key.shape[-2])
    if allowed is not None and is_live(query) and is_live(key) and is_live(value):
        return sparse_attention(here, query, key, value, scale, allowed)
    if mask is not None and not is_live(mask) and np.asarray(mask).dtype == bool:
        mask = np.where(mask, 0.0, -np.inf)
    shares = shared(here, query, key, scale, mask)
    return weighted(here, shares, value)


def pattern(mask: Any, queries: int, keys: int) -> NDArray[np.bool_] | None:
    """A constant mask of truths that is the same for all examples and heads: (queries, keys); None for any other, or where all may meet."""
    if mask is None or is_live(mask) or np.asarray(mask).dtype != bool:
        return None
    mask = np.asarray(mask)
    if any(size != 1 for size in mask.shape[:-2]):
        return None
    allowed = np.broadcast_to(mask.reshape(mask.shape[-2:] if mask.ndim > 1 else mask.shape), (queries, keys))
    return allowed if not allowed.all() and allowed.any(axis=1).all() else None


def shared(here: Scope, query: Value, key: Value, scale: float, mask: Any) -> Value:
    """How each query divides its attention among the keys: (*lead, n, m)."""
    if all_constant(query, key):
        scores = np.matmul(query, np.swapaxes(key, -1, -2)) * scale
        if not is_live(mask):
            return softmax(here, scores if mask is None else scores + mask, scores.ndim - 1)
        return here.sum(Edges(mask, over=0), bias=scores, part="scores", activation="softmax")
    pairs = multiply(here, query[..., :, None, :], key[..., None, :, :], part="products") if is_live(query) and is_live(key) else None
    if pairs is not None:
        edges = Edges(pairs, scale)
    elif is_live(query):
        edges = Edges(query[..., :, None, :], numbers(key)[..., None, :, :] * scale)
    else:
        edges = Edges(key[..., None, :, :], numbers(query)[..., :, None, :] * scale)
    return live_or_constant_sum(here, edges, bias=mask, part="scores", activation="softmax")


def weighted(here: Scope, shares: Value, value: Value) -> Value:
    """What each query takes: the sum over keys of share times value. (*lead, n, m), (*lead, m, e) -> (*lead, n, e)"""
    if all_constant(shares, value):
        return np.matmul(shares, value)
    turned = np.swapaxes(value, -1, -2)[..., None, :, :]  # (*lead, 1, e, m)
    if is_live(shares) and is_live(value):
        products = here.product(Edges(shares[..., :, None, :], over=0), Edges(turned, over=0), part="weighted")
        return here.sum(Edges(products), axes=axis_names(value))
    if is_live(shares):
        return here.sum(Edges(shares[..., :, None, :], numbers(turned)))
    return here.sum(Edges(turned, numbers(shares)[..., :, None, :]), axes=axis_names(value))


def sparse_attention(here: Scope, query: Ids, key: Ids, value: Ids, scale: float, allowed: NDArray[np.bool_]) -> Ids:
    """The same where only some pairs meet, written out: `scores` of the pairs alone, `largest`, `exponential`, `share`, `softmax`, `weighted`."""
    rows, columns = np.nonzero(allowed)
    products = here.product(Edges(query[..., rows, :], over=0), Edges(key[..., columns, :], over=0), part="products")
    scores = here.sum(Edges(products, scale), part="scores")
    largest = here.max(Edges(in_places(scores, allowed, NOTHING)), part="largest")
    shifted = here.sum(Edges(scores, over=0), Edges(largest[..., rows], -1.0, over=0), part="exponential", activation="exponential")
    share = here.sum(Edges(in_places(shifted, allowed, NOTHING)), part="share", activation="reciprocal")
    shares = here.product(Edges(shifted, over=0), Edges(share[..., rows], over=0), part="softmax")
    turned = np.swapaxes(value, -1, -2)
    products_of_values = here.product(Edges(shares[..., None, :], over=0), Edges(turned[..., columns], over=0), part="weighted")
    return here.sum(Edges(np.swapaxes(in_places(products_of_values, allowed, ZERO), -2, -3)), axes=axis_names(value))


def in_places(ids: Ids, allowed: NDArray[np.bool_], elsewhere: int) -> Ids:
    """Ids of allowed pairs back in their places: (*lead, pairs) -> (*lead, queries, keys)."""
    whole = live(np.full((*ids.shape[:-1], *allowed.shape), elsewhere))
    whole[..., allowed] = ids
    return whole
