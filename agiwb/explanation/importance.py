"""From attributions of single examples to what matters overall and in each slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.statistics import Interval


class Importance(BaseModel):
    """How much a feature matters, with a 95 % interval.

    It is the mean absolute attribution over the examples, in the unit of the answer. For
    permutation it is the loss of the metric; its interval has the chance of a single shuffle in it
    besides that of the sample, and so is wide rather than narrow.
    """

    model_config = ConfigDict(frozen=True)

    feature: str
    importance: float
    interval: Interval


class SliceImportance(BaseModel):
    """What matters most where ``column`` has ``value``."""

    model_config = ConfigDict(frozen=True)

    column: str
    value: str
    examples: int
    features: tuple[Importance, ...]


def mean_interval(
    samples: NDArray[np.float64], *, of_one: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean, low and high end of Student's 95 % interval over the first axis.

    NaN are left out; with fewer than two samples nothing is known, and the ends are NaN.

    Args:
        samples: ``(samples, features)``.
        of_one: Of a single sample instead of the mean: for bootstrap samples, whose spread is
            already the mean's.
    """
    from scipy.stats import t

    present = ~np.isnan(samples)
    count = present.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(present, samples, 0).sum(axis=0) / count
        variance = (np.where(present, samples - mean, 0) ** 2).sum(axis=0) / (count - 1)
        error = np.sqrt(variance if of_one else variance / count)
        reach = t.ppf(0.975, np.maximum(count - 1, 1)) * error
    reach = np.where(count > 1, reach, np.nan)
    return mean, mean - reach, mean + reach


def most_important(
    names: tuple[str, ...],
    figures: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    count: int,
    also: tuple[str, ...] = (),
) -> tuple[Importance, ...]:
    """Return the ``count`` most important features, and those in ``also``, the largest first.

    Args:
        names: Of the features.
        figures: Mean, low and high end, each ``(features,)``.
        count: How many.
        also: Names of more to return.
    """
    mean, low, high = figures
    order = np.argsort(-np.nan_to_num(mean, nan=-np.inf), kind="stable")
    wanted = set(also)
    chosen = [
        int(i) for rank, i in enumerate(order) if rank < count or (wanted and names[i] in wanted)
    ]
    return tuple(
        Importance(
            feature=names[i],
            importance=float(mean[i]),
            interval=Interval(float(low[i]), float(high[i])),
        )
        for i in chosen
    )
