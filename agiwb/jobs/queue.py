"""Whose turn it is: the jobs of a workspace that run at once, and those that wait.

A place is a file under ``flock``, which the kernel frees however its holder ends. A waiting job has
a ticket; only the job that was submitted first among the living may take a place.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from agiwb.errors import CancelledError
from agiwb.runs.liveness import RunFolder, RunStatus, running_here

_POLL_S = 0.1


def enqueue(folder: RunFolder) -> None:
    """Give a job its ticket."""
    ticket = _tickets(folder) / folder.path.name
    ticket.parent.mkdir(parents=True, exist_ok=True)
    ticket.touch()


@contextlib.contextmanager
def turn(folder: RunFolder, places: int) -> Iterator[None]:
    """Wait until the job may run, and hold its place until the block ends.

    Raises:
        CancelledError: It was cancelled as it waited.
    """
    try:
        while (place := _take_place(folder, places)) is None:
            time.sleep(_POLL_S)
            require_queued(folder.read())
    finally:
        (_tickets(folder) / folder.path.name).unlink(missing_ok=True)
    with place:
        start_running(folder)
        yield


def start_running(folder: RunFolder) -> None:
    """Make a queued job a running one, carried by this process."""
    with folder.locked() as status:
        require_queued(status)
        folder.change(**running_here(status))


def require_queued(status: RunStatus | None) -> None:
    """Raise CancelledError unless the job still waits."""
    if status is None or status.state != "queued":
        raise CancelledError("The job was cancelled before its turn came.")


def _take_place(folder: RunFolder, places: int) -> IO[str] | None:
    """Return the lock of a free place, or None if there is none or another job is first."""
    if not _is_first(folder):
        return None
    for number in range(places):
        place = (_tickets(folder).parent / f".place-{number}").open("w")
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            place.close()
        else:
            return place
    return None


def _is_first(folder: RunFolder) -> bool:
    """Return whether no living job of the queue was submitted earlier; clear away the dead."""
    own = _order(folder, folder.read())
    for ticket in _tickets(folder).glob("*"):
        other = RunFolder(folder.path.with_name(ticket.name))
        status = other.look()
        if status is None or status.state != "queued":
            ticket.unlink(missing_ok=True)
        elif _order(other, status) < own:
            return False
    return True


def _order(folder: RunFolder, status: RunStatus | None) -> tuple[float, str]:
    submitted_at = status.submitted_at if status is not None else None
    return (submitted_at.timestamp() if submitted_at else 0.0, folder.path.name)


def _tickets(folder: RunFolder) -> Path:
    return folder.path.parent / ".queue"
