"""How often the model is probably right in a window whose labels nobody knows yet.

The model's top probability is calibrated on labelled validation examples, and averaged over the
window: a model that became less sure is expected to be right less often. That sees a change in
*which* examples come (covariate shift). It is blind to a change in what the right answer *is*
(concept drift): then the model stays as sure as it was, and only labels can tell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agiwb.statistics import Interval

_BOOTSTRAP_DRAWS = 200


class AccuracyEstimate(NamedTuple):
    """Expected share of right answers, and the 95 % interval of that expectation."""

    value: float
    interval: Interval


def estimate_accuracy(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    window: NDArray[np.float32],
    seed: int = 0,
) -> AccuracyEstimate | None:
    """Return the accuracy to be expected in a window without labels, or None without answers.

    The calibration is isotonic (Zadrozny and Elkan 2002); the interval is the bootstrap's, with
    both the labelled examples and the window drawn anew. Concept drift is invisible to this
    estimate: it assumes that an answer given with some certainty is right as often as before.

    Args:
        probabilities: The model's answers to labelled examples it was not trained on, shape
            ``(examples, classes)``.
        labels: What was right, shape ``(examples,)``.
        window: The model's answers in the window, shape ``(rows, classes)``; rows that are not
            finite are left out.
        seed: Equal seeds give equal intervals.
    """
    window = window[np.isfinite(window).all(axis=1)]
    if len(window) == 0:
        return None
    scores, served = probabilities.max(axis=1), window.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_BOOTSTRAP_DRAWS):
        known = rng.integers(0, len(scores), len(scores))
        asked = rng.integers(0, len(served), len(served))
        drawn.append(_expected_share(scores[known], right[known], served[asked]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    value = _expected_share(scores, right, served)
    return AccuracyEstimate(value, Interval(float(min(low, value)), float(max(high, value))))


def _expected_share(
    scores: NDArray[np.float32], right: NDArray[np.float64], served: NDArray[np.float32]
) -> float:
    from sklearn.isotonic import IsotonicRegression

    calibration = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, right)
    return float(calibration.predict(served).mean())
