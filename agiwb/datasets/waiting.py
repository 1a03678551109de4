"""Telling a user who waits for data to be read how far that is."""

from __future__ import annotations

import logging
import time

_FIRST_S, _THEN_S = 2.0, 5.0


class SlowWork:
    """A ``Progress`` that speaks up after two seconds, then every five."""

    def __init__(self) -> None:
        self._speaks_at = time.monotonic() + _FIRST_S

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Say how far it is, if that is due."""
        if time.monotonic() >= self._speaks_at:
            self._speaks_at = time.monotonic() + _THEN_S
            logging.getLogger("agiwb").warning("%s: %s of %s", phase, f"{done:,}", f"{total:,}")
