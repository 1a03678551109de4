"""The nursery: heavy libraries imported once; a child is forked for each piece of work.

``python -m agiwb.crews.nursery_process MODULE:FUNCTION REQUESTS REPORTS``: what to call first, and
two descriptors. A fork is safe only while this process has a single thread and TensorFlow's
runtime has not been initialised; both are looked at before each one. It ends with whoever started
it, and its children with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from agiwb.jobs.warm_process import restore_blas_threads, unsafe_to_fork
from agiwb.leaving import leave

_LOOK_S = 0.02


@dataclass(frozen=True)
class Upbringing:
    """What a child has of the process that asks for it, not of the nursery."""

    environment: dict[str, str]
    cwd: str
    path: list[str]
    log: Path
    """File for what it prints."""


@dataclass(frozen=True)
class _Line:
    """A child's line to whoever gave it its work."""

    connection: Connection

    def tell(self, what: Any) -> None:
        self.connection.send(("said", what))

    def ask(self, what: Any) -> Any:
        self.connection.send(("asked", what))
        return self.connection.recv()

    def tick(self) -> None:
        """Do nothing: whoever gave the work ends this process if it is to end."""


def serve(requests: socket.socket, reports: Connection) -> int | None:
    """Return the descriptor of its work in each child; None in the nursery, at its end."""
    children: set[int] = set()
    try:
        descriptor = _fork_when_asked(requests, reports, children)
    except BrokenPipeError:  # whoever asks was killed
        descriptor = None
    if descriptor is None:
        for pid in children:
            end_family(pid)
    return descriptor


def _fork_when_asked(
    requests: socket.socket, reports: Connection, children: set[int]
) -> int | None:
    """See ``serve``; ``children`` are those that have not ended."""
    while True:
        ready, _, _ = select.select([requests], [], [], _LOOK_S if children else None)
        for pid, status in _ended(children):
            reports.send(("ended", pid, os.waitstatus_to_exitcode(status)))
        if not ready:
            continue
        _, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not descriptors:
            return None
        if reason := unsafe_to_fork():
            reports.send(("refused", reason))
        elif (pid := os.fork()) == 0:
            requests.close()
            reports.close()
            return descriptors[0]
        else:
            children.add(pid)
            reports.send(("begun", pid))
        os.close(descriptors[0])


def end_family(pid: int) -> None:
    """Kill the child ``pid`` and all that it has started."""
    for kill in (os.killpg, os.kill):  # it may not have become the head of its group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _ended(children: set[int]) -> list[tuple[int, int]]:
    """Return the children that have ended, with their wait status."""
    found = []
    for pid in tuple(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children.discard(pid)
            found.append((pid, status))
    return found


def be_child(connection: Connection) -> None:
    """Carry out the work that comes over ``connection``, and send what came of it."""
    os.setsid()
    _grow_up(connection.recv())
    try:
        work, argument = pickle.loads(connection.recv_bytes())  # noqa: S301  from who forked us
        connection.send(("done", work(argument, _Line(connection))))
    except BaseException as error:  # noqa: BLE001  whatever it was is told
        connection.send(("failed", _that_pickles(error)))


def _grow_up(upbringing: Upbringing) -> None:
    """Make this fork what a new process of the asking one's would be."""
    import numpy as np

    os.environ.clear()
    os.environ.update(upbringing.environment)
    time.tzset()
    tempfile.tempdir = None
    sys.path[:] = upbringing.path
    with contextlib.suppress(OSError):  # it may be gone
        os.chdir(upbringing.cwd)
    with upbringing.log.open("ab", buffering=0) as log, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
    np.random.seed()  # noqa: NPY002  a fork has its parent's
    restore_blas_threads(upbringing.environment)


def _that_pickles(error: BaseException) -> BaseException:
    """Return ``error``, or its words as a RuntimeError if it cannot travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    except Exception:  # noqa: BLE001  libraries' exceptions fail in any way
        return RuntimeError(str(error) or type(error).__name__)
    return error


def main(ready: str, requests: int, reports: int) -> None:
    """Be the nursery, or at last one of its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, and closes us
    module, _, function = ready.partition(":")
    getattr(importlib.import_module(module), function)()
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page it looks at
    descriptor = serve(socket.socket(fileno=requests), Connection(reports))
    if descriptor is not None:
        with contextlib.suppress(EOFError, BrokenPipeError):  # whoever gave the work was killed
            be_child(Connection(descriptor))
    leave(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
