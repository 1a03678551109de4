"""Insisting: what was asked to stop, and does not, is made to.

``python -m agiwb.jobs.cancel FOLDER STATUS GRACE`` does so in a process of its own, for callers
that cannot wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from agiwb.runs.liveness import RunFolder, RunStatus, process_of
from agiwb.runs.mlflow_store import MlflowStore
from agiwb.settings import Settings

GRACE_S = 10.0
"""How long a step may take to finish its batch and keep its checkpoint."""

_TIMES_TOLD = 6
_PATIENCE_S = 1.0
_POLL_S = 0.05


def insist(folder: RunFolder, status: RunStatus, grace_s: float) -> None:
    """Wait ``grace_s`` seconds for a job that was asked to stop; then end its process.

    The process is that of ``status``, as it was when the job was asked: by now it may have stopped
    and been resumed in another, which nobody has asked to stop.

    SIGTERM, once a second, lets it close its run as cancelled. If that does not help, SIGKILL goes
    to its process group and all its children, and the run is closed as killed.
    """
    process = process_of(status)
    if process is None or _ends_within(process, grace_s):
        return
    for _ in range(_TIMES_TOLD):  # it may hear one at a moment when it cannot act on it
        with contextlib.suppress(psutil.Error):
            process.terminate()
        if _ends_within(process, _PATIENCE_S):
            return
    with contextlib.suppress(psutil.Error, OSError):
        family = process.children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        for child in family:  # those that made a group of their own
            with contextlib.suppress(psutil.Error):
                child.kill()
    _ends_within(process, _PATIENCE_S)
    MlflowStore(folder.path.parents[1], Settings().tracking_uri).close_lost()


def _ends_within(process: psutil.Process, seconds: float) -> bool:
    """Return whether the process ended; psutil tells it from another that has its id by then."""
    last = time.monotonic() + seconds
    while _lives(process):
        if time.monotonic() > last:
            return False
        time.sleep(_POLL_S)
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    asked = RunStatus.model_validate_json(sys.argv[2])
    insist(RunFolder(Path(sys.argv[1])), asked, float(sys.argv[3]))
