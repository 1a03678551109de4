"""States of panels that read the workspace again every now and then."""

from __future__ import annotations

from widgets.background import BusyState
from widgets.poller import watch

_LOOKS = 6
"""Files are read every so many of the poller's looks, about every two seconds."""


class PolledState(BusyState):
    """A state with a ``refresh`` of its own, which the poller calls about every two seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def refresh(self) -> None:
        """Read again what is shown."""
        raise NotImplementedError

    def follow(self) -> None:
        """Have the poller read the workspace from now on."""
        watch(self)

    def look(self) -> bool:
        """Read the workspace now and then; return that there may be more."""
        self._looks += 1
        if self._looks % _LOOKS == 0:
            self.refresh()
        return True
