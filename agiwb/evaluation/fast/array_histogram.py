"""TFMA's calibration histogram as arrays, and the two of its functions that walk along it.

Rebinning 10,000 buckets in a Python loop for each metric of each slice is what TFMA's derived
metrics spend most of their time on. ``install`` puts array versions in their place, which hand
any histogram of TFMA's own to TFMA's function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def install() -> None:
    """Let TFMA's derived metrics take an ``ArrayHistogram``; more than once changes nothing."""
    from tensorflow_model_analysis.metrics import binary_confusion_matrices, calibration_histogram

    if not hasattr(calibration_histogram.rebin, "walked"):
        calibration_histogram.rebin = _rebin_with(calibration_histogram.rebin)
        binary_confusion_matrices._histogram_to_binary_confusion_matrices = (  # noqa: SLF001
            _matrices_with(
                binary_confusion_matrices._histogram_to_binary_confusion_matrices,  # noqa: SLF001
                binary_confusion_matrices,
            )
        )


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

    rebin.walked = walked  # type: ignore[attr-defined]
    return rebin


def _matrices_with(walked: Callable[..., Any], home: Any) -> Callable[..., Any]:
    """Return ``_histogram_to_binary_confusion_matrices`` for both kinds of histogram."""

    def matrices(thresholds: Sequence[float], histogram: Any) -> Any:
        if not isinstance(histogram, ArrayHistogram):
            return walked(thresholds, histogram)
        positive = histogram.labels
        negative = histogram.examples - histogram.labels
        skipped = (thresholds[0] >= 0 or len(thresholds) == 1) and len(histogram) > 1
        kept = slice(int(skipped), int(skipped) + len(thresholds))
        tp, fp = (np.cumsum(part[::-1])[::-1][kept].tolist() for part in (positive, negative))
        tn, fn = (
            np.concatenate(([0.0], np.cumsum(part)[:-1]))[kept].tolist()
            if len(part) else []
            for part in (negative, positive)
        )  # fmt: skip
        for index, threshold in enumerate(thresholds):
            if threshold >= 1.0 + home._EPSILON:  # noqa: SLF001
                tp[index], fp[index] = 0.0, 0.0
                fn[index], tn[index] = tp[0], fp[0]
        return home.Matrices(thresholds, tp, tn, fp, fn)

    return matrices
