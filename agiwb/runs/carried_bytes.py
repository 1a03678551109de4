"""The progress of what is carried to the object store or from it: told if it takes long."""

from __future__ import annotations

import time

from agiwb.runs.events import Console, Event, Listener, Pace

_LONG_S = 2.0
_MB = 1_000_000


class CarriedBytes:
    """Counts bytes, and tells of them once two seconds have passed; a call adds some.

    Without a listener the terminal is told; ``close`` leaves its moving line.
    """

    def __init__(self, phase: str, total: int, listener: Listener | None = None) -> None:
        self._phase = f"{phase} (MB)"
        self._total = max(1, -(-total // _MB))
        self._console = None if listener else Console()
        self._tell = listener or self._console
        self._done = 0
        self._pace = Pace()
        self._quiet_until = time.monotonic() + _LONG_S
        self._told = False

    def __call__(self, count: int) -> None:
        """Add bytes that were carried."""
        self._done += count
        done = min(self._done // _MB, self._total - 1)
        is_long = time.monotonic() >= self._quiet_until
        if is_long and self._pace.allows(self._phase, done, self._total):
            self._emit(done)

    def end(self) -> None:
        """Say that all was carried, if anything was said."""
        if self._told:
            self._emit(self._total)

    def close(self) -> None:
        """Leave the terminal's moving line."""
        self.end()
        if self._console is not None:
            self._console.close()

    def _emit(self, done: int) -> None:
        self._told = True
        if self._tell is not None:
            self._tell(Event(message="", phase=self._phase, done=done, total=self._total))
