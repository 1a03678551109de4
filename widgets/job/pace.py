"""How far a job is, how fast it goes, and when it will be done, from its events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from agiwb.runs.events import Event

_COUNTED = re.compile(r"(\d+) of (\d+)")
_LEAST_SHARE = 0.01
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 10.0


@dataclass
class Pace:
    """The progress that a job's events tell of.

    A phase called "epoch 3 of 12" is the third of twelve equal parts; any other is a whole.
    """

    fraction: float | None = None
    """What is done of all, from 0 to 1; None before the first progress."""
    rate: float | None = None
    """Steps (batches, as a rule) a second in this phase."""
    left_s: float | None = None
    """Seconds until it is done, at the pace so far."""

    def __post_init__(self) -> None:
        self._phase = ""
        self._began: tuple[datetime, float] | None = None
        self._last: datetime | None = None
        self._step: tuple[datetime, int] | None = None

    @property
    def is_of_all(self) -> bool:
        """Whether what is done and left is of the whole job: its parts are counted."""
        return _COUNTED.search(self._phase) is not None

    def take(self, event: Event) -> None:
        """Go on by one event; those without progress say nothing."""
        if event.done is None or not event.total:
            return
        fraction = _fraction(event.phase, event.done / event.total)
        if self._is_new_beginning(event, fraction):
            self._began, self._step, self.rate, self.left_s = (event.at, fraction), None, None, None
        self._take_rate(event, event.done)
        self._last, self._phase, self.fraction = event.at, event.phase, fraction
        if self._began is None:
            return
        began_at, from_fraction = self._began
        share = fraction - from_fraction
        if share >= _LEAST_SHARE:
            self.left_s = (event.at - began_at).total_seconds() / share * (1 - fraction)

    def _is_new_beginning(self, event: Event, fraction: float) -> bool:
        """Return whether the pace so far says nothing of what comes: another phase, or a resume."""
        if self._began is None or self._last is None or self.fraction is None:
            return True
        another = _COUNTED.sub("", event.phase) != _COUNTED.sub("", self._phase)
        paused = (event.at - self._last).total_seconds() > _LONGEST_PAUSE_S
        return another or paused or fraction < self.fraction

    def _take_rate(self, event: Event, done: int) -> None:
        if self._step is None or event.phase != self._phase or done < self._step[1]:
            self._step = (event.at, done)
            return
        seconds = (event.at - self._step[0]).total_seconds()
        if seconds > 0:
            self.rate = (done - self._step[1]) / seconds
        if seconds > _STEADY_S:
            self._step = (event.at, done)


def _fraction(phase: str, share: float) -> float:
    counted = _COUNTED.search(phase)
    if counted is None or not 1 <= int(counted[1]) <= int(counted[2]):
        return share
    number, total = int(counted[1]), int(counted[2])
    return (number - 1 + share) / total


def duration(seconds: float) -> str:
    """Return a duration as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
