"""What a running step tells the world, and where it is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

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
    """Appends each event as one JSON line; a reader may follow the file while it grows."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", encoding="utf-8", buffering=1)

    def __call__(self, event: Event) -> None:
        self._stream.write(event.model_dump_json() + "\n")

    def close(self) -> None:
        self._stream.close()


class Console:
    """Shows events on a terminal as one moving line, elsewhere as one line for each phase."""

    def __init__(self, stream: Any = None) -> None:
        # In a notebook standard error is shown in red, as if something were wrong.
        self._stream = stream or (sys.stdout if "ipykernel" in sys.modules else sys.stderr)
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
