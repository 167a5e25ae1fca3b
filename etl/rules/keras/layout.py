"""Where Keras' layers have their axes: names for them, and the channels moved to where a rule wants them."""

from __future__ import annotations

import numpy as np

from etl.rules.ids import Axes, Ids
from etl.rules.scope import Edges, Scope

PLACES: dict[int, Axes] = {0: (), 1: ("step",), 2: ("row", "column"), 3: ("depth", "row", "column")}  # by the number of axes that windows move along


def first(data_format: str | None) -> bool:
    """Whether channels come before the places."""
    return data_format == "channels_first"


def axes(rank: int, data_format: str | None) -> Axes:
    """Names of an image's axes in the file's order, `rank` of them places: (row, column, channel)."""
    places = PLACES.get(rank, (None,) * rank)
    return ("channel", *places) if first(data_format) else (*places, "channel")


def named_image(here: Scope, inputs: Ids, data_format: str | None) -> Ids:
    """An image with its axes named, as the file has them."""
    return here.expect(inputs, axes(inputs.ndim - 1, data_format)) if inputs.ndim else inputs


def image(here: Scope, inputs: Ids, data_format: str | None) -> Ids:
    """An image with its axes named, channels last."""
    ids = named_image(here, inputs, data_format)
    return np.moveaxis(ids, 0, -1) if first(data_format) else ids


def as_given(ids: Ids, data_format: str | None) -> Ids:
    """Back from channels last to where the file has them: for views, whose ids lie as they may."""
    return np.moveaxis(ids, -1, 0) if first(data_format) else ids


def in_order(edges: Edges, channels: range, data_format: str | None) -> Edges:
    """Edges of neurons written channels last, `channels` being these axes, in the file's order: neurons are numbered as its tensor lies."""
    if first(data_format):
        for place, axis in enumerate(channels):
            edges = edges.moved(axis, place)
    return edges
