"""What two models answer to the same rows, and how good each answer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.resolve import ArtifactSource
from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.evaluation.answers import ask_artifact, first_of
from agiwb.statistics import Interval

_BINS = 10
_RESAMPLES = 500


@dataclass(frozen=True)
class Answers:
    """One model's answers to some rows.

    Attributes:
        values: Its first output, float32 ``(rows, values)``.
        scores: float64 ``(rows,)``, higher is better: 1 for a right class and 0 for a wrong one;
            of a regression minus the absolute error. An answer that is not finite is wrong, and of
            a regression as wrong as the worst of the others.
        broken: Rows answered with NaN or infinity.
    """

    values: NDArray[np.float32]
    scores: NDArray[np.float64]
    broken: int


def ask(found: ArtifactSource, data: Dataset, split: Split) -> Answers:
    """Return what an artifact answers to the rows of a split.

    Raises:
        ConfigError: It takes or gives other shapes than the data set has.
    """
    first = first_of(ask_artifact(found, data, split))
    values = first.reshape(len(first), -1)
    finite = np.asarray(np.isfinite(values).all(axis=1), np.bool_)
    return Answers(values, _scores(values, finite, data, split), int((~finite).sum()))


def _scores(
    values: NDArray[np.float32], finite: NDArray[np.bool_], data: Dataset, split: Split
) -> NDArray[np.float64]:
    if data.task in CLASSIFYING:
        right = np.nan_to_num(values).argmax(axis=1) == split.labels
        return np.asarray(finite & right, np.float64)
    errors = np.abs(values[:, 0].astype(np.float64) - split.labels)
    worst = errors[finite].max(initial=0.0)
    return np.asarray(-np.where(finite, errors, worst), np.float64)


def calibration_error(values: NDArray[np.float32], right: NDArray[np.float64]) -> float:
    """Return the expected calibration error: how far certainty is from the share that is right.

    The certainty is the largest probability, in ten bins of equal width (Naeini, Cooper and
    Hauskrecht 2015; Guo et al. 2017).

    Args:
        values: Probabilities, ``(rows, classes)``.
        right: 1 where the most probable class is the true one, else 0.
    """
    return _calibration(_certainty(values), right)


def calibration_gap(
    challenger: Answers, champion: Answers, *, level: float, seed: int = 0
) -> tuple[float, Interval]:
    """Return the challenger's calibration error less the champion's, with a bootstrap interval.

    Args:
        challenger: Its answers to rows of classes.
        champion: Those of the champion to the same rows.
        level: Each end of the interval leaves out this share of the resamples.
        seed: Of the resampling.
    """
    sides = [(_certainty(one.values), one.scores) for one in (challenger, champion)]

    def gap(index: Any) -> float:
        first, second = (_calibration(sure[index], right[index]) for sure, right in sides)
        return first - second

    draw, rows = np.random.default_rng(seed), len(champion.scores)
    gaps = [gap(draw.integers(rows, size=rows)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(gaps, (level, 1 - level))
    return gap(slice(None)), Interval(float(low), float(high))


def _certainty(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.clip(np.nan_to_num(values).max(axis=1), 0, 1), np.float64)


def _calibration(sure: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    place = np.minimum((sure * _BINS).astype(np.intp), _BINS - 1)
    gaps = np.bincount(place, sure - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(sure))
