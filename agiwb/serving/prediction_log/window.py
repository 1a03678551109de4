"""Served predictions as arrays: what monitoring looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PredictionWindow:
    """Predictions in order of time, one row each; a request may hold several.

    Attributes:
        times: float64, shape ``(rows,)``, Unix time in seconds.
        features: What was asked, as data sets hold examples (see ``agiwb.datasets.dataset.Kind``):
            float32 ``(rows, ...)``, texts, or one field an input.
        probabilities: float32, shape ``(rows, classes)``, the first output.
        versions: int64, shape ``(rows,)``, the version that answered.
    """

    times: NDArray[np.float64]
    features: NDArray[Any]
    probabilities: NDArray[np.float32]
    versions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def between(self, start: float, end: float) -> PredictionWindow:
        """Return the rows of the time from ``start`` to ``end``, Unix times in seconds."""
        rows = (self.times >= start) & (self.times <= end)
        return PredictionWindow(
            self.times[rows], self.features[rows], self.probabilities[rows], self.versions[rows]
        )
