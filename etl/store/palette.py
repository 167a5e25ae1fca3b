"""One colour for each layer, the same in every picture and in Neo4j Browser."""

from __future__ import annotations

# Neighbours in this list, and its two ends, are easy to tell apart, also where red and green are not.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#B84A00", "#F0E442", "#7A4FA3", "#8FBF5A", "#A05A2C")

# Where layers are more than that, colours say how deep: Mikhailov, "Turbo, an improved rainbow colormap" (2019), without its dark ends.
DEPTH = ("#3E3891", "#4662D7", "#36AAF9", "#1AE4B6", "#72FE5E", "#C8EF34", "#FABA39", "#F66B19", "#CA2A04")


def layer_colours(count: int) -> list[str]:
    """Colours for `count` layers in their order, as #RRGGBB: the palette while it lasts, else from blue (input) to red (output)."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [between(number / (count - 1) * (len(DEPTH) - 1)) for number in range(count)]


def between(place: float) -> str:
    """The colour at a place among the stops, from 0 to their last."""
    below = min(int(place), len(DEPTH) - 2)
    pairs = zip(channels(DEPTH[below]), channels(DEPTH[below + 1]), strict=True)
    return "#" + "".join(f"{round(low + (high - low) * (place - below)):02X}" for low, high in pairs)


def channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of #RRGGBB, from 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
