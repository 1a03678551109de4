"""The workspace's jobs: what runs, what waits for its turn, what ended."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.errors import NotFoundError
from agiwb.jobs.job import Job, list_jobs
from agiwb.runs.liveness import RunStatus
from agiwb.runs.record import title
from widgets.guard import GuardedState, guarded
from widgets.job.state import JobState
from widgets.job.view import JobView
from widgets.menu import Menu
from widgets.poller import watch
from widgets.static import StaticFallback
from widgets.style import style_sheet
from widgets.wording import brief, problem_line

_MOST = 15
_PAUSE_S = 1.0
_COLUMNS = ("job", "step", "what", "state", "progress", "started")


class JobListState(GuardedState):
    """A row for each of the newest jobs; a queued one's state says how many are before it."""

    rows = traitlets.Tuple(
        help="(id, step, what, state, progress, started) of each job, newest first"
    )

    chosen = traitlets.Unicode("", help="Id of the job that is looked at; empty for none")
    job = traitlets.Instance(JobState, None, allow_none=True, help="The job that is looked at")
    going = traitlets.Unicode("", help="How many run and wait, in words; empty if none does")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._next_look = 0.0

    @guarded
    def choose(self, job_id: str) -> None:
        """Look at a job; at none if the id is empty."""
        self.chosen, self.job = "", None
        if job_id:
            self.job = JobState(job_id)
            self.chosen = job_id

    def refresh(self) -> None:
        """Look at the jobs now; one that is deleted meanwhile has no row."""
        found = [(job, status) for job in list_jobs() if (status := job.folder.look()) is not None]
        waiting = [job.id for job, status in reversed(found) if status.state == "queued"]
        rows = (_row(job, status, waiting) for job, status in found[:_MOST])
        self.rows = tuple(row for row in rows if row is not None)
        if self.chosen not in {row[0] for row in self.rows}:
            self.chosen, self.job = "", None
        running = [status.state for _, status in found].count("running")
        parts = [f"{running} running"] if running else []
        parts += [f"{len(waiting)} waiting"] if waiting else []
        self.going = f"Jobs: {', '.join(parts)}" if parts else ""

    def look(self) -> bool:
        """Refresh about once a second, for as long as anyone holds this list."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _PAUSE_S
            self.refresh()
        return True


class JobList(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A table of the jobs, and below it the one that is chosen."""

    def __init__(self, state: JobListState | None = None) -> None:
        self.state = state or JobListState()
        self.state.refresh()
        self.table = ipw.HTML()
        self.table.add_class("agiwb-scroll")
        self.menu = Menu(description="Show job", layout={"width": "min(100%, 30rem)"})
        self.shown = ipw.VBox()
        self.menu.on_choice(self.state.choose)
        self.state.observe(self._show, ["rows", "chosen", "error"])
        self.state.observe(self._open, "job")
        super().__init__(
            [style_sheet(), self.table, self.menu, problem_line(self.state), self.shown]
        )
        self.add_class("agiwb")
        self._show()
        watch(self.state)

    def static_html(self) -> str:
        """Return the table as it is now."""
        return str(self.table.value)

    def _show(self, _: Any = None) -> None:
        self.table.value = _table(self.state.rows)
        options = [("none", "")]
        options += [(f"{row[0][:8]} {row[1]} {row[2]}", row[0]) for row in self.state.rows]
        self.menu.fill(options, self.state.chosen)

    def _open(self, change: Any) -> None:
        self.shown.children = [JobView(change["new"])] if change["new"] else []


def _row(job: Job, status: RunStatus, waiting: list[str]) -> tuple[str, ...] | None:
    try:
        what = brief(title(job.config))
    except NotFoundError:
        return None
    state = status.state
    began = status.started_at or status.submitted_at
    event = job.progress
    before = waiting.index(job.id) if job.id in waiting else 0
    return (
        job.id, status.step, what,
        state if state != "queued" else f"queued, {before} before it" if before else "queued, next",
        "" if event is None else f"{event.phase} {event.done}/{event.total}",
        f"{began.astimezone():%Y-%m-%d %H:%M}" if began else "",
    )  # fmt: skip


def _table(rows: tuple[tuple[str, ...], ...]) -> str:
    if not rows:
        return "<p>No jobs in this workspace yet.</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (row[0][:8], *row[1:])) + "</tr>"
        for row in rows
    )
    return (
        f'<table style="white-space: nowrap"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )
