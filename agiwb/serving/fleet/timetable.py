"""Which version of a model a fleet answers with, now and after the switch that is agreed upon."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Switch:
    """From the Unix time ``at`` on, a request that names no version gets ``version``.

    ``ordinal`` counts a model's switches, from 1.
    """

    ordinal: int
    version: int
    at: float


class Timetable:
    """One model's switches, as far as this server knows them.

    Thread safety: one thread calls ``follow``; ``answering`` is for every request, from any thread.
    It takes no lock: what it reads is replaced as a whole.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[int | None, int | None, float, int] = (None, None, 0.0, 0)

    def answering(self) -> int | None:
        """Return the version that answers at this moment; None before the first switch."""
        before, after, at, _ = self._known
        return after if time.time() >= at else before

    @property
    def agreed(self) -> int | None:
        """The version of the last switch, also if that is still to come."""
        return self._known[1]

    @property
    def last(self) -> int:
        """The ordinal of the last switch; 0 if there is none."""
        return self._known[3]

    def seconds_left(self) -> float:
        """Return the seconds until the last switch; 0 if it is past."""
        return max(0.0, self._known[2] - time.time())

    def required(self) -> tuple[int, ...]:
        """Return the versions to have loaded: what answers, and what is to."""
        return tuple(sorted({one for one in (self.answering(), self.agreed) if one is not None}))

    def follow(self, switches: list[Switch]) -> None:
        """Take up the newest two of the switches, in their order."""
        if not switches:
            return
        former = switches[-2].version if len(switches) > 1 else None
        newest = switches[-1]
        if newest.ordinal > self.last:
            self._known = (former, newest.version, newest.at, newest.ordinal)


class TimedAdmission:
    """The admission of one version; see agiwb.serving.servables.admission. Thread-safe."""

    __slots__ = ("_number", "_timetable")

    def __init__(self, timetable: Timetable, number: int) -> None:
        self._timetable = timetable
        self._number = number

    @property
    def is_open(self) -> bool:
        """Whether this is the version that the fleet answers with."""
        return self._timetable.answering() == self._number

    def close(self) -> None:
        """Do nothing: only a later switch ends it."""
