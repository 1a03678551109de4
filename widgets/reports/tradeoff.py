"""The report on a compression: what was chosen and why, and what would be under other limits."""

from __future__ import annotations

from typing import cast

import traitlets

from agiwb.compression.sweep import SweepRecord
from agiwb.reporting.page import Section
from widgets.reports.frame import Report, ReportState, about_run, page_html
from widgets.tradeoff import TradeoffView


class TradeoffReportState(ReportState):
    """A sweep and what it chose."""

    step = "sweep"
    nothing = "No model has been compressed in this workspace yet: `agiwb sweep` does."

    record = traitlets.Any(None, allow_none=True, help="The SweepRecord shown, or None")

    def show(self, chosen: str) -> None:
        """Show a sweep."""
        record = cast("SweepRecord", self.record_of(chosen))
        usable = sum(candidate.usable for candidate in record.candidates)
        self.about = about_run(
            record,
            record.run.provenance.inputs.get("model"),
            f"{record.model_name} in {len(record.candidates)} forms.",
        )
        word = f"Chosen: {record.chosen}" if record.chosen else "None was chosen"
        self.page = page_html(
            [
                Section(
                    "Choice",
                    f"{word}. {record.choice_reason}".replace("`", ""),
                    passed=record.passed,
                    details=(
                        f"{usable} of {len(record.candidates)} forms are usable.",
                        *record.problems,
                    ),
                )
            ]
        )
        self.record = record


class TradeoffReport(Report):
    """How small and how fast a model can be, and what that costs."""

    state: TradeoffReportState

    def __init__(self, state: TradeoffReportState | None = None) -> None:
        state = state or TradeoffReportState()
        self.view = TradeoffView()
        self.view.layout.display = "none"
        super().__init__(state, [self.view])
        state.observe(self._show_record, "record")
        self._show_record()

    def static_html(self) -> str:
        """Return the report with the trade-off as a picture and a table."""
        shown = self.view.static_html() if self.state.record is not None else ""
        return super().static_html() + shown

    def _show_record(self, _: object = None) -> None:
        record = self.state.record
        if record is not None:
            self.view.state.record = record
        self.view.layout.display = "" if record is not None else "none"
