"""Feature maps as a picture: a section a layer, a grey tile a channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etl.analysis.features import Features, Values, channels
from etl.errors import BadRequest
from etl.extras import needed
from etl.sinks.atomic_file import in_place

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

COLUMNS = 6
TILE = 1.5  # inches


def draw(features: Features, names: Sequence[str], top: int | None, path: Path) -> None:
    """Draw what the model is given and the maps of some layers, into .png, .svg or .pdf; or write all of their channels as arrays into .npz.

    Raises BadRequest for any other suffix.
    """
    if path.suffix == ".npz":
        with in_place(path) as file:
            np.savez_compressed(file, **{name: features.values[name] for name in names})  # type: ignore[arg-type]
        return
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise BadRequest(f"{path}: its suffix says nothing that can be drawn; call it .png, .svg or .pdf, or .npz for arrays")
    needed("matplotlib")
    from matplotlib.figure import Figure

    shown = [(name, maps, channels(maps, top)) for name, maps in ((name, features.maps(name)) for name in names)]
    heights = [-(-tiles_of(values, chosen) // COLUMNS) + 0.35 for _, values, chosen in shown]
    figure = Figure(figsize=(COLUMNS * TILE + 0.4, (sum(heights) + 1.7) * TILE), dpi=110, layout="constrained")
    figure.suptitle(
        f"What {features.model.name} makes of {features.example}\neach map from its least activation (black) to its largest (white)", fontsize=11
    )
    sections = figure.subfigures(len(shown) + 1, 1, height_ratios=[1.25, *heights], squeeze=False)[:, 0]
    draw_inputs(sections[0], features)
    for section, (name, values, chosen) in zip(sections[1:], shown, strict=True):
        draw_layer(section, name, values, chosen, top)
    with in_place(path) as file:
        figure.savefig(file, format=path.suffix[1:])


def tiles_of(values: Values, channels_shown: Sequence[int]) -> int:
    """Tiles of a layer: one a channel, one for all where it has no maps."""
    return len(channels_shown) if values.ndim == 3 else COLUMNS


def draw_inputs(section: SubFigure, features: Features) -> None:
    """What the model is given, scaled to be seen."""
    section.suptitle("input" + (f", prepared as {features.preset!r}" if features.preset else ""), fontsize=10)
    tiles = section.subplots(1, COLUMNS, squeeze=False)[0]
    for tile, model_input, row in zip(tiles, features.inputs, features.graph.rows, strict=False):
        values = np.asarray(model_input[0], dtype=float)
        picture = values if row.channel_axis is None or row.shape != values.shape else np.moveaxis(values, row.channel_axis, -1)
        show(tile, picture if picture.ndim == 3 and picture.shape[2] == 3 else as_map(picture), f"{span(picture)}")
    for tile in tiles[len(features.inputs) :]:
        tile.set_axis_off()


def draw_layer(section: SubFigure, name: str, values: Values, chosen: Sequence[int], top: int | None) -> None:
    """The maps of one layer, each from its least value in black to its largest in white."""
    size = " x ".join(str(n) for n in values.shape[:-1])
    count = values.shape[-1]
    if values.ndim < 3:
        section.suptitle(f"{name}: {count} values" + (f" at {size} places" if size else ""), fontsize=10)
        axes = section.subplots(1, 1)
        picture = axes.imshow(np.atleast_2d(values), cmap="gray", aspect="auto", interpolation="nearest")
        axes.set_yticks([])
        axes.set_xlabel("unit", fontsize=8)
        section.colorbar(picture, ax=axes, label="activation")
        return
    share = f"all {count}" if len(chosen) == count else f"{'the first' if top is None else 'the strongest'} {len(chosen)} of {count}"
    section.suptitle(f"{name}: {share} channels, {size} each", fontsize=10)
    tiles = section.subplots(-(-len(chosen) // COLUMNS), COLUMNS, squeeze=False).reshape(-1)
    for tile, channel in zip(tiles, chosen, strict=False):
        show(tile, values[..., channel], f"channel {channel}\n{span(values[..., channel])}")
    for tile in tiles[len(chosen) :]:
        tile.set_axis_off()


def show(tile: Any, picture: Values, title: str) -> None:
    """One tile."""
    if picture.ndim == 3:
        low, high = float(picture.min()), float(picture.max())
        picture = (picture - low) / ((high - low) or 1)
    tile.imshow(picture, cmap="gray", interpolation="nearest")
    tile.set_title(title, fontsize=7)
    tile.set_xticks([])
    tile.set_yticks([])


def as_map(values: Values) -> Values:
    """Whatever an input is, as a map."""
    return values[..., 0] if values.ndim == 3 else np.atleast_2d(values.reshape(values.shape[0], -1) if values.ndim > 1 else values)


def span(values: Values) -> str:
    """Least and largest value."""
    return f"{float(values.min()):.3g} to {float(values.max()):.3g}"
