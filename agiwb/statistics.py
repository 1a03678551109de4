"""Intervals and tests that say how much a number can be trusted."""

from __future__ import annotations

from typing import NamedTuple


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
