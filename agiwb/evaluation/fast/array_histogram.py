"""TFMA's calibration histogram as arrays, and the two of its functions that walk along it.

Rebinning 10,000 buckets in a Python loop for each metric of each slice is what TFMA's derived
metrics spend most of their time on. ``walked_as_arrays`` puts array versions in their place for as
long as it is entered; these hand any histogram of TFMA's own to TFMA's function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArrayHistogram(Sequence[Any]):
    """A list of TFMA's ``Bucket``, held as one array for each of its fields."""

    def __init__(self, ids: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        self.ids = ids
        self.labels, self.predictions, self.examples = sums

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(self)[index]
        return self._bucket(range(len(self))[index])

    def __iter__(self) -> Iterator[Any]:
        return map(self._bucket, range(len(self)))

    def _bucket(self, index: int) -> Any:
        from tensorflow_model_analysis.metrics.calibration_histogram import Bucket

        fields = (self.labels, self.predictions, self.examples)
        return Bucket(int(self.ids[index]), *(float(field[index]) for field in fields))


_ENTERED = threading.RLock()
"""Of several threads one at a time: each puts back what it found."""


@contextmanager
def walked_as_arrays() -> Iterator[None]:
    """Let TFMA's derived metrics take an ``ArrayHistogram`` without a loop over its buckets."""
    from tensorflow_model_analysis.metrics import binary_confusion_matrices, calibration_histogram

    name = "_histogram_to_binary_confusion_matrices"
    with _ENTERED:
        rebin, matrices = calibration_histogram.rebin, getattr(binary_confusion_matrices, name)
        calibration_histogram.rebin = _rebin_with(rebin)
        setattr(
            binary_confusion_matrices, name, _matrices_with(matrices, binary_confusion_matrices)
        )
        try:
            yield
        finally:
            calibration_histogram.rebin = rebin
            setattr(binary_confusion_matrices, name, matrices)


def _rebin_with(walked: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``calibration_histogram.rebin`` for both kinds of histogram."""

    def rebin(
        thresholds: Sequence[float],
        histogram: Any,
        num_buckets: int = 10_000,
        left: float = 0.0,
        right: float = 1.0,
    ) -> Any:
        if not isinstance(histogram, ArrayHistogram):
            return walked(thresholds, histogram, num_buckets, left, right)
        ids = histogram.ids
        starts = (ids - 1) / num_buckets * (right - left) + left
        starts = np.where(ids == 0, -np.inf, np.where(ids >= num_buckets + 1, np.inf, starts))
        places = np.searchsorted(np.asarray(thresholds[1:], float), starts, side="right")
        fields = (histogram.labels, histogram.predictions, histogram.examples)
        sums = [np.bincount(places, field, len(thresholds)) for field in fields]
        return ArrayHistogram(np.arange(len(thresholds)), np.stack(sums))

    return rebin


def _matrices_with(walked: Callable[..., Any], home: Any) -> Callable[..., Any]:
    """Return ``_histogram_to_binary_confusion_matrices`` for both kinds of histogram."""

    def matrices(thresholds: Sequence[float], histogram: Any) -> Any:
        if not isinstance(histogram, ArrayHistogram):
            return walked(thresholds, histogram)
        if not len(histogram):  # TFMA fails on a slice whose weights are all 0
            return home.Matrices(thresholds, *([0.0] * len(thresholds) for _ in range(4)))
        positive = histogram.labels
        negative = histogram.examples - histogram.labels
        skipped = (thresholds[0] >= 0 or len(thresholds) == 1) and len(histogram) > 1
        kept = slice(int(skipped), int(skipped) + len(thresholds))
        tp, fp = (np.cumsum(part[::-1])[::-1][kept].tolist() for part in (positive, negative))
        tn, fn = (
            np.concatenate(([0.0], np.cumsum(part)[:-1]))[kept].tolist()
            for part in (negative, positive)
        )
        for index, threshold in enumerate(thresholds):
            if threshold >= 1.0 + home._EPSILON:  # noqa: SLF001
                tp[index], fp[index] = 0.0, 0.0
                fn[index], tn[index] = tp[0], fp[0]
        return home.Matrices(thresholds, tp, tn, fp, fn)

    return matrices
