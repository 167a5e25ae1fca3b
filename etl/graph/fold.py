"""Folding: a step that only scales, shifts or activates another step's neurons becomes part of them. The outputs stay the same.

BatchNormalization after a convolution, a lone Activation after a Dense: where the neurons below are linear and nobody else reads
them, w2 (w1 x + b1) + b2 = (w2 w1) x + (w2 b1 + b2).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np

from etl.rules.scope import Ids, Step, Weight, Weights

Folds = dict[int, tuple[tuple[int, str], ...]]  # step -> the steps folded into it, each with its activation


def foldable(steps: Sequence[Step], alone: Container[int], outputs: Sequence[Ids]) -> Folds:
    """Which steps fold into which, by number.

    steps    all of an unfolded graph, in order
    alone    numbers of those that are all that their layer does: only these are folded away
    outputs  what the model returns: its neurons are read from outside
    """
    end = max((int(step.ids.flat[-1]) + 1 for step in steps if step.ids.size), default=0)
    readers = np.zeros(end, dtype=np.int8)  # 0, 1 or more steps
    for sources in (*([e.source for e in step.edges] for step in steps), *([ids] for ids in outputs)):
        read = np.zeros(end, dtype=bool)
        for source in sources:
            read[source[source >= 0]] = True
        readers += read & (readers < 2)
    root = {int(step.ids.flat[0]): step for step in steps if step.ids.size}  # by the first id that stands for the step's neurons
    last: dict[int, Step] = {}
    folds: Folds = {}
    for step in steps:
        if step.number not in alone or not step.ids.size or not step.edges or not step.edges[0].source.size:
            continue
        below = root.get(int(step.edges[0].source.flat[0]))
        if below is None:
            continue
        top = last.get(below.number, below)
        if can_fold(top, below, step) and (readers[top.ids] == 1).all():
            folds[below.number] = (*folds.get(below.number, ()), (step.number, step.activation))
            last[below.number] = step
            root[int(step.ids.flat[0])] = below
    return folds


def can_fold(top: Step, root: Step, step: Step) -> bool:
    """Whether `step` does one thing to each neuron of `top` (whose neurons are those of `root`), in their order, and `root` can take it in."""
    edges = step.edges[0]
    if step.op != "sum" or len(step.edges) != 1 or edges.over or top.activation != "linear":
        return False
    shape = np.broadcast_shapes(edges.shape, step.ids.shape)
    only_activates = np.ndim(edges.weight) == 0 and edges.weight == 1 and step.bias is None
    return (
        edges.source.shape == shape == top.shape == root.shape
        and np.array_equal(edges.source.reshape(-1), top.ids.reshape(-1))
        and (root.op == "sum" or only_activates)
        and (root.ids.shape == shape or (last_axis_only(edges.weight, shape) and last_axis_only(step.bias, shape)))
    )


def last_axis_only(array: Weight | None, shape: tuple[int, ...]) -> bool:
    """Whether there is one number, or one for each place of the last axis."""
    return array is None or np.size(array) in (1, shape[-1] if shape else 1)


def folded_step(step: Step, above: Step) -> Step:
    """`step` with `above` folded into it."""
    weight, bias = above.edges[0].weight, above.bias
    if np.ndim(weight) or weight != 1:
        scale = as_written(np.asarray(weight), step)
        edges = tuple(e._replace(weight=np.asarray(e.weight) * scale[(..., *(None,) * e.over)]) for e in step.edges)
        step = replace(step, edges=edges, bias=None if step.bias is None else step.bias * scale)
    if bias is not None:
        shift = as_written(bias, step)
        step = replace(step, bias=shift if step.bias is None else step.bias + shift)
    return replace(step, activation=above.activation)


def as_written(array: Weights, step: Step) -> Weights:
    """An array that broadcasts to a row's own shape, in the shape in which its step is written; no larger than it was."""
    if step.ids.shape == step.shape or array.ndim == 0:
        return array
    split = step.ids.shape[len(step.shape) - 1 :]  # groups: the last axis written as several
    return array.reshape(*array.shape[-len(step.shape) : -1], *(split if array.shape[-1] > 1 else (1,) * len(split)))
