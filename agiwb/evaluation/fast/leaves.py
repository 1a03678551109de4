"""TFMA's leaf computations as sums over cells: the only part of its graph that touches rows.

A leaf says which cell of its metric each item falls into and what is summed there; the sums of a
slice then become the accumulator that TFMA's combiner would have built row by row, and the
combiner itself turns that into the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast.array_histogram import ArrayHistogram
from agiwb.evaluation.fast.examples import Extracts, count_rows
from agiwb.evaluation.fast.pairs import RowByRowOnlyError, Wanted, pair_up, select_rows

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """What a batch adds: each item's row, its cell, and the values summed there."""

    rows: NDArray[np.intp]
    cells: NDArray[np.int64]
    values: tuple[NDArray[np.float64], ...]


class Leaf(ABC):
    """One leaf computation over whole arrays, of one of TFMA's combiners.

    Attributes:
        combiner: TFMA's.
        width: The number of values of a cell.
    """

    width: int

    def __init__(self, combiner: Any) -> None:
        self.combiner = combiner

    @abstractmethod
    def items(self, extracts: Extracts) -> Items:
        """Return what a batch adds; raise RowByRowOnlyError if it is not plain arrays."""

    @abstractmethod
    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        """Return the accumulator that TFMA's combiner would have built of one slice's rows."""

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        """Return the metrics of one slice by TFMA's keys."""
        return dict(self.combiner.extract_output(self.accumulator(cells, sums)))


def wanted_by(combiner: Any, key: Any, *, fractional_labels: bool = False) -> Wanted:
    """Return what one of TFMA's combiners for ``key`` asks for."""
    return Wanted(
        eval_config=combiner._eval_config,  # noqa: SLF001
        model_name=key.model_name,
        output_name=key.output_name,
        sub_key=key.sub_key,
        aggregation_type=getattr(combiner, "_aggregation_type", None),
        class_weights=getattr(combiner, "_class_weights", None),
        example_weighted=combiner._example_weighted,  # noqa: SLF001
        fractional_labels=fractional_labels,
    )


class CalibrationHistogram(Leaf):
    """Weighted labels, predictions and examples of each bucket of predictions."""

    width = 3

    def __init__(self, combiner: Any) -> None:
        super().__init__(combiner)
        fractional = combiner._fractional_labels  # noqa: SLF001
        self._wanted = wanted_by(combiner, combiner._key, fractional_labels=fractional)  # noqa: SLF001

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        predictions = pairs.predictions.astype(np.float64)
        by_prediction = self.combiner._prediction_based_bucketing  # noqa: SLF001
        values = predictions if by_prediction else pairs.labels.astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 times the -inf of what is not among the top k
            sums = (pairs.labels * pairs.weights, predictions * pairs.weights, pairs.weights)
        return Items(pairs.rows, self._buckets(values), sums)

    def _buckets(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        count = self.combiner._num_buckets  # noqa: SLF001
        left, span = self.combiner._left, self.combiner._range  # noqa: SLF001
        places = (values - left) / span * count + 1
        # The conversion truncates, as TFMA's does.
        buckets: NDArray[np.int64] = np.clip(places, 0, count + 1).astype(np.int64)
        return buckets

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        return {bucket.bucket_id: bucket for bucket in ArrayHistogram(cells, sums)}

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        return {self.combiner._key: ArrayHistogram(cells, sums)}  # noqa: SLF001


class BinaryConfusionMatrices(Leaf):
    """True and false positives and negatives at each threshold.

    The cell of an item is the number of thresholds below its prediction, and below its label.
    """

    width = 1

    def __init__(self, combiner: Any) -> None:
        super().__init__(combiner)
        self._fractional = combiner._enable_fractional_labels  # noqa: SLF001
        self._thresholds = combiner._binary_confusion_matrices._thresholds  # noqa: SLF001
        self._sorted = np.sort(np.asarray(self._thresholds, np.float64))
        self._wanted = wanted_by(
            combiner,
            combiner._key,  # noqa: SLF001
            fractional_labels=self._fractional,
        )

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        span = len(self._sorted) + 1
        # With fractional labels a label is either 1, above every threshold, or 0, above none.
        above = (
            np.where(pairs.labels == 1.0, span - 1, 0)
            if self._fractional
            else self._above(pairs.labels)
        )
        cells = above * span + self._above(pairs.predictions)
        return Items(pairs.rows, cells, (pairs.weights,))

    def _above(self, values: NDArray[Any]) -> NDArray[np.int64]:
        return np.searchsorted(self._sorted, values.astype(np.float64), side="left")

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as home

        span = len(self._sorted) + 1
        labels, predictions = cells // span, cells % span
        weights = sums[0]
        positive = _above_each(predictions, weights, span)
        actual = _above_each(labels, weights, span)
        both = _above_each(np.minimum(labels, predictions), weights, span)
        matrices = {}
        for threshold in self._thresholds:
            at = int(np.searchsorted(self._sorted, threshold))
            tp, fn, fp = both[at], actual[at] - both[at], positive[at] - both[at]
            tn = weights.sum() - positive[at] - fn
            matrix = home.Matrix(*(float(value) for value in (tp, tn, fp, fn)))
            matrices[threshold] = home._ThresholdEntry(matrix, [], [], [], [])  # noqa: SLF001
        return matrices


def _above_each(places: NDArray[np.int64], weights: Sums, span: int) -> Sums:
    """Return the weight of what lies above each threshold."""
    counted = np.bincount(places, weights, span).astype(np.float64)
    return np.cumsum(counted[::-1])[::-1][1:]


class MultiClassConfusionMatrices(Leaf):
    """Weight of each pair of actual and most probable class, at each threshold."""

    width = 1

    def __init__(self, combiner: Any) -> None:
        super().__init__(combiner)
        self._wanted = wanted_by(combiner, combiner._key)  # noqa: SLF001
        self._span = 1 << 20
        """More classes than there are: cells have to mean the same in every batch."""

    def items(self, extracts: Extracts) -> Items:
        found = select_rows(extracts, self._wanted)
        labels, predictions, weights = found.labels, found.predictions, found.weights
        if predictions.shape[1] < 2 or weights.shape[1] != 1:
            raise RowByRowOnlyError
        actual = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0].astype(np.int64)
        if len(actual) and not -1 <= actual.min() <= actual.max() < self._span - 1:
            raise RowByRowOnlyError
        predicted = predictions.argmax(axis=1)
        largest = predictions[np.arange(len(predicted)), predicted]
        cells = []
        # TFMA carries "no prediction" on to the thresholds that follow in its list. It compares in
        # the predictions' own type: a float32 of 0.6 is not above a threshold of 0.6.
        for index, limit in enumerate(np.maximum.accumulate(self._thresholds).tolist()):
            named = np.where(largest <= limit, -1, predicted)
            cells.append((index * self._span + actual + 1) * self._span + named + 1)
        count = len(self._thresholds)
        rows = np.tile(np.arange(len(predicted)), count)
        return Items(rows, np.concatenate(cells), (np.tile(weights[:, 0].astype(float), count),))

    @property
    def _thresholds(self) -> list[float]:
        return list(self.combiner._thresholds)  # noqa: SLF001

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        from tensorflow_model_analysis.metrics import multi_class_confusion_matrix_metrics as home

        made = home.Matrices()
        for cell, weight in zip(cells.tolist(), sums[0].tolist(), strict=True):
            rest, predicted = divmod(cell, self._span)
            index, actual = divmod(rest, self._span)
            entry = home.MatrixEntryKey(actual - 1, predicted - 1)
            made.setdefault(self._thresholds[index], {})[entry] = weight
        return made


class ExampleCount(Leaf):
    """Number of examples, or the sum of their weights."""

    width = 1

    def items(self, extracts: Extracts) -> Items:
        weights = extracts.get("example_weights")
        if not self.combiner._example_weighted or weights is None:  # noqa: SLF001
            counted = np.ones(count_rows(extracts))
        else:
            for name in (self.combiner._model_name, self.combiner._output_name):  # noqa: SLF001
                if isinstance(weights, Mapping) and name in weights:
                    weights = weights[name]
            if not isinstance(weights, np.ndarray):
                raise RowByRowOnlyError
            counted = weights.reshape(len(weights), -1).astype(np.float64).sum(axis=1)
        count = len(counted)
        return Items(np.arange(count), np.zeros(count, np.int64), (counted,))

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        return float(sums.sum())


class LabelsAndPredictions(Leaf):
    """Total weighted labels, predictions and examples, of which means and calibration are made."""

    width = 3

    def __init__(self, combiner: Any) -> None:
        super().__init__(combiner)
        self._wanted = wanted_by(combiner, combiner._key)  # noqa: SLF001

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        weights = pairs.weights
        values = (pairs.labels * weights, pairs.predictions.astype(float) * weights, weights)
        return Items(pairs.rows, np.zeros(len(weights), np.int64), values)

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        made = self.combiner.create_accumulator()
        (
            made.total_weighted_labels,
            made.total_weighted_predictions,
            made.total_weighted_examples,
        ) = (float(value) for value in sums.sum(axis=1))
        return made
