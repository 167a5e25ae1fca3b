"""Layers as a picture has room for them: many are drawn as few blocks of layers that follow each other.

A block is, in this order, as little as is needed: one layer; a layer with those after it that have no weights of their own or only rescale
(activations, pools, additions, normalizations); layers whose names begin alike (`block_3_expand`, `block_3_project`); equal shares of those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from math import ceil

from etl.analysis.plots.figure import Row
from etl.store.palette import layer_colours

MOST = 24  # blocks that can be read on one axis
BREAKS = re.compile(r"[_./:\-]+")


@dataclass(frozen=True)
class Block:
    """Layers that follow each other, drawn as one.

    name    what they share: the first layer's name, or the beginning of all their names
    layers  rows of `layers`, at least one
    """

    name: str
    layers: tuple[Row, ...]

    @property
    def begin(self) -> int:
        return int(self.layers[0]["begin"])

    @property
    def end(self) -> int:
        return int(self.layers[-1]["end"])


def follows(layer: Row) -> bool:
    """Whether a layer only changes, pools or adds what the layers before it computed."""
    return layer["type"] != "InputLayer" and (not layer.get("parameters") or "norm" in layer["type"].lower())


def blocks(layers: Sequence[Row], most: int | None = MOST) -> list[Block]:
    """The layers as at most `most` blocks, each by itself without a bound. layers: rows of `layers`, in their order."""
    single = [Block(layer["name"], (layer,)) for layer in layers]
    if most is None or len(single) <= most:
        return single
    joined = with_followers(layers)
    if len(joined) <= most:
        return joined
    finer = joined
    for depth in range(max(len(BREAKS.split(block.name)) for block in joined) - 1, 0, -1):
        shared = together_by(joined, lambda block, depth=depth: BREAKS.split(block.name)[:depth])  # type: ignore[misc]
        if len(shared) <= most:
            return shared if len(shared) >= most / 3 else shares(finer, most)
        finer = shared
    return shares(finer, most)


def with_followers(layers: Iterable[Row]) -> list[Block]:
    """Each layer with those behind it that follow it."""
    groups: list[list[Row]] = []
    for layer in layers:
        if groups and follows(layer) and groups[-1][0]["type"] != "InputLayer":
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return [Block(group[0]["name"], tuple(group)) for group in groups]


def together_by(blocks: Sequence[Block], key: Callable[[Block], list[str]]) -> list[Block]:
    """Neighbours with the same key as one, called by what their names begin with."""
    return [merged(list(group)) for _, group in groupby(blocks, key)]


def merged(blocks: Sequence[Block]) -> Block:
    """One block of several, called by what their names share, or by the first and the last."""
    layers = tuple(layer for block in blocks for layer in block.layers)
    if len(blocks) == 1:
        return blocks[0]
    shared = common([block.name for block in blocks])
    return Block(shared or f"{blocks[0].name} … {blocks[-1].name}", layers)


def common(names: Sequence[str]) -> str:
    """The words that all names begin with; none where they only count on from there (`conv2d`, `conv2d_1`)."""
    words = [BREAKS.split(name) for name in names]
    count = next((n for n, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), min(map(len, words)))
    if not count or any(len(parts) <= count for parts in words):
        return ""
    ends = [list(BREAKS.finditer(name))[count - 1] for name in names]
    if any(end.group() == "_" and parts[count].isdecimal() for end, parts in zip(ends, words, strict=True)):
        return ""
    return names[0][: ends[0].start()]


def shares(blocks: Sequence[Block], most: int) -> list[Block]:
    """Runs of equally many."""
    step = ceil(len(blocks) / most)
    return [merged(blocks[start : start + step]) for start in range(0, len(blocks), step)]


def colours(blocks: Sequence[Block]) -> list[str]:
    """A colour a block: its first layer's, among those of all layers."""
    all_colours = layer_colours(sum(len(block.layers) for block in blocks))
    starts = accumulate((len(block.layers) for block in blocks), initial=0)
    return [all_colours[start] for start in list(starts)[:-1]]


def numbered(blocks: Sequence[Block]) -> dict[str, int]:
    """The number of the block of every layer, by its name."""
    return {layer["name"]: number for number, block in enumerate(blocks) for layer in block.layers}
