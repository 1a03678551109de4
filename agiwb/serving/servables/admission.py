"""When a version that is loaded may answer: at once, or when others have loaded it, too."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Admission(Protocol):
    """Whether one loaded version may answer.

    ``is_open`` is read for requests and must cost next to nothing. It may change at any time, also
    by the doing of another process.
    """

    @property
    def is_open(self) -> bool:
        """Whether requests may be given this version without naming it."""
        ...

    def close(self) -> None:
        """Give the version to no more such requests, where another one is open."""
        ...


class Admissions(Protocol):
    """Decides over all versions of a catalogue; any thread may call, and holds locks meanwhile.

    Only ``place`` may wait, and none may call the catalogue before it returns. The catalogue is
    told by its ``admit`` and ``dismiss``.
    """

    def place(self, name: str, number: int) -> Admission:
        """Return the admission of a version that has just been loaded; it is not yet seen."""
        ...

    def stand_by(self, name: str, number: int) -> None:
        """Take note that the version answers from the moment that its admission opens."""
        ...

    def fail(self, name: str, number: int, reason: str) -> None:
        """Take note that the version could not be loaded, and why."""
        ...

    def withdraw(self, name: str, number: int) -> None:
        """Take note that a version standing by is not wanted any more."""
        ...

    def end(self, name: str, number: int) -> None:
        """Take note that a version answers no more."""
        ...

    def want(self, name: str, number: int | None) -> None:
        """Take note of the version that the model's policy would have answer; None for none."""
        ...

    def required(self, name: str) -> Collection[int]:
        """Return versions to load, and to keep, besides those that the model's policy chooses."""
        ...
