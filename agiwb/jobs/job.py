"""A job: a run in a process of its own, found again from any other by its folder."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agiwb.config import Config
from agiwb.errors import CancelledError, ConfigError, InputError, NotFoundError, WorkError
from agiwb.jobs.cancel import GRACE_S, insist
from agiwb.jobs.start import start_detached, start_worker
from agiwb.runs.events import Event, last_progress, read_events
from agiwb.runs.execute import require_unchanged
from agiwb.runs.liveness import RunFolder, RunStatus, job_folders, new_status
from agiwb.runs.provenance import describe_origin
from agiwb.runs.record import ENDED, Record, RunState
from agiwb.runs.registry import load_step
from agiwb.runs.step import as_given
from agiwb.runs.store import open_store, require_writable
from agiwb.settings import Settings

_POLL_S = 0.1


class Job:
    """A job or foreground run of the workspace, as its folder shows it.

    Thread safety: all methods may be called from any thread and from several processes. Nothing is
    kept in this object but the folder: two of them, in two processes, see the same. No method but
    ``wait``, ``follow``, ``record`` and ``cancel(wait=True)`` takes longer than reading a file.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Job({self.id[:8]}, {self.step}, {self.state})"

    @property
    def id(self) -> str:
        """The job's id: the name of its folder in ``jobs/``."""
        return self.folder.path.name

    @property
    def run_id(self) -> str | None:
        """Id of the job's run, or of the earlier one whose result was used; None before that."""
        return self.status.run_id

    @property
    def step(self) -> str:
        """Name of the step."""
        return self.status.step

    @property
    def state(self) -> RunState:
        """The state as it is now: a job whose process is gone is never ``running``."""
        return self.status.state

    @property
    def has_ended(self) -> bool:
        """Whether the state is a terminal one."""
        return self.state in ENDED

    @property
    def status(self) -> RunStatus:
        """All of the job's status: its times, its process, its exit code."""
        status = self.folder.look()
        if status is None:
            raise self._gone()
        return status

    @property
    def config(self) -> dict[str, Any]:
        """The fields of the config."""
        try:
            return self.folder.config()
        except FileNotFoundError:
            raise self._gone() from None

    @property
    def error(self) -> str:
        """Why the job failed, in a paragraph; empty if it did not."""
        return self.status.error

    @property
    def traceback(self) -> str:
        """The whole Python traceback of the error; empty if there is none."""
        return _text(self.folder.traceback)

    @property
    def progress(self) -> Event | None:
        """The last event that tells how far the job is."""
        return last_progress(self.folder.events)

    def log(self) -> str:
        """Return what the job's process has printed."""
        return _text(self.folder.log)

    def events(self, since: int = 0) -> tuple[list[Event], int]:
        """Return the events after the offset ``since``, and the offset to ask from next time."""
        return read_events(self.folder.events, since)

    def follow(self, since: int = 0) -> Iterator[Event]:
        """Yield the events after the offset ``since`` as they come, until the job has ended."""
        while True:
            has_ended = self.has_ended
            events, since = self.events(since)
            yield from events
            if has_ended:
                return
            self.pause()

    def pause(self) -> None:
        """Wait a moment before looking at the job again."""
        time.sleep(_POLL_S)

    def wait(self, timeout: float | None = None) -> RunState:
        """Return the terminal state, once there is one.

        Raises:
            TimeoutError: There was none after ``timeout`` seconds.
        """
        last = None if timeout is None else time.monotonic() + timeout
        while (state := self.state) not in ENDED:
            if last is not None and time.monotonic() > last:
                raise TimeoutError(f"Job {self.id[:8]} ({self.step}) is still {state}.")
            self.pause()
        return state

    def record(self) -> Record:
        """Return the record of a finished job.

        Raises:
            InputError: It has not ended, or what it was given was wrong.
            CancelledError: It was cancelled or killed.
            WorkError: It failed, or its process is gone.
        """
        status = self.status
        name = f"Job {self.id[:8]} ({status.step})"
        if status.state == "finished" and status.run_id is not None:
            return open_store().get(status.run_id)
        if status.state not in ENDED:
            raise InputError(f"{name} is still {status.state}.", "Wait for it: `job.wait()`.")
        if status.state in {"cancelled", "killed"}:
            raise CancelledError(f"{name} was {status.state}.")
        if status.state == "lost":
            raise WorkError(f"{name}: its process is gone without a word.", self._how_to_resume())
        if status.exit_code == InputError.exit_code:
            raise InputError(status.error)
        raise WorkError(f"{name} failed: {status.error}", f"Its log: {self.folder.log}.")

    def cancel(self, *, wait: bool = False, grace_s: float = GRACE_S) -> None:
        """Ask the job to stop, and make it if it has not after ``grace_s`` seconds.

        A step stops at the end of its batch and keeps its checkpoint. A queued job is cancelled at
        once; one that has ended stays as it is. A foreground run is asked only, for its process (a
        notebook's kernel, perhaps) has other work.

        Args:
            wait: Return once it has ended; else a process of its own sees to that.
            grace_s: Seconds from asking to insisting.

        Raises:
            TimeoutError: ``wait`` was given, and a foreground run went on for ``grace_s`` seconds.
        """
        with self.folder.locked() as status:
            if status is None or status.state in ENDED:
                return
            if status.state == "queued":
                self.folder.close("cancelled", CancelledError.exit_code)
                return
            self.folder.ask_to_cancel()
        if not status.detached:
            if wait:
                self.wait(grace_s)
        elif wait:
            insist(self.folder, status, grace_s)
        else:
            asked = status.model_dump_json()
            words = ["agiwb.jobs.cancel", str(self.folder.path), asked, str(grace_s)]
            with Path(os.devnull).open("wb") as nowhere:
                start_detached(words, Path.cwd(), dict(os.environ), output=nowhere.fileno())

    def resume(self) -> None:
        """Start a job or run that did not finish again, from its checkpoint.

        Raises:
            InputError: It has not ended, it has finished, or the code or the packages have changed
                since. If it is its inputs that have, the job itself fails, and says so.
        """
        if self.state == "lost":
            open_store()  # it may have finished and died before it could say so here
        with self.folder.locked():
            status = self.status
            if status.state not in ENDED:
                raise InputError(f"Job {self.id[:8]} is {status.state} already.")
            if status.state == "finished":
                raise InputError(
                    f"Job {self.id[:8]} has finished: there is nothing to resume.",
                    f"`agiwb {status.step} --fresh` runs it anew.",
                )
            if (run := self.folder.run()) is not None:
                now = describe_origin(run.provenance.inputs, run.provenance.parents)
                config = load_step(run.step).config_type.from_mapping(self.config)
                require_unchanged(run, config, now)
            self.folder.clear_former_end()
            again = new_status(
                status.step,
                run_id=None if run is None else run.id,
                state="queued",
                detached=True,
                reuse=status.reuse,
                cwd=status.cwd,
                submitted_at=datetime.now(UTC),
                started_at=status.started_at,
            )
            self.folder.write(again)
            start_worker(self.folder, again)

    def _gone(self) -> NotFoundError:
        return NotFoundError(
            f"Job {self.id[:8]} is no longer in the workspace.",
            "`agiwb jobs list` shows the others.",
        )

    def _how_to_resume(self) -> str:
        kept = self.folder.checkpoint
        has_kept = kept.is_dir() and any(kept.iterdir())
        how = "goes on from its checkpoint" if has_kept else "begins it anew"
        return f"`agiwb jobs resume {self.id[:8]}` {how}."


def submit(step: str, config: Config, *, reuse: bool = True) -> Job:
    """Return a new job that carries out ``step`` in a process of its own, at once.

    Args:
        step: The step's name.
        config: What decides the result.
        reuse: Whether a known result will do, as when the step is called.

    Raises:
        InputError: There is no such step, the config is another step's, or the workspace cannot be
            written.
    """
    asked = load_step(step)
    expected = asked.config_type
    if not isinstance(config, expected):
        raise ConfigError(
            f"The step `{step}` takes a {expected.__name__}, not a {type(config).__name__}."
        )
    workspace = Settings().workspace_path
    require_writable(workspace)
    if asked.settle is not as_given:  # while it is known what was given: a job's file has all
        config = asked.settle(config, open_store())
    folder = RunFolder(workspace / "jobs" / uuid.uuid4().hex)
    folder.path.mkdir(parents=True)
    with folder.locked():
        status = new_status(
            step, state="queued", detached=True, reuse=reuse, submitted_at=datetime.now(UTC)
        )
        folder.create(config.model_dump(mode="json"), status)
        start_worker(folder, status)
    return Job(folder)


def open_job(name: str) -> Job:
    """Return the job or run whose id is ``name``, or begins so.

    Raises:
        NotFoundError: There is none, or more than one.
    """
    workspace = Settings().workspace_path
    names = [path for path in workspace.glob("jobs/*") if path.name.startswith(name or "/")]
    found = {path.resolve() for path in names if RunFolder(path).read() is not None}
    if len(found) != 1:
        several = f"{len(found)} jobs whose id begins with {name!r}"
        problem = several if found else f"no job {name!r}"
        raise NotFoundError(
            f"The workspace {workspace} has {problem}.", "`agiwb jobs list` shows those it has."
        )
    return Job(RunFolder(found.pop()))


def list_jobs() -> list[Job]:
    """Return the workspace's jobs and foreground runs, newest first."""
    dated = [
        (status.submitted_at or status.started_at or datetime.min.replace(tzinfo=UTC), folder)
        for folder in job_folders(Settings().workspace_path)
        if (status := folder.glance()) is not None
    ]
    dated.sort(key=lambda pair: pair[0], reverse=True)
    return [Job(folder) for _, folder in dated]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
