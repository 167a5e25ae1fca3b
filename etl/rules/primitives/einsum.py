"""Sums of products along named axes: what EinsumDense, attention's projections, matrix products, Dot and Einsum all are."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from etl.errors import Unsupported
from etl.rules.ids import axis_names, is_live
from etl.rules.scope import Edges, Ids, Scope, Weights


def contract(
    here: Scope,
    operands: Sequence[tuple[Ids | Weights, str]],
    out: str,
    *,
    bias: Weights | None = None,
    activation: str = "linear",
    part: str | None = None,
) -> Ids:
    """Einstein's sum of ids and constants, a letter an axis: [(ids, "ij"), (kernel, "jk")], "ik".

    With one operand of ids its places are summed through the constants as weights, a lone constant keeping its `parameter`; with several,
    `products` come first, one for each place of all letters. A mere exchange of axes is a view.
    """
    summed = "".join(dict.fromkeys(c for _, letters in operands for c in letters if c not in out))
    flowing = [aligned(array, letters, out + summed) for array, letters in operands if is_live(array)]
    constant = [aligned(array, letters, out + summed) for array, letters in operands if not is_live(array)]
    axes = tuple(next((names[letter] for names in lettered(operands) if names.get(letter)), None) for letter in out)
    if axes and axes[-1] is None and not any(is_live(array) and out[-1] in letters for array, letters in operands):
        axes = (*axes[:-1], "channel")  # what a kernel alone brings is a channel
    bare = not summed and not constant and bias is None and activation == "linear"
    weight: Any = constant[0] if len(constant) == 1 else prod(constant, start=np.float64(1))
    if len(flowing) > 1:
        edges = [Edges(ids, over=0) for ids in flowing]
        if bare:
            return here.product(*edges, part=part)
        flowing = [here.product(*edges, part=f"{part}/products" if part else "products")]
    if bare:
        return flowing[0]
    return here.sum(Edges(flowing[0], weight, over=len(summed)), bias=bias, activation=activation, part=part, axes=axes)


def lettered(operands: Sequence[tuple[Ids | Weights, str]]) -> list[dict[str, str | None]]:
    """Names of the axes of live operands by their letters."""
    return [dict(zip(letters, axis_names(array), strict=True)) for array, letters in operands if is_live(array)]


def aligned(array: Any, letters: str, order: str) -> Any:
    """An array with its axes in the order of `order`, axes it lacks one long; a letter twice is a diagonal. A view."""
    single = "".join(dict.fromkeys(letters))
    if len(single) < len(letters):
        array, letters = np.einsum(f"{letters}->{single}", array), single
    array = np.transpose(array, [letters.index(c) for c in order if c in letters])
    return np.expand_dims(array, tuple(k for k, c in enumerate(order) if c not in letters))


def without_batch(operands: Sequence[tuple[Ids | Weights, str]], out: str) -> tuple[list[tuple[Ids | Weights, str]], str]:
    """Operands and result of an operation in which a batch is one of the axes, with that axis taken out: letters count it, ids do not have it.

    Raises Unsupported where the examples of a batch would meet.
    """
    batches = {letters[:1] for array, letters in operands if is_live(array)}
    batch = next(iter(batches), "")
    other_letters = "".join(letters if not is_live(array) else letters[1:] for array, letters in operands)
    if len(batches) > 1 or not batch or batch in other_letters or out[:1] != batch or batch in out[1:]:
        raise Unsupported("lets the examples of a batch meet: only products within an example have a graph")
    return [(array, letters[1:] if is_live(array) else letters) for array, letters in operands], out[1:]


def spelled(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """An equation of `einsum` without dots and with its result: "...ij,jk", (3, 2) -> ["Aij", "jk"], "Aik". Ranks count the batch.

    Raises Unsupported where it is of another number of operands.
    """
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise Unsupported(f"has {len(ranks)} operands for the equation {equation!r}")
    if not arrow:
        letters = "".join(terms).replace(".", "")
        out = ("..." if "..." in left else "") + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    dots = [max(rank - len(term.replace("...", "")), 0) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)]
    names = "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation)[: max(dots)]
    return [term.replace("...", names[len(names) - n :]) for term, n in zip(terms, dots, strict=True)], out.replace("...", names)
