"""A server's process that this one did not start."""

from __future__ import annotations

import contextlib
import subprocess
import time

import psutil

_LOOK_S = 0.05


class ForeignProcess:
    """A process that is no child of this one, as ``stop_server`` and Endpoint know processes."""

    stdin = None
    stdout = None

    def __init__(self, process: psutil.Process) -> None:
        """Hold a living process."""
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """Return None while it is alive."""
        with contextlib.suppress(psutil.Error):
            if self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                return None
        return 0

    def terminate(self) -> None:
        """Ask it to stop."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()

    def kill(self) -> None:
        """Make it stop."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        """Return once it has ended; raise subprocess.TimeoutExpired if it has not by then."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("agiwb serve", timeout or 0.0)
            time.sleep(_LOOK_S)
