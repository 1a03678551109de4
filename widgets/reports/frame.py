"""What all reports have in common: a choice of runs, what they are about, and parts of a page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.errors import NotFoundError
from agiwb.history.entries import HistoryEntry, read_history
from agiwb.history.records import find_record, finished, record_of
from agiwb.reporting.page import Section, page_style, sections_html
from agiwb.runs.record import Record
from widgets.guard import GuardedState, guarded
from widgets.menu import Menu
from widgets.static import StaticFallback
from widgets.style import style_sheet
from widgets.wording import problem_line

_WIDTH = "min(100%, 44rem)"
_IN_A_NOTEBOOK = """
.agiwb .agiwb-page { padding: 0; max-width: none; color-scheme: light; --ink: #1d2330;
  --soft: #5b6474; --line: #d9dee7; --paper: transparent; --accent: #0072b2; --warn: #b34700; }
.agiwb .agiwb-page :is(th, td) { text-align: left; }
.agiwb .agiwb-page tr { background: none; }
"""
"""What a notebook's page, which is light, would else put its own in place of."""
_MOST_LISTED = 200
"""Runs in a menu, the newest ones."""
_NAMES = ("artifact_name", "model_name")
"""Fields of records that name the model."""


class ReportState(GuardedState):
    """What can be chosen, by default the runs of one step, and what there is to see of it."""

    step = ""
    nothing = "There is nothing to show yet."

    runs: traitlets.List[tuple[str, str]] = traitlets.List(
        help="(label, id) of all that can be chosen, newest first"
    )
    selected = traitlets.Unicode("", help="Id of what is shown; empty if there is nothing")
    about = traitlets.Unicode("", help="HTML: the time of the data, and the model's digest")
    page = traitlets.Unicode("", help="HTML: the report")

    def __init__(self) -> None:
        super().__init__()
        self.history: list[HistoryEntry] = []

    @guarded
    def refresh(self) -> None:
        """Read the workspace; what was selected stays, if it is still there."""
        self.runs = self.offered()
        ids = [known for _, known in self.runs]
        kept = self.selected if self.selected in ids else next(iter(ids), "")
        if kept == self.selected:
            self._open()
        else:
            self.selected = kept

    @guarded
    def select(self, chosen: str) -> None:
        """Show something, if it is one that can be chosen."""
        if chosen in [known for _, known in self.runs]:
            self.selected = chosen

    @traitlets.observe("selected")
    @guarded
    def _show(self, change: Any) -> None:
        self._open()

    def _open(self) -> None:
        if self.selected:
            self.show(self.selected)
        else:
            self.about = ""
            self.page = f"<p>{escape(self.nothing)}</p>"

    def offered(self) -> list[tuple[str, str]]:
        """Return the label and the id of all that can be chosen, as the workspace is now."""
        self.history = read_history()
        found = finished(self.step, self.history)[:_MOST_LISTED]
        return [(label_of(entry), entry.id) for entry in found]

    def record_of(self, run_id: str) -> Record:
        """Return the record of a run that can be chosen."""
        return find_record(run_id, self.history)

    def show(self, chosen: str) -> None:
        """Set what there is to see of what was chosen, by its id."""
        raise NotImplementedError


class Report(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A report on screen: read anew when it comes into view, as its kernel may have waited long."""

    def __init__(self, state: ReportState, below: Sequence[ipw.Widget] = ()) -> None:
        self.state = state
        self.menu = menu("Run")
        self.controls = ipw.VBox([self.menu])
        self.controls.add_class("agiwb-controls")
        self.about = html_of(state, "about")
        self.page = html_of(state, "page")
        super().__init__(
            [style_sheet(), self.controls, problem_line(state), self.about, self.page, *below]
        )
        self.add_class("agiwb")
        state.observe(self._fill, ["runs", "selected"])
        self.menu.on_choice(self._choose)
        state.refresh()
        self._fill()
        self._view_count = 0  # counted by the browser from now on
        self.observe(self._seen, "_view_count")

    def static_html(self) -> str:
        """Return the report without its controls."""
        return f"<style>{_IN_A_NOTEBOOK}</style>{self.about.value}{self.page.value}"

    def _seen(self, change: Any) -> None:
        if change["new"] == 1:
            self.state.refresh()

    def _fill(self, _: Any = None) -> None:
        self.menu.fill(self.state.runs, self.state.selected)

    def _choose(self, chosen: str) -> None:
        self.state.select(chosen)


def html_of(state: traitlets.HasTraits, name: str) -> ipw.HTML:
    """Return a widget that shows one trait's HTML, in which wide tables scroll by themselves."""
    shown = ipw.HTML()
    shown.add_class("agiwb-scroll")
    traitlets.dlink((state, name), (shown, "value"))
    return shown


def menu(label: str) -> Menu:
    """Return an empty menu with a label."""
    return Menu(description=label, style={"description_width": "7rem"}, layout={"width": _WIDTH})


def page_html(made: Sequence[Section]) -> str:
    """Return sections as HTML with their style."""
    return f'<div class="agiwb-page"><style>{page_style()}</style>{sections_html(list(made))}</div>'


def about_html(as_of: datetime, digest: str | None, data: str, run_id: str = "") -> str:
    """Return of when a report's data are and of which model, by its digest.

    Args:
        as_of: When the data end.
        digest: SHA-256 of the model, or None if none is known.
        data: What the data are, in words.
        run_id: The run that the report is about, if it is about one.
    """
    model = f"model <code>{escape(digest[:12])}</code>" if digest else "model not known"
    run = f" · run <code>{escape(run_id[:8])}</code>" if run_id else ""
    return (
        f'<p class="agiwb-soft agiwb-about">{escape(data)} As of '
        f"<time>{as_of:%Y-%m-%d %H:%M}</time> UTC · {model}{run} · shown "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC</p>"
    )


def about_run(record: Record, digest: str | None, data: str) -> str:
    """Return the same of a report on one run."""
    return about_html(record.run.finished_at or record.run.started_at, digest, data, record.run.id)


def label_of(entry: HistoryEntry) -> str:
    """Return what a run is called in a menu: the model that it is about, and when it began."""
    try:
        record = record_of(entry)
    except NotFoundError:  # of another version of agiwb
        record = None
    name = next(
        (found for one in _NAMES if (found := getattr(record, one, None)) is not None), entry.title
    )
    return f"{name}, {entry.started_at:%Y-%m-%d %H:%M} UTC, run {entry.id[:8]}"
