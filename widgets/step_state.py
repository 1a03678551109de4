"""A step's panel without its view: the form's config becomes a job, the job a result."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import traitlets

from agiwb.artifacts.manifest import ServedFormat, format_of
from agiwb.errors import NotFoundError
from agiwb.jobs.job import Job, list_jobs, submit
from agiwb.runs.record import Record, title
from agiwb.runs.registry import load_step
from agiwb.runs.store import open_store
from widgets.form import FormState
from widgets.guard import GuardedState, guarded
from widgets.job import JobState
from widgets.selection import Selection
from widgets.wording import brief

_MOST_EARLIER = 20
_FOLLOWED = ("dataset", "model", "artifact")
_FORMAT = "format"
_MAKES_MODELS = ("train", "search", "import_model")


class StepState(GuardedState):
    """One step's form, the job that is shown, and what came of it as HTML."""

    job = traitlets.Any(None, allow_none=True)
    result = traitlets.Unicode("", help="What came of the job, as HTML")
    record = traitlets.Any(None, allow_none=True)

    def __init__(
        self, step_name: str, selection: Selection, values: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.step_name = step_name
        self.selection = selection
        self.form = FormState(load_step(step_name).config_type, values)
        for name in self._followed():
            self._take_selected(name, getattr(selection, name))
            selection.observe(self._selection_changed, name)
        if _FORMAT in self.form.fields:
            self._take_format()
            selection.observe(self._take_format, "artifact")
        self.form.observe(self._form_changed, "config")

    @guarded
    def run(self, *, anew: bool = False) -> None:
        """Start a job with the config on screen.

        Args:
            anew: Run even if an earlier run's result is known.
        """
        if self.form.config is None:
            return
        self.attach(submit(self.step_name, self.form.config, reuse=not anew))

    def attach(self, submitted: str | Job, *, wait: bool = False) -> None:
        """Show this job, follow it until it has ended, and show what came of it.

        Args:
            submitted: The job, or its id.
            wait: Have the result of one that has ended before returning; else a thread sees to it.
        """
        job = JobState(submitted)
        was_finished = job.state == "finished"
        self.result, self.record = "", None
        job.observe(self._state_changed, "state")
        self.job = job
        job.follow()  # also without a view
        if was_finished:
            self._load_result(job, is_new=False, wait=wait)

    @guarded
    def attach_newest(self, *, wait: bool = False) -> None:
        """Show the newest job of this step, if there is one; the form, too, if it still runs."""
        job = next(self._jobs(), None)
        if job is None:
            return
        if not job.has_ended:
            self.form.load(job.config)
        self.attach(job, wait=wait)

    def earlier_runs(self) -> list[tuple[str, dict[str, Any]]]:
        """Return a label and the config's fields of each of this step's newest jobs."""
        earlier = []
        for job in self._jobs():
            try:
                status, fields = job.status, job.config
            except NotFoundError:  # it is deleted in this moment
                continue
            began = status.started_at or status.submitted_at
            when = f"{began.astimezone():%Y-%m-%d %H:%M}" if began else ""
            label = f"{when} {brief(title(fields))}, {status.state}, job {job.id[:8]}".strip()
            earlier.append((label, fields))
            if len(earlier) == _MOST_EARLIER:
                break
        return earlier

    def _jobs(self) -> Any:
        return (job for job in list_jobs() if _step_of(job) == self.step_name)

    def _followed(self) -> list[str]:
        """Return the fields that the selection decides; a field that may be empty has its own say.

        A sweep's data set, say, is by default what its model learned from, whatever is selected.
        """
        fields = self.form.fields
        return [name for name in _FOLLOWED if name in fields and not fields[name].optional]

    def _take_selected(self, name: str, value: str | None) -> None:
        if value is not None and self.form.values.get(name) != value:
            self.form.enter(name, value)

    def _selection_changed(self, change: Any) -> None:
        self._take_selected(change["name"], change["new"])

    def _take_format(self, _: Any = None) -> None:
        """Show the format of the artifact that is selected: of its model there may be no other."""
        if self.selection.artifact is None:
            return
        try:
            made = format_of(Path(self.selection.artifact))
        except NotFoundError:  # it was deleted
            return
        if made in self.form.fields[_FORMAT].choices:
            self._take_selected(_FORMAT, made)

    def _form_changed(self, change: Any) -> None:
        """Select what is on screen, as it was entered, once it makes a config."""
        if change["new"] is not None:
            for name in self._followed():
                if (entered := self.form.values[name]) != "latest":
                    setattr(self.selection, name, entered)

    def _state_changed(self, change: Any) -> None:
        if change["new"] == "finished":
            self._load_result(change["owner"], is_new=True, wait=False)

    def _load_result(self, job: JobState, *, is_new: bool, wait: bool) -> None:
        """Have the result shown; drawing it imports libraries, for which nobody should wait."""
        thread = threading.Thread(target=self._show_result, args=(job, is_new), daemon=True)
        thread.start()
        if wait:
            thread.join()

    @guarded
    def _show_result(self, job: JobState, is_new: bool) -> None:
        from agiwb.reporting.result import result_html

        if job.run_id is None:
            return
        record = open_store().get(job.run_id)
        shown = result_html(record)
        if job is self.job:  # another may have been started meanwhile
            self.record = record
            self.result = shown
            if is_new or not (self.selection.model or self.selection.artifact):
                self._select(record)

    def _select(self, record: Record) -> None:
        """Select what the step has made, so that the next panel begins with it."""
        if self.step_name in _MAKES_MODELS:
            self.selection.model = str(getattr(record, "model_name", record.run.id))
        elif self.step_name == "add_dataset":
            self.selection.dataset = str(getattr(record.config, "name", ""))
        elif self.step_name == "convert":
            made = {one.format: one.path for one in getattr(record, "artifacts", ()) if one.passed}
            usual_first = [*(kind for kind in get_args(ServedFormat) if kind in made), *made]
            if usual_first:
                self.selection.artifact = str(record.file(made[usual_first[0]]))


def _step_of(job: Job) -> str:
    status = job.folder.read()
    return "" if status is None else status.step
