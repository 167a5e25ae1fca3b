"""Views: layers that only move values. They take ids and return ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from etl.rules.windows import channels_last
from etl.scope import Ids, Scope


def unchanged(here: Scope, inputs: Ids, **training_only: Any) -> Ids:
    """The identity at inference: dropout, noise, regularisation."""
    return inputs


def flatten(here: Scope, inputs: Ids, *, data_format: str | None = None) -> Ids:
    """All places in one row, channels last first: (h, w, c) -> (h*w*c,)."""
    return channels_last(inputs, data_format).reshape(-1)


def reshape(here: Scope, inputs: Ids, *, target_shape: Any) -> Ids:
    """The same places in C order in another shape; one axis may be -1."""
    return inputs.reshape(tuple(target_shape))


def permute(here: Scope, inputs: Ids, *, dims: Any) -> Ids:
    """Axes in another order; `dims` counts from 1, the batch axis being 0."""
    return np.transpose(inputs, [d - 1 for d in dims])
