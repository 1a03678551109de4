"""Changes in a stream: when a loss, a score or a latency stopped being what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class Change(BaseModel):
    """A change of the mean of a stream.

    Attributes:
        row: Place of the value at which the change was found.
        since: Place from which on the values are of the new kind, as far as can be told.
        before: Mean of the values before ``since``, from the change before it on.
        after: Mean of the values from ``since`` up to ``row``.
    """

    model_config = ConfigDict(frozen=True)

    row: int
    since: int
    before: float
    after: float


def find_changes(
    values: NDArray[np.floating[Any]], false_alarm_rate: float = 0.002
) -> tuple[Change, ...]:
    """Return the changes of the mean of ``values``, which are looked at one by one.

    The detector is ADWIN (Bifet and Gavalda 2007): it keeps as long a window as shows no change,
    and needs neither a reference nor a limit.

    Args:
        values: In order of time; those that are not finite are passed over.
        false_alarm_rate: Bound of the chance that two parts of one window, between which nothing
            changed, are told apart; in practice false alarms are far rarer.
    """
    from river.drift import ADWIN

    detector = ADWIN(delta=false_alarm_rate)
    places = np.flatnonzero(np.isfinite(values))
    found: list[Change] = []
    start = 0
    for seen, place in enumerate(places):
        detector.update(float(values[place]))
        if detector.drift_detected and seen > start:
            kind = values[places[start : seen + 1]].astype(np.float64)
            since = _split(kind)
            found.append(
                Change(
                    row=int(place),
                    since=int(places[start + since]),
                    before=float(kind[:since].mean()),
                    after=float(kind[since:].mean()),
                )
            )
            start += since
    return tuple(found)


def _split(values: NDArray[np.float64]) -> int:
    """Return where the means of the two parts differ most, in standard errors (Hinkley 1970)."""
    rows = len(values)
    first = np.arange(1, rows)
    away = np.abs(np.cumsum(values - values.mean())[:-1])
    return int(first[np.argmax(away / np.sqrt(first * (rows - first)))])
