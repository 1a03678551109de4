"""Work that is too long for a callback and too short for a job: seconds, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import traitlets

from widgets.guard import GuardedState, guarded


class BusyState(GuardedState):
    """A state that says what it waits for; ``busy`` is empty while it waits for nothing."""

    busy = traitlets.Unicode("", help="What goes on, in words")

    def begin(self, what: str, work: Callable[[], None]) -> None:
        """Carry ``work`` out in a thread, one at a time; what it raises is shown as ``error``."""
        if self.busy:
            self.error = f"Wait a moment: {self.busy}."
            return
        self.busy = what
        self._thread = threading.Thread(target=self._carry_out, args=[work], daemon=True)
        self._thread.start()

    def settle(self, timeout: float = 120.0) -> None:
        """Return once what was begun has ended."""
        thread: threading.Thread | None = getattr(self, "_thread", None)
        if thread is not None:
            thread.join(timeout)

    def _carry_out(self, work: Callable[[], None]) -> None:
        try:
            self._guarded(work)
        finally:
            self.busy = ""

    @guarded
    def _guarded(self, work: Callable[[], None]) -> None:
        work()
