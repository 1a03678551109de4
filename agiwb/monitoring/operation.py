"""Operation: whether a window's requests took longer, failed or came otherwise than they used to.

What is usual is what was logged before the window. Neighbouring requests resemble each other and
traffic has seasons, so no rate of false alarms can be promised: this is said, and raises no alarm.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError, NotFoundError
from agiwb.monitoring.anomalies import Anomaly, more_errors, odd_values, robust_z_scores
from agiwb.monitoring.log import read_latencies, read_rollups
from agiwb.monitoring.window import Chosen, Traffic

_LEVEL = 0.001
_FARTHEST = 6.0
"""Robust standard deviations beyond which an hour is odd."""
_FEWEST_HOURS = 24
_HISTORY_S = 28 * 86_400
_HOUR_S = 3600
_FAILED = frozenset(
    {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
"""Codes that are not the client's doing."""


def check_operation(
    chosen: Chosen, traffic: Traffic, request_log: Path | None = None
) -> tuple[Anomaly, ...]:
    """Return what was unusual about the requests of a window.

    Args:
        chosen: Where it was read from.
        traffic: The window, rows of one version.
        request_log: The server's request log (one line of JSON a request), to see failures in.

    Raises:
        InputError: The request log cannot be read.
        WorkError: The log changed again and again while it was read.
    """
    start, end = float(traffic.rows.times[0]), float(traffic.rows.times[-1])
    version = int(traffic.rows.versions[-1])
    first = traffic.first_of_requests()
    usual = read_latencies(chosen.folder, start, version=version)
    found = [
        odd_values("latency", usual, traffic.latency_ms[first], _LEVEL),
        None if request_log is None else _failures(request_log, chosen.name, start, end),
    ]
    return (*(one for one in found if one is not None), *_odd_hours(chosen, start, end, version))


def odd_hours(
    usual: NDArray[np.float64], counts: NDArray[np.float64], hours: NDArray[np.int64]
) -> tuple[Anomaly, ...]:
    """Return the hours with far more or fewer rows than usual, by robust z-scores.

    Args:
        usual: Rows of each earlier hour; with fewer than 24 of them nothing is said.
        counts: Rows of each hour to judge.
        hours: Unix times at which these begin, in seconds.
    """
    if len(usual) < _FEWEST_HOURS:
        return ()
    scores = robust_z_scores(usual, counts)
    middle = float(np.median(usual))
    return tuple(
        Anomaly(
            kind="traffic",
            share=float(count),
            usual_share=middle,
            p_value=None,
            rows=(),
            sentence=f"In the hour from {datetime.fromtimestamp(hour, UTC):%Y-%m-%d %H:%M} UTC "
            f"{count:.0f} rows were served, and {middle:.0f} are usual (robust z {score:+.1f}).",
        )
        for hour, count, score in zip(hours.tolist(), counts.tolist(), scores, strict=True)
        if abs(score) > _FARTHEST
    )


def _odd_hours(chosen: Chosen, start: float, end: float, version: int) -> tuple[Anomaly, ...]:
    """Judge the window's hours but the first and the last, which it may hold in part only."""
    try:
        rolled = read_rollups(
            chosen.folder,
            start - _HISTORY_S,
            end,
            version=version,
            features=["latency_ms"],
            figures=(),
            live=False,  # a log that nobody rolled up would be counted row by row
        )
    except NotFoundError:  # no requests that could be counted
        return ()
    hours = rolled.hours
    rows = np.array([one.rows for one in rolled.by_hour().values()], np.float64)
    before = hours + _HOUR_S <= start
    inside = (hours >= start) & (hours + _HOUR_S <= end)
    # The first hour of a history may have begun before its first row.
    return odd_hours(rows[before][1:], rows[inside], hours[inside])


def _failures(path: Path, name: str, start: float, end: float) -> Anomaly | None:
    """Return whether more requests of a model failed from ``start`` to ``end`` than before."""
    counts = {False: [0, 0], True: [0, 0]}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                entry = _entry(path, number, line)
                if entry.get("model") == name and (moment := float(entry["time"])) <= end:
                    counts[moment >= start][0] += entry["code"] in _FAILED
                    counts[moment >= start][1] += 1
    except OSError as error:
        raise InputError(
            f"The request log {path} cannot be read: {error.strerror}.",
            "Give the file that the server's request log was written to.",
        ) from None
    (usual_errors, usual), (errors, asked) = counts[False], counts[True]
    return more_errors(usual_errors, usual, errors, asked, _LEVEL)


def _entry(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        float(entry["time"])
        entry["code"] + entry["model"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"Line {number} of {path} is none of a request log.",
            "Give the file that the server's request log was written to.",
        ) from None
    return dict(entry)
