"""Writing to a history that may be away: what cannot be delivered waits in the outbox."""

from __future__ import annotations

import time
from collections.abc import Callable

from agiwb.errors import UnreachableError
from agiwb.runs.history_write import HistoryWrite
from agiwb.runs.outbox import Outbox
from agiwb.runs.tracking_address import TrackingAddress

_PAUSE_S = 15.0
"""How long a running step does not try again: each try may last as long as a connection may."""


class HistoryWriter:
    """Delivers writes in the order they are made, now or later."""

    def __init__(
        self, address: TrackingAddress, outbox: Outbox, apply: Callable[[HistoryWrite], None]
    ) -> None:
        """Keep how to write.

        Args:
            address: Of the history. One that is a file is never away.
            outbox: Where writes wait.
            apply: Carries one out; raises UnreachableError if the history is away.
        """
        self._address = address
        self._outbox = outbox
        self._apply = apply
        self._next_try = 0.0

    def write(self, write: HistoryWrite, *, last: bool = False) -> None:
        """Carry ``write`` out, or have it wait if the history is away.

        Args:
            write: What to write.
            last: Nothing may follow it for long: try, however short ago the history was away.
        """
        if not self._address.may_be_away:
            self._apply(write)
        elif not last and time.monotonic() < self._next_try:
            self._outbox.put(write)
        else:
            try:
                self.catch_up()
                self._apply(write)
            except UnreachableError:
                self._next_try = time.monotonic() + _PAUSE_S
                self._outbox.put(write)

    def catch_up(self) -> None:
        """Deliver what waits; a history that is a file is not what it waits for.

        Raises:
            UnreachableError: The history is away still.
            WorkspaceError: It refuses whoever asks.
        """
        if self._address.may_be_away and self._outbox.count():
            self._outbox.deliver(self._apply)

    def behind(self) -> str:
        """Return in a sentence that the history is behind; "" if it is not."""
        if not self._address.may_be_away or not self._outbox.count():
            return ""
        return (
            f"The run history {self._address.shown} cannot be reached: what is new waits in "
            f"{self._outbox.folder}, and the next command delivers it."
        )
