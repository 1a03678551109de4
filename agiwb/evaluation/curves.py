"""Curves of stored counts: what a threshold does, and whether a probability means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BinaryMatrix:
    """How often a class was named rightly and wrongly; examples may have weights."""

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float

    @property
    def precision(self) -> float | None:
        """Share of those named that are of the class; None if none is named."""
        return _share(self.true_positives, self.false_positives)

    @property
    def recall(self) -> float | None:
        """Share of the class that is named; None without an example of it."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the others that is named; None without any other."""
        return _share(self.false_positives, self.true_negatives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither means anything."""
        return _share(2 * self.true_positives, self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class Matrices:
    """Binary confusion matrices at ascending thresholds; arrays of shape ``(thresholds,)``.

    A class is named where its probability is above the threshold.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    true_negatives: NDArray[np.float64]
    false_negatives: NDArray[np.float64]

    def at(self, threshold: float) -> BinaryMatrix:
        """Return the matrix at the highest stored threshold that is not above ``threshold``."""
        # What is stored is float64, and 0.3 as asked for may be a hair below.
        place = int(np.searchsorted(self.thresholds, threshold + 1e-9, side="right")) - 1
        place = min(max(place, 0), len(self.thresholds) - 1)
        return BinaryMatrix(
            threshold=max(float(self.thresholds[place]), 0.0),
            true_positives=float(self.true_positives[place]),
            false_positives=float(self.false_positives[place]),
            true_negatives=float(self.true_negatives[place]),
            false_negatives=float(self.false_negatives[place]),
        )

    @property
    def positives(self) -> float:
        """Examples of the class."""
        return float(self.true_positives[0] + self.false_negatives[0])

    @property
    def negatives(self) -> float:
        """All other examples."""
        return float(self.false_positives[0] + self.true_negatives[0])

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return false positive rate and recall, ascending, with both ends; empty without both."""
        if not self.positives or not self.negatives:
            return np.zeros(0), np.zeros(0)
        across = np.concatenate(([0.0], self.false_positives[::-1] / self.negatives, [1.0]))
        up = np.concatenate(([0.0], self.true_positives[::-1] / self.positives, [1.0]))
        return across, up

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return recall, ascending, and the precision there; empty without the class."""
        named = (self.true_positives + self.false_positives)[::-1]
        kept = named > 0
        if not self.positives or not kept.any():
            return np.zeros(0), np.zeros(0)
        right = self.true_positives[::-1][kept]
        return right / self.positives, right / named[kept]

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve by trapezoids; None without examples of both kinds."""
        across, up = self.roc()
        return float(np.trapezoid(up, across)) if len(across) else None

    @property
    def average_precision(self) -> float | None:
        """Mean precision over the steps of recall; None without the class."""
        recall, precision = self.precision_recall()
        return float((np.diff(recall, prepend=0.0) * precision).sum()) if len(recall) else None


@dataclass(frozen=True)
class CalibrationBins:
    """Examples by predicted probability; arrays of shape ``(bins,)``.

    Attributes:
        lower: First probability of each bin.
        upper: End of it.
        examples: How many are in it.
        labels: How many of these are right.
        predictions: Sum of their probabilities.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    examples: NDArray[np.float64]
    labels: NDArray[np.float64]
    predictions: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float | None:
        """Mean distance between probability and share right, by examples; None without any.

        Naeini, Cooper and Hauskrecht (2015), with bins of equal width.
        """
        total = float(self.examples.sum())
        return float(np.abs(self.labels - self.predictions).sum()) / total if total else None

    @property
    def overconfidence(self) -> float | None:
        """Mean probability less the share right; None without examples."""
        total = float(self.examples.sum())
        return float(self.predictions.sum() - self.labels.sum()) / total if total else None


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None
