"""Periods in which what came in was broken: what a model must not learn from.

A broken sensor or pipeline looks like drift, and retraining on it is the classic accident. What is
surely broken is left out: values that are no numbers, texts without a word, values far from
anything in training, and hours in which features that vary stand still. Mere drift is not: to
learn that is the purpose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError
from agiwb.monitoring.config import unix_time
from agiwb.monitoring.described import MOST_COLUMNS, Description

PERIOD_S = 3600
_FALSE_ALARM_RATE = 0.001
_FEWEST_ROWS = 20
"""Rows below which it is not asked whether an hour stands still."""
_MANY = 0.5
"""Share of the rows of an hour, or of an image's pixels, from which on the whole is faulty."""

Period = tuple[float, float]


@dataclass(frozen=True)
class LeftOut:
    """Rows that were left out, and why, in a sentence."""

    rows: int
    sentence: str


def read_periods(words: Sequence[str]) -> list[Period]:
    """Return periods written as ``FROM/UNTIL`` in ISO 8601, as Unix times in seconds.

    Raises:
        ConfigError: One is not written so.
    """
    periods = []
    for word in words:
        begin, slash, end = word.partition("/")
        try:
            period = unix_time(begin, -math.inf), unix_time(end, math.inf)
        except ValueError as error:
            raise ConfigError(f"`leave_out`: {error}") from None
        if not slash or period[0] > period[1]:
            raise ConfigError(
                f"`leave_out`: {word!r} is no period.",
                "Write it as 2026-11-22T10:00/2026-11-22T12:00.",
            )
        periods.append(period)
    return periods


def sound_rows(
    features: NDArray[Any],
    times: NDArray[np.float64],
    description: Description,
    periods: Sequence[Period] = (),
) -> tuple[NDArray[np.bool_], tuple[LeftOut, ...]]:
    """Return which rows may be learnt from, and what was left out.

    Args:
        features: What came in, ``(rows, ...)``.
        times: When, ``(rows,)``, Unix time in seconds; NaN where nobody knows.
        description: Of the training data.
        periods: Known to be faulty.
    """
    sound = np.ones(len(features), bool)
    left_out = []
    for begin, end in periods:
        inside = sound & (times >= begin) & (times <= end)
        sound &= ~inside
        left_out.append(LeftOut(int(inside.sum()), f"{_told(begin, end)} was to be left out."))
    broken = sound & description.unusable(features)
    for begin, inside in _hours(times, sound):
        found = _fault_of(features[inside], broken[inside], description)
        if found:
            left_out.append(
                LeftOut(int(inside.sum()), f"{_told(begin, begin + PERIOD_S)}: {found}")
            )
            sound &= ~inside
            broken &= ~inside
    if broken.any():
        sentence = "Single rows hold nothing, or values far from all in training."
        left_out.append(LeftOut(int(broken.sum()), sentence))
    return sound & ~broken, tuple(left_out)


def _hours(
    times: NDArray[np.float64], sound: NDArray[np.bool_]
) -> Iterator[tuple[float, NDArray[np.bool_]]]:
    known = sound & np.isfinite(times)
    hours = np.floor(np.where(known, times, 0) / PERIOD_S)
    for hour in np.unique(hours[known]):
        yield float(hour * PERIOD_S), known & (hours == hour)


def _fault_of(features: NDArray[Any], broken: NDArray[np.bool_], description: Description) -> str:
    """Return what is wrong with an hour as a whole, or ""."""
    if broken.mean() >= _MANY:
        return f"{broken.mean():.0%} of its rows hold nothing, or values far from training."
    if len(features) < _FEWEST_ROWS:
        return ""
    found = description.quality(features, _FALSE_ALARM_RATE)
    stuck = [one.feature for one in found if one.kind == "constant"]
    count = len(description.names)
    most = _MANY * count if count > MOST_COLUMNS else 0  # one pixel that stands still means little
    if len(stuck) > most:
        return f"{len(stuck)} of {count} features stand still, {stuck[0]} among them."
    return ""


def _told(begin: float, end: float) -> str:
    words = [
        f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" if math.isfinite(moment) else "..."
        for moment in (begin, end)
    ]
    return f"{words[0]} to {words[1]} UTC"
