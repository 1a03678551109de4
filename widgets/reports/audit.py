"""The report for an audit: each decision about a model and each run behind it."""

from __future__ import annotations

from datetime import UTC, datetime

from agiwb.errors import AgiwbError
from agiwb.history.entries import read_history
from agiwb.history.trail import ORIGINS, TrailEntry, trail_of
from agiwb.maintenance.history import Event, history
from agiwb.reporting.audit_report import audit_sections, audited_models
from agiwb.runs.record import Record
from widgets.reports.frame import Report, ReportState, about_html, about_run, page_html

_MODEL = "model.keras"


class AuditState(ReportState):
    """A model by its name, all that was decided about it, and the runs behind it."""

    nothing = "No model has been trained or imported in this workspace yet."

    def offered(self) -> list[tuple[str, str]]:
        """Return the names of the models, as `audited_models` has them."""
        self.history = read_history()
        return [(name, name) for name in audited_models(self.history)]

    def show(self, chosen: str) -> None:
        """Show the trail of a model."""
        trail = trail_of(chosen, self.history)
        events: list[Event] = []
        problem = ""
        try:
            events = history(chosen)
        except AgiwbError as error:  # a ledger that was tampered with is what an audit is for
            problem = str(error)
        self.page = page_html(audit_sections(chosen, events, trail, problem))
        newest = _newest(trail)
        about = f"The model {chosen}."
        if newest is not None:
            self.about = about_run(newest, _digest(trail), about)
        else:
            last = datetime.fromisoformat(events[-1].time) if events else datetime.now(UTC)
            self.about = about_html(last, None, about)


class AuditReport(Report):
    """Who decided what about a model, why, on which evidence, and where all of it comes from."""

    def __init__(self, state: AuditState | None = None) -> None:
        super().__init__(state or AuditState())
        self.menu.description = "Model"


def _newest(trail: list[TrailEntry]) -> Record | None:
    return next((one.record for one in reversed(trail) if one.record is not None), None)


def _digest(trail: list[TrailEntry]) -> str | None:
    """Return the SHA-256 of the newest model that was trained or imported."""
    for one in reversed(trail):
        if one.entry.step in ORIGINS and one.record is not None:
            files = {file.path: file.sha256 for file in one.record.run.files}
            return files.get(_MODEL)
    return None
