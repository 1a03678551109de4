"""What a server and everybody else use of this machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Self

_MIB = 1 << 20
_KINDS = 8
"""Of a processor's time that no other kind includes."""


@dataclass(frozen=True)
class Use:
    """Processor seconds used so far: by everybody, and by a server, its load and this process."""

    at: float
    everybody_s: float
    ours_s: float

    @classmethod
    def now(cls, pid: int) -> Self:
        """Return what was used until now, of a server by its process id."""
        import psutil

        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        mine = os.times()
        ours = mine.user + mine.system + mine.children_user + mine.children_system + cpu_s(pid)
        return cls(time.monotonic(), sum(times[:_KINDS]) - idle, ours)

    def others_since(self, before: Use) -> float:
        """Return the share of all processors that others used since ``before``."""
        used = (self.everybody_s - before.everybody_s) - (self.ours_s - before.ours_s)
        return max(0.0, used / ((self.at - before.at) * (os.cpu_count() or 1)))


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and those below it have used."""
    times = [process.cpu_times() for process in _family(pid)]
    return float(sum(one.user + one.system for one in times))


def memory_mib(pid: int) -> float:
    """Return the proportional set size of a process and those below it."""
    used = [process.memory_full_info() for process in _family(pid)]
    # Proportional set size where the system knows it: what workers share counts once.
    return float(sum(getattr(one, "pss", one.uss) for one in used)) / _MIB


def _family(pid: int) -> list[Any]:
    """Return ``psutil``'s processes of a server."""
    import psutil

    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]
