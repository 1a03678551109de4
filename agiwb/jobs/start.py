"""Starting a job's process: forked from the warm process if that is ready, else from nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from agiwb.jobs.queue import enqueue
from agiwb.jobs.warm import ask_warm_process
from agiwb.runs.liveness import RunFolder, RunStatus
from agiwb.settings import Settings


def start_worker(folder: RunFolder, status: RunStatus) -> None:
    """Start the process that carries the job in ``folder``; the caller holds its lock.

    The process lives in a session of its own: it outlives this one, and Ctrl-C does not reach it.
    """
    enqueue(folder)
    environment = {**os.environ, "AGIWB_WORKSPACE": str(folder.path.parents[1])}
    if environment.get("MPLBACKEND", "").startswith("module://"):
        del environment["MPLBACKEND"]  # a notebook's; this process cannot draw there
    pid = ask_warm_process(folder, status.cwd, environment) if Settings().warm else None
    if pid is None:
        words = ["agiwb.jobs.worker", str(folder.path)]
        try:
            with folder.log.open("ab") as log:
                pid = start_detached(words, status.cwd, environment, output=log.fileno())
        except OSError as error:
            folder.close_after(error)
            raise
    started_at = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and is shown as lost
        started_at = psutil.Process(pid).create_time()
    folder.write(status.model_copy(update={"pid": pid, "process_started_at": started_at}))


def start_detached(
    words: Sequence[str], cwd: Path | str, environment: Mapping[str, str], output: int
) -> int:
    """Return the id of a new Python process that runs the module and arguments ``words``.

    It has a session of its own, and writes standard output and error to the descriptor ``output``.
    """
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *words],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    # Whoever has ended and was not waited for stays in the process table as long as we live.
    threading.Thread(target=process.wait, name="agiwb-reaper", daemon=True).start()
    return process.pid
