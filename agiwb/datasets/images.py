"""What data sets of handwritten images share: the stroke-weight slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STROKE_WEIGHTS = ("light", "medium", "heavy")


def with_stroke_weight(
    features: NDArray[np.float32], reference: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Return the slice column ``stroke_weight``: the thirds of mean ink in ``reference``.

    The limits come from ``reference`` (the training images), so an image's slice does not depend
    on which other images it is evaluated with.
    """
    limits = np.quantile(_ink(reference), (1 / 3, 2 / 3))
    return {"stroke_weight": np.array(STROKE_WEIGHTS)[np.digitize(_ink(features), limits)]}


def _ink(images: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(images.reshape(len(images), -1).mean(axis=1))
