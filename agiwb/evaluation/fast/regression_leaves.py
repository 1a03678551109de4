"""TFMA's mean errors of a regression as leaves: a sum of errors, and of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast.examples import Extracts
from agiwb.evaluation.fast.leaves import Items, Leaf, Sums, wanted_by
from agiwb.evaluation.fast.pairs import Pairs, pair_up


class MeanRegressionError(Leaf):
    """Weighted sum of each pair's error; pairs without one are left out, as TFMA does."""

    width = 2

    def __init__(self, combiner: Any, error: Callable[[Pairs], NDArray[Any]]) -> None:
        super().__init__(combiner)
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

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        made = self.combiner.create_accumulator()
        made.total_regression_error, made.total_example_weights = sums.sum(axis=1).tolist()
        return made


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
