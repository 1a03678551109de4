"""TFMA's leaf computations as sums over cells: the only part of its graph that touches rows.

A leaf says which cell of its metric each item falls into and what is summed there; the sums of a
slice then become the accumulator that TFMA's combiner would have built row by row, and the
combiner itself turns that into the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast.array_histogram import ArrayHistogram
from agiwb.evaluation.fast.examples import Extracts, count_rows
from agiwb.evaluation.fast.pairs import Pairs, RowByRowOnlyError, Wanted, pair_up, select_rows

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Items:
    """What a batch adds: each item's row, its cell, and the values summed there."""

    rows: NDArray[np.intp]
    cells: NDArray[np.int64]
    values: tuple[NDArray[np.float64], ...]


class Leaf(Protocol):
    """One leaf computation over whole arrays; ``width`` is the number of values of a cell."""

    width: int

    def items(self, extracts: Extracts) -> Items:
        """Return what a batch adds; raise RowByRowOnlyError if it is not plain arrays."""
        ...

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        """Return the metrics of one slice by TFMA's keys."""
        ...


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


class CalibrationHistogram:
    """Weighted labels, predictions and examples of each bucket of predictions."""

    width = 3

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner
        fractional = combiner._fractional_labels  # noqa: SLF001
        self._wanted = wanted_by(combiner, combiner._key, fractional_labels=fractional)  # noqa: SLF001

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        predictions = pairs.predictions.astype(np.float64)
        by_prediction = self._combiner._prediction_based_bucketing  # noqa: SLF001
        values = predictions if by_prediction else pairs.labels.astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 times the -inf of what is not among the top k
            sums = (pairs.labels * pairs.weights, predictions * pairs.weights, pairs.weights)
        return Items(pairs.rows, self._buckets(values), sums)

    def _buckets(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        count = self._combiner._num_buckets  # noqa: SLF001
        left, span = self._combiner._left, self._combiner._range  # noqa: SLF001
        places = (values - left) / span * count + 1
        # The conversion truncates, as TFMA's does.
        buckets: NDArray[np.int64] = np.clip(places, 0, count + 1).astype(np.int64)
        return buckets

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        return {self._combiner._key: ArrayHistogram(cells, sums)}  # noqa: SLF001


class BinaryConfusionMatrices:
    """True and false positives and negatives at each threshold.

    The cell of an item is the number of thresholds below its prediction, and below its label.
    """

    width = 1

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner
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

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
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
        return dict(self._combiner.extract_output(matrices))


def _above_each(places: NDArray[np.int64], weights: Sums, span: int) -> Sums:
    """Return the weight of what lies above each threshold."""
    counted = np.bincount(places, weights, span).astype(np.float64)
    return np.cumsum(counted[::-1])[::-1][1:]


class MultiClassConfusionMatrices:
    """Weight of each pair of actual and most probable class, at each threshold."""

    width = 1

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner
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
        largest = predictions[np.arange(len(predicted)), predicted].astype(np.float64)
        cells = []
        # TFMA carries "no prediction" on to the thresholds that follow in its list.
        for index, limit in enumerate(np.maximum.accumulate(self._thresholds)):
            named = np.where(largest <= limit, -1, predicted)
            cells.append((index * self._span + actual + 1) * self._span + named + 1)
        count = len(self._thresholds)
        rows = np.tile(np.arange(len(predicted)), count)
        return Items(rows, np.concatenate(cells), (np.tile(weights[:, 0].astype(float), count),))

    @property
    def _thresholds(self) -> list[float]:
        return list(self._combiner._thresholds)  # noqa: SLF001

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        from tensorflow_model_analysis.metrics import multi_class_confusion_matrix_metrics as home

        made = home.Matrices()
        for cell, weight in zip(cells.tolist(), sums[0].tolist(), strict=True):
            rest, predicted = divmod(cell, self._span)
            index, actual = divmod(rest, self._span)
            entry = home.MatrixEntryKey(actual - 1, predicted - 1)
            made.setdefault(self._thresholds[index], {})[entry] = weight
        return dict(self._combiner.extract_output(made))


class ExampleCount:
    """Number of examples, or the sum of their weights."""

    width = 1

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner

    def items(self, extracts: Extracts) -> Items:
        weights = extracts.get("example_weights")
        if not self._combiner._example_weighted or weights is None:  # noqa: SLF001
            counted = np.ones(count_rows(extracts))
        else:
            for name in (self._combiner._model_name, self._combiner._output_name):  # noqa: SLF001
                if isinstance(weights, Mapping) and name in weights:
                    weights = weights[name]
            if not isinstance(weights, np.ndarray):
                raise RowByRowOnlyError
            counted = weights.reshape(len(weights), -1).astype(np.float64).sum(axis=1)
        count = len(counted)
        return Items(np.arange(count), np.zeros(count, np.int64), (counted,))

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        return dict(self._combiner.extract_output(float(sums.sum())))


class LabelsAndPredictions:
    """Total weighted labels, predictions and examples, of which means and calibration are made."""

    width = 3

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner
        self._wanted = wanted_by(combiner, combiner._key)  # noqa: SLF001

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        weights = pairs.weights
        values = (pairs.labels * weights, pairs.predictions.astype(float) * weights, weights)
        return Items(pairs.rows, np.zeros(len(weights), np.int64), values)

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        made = self._combiner.create_accumulator()
        (
            made.total_weighted_labels,
            made.total_weighted_predictions,
            made.total_weighted_examples,
        ) = (float(value) for value in sums.sum(axis=1))
        return dict(self._combiner.extract_output(made))


class MeanRegressionError:
    """Weighted sum of each pair's error; pairs without one are left out, as TFMA does."""

    width = 2

    def __init__(self, combiner: Any, error: Callable[[Pairs], NDArray[Any]]) -> None:
        self._combiner = combiner
        self._error = error
        self._wanted = wanted_by(combiner, combiner._metric_key)  # noqa: SLF001

    def items(self, extracts: Extracts) -> Items:
        pairs = pair_up(extracts, self._wanted)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = self._error(pairs).astype(np.float64)
        kept = np.flatnonzero(~np.isnan(errors))
        weights = pairs.weights[kept]
        cells = np.zeros(len(kept), np.int64)
        return Items(pairs.rows[kept], cells, (errors[kept] * weights, weights))

    def result(self, cells: NDArray[np.int64], sums: Sums) -> dict[Any, Any]:
        made = self._combiner.create_accumulator()
        made.total_regression_error, made.total_example_weights = sums.sum(axis=1).tolist()
        return dict(self._combiner.extract_output(made))


def absolute_error(pairs: Pairs) -> NDArray[Any]:
    """Return the absolute difference of label and prediction."""
    errors: NDArray[Any] = np.absolute(pairs.labels - pairs.predictions)
    return errors


def squared_error(pairs: Pairs) -> NDArray[Any]:
    """Return the squared difference; the root first, in the inputs' dtype, as TFMA takes it."""
    return _norm(pairs.labels - pairs.predictions).astype(np.float64) ** 2


def absolute_percentage_error(pairs: Pairs) -> NDArray[Any]:
    """Return the absolute difference in percent of the label; NaN where the label is 0."""
    errors = 100 * np.absolute((pairs.labels - pairs.predictions) / pairs.labels).astype(float)
    return np.where(pairs.labels == 0, np.nan, errors)


def squared_logarithmic_error(pairs: Pairs) -> NDArray[Any]:
    """Return the squared difference of the logarithms of label + 1 and prediction + 1."""
    difference = np.log(pairs.labels + 1) - np.log(pairs.predictions + 1)
    return _norm(difference).astype(np.float64) ** 2


def _norm(values: NDArray[Any]) -> NDArray[Any]:
    norms: NDArray[Any] = np.sqrt(values * values)
    return norms
