"""What times of interleaved runs say: ratios with intervals, and claims beyond the noise; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.statistics import Interval

Speed = Literal["faster", "slower", "same"]

SMALLEST_CLAIM = 1.02
"""Ratio of two times below which no difference is claimed, however narrow its interval."""

_RESAMPLES = 2000


@dataclass(frozen=True)
class Latency:
    """Time of one inference on one thread.

    Attributes:
        p50_ms: Median over all runs, in milliseconds.
        p90_ms: Their 90th percentile.
        ratio: Median over the blocks of the candidate's median divided by the baseline's.
        interval: Its 95 % interval, from resampling whole blocks.
        speed: What may be claimed: ``faster`` or ``slower`` only if all of the interval lies
            beyond what the baseline's twin shows; see ``noise_floor``.
    """

    p50_ms: float
    p90_ms: float
    ratio: float
    interval: Interval
    speed: Speed


@dataclass(frozen=True)
class LatencyReport:
    """The latencies by name, the ratio found between the baseline and itself, and the floor."""

    by_name: dict[str, Latency]
    noise_ratio: float
    floor: float


def compare_latency(
    times_ms: Mapping[str, NDArray[np.float64]], baseline: str, twin: str, seed: int
) -> LatencyReport:
    """Return what the times say.

    Args:
        times_ms: For each name, milliseconds of shape ``(blocks, runs)``; row n of every name
            was measured in the same round. The number of runs may differ between names.
        baseline: The name to compare with.
        twin: The name of the second copy of the baseline; it is not in the result.
        seed: Of the resampling.
    """
    medians = {name: np.median(times, axis=1) for name, times in times_ms.items()}
    ratios = {name: median / medians[baseline] for name, median in medians.items()}
    intervals = {name: _block_bootstrap(values, seed) for name, values in ratios.items()}
    floor = noise_floor(intervals[twin])
    by_name = {
        name: Latency(
            p50_ms=float(np.median(times)),
            p90_ms=float(np.percentile(times, 90)),
            ratio=float(np.median(ratios[name])),
            interval=intervals[name],
            speed=claim_speed(intervals[name], floor),
        )
        for name, times in times_ms.items()
        if name != twin
    }
    return LatencyReport(by_name, float(np.median(ratios[twin])), floor)


def noise_floor(twin: Interval) -> float:
    """Return how many times slower, or faster, something must be to be called so; above 1.

    It is the end of the twin's interval that lies farther from 1. The twin's ratio alone would
    not do: it is a single draw of what the place in memory does to two equal models, and can be 1
    by luck. With it, up to 3 in 60 measurements of a copy of the baseline ended in a claim; with
    this floor, none.
    """
    return max(SMALLEST_CLAIM, twin.high, 1 / twin.low)


def claim_speed(interval: Interval, floor: float) -> Speed:
    """Return which difference may be claimed: one that lies beyond ``floor`` as a whole."""
    if interval.high < 1 / floor:
        return "faster"
    return "slower" if interval.low > floor else "same"


def _block_bootstrap(ratios: NDArray[np.float64], seed: int) -> Interval:
    """Return the 95 % percentile interval of the median (Efron 1979), blocks drawn whole.

    The runs within a block share the machine's state and are no independent witnesses; the blocks
    nearly are. One seed for all draws the same blocks for each candidate.
    """
    drawn = np.random.default_rng(seed).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), [2.5, 97.5])
    return Interval(float(low), float(high))
