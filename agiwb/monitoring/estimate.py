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
    *,
    weights: NDArray[np.float64] | None = None,
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
        weights: How much likelier each labelled example is in the window, shape ``(examples,)``:
            so what a certainty means is learned where the window is. By default all alike.
    """
    window = window[np.isfinite(window).all(axis=1)]
    if len(window) == 0:
        return None
    scores, served = probabilities.max(axis=1), window.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    weights = np.ones(len(scores)) if weights is None else weights
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_BOOTSTRAP_DRAWS):
        known = rng.integers(0, len(scores), len(scores))
        asked = rng.integers(0, len(served), len(served))
        drawn.append(_expected_share(scores[known], right[known], weights[known], served[asked]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    value = _expected_share(scores, right, weights, served)
    return AccuracyEstimate(value, Interval(float(min(low, value)), float(max(high, value))))


def expected_right(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    window: NDArray[np.float32],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the probability that each answer in ``window`` is right, shape ``(rows,)``.

    Arguments are as in ``estimate_accuracy``; an answer that is not finite is taken as wrong.
    """
    scores = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    weights = np.ones(len(scores)) if weights is None else weights
    finite = np.isfinite(window).all(axis=1)
    expected = np.zeros(len(window))
    if finite.any():
        expected[finite] = _calibrated(scores, right, weights, window[finite].max(axis=1))
    return expected


def _expected_share(
    scores: NDArray[np.float32],
    right: NDArray[np.float64],
    weights: NDArray[np.float64],
    served: NDArray[np.float32],
) -> float:
    return float(_calibrated(scores, right, weights, served).mean())


def _calibrated(
    scores: NDArray[np.float32],
    right: NDArray[np.float64],
    weights: NDArray[np.float64],
    served: NDArray[np.float32],
) -> NDArray[np.float64]:
    from sklearn.isotonic import IsotonicRegression

    calibration = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    calibration.fit(scores, right, sample_weight=weights)
    return np.asarray(calibration.predict(served), np.float64)
