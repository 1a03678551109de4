"""A rate of several groups: how far apart the two are that are farthest apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from agiwb.statistics import Interval, wilson_interval

_FEWEST = 10
"""Examples that a rate must be of to be compared."""
_LEVEL = 0.05


class Rate(BaseModel):
    """A share of some examples; ``interval`` is Wilson's, of 95 %."""

    model_config = ConfigDict(frozen=True)

    value: float
    interval: Interval
    count: int
    """How many it is a share of."""


class Disparity(BaseModel):
    """How far two groups are apart in one rate.

    Attributes:
        rate: Which one, as a field of ``GroupRates``.
        low_group: The group in which it is lowest.
        high_group: The group in which it is highest.
        difference: The higher rate less the lower one.
        difference_interval: Its interval (Newcombe 1998, method 10). That groups were chosen for
            being farthest apart is made up for: it holds for all pairs at once with 95 %.
        ratio: The lower rate by the higher one; None if the higher one is 0.
        ratio_interval: Its interval (Katz and others 1978, half an example added everywhere),
            made up for likewise.
    """

    model_config = ConfigDict(frozen=True)

    rate: str
    low_group: str
    high_group: str
    difference: float
    difference_interval: Interval
    ratio: float | None
    ratio_interval: Interval | None


def rate_of(part: int, whole: int) -> Rate | None:
    """Return a share with its interval; None of nothing."""
    if not whole:
        return None
    return Rate(value=part / whole, interval=wilson_interval(part, whole), count=whole)


def disparity(
    name: str, known: Sequence[tuple[str, Rate | None]], rates: int = 1
) -> Disparity | None:
    """Return how far groups are apart; None with fewer than two rates of ten examples or more.

    Args:
        name: Of the rate.
        known: Each group with its rate.
        rates: How many rates are looked at together, of which the widest disparity is taken.
    """
    compared = [(group, rate) for group, rate in known if rate and rate.count >= _FEWEST]
    if len(compared) < 2:
        return None
    pairs = math.comb(len(compared), 2) * rates
    low_group, low = min(compared, key=lambda one: one[1].value)
    high_group, high = max(compared, key=lambda one: one[1].value)
    return Disparity(
        rate=name,
        low_group=low_group,
        high_group=high_group,
        difference=high.value - low.value,
        difference_interval=_newcombe(high, low, _LEVEL / pairs),
        ratio=low.value / high.value if high.value else None,
        ratio_interval=_katz(low, high, _LEVEL / pairs) if high.value else None,
    )


def _newcombe(high: Rate, low: Rate, level: float) -> Interval:
    upper, lower = (_wilson(one, level) for one in (high, low))
    difference = high.value - low.value
    return Interval(
        difference - math.hypot(high.value - upper.low, lower.high - low.value),
        difference + math.hypot(upper.high - high.value, low.value - lower.low),
    )


def _wilson(rate: Rate, level: float) -> Interval:
    from scipy.stats import binomtest

    made = binomtest(round(rate.value * rate.count), rate.count)
    found = made.proportion_ci(1 - level, method="wilson")
    return Interval(float(found.low), float(found.high))


def _katz(low: Rate, high: Rate, level: float) -> Interval:
    from scipy.stats import norm

    first, second = (round(one.value * one.count) + 0.5 for one in (low, high))
    whole = low.count + 0.5, high.count + 0.5
    middle = math.log(first / whole[0]) - math.log(second / whole[1])
    variance = 1 / first - 1 / whole[0] + 1 / second - 1 / whole[1]
    away = float(norm.isf(level / 2)) * math.sqrt(max(variance, 0.0))
    return Interval(math.exp(middle - away), math.exp(middle + away))
