"""Jitter: images shifted by a few pixels, so that a student sees more of them than there are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import WorkError


def shifted(images: NDArray[Any], most: int, random: np.random.Generator) -> NDArray[Any]:
    """Return each image shifted by up to ``most`` pixels up or down and left or right.

    What comes in at an edge repeats that edge.

    Args:
        images: ``(examples, height, width[, channels])``.
        most: At least 1.
        random: Draws the shifts, of which each is as likely as another.

    Raises:
        WorkError: The examples are no images.
    """
    if images.ndim not in {3, 4}:
        raise WorkError(
            f"Examples of shape {images.shape[1:]} are no images, so they cannot be shifted.",
            "Leave out `jitter`.",
        )
    count, height, width = images.shape[:3]
    around = ((0, 0), (most, most), (most, most), *[(0, 0)] * (images.ndim - 3))
    padded = np.pad(images, around, mode="edge")
    down, right = random.integers(2 * most + 1, size=(2, count, 1))
    rows = (down + np.arange(height))[:, :, np.newaxis]
    columns = (right + np.arange(width))[:, np.newaxis, :]
    moved: NDArray[Any] = padded[np.arange(count)[:, np.newaxis, np.newaxis], rows, columns]
    return moved
