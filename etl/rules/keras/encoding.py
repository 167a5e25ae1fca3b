"""Layers that encode categories, ranges and signals: fixed maps, however they are meant for preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etl.activations import call
from etl.errors import Unsupported
from etl.rules.ids import live
from etl.rules.keras.embedding import embedding
from etl.rules.primitives.windows import windows
from etl.rules.scope import NOTHING, Edges, Ids, Scope, Weights

LEAST = 1e-7  # `keras.backend.epsilon()`, below which spectrograms see nothing


def category_encoding(here: Scope, inputs: Ids, *, num_tokens: int, output_mode: str = "multi_hot") -> Ids:
    """Categories of an integer input: one each (`one_hot`), all of an example (`multi_hot`), or how often (`count`): (n) -> (num_tokens)."""
    if output_mode == "one_hot":
        positions = inputs[..., 0] if inputs.ndim and inputs.shape[-1] == 1 else inputs
        return here.sum(Edges(here.onehot(positions, num_tokens), over=0))
    return joined_categories(here, here.onehot(inputs, num_tokens), output_mode)


def one_hot(here: Scope, x: Ids, num_classes: int, *, axis: int = -1) -> Ids:
    """Each position of an integer input as so many neurons, 1 at its place and 0 elsewhere."""
    if axis not in (-1, x.ndim + 1):
        raise Unsupported(f"has no rule for axis={axis!r}")
    return here.sum(Edges(here.onehot(x, num_classes), over=0))


def joined_categories(here: Scope, hot: Ids, mode: str) -> Ids:
    """One row of categories for all places of the first axis: (n, ..., k) -> (..., k)."""
    if hot.ndim < 2:
        raise Unsupported("counts the categories of a whole batch")
    if mode not in ("multi_hot", "binary", "count"):
        raise Unsupported(f"has no rule for output_mode={mode!r}")
    return here.neurons("sum" if mode == "count" else "max", [Edges(np.moveaxis(hot, 0, -1))])


def discretization(
    here: Scope,
    inputs: Ids,
    *,
    bin_boundaries: Sequence[float] | None = None,
    output_mode: str = "int",
    num_bins: int | None = None,
    epsilon: float = 0.01,
) -> Ids:
    """The number of the range that each x lies in, as a number or as categories.

    `gap` is boundary - x, `above` the gap where it is above 0 and 1 elsewhere, `below` = max(gap / above, 0): 1 where x is below the boundary.
    """
    if not bin_boundaries:
        raise Unsupported("was never adapted: it has no boundaries")
    boundaries = np.asarray(bin_boundaries, np.float64)
    if output_mode == "one_hot" and inputs.ndim and inputs.shape[-1] == 1:
        inputs = inputs[..., 0]
    gap = here.sum(Edges(inputs[..., None], np.full(len(boundaries), -1.0), over=0), part="gap", bias=boundaries)
    above = here.sum(Edges(gap, over=0), part="above", activation=call("threshold", threshold=0, default_value=1))
    inverse = here.sum(Edges(above, over=0), part="inverse", activation="reciprocal")
    below = here.product(Edges(gap, over=0), Edges(inverse, over=0), part="below", activation="relu")
    if output_mode == "int":
        return here.sum(Edges(below, -1.0), bias=float(len(boundaries)))
    nothing = live(np.full((*below.shape[:-1], 1), NOTHING))
    here_but_not_before = Edges(np.concatenate([below, nothing], -1), over=0), Edges(np.concatenate([nothing, below], -1), -1.0, over=0)
    last = np.append(np.zeros(len(boundaries)), 1.0)
    hot = here.sum(*here_but_not_before, bias=last, part=None if output_mode == "one_hot" else "one_hot")
    return hot if output_mode == "one_hot" else joined_categories(here, hot, output_mode)


def reversible_embedding(
    here: Scope,
    inputs: Ids,
    *,
    embeddings: Weights,
    reverse_embeddings: Weights | None = None,
    input_dim: int | None = None,
    output_dim: int | None = None,
    mask_zero: bool = False,
    tie_weights: bool = True,
    reverse: bool = False,
    logit_soft_cap: float | None = None,
    reverse_dtype: Any = None,
) -> Ids:
    """An Embedding, or with `reverse` the way back: (..., d) through the table (n, d) -> (..., n), softly capped by tanh where asked for."""
    if not reverse:
        return embedding(here, inputs, embeddings=embeddings, mask_zero=mask_zero)
    table = embeddings if reverse_embeddings is None else reverse_embeddings.T
    if logit_soft_cap is None:
        return here.sum(Edges(inputs[..., None, :], table))
    logits = here.sum(Edges(inputs[..., None, :], table), part="logits")
    tanh = here.sum(Edges(logits, 1 / logit_soft_cap, over=0), part="tanh", activation="tanh")
    return here.sum(Edges(tanh, float(logit_soft_cap), over=0))


def stft_spectrogram(
    here: Scope,
    inputs: Ids,
    *,
    real_kernel: Weights | None = None,
    imag_kernel: Weights | None = None,
    mode: str = "log",
    frame_length: int = 256,
    frame_step: int | None = None,
    fft_length: int | None = None,
    window: Any = None,
    periodic: bool = False,
    scaling: Any = None,
    padding: str = "valid",
    expand_dims: bool = False,
    data_format: str | None = None,
) -> Ids:
    """Fourier's transform of each frame of each channel, by stored kernels (frame, 1, f): (t, c) -> (frames, c * f).

    `real` and `imag` (squared in most modes), then by mode their sum of squares, its root (`magnitude`), and the logarithm of that.
    """
    first = data_format == "channels_first"
    patches = windows(inputs.T if first else inputs, (frame_length,), (frame_step or frame_length // 2,), padding)
    frames = np.moveaxis(patches, -1, 1)[:, :, None]  # (frames, c, 1, frame)
    kernels = {name: kernel[:, 0].T for name, kernel in (("real", real_kernel), ("imag", imag_kernel)) if kernel is not None}
    shape = (len(patches), -1) if not expand_dims and not first else None

    def parts(activation: str) -> list[Ids]:
        return [here.sum(Edges(frames, kernel), part=name, activation=activation) for name, kernel in kernels.items()]

    if mode in ("real", "imag"):
        spectra = here.sum(Edges(frames, kernels[mode]))
    elif mode == "stft":
        spectra = np.concatenate(parts("linear"), axis=-1)
    elif mode in ("psd", "magnitude", "log"):
        spectra = spectrum(here, parts("square"), mode)
    else:
        raise Unsupported(f"has no rule for mode={mode!r}")
    if shape:
        return spectra.reshape(shape)
    if expand_dims:  # (frames, c, f) -> (frames, f, c), channels first (c, frames, f)
        return spectra.transpose(1, 0, 2) if first else spectra.transpose(0, 2, 1)
    return spectra.reshape(len(spectra), -1).T


def spectrum(here: Scope, squares: list[Ids], mode: str) -> Ids:
    """What a spectrogram makes of the squares of real and imaginary parts (frames, c, f)."""
    if mode == "psd":  # all but the first and the last frequency stand for their mirror images too
        both = np.full(squares[0].shape[-1], 2.0)
        both[[0, -1]] = 1.0
        return here.sum(*(Edges(square, both, over=0) for square in squares))
    power = here.sum(*(Edges(square, over=0) for square in squares), part="power")
    if mode == "magnitude":
        return here.max(Edges(power, over=0), bias=LEAST, activation="sqrt")
    magnitude = here.max(Edges(power, over=0), part="magnitude", bias=LEAST, activation="sqrt")
    return here.max(Edges(magnitude, over=0), bias=LEAST, activation="log")
