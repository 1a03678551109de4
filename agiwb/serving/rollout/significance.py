"""The few tests the guards need, in plain Python.

``agiwb.statistics`` has more, and asks SciPy; importing that would cost a server a second and
forty megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from agiwb.statistics import Interval

_Z_95 = NormalDist().inv_cdf(0.975)
_BISECTIONS = 50
_NEGLIGIBLE = 1e-18


def tail_probability(successes: int, trials: int, rate: float) -> float:
    """Return P(X >= ``successes``) for X binomial: the exact one-sided test of a rate."""
    if successes <= 0:
        return 1.0
    if successes > trials or rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    if successes < trials * rate:  # few terms on the other side
        return 1.0 - tail_probability(trials - successes + 1, trials, 1.0 - rate)
    term = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(rate)
        + (trials - successes) * math.log1p(-rate)
    )
    total, odds = 0.0, rate / (1.0 - rate)
    for count in range(successes, trials + 1):
        total += term
        term *= odds * (trials - count) / (count + 1)
        if term < total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def rate_upper_bound(successes: int, trials: int, alpha: float) -> float:
    """Return the rate that is exceeded with probability ``alpha`` at most (Clopper-Pearson 1934).

    Without trials nothing is known: 1.
    """
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        # P(X <= successes) falls as the rate grows.
        if tail_probability(trials - successes, trials, 1.0 - middle) > alpha:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=4096)
def quantile_ranks(size: int, quantile: float, alpha: float) -> tuple[int | None, int | None]:
    """Return the ranks (from 0) in a sorted sample that bound the true quantile from both sides.

    The value at the first rank is above the true quantile, and that at the second below it, with
    probability ``alpha`` at most each, whatever the distribution (Conover 1999, section 3.2). None
    where the sample is too small for a bound.
    """
    # X, the number of values at or below the quantile, is binomial.
    lower = _largest(size, lambda r: 1.0 - tail_probability(r, size, quantile) <= alpha)
    upper = _largest(size, lambda r: tail_probability(size + 1 - r, size, quantile) <= alpha)
    return (lower - 1 if lower else None), (size - upper if upper else None)


def _largest(size: int, holds: Callable[[int], bool]) -> int:
    """Return the largest of 0..size for which ``holds``, which holds up to some number."""
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return the 95 % score interval of a proportion (Wilson 1927), as ``agiwb.statistics`` does.

    Without trials nothing is known: the interval is 0 to 1.
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    rate, z2 = successes / trials, _Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    half = _Z_95 * spread / (1 + z2 / trials)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if successes == trials else min(1.0, centre + half))


def t_quantile(freedom: int) -> float:
    """Return Student's t at 97.5 %, by Abramowitz and Stegun's expansion 26.7.5.

    Within 0.01 of the true value from 3 degrees of freedom.
    """
    z, f = _Z_95, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * f)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * f**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * f**4)
    )
