"""Hours: since when the features of a window are no longer what they were."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.calibration import Calibration
from agiwb.monitoring.drift import compare_groups
from agiwb.monitoring.sketches import NumericSketch

_FEWEST_ROWS = 30
_MOST_STRETCHES = 48
_HOUR_S, _DAY_S = 3600, 86_400


class DriftedHour(BaseModel):
    """An hour (or a day, of windows longer than two days) whose features drifted.

    Attributes:
        start: When it begins, UTC.
        hours: How many it has: 1 or 24.
        rows: Rows of the window in it.
        drifted_count: Features that drifted.
        feature: The one that drifted most.
        effect: Its Kolmogorov-Smirnov distance from the reference.
    """

    model_config = ConfigDict(frozen=True)

    start: datetime
    hours: int
    rows: int
    drifted_count: int
    feature: str
    effect: float


def compare_hours(
    reference: NumericSketch,
    times: NDArray[np.float64],
    rows: NDArray[np.floating[Any]],
    calibration: Calibration,
    rate: float,
) -> tuple[DriftedHour, ...]:
    """Return the hours in which features drifted, the earliest first.

    Hours with fewer than 30 rows are passed over; with fewer than two others there is nothing to
    compare that the window as a whole does not show.

    Args:
        reference: Sketch of the reference.
        times: Of the window's rows, Unix time in seconds, shape ``(rows,)``.
        rows: Their features, shape ``(rows, features)``.
        calibration: What windows without drift show.
        rate: Share of windows without drift in which any hour may count as drifted.
    """
    length = _HOUR_S if np.ptp(times) < _MOST_STRETCHES * _HOUR_S else _DAY_S
    began = np.floor(times / length).astype(np.int64) * length
    starts, counts = np.unique(began, return_counts=True)
    kept = [int(start) for start in starts[counts >= _FEWEST_ROWS]]
    if len(kept) < 2:
        return ()
    windows = [NumericSketch.of(reference.bins, rows[began == start]) for start in kept]
    found = []
    for start, window, drift in zip(
        kept, windows, compare_groups(reference, windows, calibration, rate), strict=True
    ):
        if drift.drifted.any():
            worst = int(np.argmax(np.where(drift.drifted, drift.effect, -1)))
            found.append(
                DriftedHour(
                    start=datetime.fromtimestamp(start, UTC),
                    hours=length // _HOUR_S,
                    rows=int(window.rows.max()),
                    drifted_count=int(drift.drifted.sum()),
                    feature=reference.bins.names[worst],
                    effect=float(drift.effect[worst]),
                )
            )
    return tuple(found)


def describe_hours(found: tuple[DriftedHour, ...]) -> str:
    """Return in words since when features drifted."""
    first = found[0]
    worst = max(found, key=lambda one: one.effect)
    what = "hour" if first.hours == 1 else "day"
    which = f"one {what}" if len(found) == 1 else f"{len(found)} {what}s"
    return (
        f"Features drifted in {which}, the first from {first.start:%Y-%m-%d %H:%M} UTC on "
        f"({first.rows} rows); most of all {worst.feature} (effect {worst.effect:.2f})."
    )
