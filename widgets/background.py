"""Work that is too long for a callback and too short for a job: seconds, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import traitlets

from widgets.guard import GuardedState, guarded


class BusyState(GuardedState):
    """A state that says what it waits for; ``busy`` is empty while it waits for nothing."""

    busy = traitlets.Unicode("", help="What goes on, in words")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._changing = threading.Condition()

    def begin(self, what: str, work: Callable[[], None]) -> None:
        """Carry ``work`` out in a thread, one at a time; what it raises is shown as ``error``."""
        with self._changing:
            if self.busy:
                self.error = f"Wait a moment: {self.busy}."
                return
            self.busy = what
        threading.Thread(target=self._carry_out, args=[work], daemon=True).start()

    def settle(self, timeout: float = 120.0) -> None:
        """Return once what was begun has ended, or after ``timeout`` seconds."""
        with self._changing:
            self._changing.wait_for(lambda: not self.busy, timeout)

    def _carry_out(self, work: Callable[[], None]) -> None:
        try:
            self._guarded(work)
        finally:
            with self._changing:
                self.busy = ""
                self._changing.notify_all()

    @guarded
    def _guarded(self, work: Callable[[], None]) -> None:
        work()
