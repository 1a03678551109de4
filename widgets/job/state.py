"""What there is to see of one job, as its folder tells it."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Any

import psutil
import traitlets

from agiwb.jobs.job import Job, open_job
from agiwb.runs.events import Event
from agiwb.runs.liveness import RunStatus, process_of
from agiwb.runs.record import ENDED, title
from widgets.guard import GuardedState, guarded
from widgets.job.pace import Pace, duration
from widgets.poller import watch

_LOG_BYTES = 8_192
_MOST_MESSAGES = 12
_MEGABYTE = 1_000_000
_MEMORY_S = 2.0
"""Memory is read this seldom: for it the whole process table is looked through."""
_EPOCH = re.compile(r"epoch (\d+) of \d+")


class JobState(GuardedState):
    """One job: its state, progress, curves, words and log; and what may be done with it.

    Everything is read from the job's folder, so that it is the same in every kernel. ``look`` is
    called by the poller; ``state`` is set last, when all else is up to date.
    """

    state = traitlets.Unicode("", help="queued, running, finished, failed, cancelled, killed, lost")
    run_id = traitlets.Unicode(None, allow_none=True)
    phase = traitlets.Unicode("", help="What it is doing: epoch 3 of 12")
    fraction = traitlets.Float(None, allow_none=True)
    figures = traitlets.Unicode("", help="Steps done, pace, time left and memory, in words")
    curves: traitlets.Dict[str, Any] = traitlets.Dict(help="(epoch, value) by <split>_<measure>")
    messages = traitlets.Tuple(help="What it said last: its diagnosis")
    log = traitlets.Unicode("", help="The end of what its process has printed")
    problem = traitlets.Unicode("", help="Why it failed, in a paragraph")
    traceback = traitlets.Unicode("", help="The whole traceback, if there is one")
    stopping = traitlets.Bool(False, help="Asked to stop, and still going")

    def __init__(self, job: str | Job, **traits: Any) -> None:
        super().__init__(**traits)
        self._lock = threading.RLock()
        self._job = open_job(job) if isinstance(job, str) else job
        self._read, self._pace = 0, Pace()
        self.step = self._job.step
        self.title = title(self._job.config)
        self.look()

    @property
    def id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def config(self) -> dict[str, Any]:
        """The fields of the job's config."""
        return self._job.config

    @property
    def has_ended(self) -> bool:
        """Whether the state, as it was seen last, is a terminal one."""
        return self.state in ENDED

    def follow(self) -> None:
        """Have the poller look at the job from now on, until it has ended."""
        if not self.has_ended:
            watch(self)

    def look(self) -> bool:
        """Read what is new; return whether there may be more."""
        with self._lock:
            status = self._job.folder.look()
            if status is None:
                self.error = f"Job {self.id[:8]} is no longer in the workspace."
                return False
            self._read_events()
            ended = status.state in ENDED
            self.figures = "" if ended else self._in_words(status)
            self.log = self._log()
            self.run_id = status.run_id
            self.problem = status.error
            self.traceback = self._job.traceback if ended else ""
            self.stopping = not ended and self._job.folder.is_asked_to_cancel()
            self.state = status.state
            return not ended

    @guarded
    def cancel(self) -> None:
        """Ask the job to stop; it finishes its batch and keeps its checkpoint."""
        self._job.cancel()
        self.look()

    @guarded
    def resume(self) -> None:
        """Go on with a job that did not finish, from its checkpoint."""
        self._job.resume()
        self.look()
        self.follow()

    def _read_events(self) -> None:
        events, self._read = self._job.events(self._read)
        if not events:
            return
        curves = {name: list(points) for name, points in self.curves.items()}
        messages = list(self.messages)
        for event in events:
            self._pace.take(event)
            if event.message and (not messages or messages[-1] != event.message):
                messages.append(event.message)
            _add_points(curves, event)
        told = [event for event in events if event.total is not None]
        if told:
            self.phase = told[-1].phase
            self._steps = f"{told[-1].done:,} of {told[-1].total:,}"
        self.fraction = self._pace.fraction
        self.curves = curves
        self.messages = tuple(messages[-_MOST_MESSAGES:])

    _steps = ""
    _megabytes = 0
    _next_memory = 0.0

    def _in_words(self, status: RunStatus) -> str:
        parts = [self._steps]
        if self._pace.rate:
            parts.append(f"{self._pace.rate:.3g} steps/s")
        if self._pace.left_s is not None:
            of_what = "" if self._pace.is_of_all else " for this part"
            parts.append(f"about {duration(self._pace.left_s)} left{of_what}")
        if time.monotonic() >= self._next_memory and status.state == "running":
            self._megabytes, self._next_memory = _memory(status), time.monotonic() + _MEMORY_S
        if self._megabytes:
            parts.append(f"{self._megabytes:,} MB of memory")
        return ", ".join(part for part in parts if part)

    def _log(self) -> str:
        try:
            with self._job.folder.log.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _LOG_BYTES))
                return stream.read().decode("utf-8", errors="replace")
        except OSError:
            return ""


def _add_points(curves: dict[str, list[tuple[int, float]]], event: Event) -> None:
    """Add the figures of an epoch that has ended; a resumed one replaces what it does again."""
    epoch = _EPOCH.search(event.phase)
    if epoch is None or not event.ends_phase:
        return
    for name, value in event.values.items():
        points = curves.setdefault(name, [])
        while points and points[-1][0] >= int(epoch[1]):
            points.pop()
        points.append((int(epoch[1]), value))


def _memory(status: RunStatus) -> int:
    """Return the resident megabytes of the job's processes, to the nearest ten; 0 if unknown."""
    process = process_of(status)
    if process is None:
        return 0
    try:
        family = [process, *process.children(recursive=True)]
        resident = sum(one.memory_info().rss for one in family)
    except psutil.Error:
        return 0
    return int(round(resident / _MEGABYTE, -1))
