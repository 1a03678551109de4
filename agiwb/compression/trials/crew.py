"""Who makes candidates: processes of this machine. Dask's workers are in ``dask_crew``."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agiwb.compression.trials.assignment import Assignment
from agiwb.compression.trials.making import make
from agiwb.compression.trials.nursery import Nursery, Report

_LONGEST_WAIT_S = 0.1


class Crew(Protocol):
    """Makes candidates.

    Thread safety: one thread uses it. Ownership: whoever makes a crew closes it; that ends all
    that it still works on.
    """

    def size(self) -> int:
        """Return how many candidates it makes at once."""

    def start(self, number: int, job: Assignment) -> None:
        """Begin a candidate, known by ``number``; there must be room for it."""

    def wait(self) -> list[Report]:
        """Return what was told since, after a moment if it is nothing."""

    def close(self) -> None:
        """End all that is running, and let go of it."""


class LocalProcesses:
    """Makes candidates here, each in a process of its own."""

    def __init__(self, count: int, logs: Path, timeout_s: float | None) -> None:
        self._count = count
        self._nursery = Nursery(logs, timeout_s)

    def size(self) -> int:
        return self._count

    def start(self, number: int, job: Assignment) -> None:
        self._nursery.start(number, make, job)

    def wait(self) -> list[Report]:
        return self._nursery.wait(_LONGEST_WAIT_S)

    def close(self) -> None:
        self._nursery.close()
