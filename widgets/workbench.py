"""The workbench: the working life of a model in nine tabs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as ipw

from widgets.guard import GuardedState, guarded
from widgets.job import JobList, JobListState
from widgets.poller import watch
from widgets.selection import Selection
from widgets.static import StaticFallback, is_batch
from widgets.style import style_sheet
from widgets.wording import brief, problem_line, row, status_line

TABS = {
    "Data": "widgets.data:DataPanel",
    "Train": "widgets.train:TrainPanel",
    "Compress": "widgets.compress:CompressPanel",
    "Convert": "widgets.convert:ConvertPanel",
    "Serve": "widgets.serve:ServePanel",
    "Plan": "widgets.plain_panels:PlanPanel",
    "Monitor": "widgets.plain_panels:MonitorPanel",
    "Maintain": "widgets.maintain:MaintainPanel",
    "Runs": "widgets.runs:RunsPanel",
}
"""Each tab's panel, ``module:class``, called with the selection; imported when first opened."""

_SELECTED = ("dataset", "model", "artifact", "endpoint")


class WorkbenchState(GuardedState):
    """The selection, and the panels that were opened so far."""

    def __init__(self, selection: Selection | None = None) -> None:
        super().__init__()
        self.selection = selection or Selection()
        self.jobs = JobListState()
        self.panels: dict[str, ipw.Widget] = {}

    @guarded
    def open(self, title: str) -> None:
        """Make the panel called ``title``, unless it is there already."""
        if title not in self.panels:
            module, _, name = TABS[title].partition(":")
            make: Callable[[Selection], ipw.Widget] = getattr(importlib.import_module(module), name)
            self.panels[title] = make(self.selection)


class Workbench(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Data, train, compress, convert, serve, plan, monitor, maintain, runs, over one selection.

    A panel is made when its tab is first opened.
    """

    def __init__(self, selection: Selection | None = None, *, first: str = "Data") -> None:
        self.state = WorkbenchState(selection)
        self.selected, self.problem = ipw.HTML(), problem_line(self.state)
        self.tabs = ipw.Tab([ipw.VBox() for _ in TABS], titles=tuple(TABS))
        self.state.selection.observe(self._show_selected, list(_SELECTED))
        self.state.selection.observe(self._turn, "tab")
        self.tabs.observe(self._open, "selected_index")
        self.sheet = style_sheet()
        head = row(self.selected, status_line(self.state.jobs, "going"))
        unread = problem_line(self.state.jobs)
        super().__init__([self.sheet, head, unread, self.problem, self.tabs])
        self.add_class("agiwb")
        self._show_selected()
        self.tabs.selected_index = list(TABS).index(first)
        self._open()
        if not is_batch():
            watch(self.state.jobs)

    def static_html(self) -> str:
        """Return the jobs of the workspace and the panel that is open."""
        opened = [panel.static_html() for panel in self.state.panels.values()]
        return JobList().static_html() + "".join(opened)

    def _open(self, _: Any = None) -> None:
        index = self.tabs.selected_index
        if index is None:
            return
        title = list(TABS)[index]
        self.state.open(title)
        self.state.selection.tab = title
        place = self.tabs.children[index]
        if title in self.state.panels and not place.children:
            place.children = [self.state.panels[title]]

    def _turn(self, change: Any) -> None:
        """Open the tab that a panel has asked for, and go to where it begins."""
        if change["new"] in TABS and self.tabs.selected_index != list(TABS).index(change["new"]):
            self.tabs.selected_index = list(TABS).index(change["new"])
            self.sheet.show_beginning()

    def _show_selected(self, _: Any = None) -> None:
        chosen = {name: getattr(self.state.selection, name) for name in _SELECTED}
        parts = [
            f'{name} <b title="{escape(value)}">{escape(brief(value))}</b>'
            for name, value in chosen.items()
            if value
        ]
        text = " · ".join(parts) or "nothing yet"
        self.selected.value = f'<p class="agiwb-soft" role="status">Selected: {text}</p>'
