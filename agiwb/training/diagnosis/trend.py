"""Whether a short series rises or falls more than chance would have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST_VALUES = 60
SIGNIFICANT = 0.05


def is_rising(values: Sequence[float]) -> bool:
    """Return whether the series rises, by Kendall's test at the 5 % level, one-sided."""
    return rising_p_value(values) < SIGNIFICANT


def is_falling(values: Sequence[float]) -> bool:
    """Return whether the series falls, by Kendall's test at the 5 % level, one-sided."""
    return rising_p_value([-value for value in values]) < SIGNIFICANT


def rising_p_value(values: Sequence[float]) -> float:
    """Return the exact one-sided p-value of Kendall's test for a rising trend.

    It is the chance that as many pairs would rise if the values came in any order (Kendall 1938).
    Equal values count against the trend. Fewer than four values can never be significant. Of more
    than sixty, sixty are taken, evenly spread.

    Args:
        values: The series in order.
    """
    if len(values) > _MOST_VALUES:
        chosen = np.linspace(0, len(values) - 1, _MOST_VALUES).round().astype(int)
        values = [values[index] for index in chosen]
    count = len(values)
    series = np.asarray(values, np.float64)
    falls = int(np.triu(series[:, None] >= series[None, :], 1).sum())
    ways = np.ones(1)  # the share of orders with 0, 1, 2 ... falling pairs
    for size in range(2, count + 1):
        ways = np.convolve(ways, np.ones(size)) / size
    return float(ways[: falls + 1].sum())
