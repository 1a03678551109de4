"""Intervals and tests that say how much a number can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return the 95 % score interval of a proportion (Wilson 1927).

    Unlike the normal approximation it stays within 0 and 1, and is honest for few trials and for
    proportions near the ends. Without trials nothing is known: the interval is 0 to 1.
    """
    from scipy.stats import binomtest

    if trials == 0:
        return Interval(0.0, 1.0)
    bounds = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return Interval(float(bounds.low), float(bounds.high))


def mcnemar_p_value(worse: int, better: int) -> float:
    """Return the exact two-sided p-value that two classifiers err alike (McNemar 1947).

    Args:
        worse: Examples that only the first classifier got right.
        better: Examples that only the second classifier got right.
    """
    from scipy.stats import binomtest

    disagreements = worse + better
    if disagreements == 0:
        return 1.0
    return float(binomtest(worse, disagreements, 0.5).pvalue)


def bootstrap_interval(
    score: Callable[[NDArray[np.intp]], float],
    examples: int,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Interval:
    """Return the 95 % percentile interval of a score (Efron 1979).

    Args:
        score: Gives the score on the examples at these indices; NaN where it has none.
        examples: Number of examples to draw from, with replacement.
        resamples: How many times to draw; a few hundred fix the ends to about a tenth of its width.
        seed: Equal seeds give equal intervals.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    scores = [score(draw.integers(examples, size=examples)) for _ in range(resamples)]
    low, high = np.nanquantile(scores, (0.025, 0.975))
    return Interval(float(low), float(high))
