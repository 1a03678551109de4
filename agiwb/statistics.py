"""Intervals and tests that say how much a number can be trusted."""

from __future__ import annotations

import math
from typing import NamedTuple

Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927, eq. for the limits of p).

    Unlike the normal approximation it stays within 0 and 1, and is honest for few trials and for
    proportions near the ends. Without trials nothing is known: the interval is 0 to 1.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return Interval(max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


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
