"""The self-test: known faults are put into copies of the reference, to see which would be found.

An alarm that never rang may be broken. Before it is relied on, the reference is cut in two: one
part plays the reference, windows are drawn from the other, and faults of a known size are put into
them. Windows without a fault show whether the stated rate of false alarms holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.drift import compare_features
from agiwb.monitoring.quality import check_quality
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.statistics import Interval, wilson_interval

Rows = NDArray[np.floating[Any]]
_WINDOWS = 40
_DELAYS = 5
_NO_FAULT = "no fault"
FEWEST_ROWS = 60
"""Rows of the reference below which it cannot be cut in two."""


class FaultFound(BaseModel):
    """How well one kind of fault was found.

    Attributes:
        fault: What was done to one feature.
        windows: Windows that it was done to.
        found_share: Share of them that alarmed (the power; for ``no fault``, false alarms).
        interval: Its 95 % interval.
        delay_rows: Median number of faulty rows after which a window of otherwise sound rows
            alarms; None if most never do, or without a fault.
    """

    model_config = ConfigDict(frozen=True)

    fault: str
    windows: int
    found_share: float
    interval: Interval
    delay_rows: int | None


def _shifted(rows: Rows, place: int, spread: float) -> None:
    rows[:, place] += 0.5 * spread


def _scaled(rows: Rows, place: int, spread: float) -> None:
    rows[:, place] *= 1000


def _missing(rows: Rows, place: int, spread: float) -> None:
    rows[::10, place] = np.nan


def _stuck(rows: Rows, place: int, spread: float) -> None:
    rows[:, place] = rows[0, place]


def _shuffled(rows: Rows, place: int, spread: float) -> None:
    other = (place + 1) % rows.shape[1]
    rows[:, [place, other]] = rows[:, [other, place]]


def _untouched(rows: Rows, place: int, spread: float) -> None:
    """Leave the window as it is."""


FAULTS: dict[str, Callable[[Rows, int, float], None]] = {
    _NO_FAULT: _untouched,
    "shifted by half a standard deviation": _shifted,
    "another unit (times 1,000)": _scaled,
    "a tenth missing": _missing,
    "stuck at one value": _stuck,
    "swapped with the next feature": _shuffled,
}


def self_test(
    reference: Rows, window_rows: int, rate: float, seed: int = 0
) -> tuple[FaultFound, ...]:
    """Return how well each kind of fault in one feature is found, ``no fault`` first.

    Features that never vary are not tampered with. With fewer than 60 rows, or without a feature
    that varies, there is nothing to tell and the result is empty.

    Args:
        reference: Shape ``(rows, features)``; rows that are not finite are left out.
        window_rows: Rows of a window; at most half of the reference's are distinct in it.
        rate: Share of windows without drift that may alarm, over inputs and their quality.
        seed: Equal seeds give equal results.
    """
    reference = reference[np.isfinite(reference).all(axis=1)]
    varying = np.flatnonzero(np.ptp(reference, axis=0) > 0) if len(reference) else np.zeros(0, int)
    if len(reference) < FEWEST_ROWS or len(varying) == 0:
        return ()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(reference))
    known, source = (reference[half] for half in np.array_split(order, 2))
    judge = _Judge(known, window_rows, rate)
    return tuple(
        _try_fault(name, fault, judge, source, varying, window_rows, rng)
        for name, fault in FAULTS.items()
    )


class _Judge:
    """What the monitor asks about inputs: have they drifted, and are they sound?"""

    def __init__(self, reference: Rows, rows: int, rate: float) -> None:
        self.reference, self.rate = reference, rate / 2
        self.calibration = calibrate(reference, rows)
        bins = NumericBins.from_reference(reference)
        self.sketch = NumericSketch.of(bins, reference)

    def alarms(self, window: Rows) -> bool:
        """Return whether the window would raise an alarm."""
        found = compare_features(
            self.sketch, NumericSketch.of(self.sketch.bins, window), self.calibration, self.rate
        )
        names = self.sketch.bins.names
        return bool(found.drifted.any()) or bool(
            check_quality(self.reference, window, names, self.rate)
        )


def _try_fault(
    name: str,
    fault: Callable[[Rows, int, float], None],
    judge: _Judge,
    source: Rows,
    varying: NDArray[np.intp],
    window_rows: int,
    rng: np.random.Generator,
) -> FaultFound:
    spreads = source.std(axis=0)
    found, delays = 0, []
    for draw in range(_WINDOWS):
        window = source[rng.integers(0, len(source), window_rows)]
        place = int(rng.choice(varying))
        faulty = window.copy()
        fault(faulty, place, float(spreads[place]))
        found += judge.alarms(faulty)
        if draw < _DELAYS and name != _NO_FAULT:
            delays.append(_delay(judge, window, faulty))
    reached = float(np.median(delays)) if delays else np.inf
    return FaultFound(
        fault=name,
        windows=_WINDOWS,
        found_share=found / _WINDOWS,
        interval=wilson_interval(found, _WINDOWS),
        delay_rows=int(reached) if np.isfinite(reached) else None,
    )


def _delay(judge: _Judge, window: Rows, faulty: Rows) -> float:
    """Return how many rows at the end must be faulty for an alarm, by bisection; inf if all."""
    if not judge.alarms(faulty):
        return float("inf")
    few, enough = 0, len(window)
    while enough - few > max(1, len(window) // 50):
        middle = (few + enough) // 2
        mixed = np.concatenate((window[: len(window) - middle], faulty[len(window) - middle :]))
        few, enough = (few, middle) if judge.alarms(mixed) else (middle, enough)
    return float(enough)
