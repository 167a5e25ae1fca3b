"""Views counted by their distinct places. Oracle: the same views written out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from etl.graph.distinct import distinct, neurons_among


def random_view(random: np.random.Generator) -> np.ndarray:
    """Windows, broadcasts, turns, steps and exchanged axes of an array with padding in it, in any order."""
    view: np.ndarray = random.integers(-2, 1000, random.integers(1, 7, random.integers(1, 5)))
    for choice in random.integers(0, 6, random.integers(0, 6)):
        axis = random.integers(view.ndim)
        if choice == 0:
            view = np.transpose(view, random.permutation(view.ndim))
        elif choice == 1:
            view = np.flip(view, axis)
        elif choice == 2:
            view = view[tuple(slice(random.integers(0, 2) if n > 1 else 0, None, random.integers(1, 3)) for n in view.shape)]
        elif choice == 3:
            view = np.broadcast_to(view[..., None], (*view.shape, 3))
        elif view.ndim < 7:
            windows = sliding_window_view(view, random.integers(1, view.shape[axis] + 1), axis=axis)
            view = windows if choice == 4 else np.moveaxis(windows[..., ::2], axis, -1)
    return view


@pytest.mark.parametrize("seed", range(20))
def test_every_place_is_there_once_and_counted_as_often_as_it_stands_there(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.graph.distinct.SMALL", 0)
    random = np.random.default_rng(seed)
    for _ in range(50):
        view = random_view(random)
        assert neurons_among(view) == np.count_nonzero(view >= 0)
        assert set(distinct(view).ids.reshape(-1).tolist()) == set(view.reshape(-1).tolist())


def test_large_windows_take_no_longer_than_what_they_see() -> None:
    """10^16 places of 10^4 x 10^4 windows over 2 10^4 x 2 10^4."""
    image = np.zeros((20, 20), np.int64)
    image[:5] = -1
    view = np.lib.stride_tricks.as_strided(image, (10**4, 10**4, 11, 11), (0, 0, 160, 8))
    assert neurons_among(view) == 10**8 * 6 * 11
    seen = sliding_window_view(np.arange(4000 * 4000).reshape(4000, 4000), (2000, 2000))
    assert neurons_among(seen) == seen.size and distinct(seen).ids.size == 4000 * 4000
