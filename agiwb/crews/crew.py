"""What a crew is, what it reports, and the smallest one: this process itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Line(Protocol):
    """A piece of work's line to whoever gave it; all that goes over it pickles."""

    def tell(self, what: Any) -> None:
        """Say ``what``."""

    def ask(self, what: Any) -> Any:
        """Return the answer to ``what``."""

    def tick(self) -> None:
        """Say that the work goes on; what it raises is to end the work. It may be called often."""


Work = Callable[[Any, Line], Any]
"""A function of a module, which takes its argument and a line, and returns something."""


@dataclass(frozen=True)
class Said:
    """Something that was told while the work goes on."""

    number: int
    what: Any


@dataclass(frozen=True)
class Asked:
    """Something that was asked; the work waits for the answer."""

    number: int
    what: Any


@dataclass(frozen=True)
class Returned:
    """What the work returned."""

    number: int
    value: Any


@dataclass(frozen=True)
class Raised:
    """What the work raised, as an exception."""

    number: int
    error: BaseException


@dataclass(frozen=True)
class Died:
    """Why a process ended before its work: a signal, an exit, or its time was up; in a sentence.

    ``exit_code`` is negative for a signal; None where nobody knows it, or its time was up.
    """

    number: int
    reason: str
    exit_code: int | None = None


Ending = Returned | Raised | Died
Report = Said | Asked | Ending

Told = Callable[[int, Any], Any]
"""Takes the number of a piece of work and what it tells or asks; returns the answer."""


class Crew(Protocol):
    """Carries out pieces of work.

    Thread safety: one thread uses it. Ownership: whoever makes a crew closes it; that ends all
    that it still works on.
    """

    def size(self) -> int:
        """Return how many pieces of work it takes at once."""

    def start(self, number: int, work: Work, argument: Any) -> None:
        """Begin a piece of work, known by ``number``; there must be room for it."""

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Ending]:
        """Return how work has ended since, after a moment if none has.

        Args:
            told: Hears what the work tells, and answers what it asks.
            tick: Called often; what it raises is passed on.

        Raises:
            WorkError: The crew cannot carry out anything any more.
        """

    def close(self) -> None:
        """End all that is running, and let go of it."""


class ThisProcess:
    """Carries out one piece of work at a time, here; what the work raises is passed on."""

    def __init__(self) -> None:
        self._begun: tuple[int, Work, Any] | None = None

    def size(self) -> int:
        return 1

    def start(self, number: int, work: Work, argument: Any) -> None:
        self._begun = (number, work, argument)

    def wait(self, told: Told, tick: Callable[[], None]) -> list[Ending]:
        if self._begun is None:
            return []
        (number, work, argument), self._begun = self._begun, None
        return [Returned(number, work(argument, _DirectLine(number, told, tick)))]

    def close(self) -> None:
        self._begun = None


@dataclass(frozen=True)
class _DirectLine:
    number: int
    told: Told
    tick: Callable[[], None]

    def tell(self, what: Any) -> None:
        self.told(self.number, what)

    def ask(self, what: Any) -> Any:
        return self.told(self.number, what)
