"""What is alive: a folder for each run or job that says which process carries it.

MLflow keeps the history; this folder keeps what a history cannot know, namely whether the process
that owns a run still exists. A process is identified by its id *and* its start time, so that a
recycled id is never mistaken for the run's own. A detached job has its folder before its run
exists; the run then uses it as its own, and ``jobs/<run id>`` is a link to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import platform
import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.errors import AgiwbError, CancelledError
from agiwb.runs.files import write_atomic
from agiwb.runs.record import ENDED, RunInfo, RunState

# psutil reads start times in clock ticks; two readings of one process agree far closer than this.
_START_TIME_TOLERANCE_S = 1.0
_HEARTBEAT_S = 5.0
_HEARTBEAT_MISSED_S = 120.0
_CANCEL_POLL_S = 0.05
_INTERRUPTED = 130
_KNOWN_FOLDERS = 4096


class RunStatus(BaseModel):
    """Who carries a run or job, and in which state it was last seen."""

    model_config = ConfigDict(frozen=True)

    run_id: str | None
    """None for a job whose run has not begun."""
    step: str
    state: RunState
    host: str
    pid: int
    process_started_at: float
    """Seconds since the epoch, as the operating system says."""
    detached: bool = False
    """Whether a process of its own carries it, made for nothing else."""
    reuse: bool = True
    """Whether a known result will do."""
    cwd: str = "."
    """Where relative paths of the config begin."""
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    error: str = ""
    """Why it failed, in a paragraph."""


_ends: dict[Path, tuple[int, RunStatus]] = {}
"""When a terminal status was written, in nanoseconds, and what it says, by its file."""


class RunFolder:
    """``jobs/<id>/``: config, status, events, log, checkpoint and unfinished files of one run.

    Atomicity: each file but the events and the log is replaced as a whole. Who changes the status
    of a run that another process may carry holds ``locked()``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.unfinished = path / "files"
        self.checkpoint = path / "checkpoint"
        self.log = path / "log.txt"
        self.traceback = path / "error.txt"
        self._config = path / "config.json"
        self._status = path / "status.json"
        self._run = path / "run.json"
        self._results = path / "results.jsonl"
        self._cancel = path / "cancel"
        self._heartbeat = path / "heartbeat"

    def create(self, config: dict[str, object], status: RunStatus) -> None:
        """Make the folder of a new run or job."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self._config, json.dumps(config, indent=2))
        self.write(status)

    def begin(self, run: RunInfo) -> None:
        """Note the run that this process carries out here, and empty the folder of its files."""
        self.drop_unfinished()
        self.unfinished.mkdir(parents=True)
        self.checkpoint.mkdir(exist_ok=True)
        write_atomic(self._run, run.model_dump_json(indent=2))
        self.change(run_id=run.id, **running_here(self.read()))

    def drop_unfinished(self) -> None:
        """Throw away the files of a run that did not finish; its checkpoint stays."""
        shutil.rmtree(self.unfinished, ignore_errors=True)

    def run(self) -> RunInfo | None:
        """Return the run that was begun here, or None if there is none that can be read."""
        try:
            return RunInfo.model_validate_json(self._run.read_bytes())
        except (OSError, ValidationError):
            return None

    def forget_run(self) -> None:
        """Undo ``begin``: this job has no run any more."""
        self._run.unlink(missing_ok=True)
        for folder in (self.unfinished, self.checkpoint):
            shutil.rmtree(folder, ignore_errors=True)
        self.change(run_id=None)

    def config(self) -> dict[str, object]:
        """Return the fields of the config."""
        fields: dict[str, object] = json.loads(self._config.read_text("utf-8"))
        return fields

    def write(self, status: RunStatus) -> None:
        """Replace the status."""
        write_atomic(self._status, status.model_dump_json(indent=2))

    def look(self) -> RunStatus | None:
        """Return the status with the state that is true now, whether or not anyone wrote it."""
        status = self.glance()
        if status is None or not self.has_died(status):
            return status
        status = self.read()  # what the process wrote last
        if status is None or status.state in ENDED:
            return status
        return status.model_copy(update={"state": self.state_of_dead(status)})

    def read(self) -> RunStatus | None:
        """Return the status, or None if there is none to read."""
        try:
            return RunStatus.model_validate_json(self._status.read_bytes())
        except (OSError, ValidationError):
            return None

    def glance(self) -> RunStatus | None:
        """Return the status as ``read`` does, for one who only looks, and at many, often.

        How a run ended is read once for each time that it was written.
        """
        try:
            written_ns = self._status.stat().st_mtime_ns
        except OSError:
            return None
        known = _ends.get(self._status)
        if known is not None and known[0] == written_ns:
            return known[1]
        status = self.read()
        if status is not None and status.state in ENDED:
            _ends[self._status] = (written_ns, status)
        return status

    def change(self, **fields: object) -> None:
        """Replace these fields of the status, if there is one."""
        status = self.read()
        if status is not None:
            self.write(status.model_copy(update=fields))

    @contextlib.contextmanager
    def locked(self) -> Iterator[RunStatus | None]:
        """Yield the status; nobody else changes it meanwhile."""
        with (self.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()

    def close(self, state: RunState, exit_code: int, error: str = "") -> None:
        """Write a terminal state, unless one was written before."""
        status = self.read()
        if status is not None and (status.state not in ENDED or status.state == "lost"):
            ended_at = datetime.now(UTC)
            self.change(state=state, exit_code=exit_code, error=error, ended_at=ended_at)

    def close_after(self, error: BaseException) -> None:
        """Write the terminal state that ``error`` makes, and keep its traceback."""
        if not self.path.is_dir():
            return
        if isinstance(error, CancelledError | KeyboardInterrupt):
            self.close("cancelled", _INTERRUPTED)
            return
        write_atomic(self.traceback, "".join(traceback.format_exception(error)))
        if isinstance(error, AgiwbError):
            self.close("failed", error.exit_code, str(error))
        else:
            self.close("failed", 1, "".join(traceback.format_exception_only(error)).strip())

    def ask_to_cancel(self) -> None:
        """Ask the process that carries this run to stop."""
        self._cancel.touch()

    def is_asked_to_cancel(self) -> bool:
        """Return whether somebody asked this run to stop."""
        return self._cancel.exists()

    def clear_former_end(self) -> None:
        """Forget how the run ended, and that somebody asked it to: it is started again."""
        for path in (self._cancel, self.traceback):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Touch the heartbeat every few seconds, for other hosts, which cannot see the process."""
        ended = threading.Event()

        def beat() -> None:
            while True:
                self.beat()
                if ended.wait(_HEARTBEAT_S):
                    return

        threading.Thread(target=beat, name="agiwb-heartbeat", daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def beat(self) -> None:
        """Say that this run is alive."""
        with contextlib.suppress(OSError):  # a full disk is for the step itself to meet
            self._heartbeat.touch()

    def has_died(self, status: RunStatus) -> bool:
        """Return whether this was left queued or running by a process that is gone.

        One of another host has died once its heartbeat is two minutes old; without any heartbeat
        it is taken at its word.
        """
        if status.state in ENDED:
            return False
        if status.host == platform.node():
            return process_of(status) is None
        try:
            return time.time() - self._heartbeat.stat().st_mtime > _HEARTBEAT_MISSED_S
        except OSError:
            return False

    def note_result(self, step: str, run_id: str) -> None:
        """Note that the process of this run got the result of ``step`` from run ``run_id``."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._results.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, "run_id": run_id}) + "\n")

    def results(self) -> dict[str, str]:
        """Return the id of the last result of each step that this run's process got."""
        if not self._results.is_file():
            return {}
        notes = map(json.loads, self._results.read_text("utf-8").splitlines())
        return {note["step"]: note["run_id"] for note in notes}

    def state_of_dead(self, status: RunStatus) -> RunState:
        """Return what became of a run or job whose process is gone without a word."""
        return "killed" if self.is_asked_to_cancel() and status.detached else "lost"


class CancelRequest:
    """Says whether a run was asked to stop, at the cost of a look at the clock."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._next_look = 0.0
        self._asked = False

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _CANCEL_POLL_S
            self._asked = self._folder.is_asked_to_cancel()
        return self._asked


def job_folders(workspace: Path) -> list[RunFolder]:
    """Return every folder of a run or job once, whatever other names lead to it."""
    try:
        with os.scandir(workspace / "jobs") as found:
            folders = [one for one in found if one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [_folder_at(one.path) for one in folders if not one.name.startswith(".")]


@functools.lru_cache(_KNOWN_FOLDERS)
def _folder_at(path: str) -> RunFolder:
    """Return a folder, which keeps nothing but its paths; to make them is most of looking at it."""
    return RunFolder(Path(path))


def new_status(step: str, **fields: Any) -> RunStatus:
    """Return the status of something new that this process carries, as yet without a run."""
    about = {"run_id": None, "state": "running", "cwd": str(Path.cwd()), **this_process(), **fields}
    return RunStatus.model_validate({"step": step, **about})


def exit_code(state: RunState) -> int:
    """Return the exit code of a command whose run ended so, if nothing more is known of it."""
    return {"finished": 0, "cancelled": _INTERRUPTED, "killed": _INTERRUPTED}.get(state, 1)


def running_here(status: RunStatus | None) -> dict[str, object]:
    """Return the fields of a status that say: this process carries it out, from now on."""
    started_at = status.started_at if status is not None else None
    return {"state": "running", "started_at": started_at or datetime.now(UTC), **this_process()}


def this_process() -> dict[str, object]:
    """Return the fields of a status that name this process."""
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "process_started_at": psutil.Process().create_time(),
    }


def process_of(status: RunStatus) -> psutil.Process | None:
    """Return the living process of this host that carries a run, or None if it is gone."""
    return living_process(status.pid, status.process_started_at)


def living_process(pid: int, started_at: float) -> psutil.Process | None:
    """Return this host's process ``pid`` that began at ``started_at``, or None if it is gone.

    Ids are given anew: another process may have it by now. ``started_at`` is in seconds since the
    epoch, as the operating system says.
    """
    try:
        process = psutil.Process(pid)
        began, is_zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    is_another = abs(began - started_at) > _START_TIME_TOLERANCE_S
    return None if is_zombie or is_another else process
