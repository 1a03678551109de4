"""Clocks: whether the times in a log can be what they say.

Windows, hours and the join of late labels go by the servers' clocks. One that is ahead, or was set
back, puts rows into the wrong window, and nothing else would show it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

_TOLERATED_S = 60.0
"""Clocks that are kept by NTP differ by far less, and requests are answered sooner."""


class ClockFinding(BaseModel):
    """Times that cannot be: how many rows have one, and by how many seconds at most."""

    model_config = ConfigDict(frozen=True)

    kind: str
    rows: int
    seconds: float
    sentence: str


def check_clocks(
    times: NDArray[np.float64],
    places: NDArray[np.int64],
    now: float,
    label_delays: NDArray[np.float64] | None = None,
) -> tuple[ClockFinding, ...]:
    """Return what about the times of some rows cannot be; a minute is tolerated.

    Args:
        times: Unix times in seconds, shape ``(rows,)``.
        places: Segment and offset that each row was logged at, shape ``(rows, 2)``: a server
            appends to a segment in order of time.
        now: When the rows were read, Unix time in seconds.
        label_delays: Seconds from each labelled row's request to its label.
    """
    order = np.lexsort((places[:, 1], places[:, 0]))
    ordered = times[order]
    latest = ordered.copy()
    for part in np.split(np.arange(len(ordered)), _starts(places[order, 0])):
        latest[part] = np.maximum.accumulate(ordered[part])
    delays = np.zeros(0) if label_delays is None else label_delays
    asked: dict[str, tuple[NDArray[Any], str]] = {
        "ahead": (
            times - now,
            "{rows} rows are dated up to {span} after they were read: the server's clock is ahead.",
        ),
        "set back": (
            latest - ordered,
            "{rows} rows are dated up to {span} before earlier ones: the clock was set back.",
        ),
        "label before request": (
            -delays,
            "{rows} labels were known up to {span} before their request came: clocks differ.",
        ),
    }
    return tuple(
        ClockFinding(
            kind=kind,
            rows=int((away > _TOLERATED_S).sum()),
            seconds=float(away.max()),
            sentence=text.format(rows=int((away > _TOLERATED_S).sum()), span=_span(away.max())),
        )
        for kind, (away, text) in asked.items()
        if (away > _TOLERATED_S).any()
    )


def _starts(segments: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(segments)) + 1


def _span(seconds: float) -> str:
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours"
