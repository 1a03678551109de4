"""How good a candidate's answers are, and how they differ from the baseline's; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agiwb.statistics import Interval, mcnemar_p_value, wilson_interval

_SMALLEST = 1e-7
"""A probability below it counts as this, as in Keras' losses: 8-bit files round many to zero."""


@dataclass(frozen=True)
class Quality:
    """How often a candidate is right, and where it differs from the baseline.

    Attributes:
        accuracy: Share of the examples it gets right.
        interval: Its 95 % Wilson interval.
        worse: Examples that only the baseline gets right.
        better: Examples that only the candidate gets right.
        p_value: McNemar's, that the two err alike.
        agreement: Share of the examples for which both name the same class.
        kl_divergence: In nats; see ``kl_divergence``.
    """

    accuracy: float
    interval: Interval
    worse: int
    better: int
    p_value: float
    agreement: float
    kl_divergence: float


def compare_quality(
    answers: NDArray[np.float32], baseline: NDArray[np.float32], labels: NDArray[np.int64]
) -> Quality:
    """Return the quality of ``answers`` beside the baseline's to the same examples.

    Args:
        answers: Probabilities, ``(examples, classes)``.
        baseline: The baseline's, of the same shape.
        labels: The true classes, ``(examples,)``.
    """
    predicted, reference = answers.argmax(axis=1), baseline.argmax(axis=1)
    right, baseline_right = predicted == labels, reference == labels
    worse = int(np.sum(baseline_right & ~right))
    better = int(np.sum(right & ~baseline_right))
    return Quality(
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(labels)),
        worse=worse,
        better=better,
        p_value=mcnemar_p_value(worse, better),
        agreement=float((predicted == reference).mean()),
        kl_divergence=kl_divergence(baseline, answers),
    )


def kl_divergence(expected: NDArray[np.float32], given: NDArray[np.float32]) -> float:
    """Return the mean over the examples of ``sum(p * ln(p / q))`` (Kullback & Leibler 1951).

    ``p`` are the rows of ``expected`` and ``q`` those of ``given``, both ``(examples, classes)``,
    kept above 1e-7 and divided by their sums: rounded probabilities seldom add up to 1.
    """
    p, q = _distributions(expected), _distributions(given)
    return max(0.0, float(np.sum(p * np.log(p / q), axis=1).mean()))


def chance_level(labels: NDArray[np.int64]) -> float:
    """Return the accuracy of always naming the most frequent class."""
    return float(np.bincount(labels).max() / len(labels))


def _distributions(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    kept = np.maximum(rows.astype(np.float64), _SMALLEST)
    shares: NDArray[np.float64] = kept / kept.sum(axis=1, keepdims=True)
    return shares
