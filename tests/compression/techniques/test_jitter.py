"""Jitter: every image moved as a whole, by each shift as often as by another."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.compression.techniques.jitter import shifted
from agiwb.errors import WorkError


def dots(count: int, *channels: int) -> np.ndarray:
    """Images of 9 x 9 with one dot in the middle."""
    images = np.zeros((count, 9, 9, *channels), np.float32)
    images[:, 4, 4] = 1
    return images


def test_each_shift_is_as_likely_as_another():
    moved = shifted(dots(9000), 1, np.random.default_rng(0))
    places = moved.sum(axis=0)
    assert moved.dtype == np.float32
    assert moved.sum() == 9000
    assert places[3:6, 3:6].sum() == 9000
    assert places[3:6, 3:6].ravel() == pytest.approx(1000, abs=150)  # five standard deviations


def test_channels_move_together_and_images_each_on_their_own():
    images = dots(50, 3)
    moved = shifted(images, 2, np.random.default_rng(1))
    assert moved.shape == images.shape
    assert (moved[..., 0] == moved[..., 2]).all()
    assert len({tuple(image[..., 0].argmax(axis=1)) for image in moved}) > 5
    assert images[:, 4, 4].all()  # left as they were


def test_what_comes_in_repeats_the_edge():
    rows = np.arange(5.0).reshape(1, 5, 1).repeat(5, axis=2)
    seen = {tuple(shifted(rows, 1, np.random.default_rng(seed))[0, :, 0]) for seed in range(40)}
    assert seen == {(0, 0, 1, 2, 3), (0, 1, 2, 3, 4), (1, 2, 3, 4, 4)}


def test_what_is_no_image_is_refused():
    with pytest.raises(WorkError, match="no images"):
        shifted(np.zeros((4, 7)), 1, np.random.default_rng(0))
