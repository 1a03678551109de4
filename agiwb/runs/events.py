"""What a running step tells the world, and where it is told."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LEAST_PAUSE_S = 0.1
_TAIL_BYTES = 16_384

Listener = Callable[["Event"], None]


class Event(BaseModel):
    """One thing that happened in a run.

    ``done`` of ``total`` is the progress within ``phase``; both are absent for a plain message.
    """

    model_config = ConfigDict(frozen=True)

    message: str
    phase: str = ""
    done: int | None = None
    total: int | None = None
    values: dict[str, float] = {}
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def ends_phase(self) -> bool:
        """Whether this event completes its phase, or stands alone."""
        return self.done is None or self.done == self.total


class EventFile:
    """Appends each event as one JSON line; a reader may follow the file while it grows.

    Half a line, left by a process that was killed as it wrote, is cut off first.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab", buffering=0)
        written = path.read_bytes()
        self._stream.truncate(written.rfind(b"\n") + 1)

    def __call__(self, event: Event) -> None:
        self._stream.write(event.model_dump_json().encode() + b"\n")

    def close(self) -> None:
        self._stream.close()


def read_events(path: Path, since: int = 0) -> tuple[list[Event], int]:
    """Return the events after byte ``since`` of an event file, and where to go on next time.

    Only complete lines are read; a line that is no event (from a full disk) is passed over.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(since)
            written = stream.read()
    except FileNotFoundError:
        return [], since
    complete = written[: written.rfind(b"\n") + 1]
    events = []
    for line in complete.splitlines():
        with contextlib.suppress(ValidationError):
            events.append(Event.model_validate_json(line))
    return events, since + len(complete)


def last_progress(path: Path) -> Event | None:
    """Return the last event of an event file that tells of progress, or None."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    events, _ = read_events(path, max(0, size - _TAIL_BYTES))
    return next((event for event in reversed(events) if event.total is not None), None)


class Pace:
    """Says which progress is worth an event: the first and last of a phase, and ten a second.

    Reporting must not slow down the work; a step may report each batch.
    """

    def __init__(self) -> None:
        self._phase: str | None = None
        self._next_at = 0.0

    def allows(self, phase: str, done: int, total: int) -> bool:
        """Return whether to tell of ``done`` of ``total`` in ``phase`` now."""
        now = time.monotonic()
        if phase == self._phase and now < self._next_at and done < total:
            return False
        self._phase, self._next_at = phase, now + _LEAST_PAUSE_S
        return True


def _in_a_kernel() -> bool:
    """Return whether this process is a notebook's kernel, and not one that talks to kernels."""
    kernels = sys.modules.get("ipykernel.kernelapp")
    return kernels is not None and bool(kernels.IPKernelApp.initialized())


class Console:
    """Shows events on a terminal as one moving line, elsewhere as one line for each phase."""

    def __init__(self, stream: Any = None) -> None:
        # In a notebook standard error is shown in red, as if something were wrong.
        self._stream = stream or (sys.stdout if _in_a_kernel() else sys.stderr)
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        if self._stream.isatty() and event.total is not None:
            self._move_bar(event)
        elif event.ends_phase and (event.message or event.values):
            self.close()
            print(_line(event), file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the moving line, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _move_bar(self, event: Event) -> None:
        from tqdm import tqdm

        if self._bar is None or self._bar.desc != event.phase:
            self.close()
            self._bar = tqdm(total=event.total, desc=event.phase, file=self._stream, leave=True)
        self._bar.set_postfix(event.values, refresh=False)
        self._bar.update((event.done or 0) - self._bar.n)
        if event.ends_phase:
            self.close()


def _line(event: Event) -> str:
    values = " ".join(f"{name}={value:.4g}" for name, value in event.values.items())
    return "  ".join(text for text in (event.phase, event.message, values) if text)
