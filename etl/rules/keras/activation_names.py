"""What Keras 2 and 3 mean by the names of activations, and activations that are several steps: keras.activations.glu and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etl.activations import BEYOND, FUNCTIONS, call
from etl.errors import Unsupported
from etl.rules.scope import NOTHING, Edges, Ids, Scope, bounded

ALIASES = {
    "swish": "silu",
    "hard_swish": "hard_silu",
    "softmax_v2": "softmax",
    "log_softmax_v2": "log_softmax",
    "exp": "exponential",
    "identity": "linear",
}
# TensorFlow's own functions, which files write like Keras' (`Dense(activation=tf.abs)`)
TENSORFLOW = set("abs square sqrt rsqrt reciprocal negative log sign floor ceil round sin cos erf".split())


def keras_activation(value: Any, *, keras: int) -> str:
    """The activation that a file's value means in its own Keras (2 or 3). Raises Unsupported for anything that is not a known function."""
    if value is None:
        return "linear"
    if isinstance(value, Mapping):
        config = value.get("config")
        if isinstance(config, str):
            return keras_activation(config, keras=keras)
        return of_layer(str(value.get("class_name")), config if isinstance(config, Mapping) else {}, keras)
    name = ALIASES.get(str(value), str(value))
    if name == "hard_sigmoid" and keras == 2:
        return "keras2.hard_sigmoid"
    if name in COMPOSED:
        return name
    if name in FUNCTIONS and (name not in BEYOND or name in TENSORFLOW):
        return call(name)
    raise Unsupported(f"has the activation {value!r}, which is none of Keras' own")


def of_layer(kind: str, options: Mapping[str, Any], keras: int) -> str:
    """An activation given as a layer: `Dense(activation=LeakyReLU())`. Raises Unsupported for a layer that is no activation."""
    if kind == "ReLU":
        return call("relu", **{k: options.get(k) for k in ("negative_slope", "max_value", "threshold")})
    if kind == "LeakyReLU":
        return call("leaky_relu", negative_slope=options.get("negative_slope", options.get("alpha", 0.3)))
    if kind == "ELU":
        return call("elu", alpha=options.get("alpha", 1.0))
    if kind == "Activation":
        return keras_activation(options.get("activation"), keras=keras)
    if kind == "Softmax" and options.get("axis", -1) == -1:
        return "softmax"
    raise Unsupported(f"has a {kind} as its activation, for which there is no rule")


def keras2_hard_sigmoid(here: Scope, inputs: Ids, *, part: str | None = None) -> Ids:
    """clip(0.2 x + 0.5, 0, 1), Keras 2's own; Keras 3 means relu6(x + 3) / 6 by the same name."""
    return here.sum(Edges(inputs, np.float32(0.2), over=0), part=part, bias=np.float32(0.5), activation="relu(max_value=1.0)")


def glu(here: Scope, inputs: Ids, *, part: str | None = None, axis: int = -1) -> Ids:
    """The first half of an axis times the sigmoid of its second half (https://arxiv.org/abs/1612.08083): (..., 2n) -> (..., n)."""
    if inputs.shape[axis] % 2:
        raise Unsupported(f"splits an axis of {inputs.shape[axis]} in two")
    value, gate = np.split(inputs, 2, axis)
    opened = here.sum(Edges(gate, over=0), part=sublayer(part, "gate"), activation="sigmoid")
    return here.product(Edges(value, over=0), Edges(opened, over=0), part=part)


def sparsemax(here: Scope, inputs: Ids, *, part: str | None = None, axis: int = -1) -> Ids:
    """max(x - tau, 0), tau from the largest x as Keras computes it: (sum of their running sums - 1) / how many.

    The x are sorted; the k-th largest counts where it is above (x_1 + ... + x_k - 1) / k, and `support` is 1 there, otherwise 0. The paper's
    tau is that of the last running sum alone (https://arxiv.org/abs/1602.02068), but a graph says what Keras computes.
    """
    ordered, n = sort(here, np.moveaxis(inputs, axis, -1), part), inputs.shape[axis]
    share = 1 / np.arange(1, n + 1)
    bounded((*ordered.shape, n))
    first = np.where(np.tri(n, dtype=bool), ordered[..., None, :], NOTHING)  # (..., k, the k largest)
    running = here.sum(Edges(first), part=sublayer(part, "running"))
    margin = here.sum(Edges(ordered, over=0), Edges(running, -share, over=0), part=sublayer(part, "margin"), bias=share)
    above = here.sum(Edges(margin, over=0), part=sublayer(part, "above"), activation=call("threshold", threshold=0, default_value=1))
    below = here.sum(Edges(above, over=0), part=sublayer(part, "inverse"), activation="reciprocal")
    support = here.product(Edges(margin, over=0), Edges(below, over=0), part=sublayer(part, "support"), activation="relu")
    counted = here.product(Edges(support, over=0), Edges(running, over=0), part=sublayer(part, "counted"))
    total = here.sum(Edges(counted), part=sublayer(part, "total"), bias=-1.0)
    number = here.sum(Edges(support), part=sublayer(part, "number"), activation="reciprocal")
    tau = np.expand_dims(here.product(Edges(total, over=0), Edges(number, over=0), part=sublayer(part, "tau")), axis)
    return here.sum(Edges(inputs, over=0), Edges(tau, -1.0, over=0), part=part, activation="relu")


def sort(here: Scope, ids: Ids, part: str | None) -> Ids:
    """The last axis from the largest to the smallest, by Batcher's odd-even merging network of max and min neurons.

    Each round compares disjoint pairs: O(log(n)^2) rounds, whatever the values.
    """
    ids, n, number = ids.copy(), ids.shape[-1], 0
    for width in (1 << k for k in range((n - 1).bit_length())):
        for apart in (width >> k for k in range(width.bit_length())):
            low = np.arange(apart % width, n - apart)
            low = low[((low - apart % width) // apart % 2 == 0) & (low // (2 * width) == (low + apart) // (2 * width))]
            if low.size:
                pairs = np.stack([ids[..., low], ids[..., low + apart]], -1)
                ids[..., low] = here.max(Edges(pairs), part=sublayer(part, f"sort_{number}/larger"))
                ids[..., low + apart] = here.min(Edges(pairs), part=sublayer(part, f"sort_{number}/smaller"))
                number += 1
    return ids


def sublayer(part: str | None, name: str) -> str:
    """A sublayer of a sublayer."""
    return f"{part}/{name}" if part else name


# Activations that are not one function of one number: written out as neurons of their own.
COMPOSED: dict[str, Callable[..., Ids]] = {"keras2.hard_sigmoid": keras2_hard_sigmoid, "glu": glu, "sparsemax": sparsemax}
