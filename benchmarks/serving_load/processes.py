"""Server processes under measurement: on a core of their own, and what they use."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

_STOP_TIMEOUT_S = 10


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Have the processes started inside run on one core, they and all their children."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def two_cores() -> tuple[int, int]:
    """Return a core for the servers and one for the load; the same where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class ProcessTree:
    """A process and all its children, seen as one server."""

    def __init__(self, process_id: int) -> None:
        """Watch a process and its children."""
        self._root = psutil.Process(process_id)

    def cpu_seconds(self) -> float:
        """Return the processor time used so far, that of threads that have ended included."""
        times = [one.cpu_times() for one in self._members()]
        return float(sum(each.user + each.system for each in times))

    def pss_mb(self) -> float:
        """Return the memory in use; pages shared with other processes count in part."""
        return float(sum(one.memory_full_info().pss for one in self._members())) / 1e6

    def maps(self, word: str) -> bool:
        """Return whether a file whose path has ``word`` is mapped into any process."""
        return any(word in Path(f"/proc/{one.pid}/maps").read_text() for one in self._members())

    def stop(self) -> None:
        """End every process."""
        members = self._members()
        with contextlib.suppress(psutil.Error):
            self._root.terminate()
        _, left = psutil.wait_procs(members, _STOP_TIMEOUT_S)
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()

    def _members(self) -> list[psutil.Process]:
        if not self._root.is_running():
            return []
        return [self._root, *self._root.children(recursive=True)]


class MachineWatch:
    """How busy the machine was with other things than the measurement."""

    def __init__(self) -> None:
        self._busy, self._own, self._seconds = _busy_seconds(), _own_seconds(), _uptime()
        self._measured = 0.0

    def explain(self, seconds: float) -> None:
        """Take note of processor time that servers under measurement used."""
        self._measured += seconds

    def foreign_cores(self) -> float:
        """Return the cores kept busy by others, on average since this was made."""
        busy = _busy_seconds() - self._busy
        own = _own_seconds() - self._own + self._measured
        return max(0.0, (busy - own) / max(_uptime() - self._seconds, 1e-9))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def _own_seconds() -> float:
    """Return what this process and the children that it has seen end have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _uptime() -> float:
    return os.times().elapsed
