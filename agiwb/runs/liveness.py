"""What is alive: a folder for each run that says which process carries it.

MLflow keeps the history; this folder keeps what a history cannot know, namely whether the process
that owns a run still exists. A process is identified by its id *and* its start time, so that a
recycled id is never mistaken for the run's own.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.runs.files import write_atomic
from agiwb.runs.record import RunState

# psutil reads start times in clock ticks; two readings of one process agree far closer than this.
_START_TIME_TOLERANCE_S = 1.0


class RunStatus(BaseModel):
    """Who carries a run, and in which state it was last seen."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    step: str
    state: RunState
    host: str
    pid: int
    process_started_at: float


class RunFolder:
    """``jobs/<id>/``: the config, the status, the events and the unfinished files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events = path / "events.jsonl"
        self.unfinished = path / "files"
        self.log = path / "log.txt"
        self._results = path / "results.jsonl"

    def create(self, run_id: str, step: str, config: dict[str, object]) -> None:
        """Make the folder for a run that this process carries."""
        self.unfinished.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path / "config.json", json.dumps(config, indent=2))
        self.write(
            RunStatus(
                run_id=run_id,
                step=step,
                state="running",
                host=platform.node(),
                pid=os.getpid(),
                process_started_at=psutil.Process().create_time(),
            )
        )

    def write(self, status: RunStatus) -> None:
        """Replace the status."""
        write_atomic(self.path / "status.json", status.model_dump_json(indent=2))

    def read(self) -> RunStatus | None:
        """Return the status, or None if there is none to read."""
        try:
            return RunStatus.model_validate_json((self.path / "status.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def close(self, state: RunState) -> None:
        """Write a terminal state."""
        status = self.read()
        if status is not None:
            self.write(status.model_copy(update={"state": state}))

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


def has_died(status: RunStatus) -> bool:
    """Return whether the run was left running by a process that is gone.

    A run of another host is taken at its word.
    """
    if status.state != "running" or status.host != platform.node():
        return False
    try:
        process = psutil.Process(status.pid)
        started_at, is_zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
    return is_zombie or abs(started_at - status.process_started_at) > _START_TIME_TOLERANCE_S
