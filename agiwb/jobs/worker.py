"""The process of one detached job: it waits for its turn, runs the step, and says how it ended.

``python -m agiwb.jobs.worker FOLDER``; the warm process calls ``run_job`` in a child of its own.
What it prints goes to the job's ``log.txt``.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
import traceback
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from agiwb.errors import AgiwbError, CancelledError
from agiwb.jobs.queue import start_running, turn
from agiwb.leaving import leave
from agiwb.runs.liveness import RunFolder, RunStatus
from agiwb.runs.registry import load_step
from agiwb.settings import Settings

_INTERRUPTED = 130
_CLOSING_S = 2.0


def run_job(path: Path) -> int:
    """Return the exit code of the job in the folder ``path``, as the command line gives it."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    stop_on_sigterm()
    folder = RunFolder(path.resolve())
    # Held by who started this process, until the status names it.
    with folder.locked() as status:
        if status is None or status.state != "queued" or status.pid != os.getpid():
            return _INTERRUPTED
    try:
        with folder.beating(), _place(folder):
            return _carry_out(folder, status)
    except BaseException as error:  # noqa: BLE001  whatever ended the job is told to who asks
        exit_code = _explain(error)
        folder.close_after(error)
        return exit_code


def stop_on_sigterm() -> None:
    """Make SIGTERM end a run as Ctrl-C does: closed as cancelled, nothing half written.

    Another SIGTERM soon after is not heard, so that the run can be closed; a later one is, for
    Python drops an exception that is raised while it clears an object away.
    """
    heard_at = -math.inf

    def interrupt(number: int, frame: object) -> None:
        nonlocal heard_at
        if time.monotonic() - heard_at > _CLOSING_S:
            heard_at = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _place(folder: RunFolder) -> AbstractContextManager[None]:
    """Return the wait for a place; a job that another job's process submitted shares its place."""
    settings = Settings()
    parent, os.environ["AGIWB_JOB"] = settings.job, folder.path.name
    if parent is None:
        return turn(folder, settings.jobs)
    start_running(folder)
    return nullcontext()


def _carry_out(folder: RunFolder, status: RunStatus) -> int:
    step = load_step(status.step)
    config = step.config_type.from_mapping(folder.config())
    record = step(config, reuse=status.reuse, job=folder)
    folder.change(run_id=record.run.id)
    folder.close("finished", exit_code := 0 if record.passed else 1)
    return exit_code


def _explain(error: BaseException) -> int:
    """Print why the job ended; return its exit code."""
    if isinstance(error, AgiwbError):
        print(f"agiwb: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | CancelledError):
        return _INTERRUPTED
    traceback.print_exception(error)
    return 1


if __name__ == "__main__":
    leave(run_job(Path(sys.argv[1])))
