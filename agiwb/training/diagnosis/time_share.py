"""A share of the time that an observer may take from the training it observes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeShare:
    """Says whether something may be done again, by what it cost the last time.

    Args:
        share: Largest share of the time.
        first_cost_s: What it is expected to cost before that is known, in seconds.
    """

    def __init__(self, share: float, first_cost_s: float) -> None:
        self._share = share
        self._cost_s = first_cost_s
        self._since = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last time to do it again."""
        return self._cost_s <= self._share * (time.monotonic() - self._since)

    @contextmanager
    def spend(self) -> Iterator[None]:
        """Measure what is done inside."""
        began = time.monotonic()
        yield
        self._since = time.monotonic()
        self._cost_s = self._since - began
