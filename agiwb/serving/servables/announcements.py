"""Telling others of each change of state, in order and without holding the catalogue's lock."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from agiwb.serving.servables.harness import Harness
from agiwb.serving.servables.states import State

Listener = Callable[[str, int, State], None]
"""Called with model, version and its new state."""


class Announcements:
    """Changes of state on their way to a listener. Thread-safe."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._waiting: deque[tuple[str, int, State]] = deque()
        self._telling = threading.RLock()

    def note(self, harness: Harness) -> None:
        """Keep the present state of ``harness`` for the next ``deliver``; call it under the lock.

        The lock makes the order of the notes that of the changes.
        """
        status = harness.status
        self._waiting.append((harness.name, status.version, status.state))

    def deliver(self) -> None:
        """Tell the listener all that waits; call it without the lock."""
        logger = logging.getLogger("agiwb")
        with self._telling:
            while self._waiting:
                name, number, state = self._waiting.popleft()
                logger.debug("%s version %d: %s", name, number, state.name)
                if self._listener is None:
                    continue
                try:
                    self._listener(name, number, state)
                except Exception:
                    logger.exception("Who listens to %s's versions failed.", name)
