"""A claim: a number that was measured, and the bar that it must reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Claim = dict[str, Any]


def at_least(name: str, value: float, bar: float) -> Claim:
    """Return the claim that ``value`` is ``bar`` or more, and tell it."""
    return _told(name, value, bar, holds=value >= bar)


def at_most(name: str, value: float, bar: float) -> Claim:
    """Return the claim that ``value`` is ``bar`` or less, and tell it."""
    return _told(name, value, bar, holds=value <= bar)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval over seeds, by Student's t; one seed has none."""
    import numpy as np
    from scipy import stats

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def _told(name: str, value: float, bar: float, *, holds: bool) -> Claim:
    print(f"{name:<76} {value:9.4f}   bar {bar:g}   {'holds' if holds else 'MISSED'}", flush=True)
    return {"name": name, "value": round(float(value), 5), "bar": bar, "holds": bool(holds)}
