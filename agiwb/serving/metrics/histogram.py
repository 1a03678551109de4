"""Counts of values by size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS = tuple(float(2**power) for power in range(11))
TENSORFLOW_MICROSECONDS = tuple(10 * 1.8**power for power in range(33))
"""``Buckets::Exponential(10, 1.8, 33)`` of TensorFlow Serving, about 20 minutes."""
TENSORFLOW_QUEUE = tuple(100 * 1.2**power for power in range(52))
"""``Buckets::Exponential(100, 1.2, 52)``, in microseconds, about a second."""
TENSORFLOW_EXAMPLES = tuple(float(2**power) for power in range(15))


class Histogram:
    """How many values were at most each bound, and their sum.

    Thread safety: none; whoever owns it holds a lock.
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin with no values; ``bounds`` ascend."""
        self.bounds = bounds
        self.total = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count ``value`` in."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[int]:
        """Return for each bound how many values were at most that; last, how many there were."""
        return list(accumulate(self._counts))
