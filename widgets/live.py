"""What a job tells while it goes on, line by line, for a panel that shows more than the last."""

from __future__ import annotations

import threading

import traitlets

from agiwb.jobs.job import Job, open_job
from agiwb.runs.record import ENDED
from widgets.guard import GuardedState
from widgets.poller import watch


class LiveEvents(GuardedState):
    """All events of one job that say something; progress alone is the job view's business."""

    events = traitlets.Tuple(help="The events that have a message, in order")

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._read = 0

    def follow(self, job_id: str) -> None:
        """Read the events of this job from the beginning, and go on until it has ended."""
        with self._lock:
            self._job, self._read = open_job(job_id), 0
            self.events = ()
        if self.look():
            watch(self)

    def look(self) -> bool:
        """Read what is new; return whether there may be more."""
        with self._lock:
            if self._job is None:
                return False
            status = self._job.folder.look()  # before the events: none may come after an end
            new, self._read = self._job.events(self._read)
            said = tuple(event for event in new if event.message)
            if said:
                self.events = (*self.events, *said)
            return status is not None and status.state not in ENDED
