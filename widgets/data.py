"""The panel that shows the data sets, and adds the user's own."""

from __future__ import annotations

import threading
from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.datasets.builtin import BUILTIN
from agiwb.datasets.registered import registered_names
from agiwb.datasets.registry import load_with_notes
from widgets.guard import GuardedState, guarded
from widgets.selection import Selection
from widgets.static import StaticFallback, is_batch
from widgets.step_panel import StepPanel
from widgets.style import style_sheet
from widgets.wording import problem_line

_STYLE = {"description_width": "12rem"}
_HINT = (
    '<p class="agiwb-soft">Show reads a data set and examines it: examples, classes, missing and '
    "doubtful values. It is also what the next tab begins with.</p>"
)


def dataset_names() -> list[str]:
    """Return the names of all data sets that need no download, the user's own first."""
    own = registered_names()
    return [*own, *(name for name, one in BUILTIN.items() if one.is_embedded and name not in own)]


class DataState(GuardedState):
    """Which data sets there are, and the preview and quality report of the one looked at."""

    names = traitlets.Tuple()
    page = traitlets.Unicode("", help="The data set looked at, as HTML")
    busy = traitlets.Bool(False)

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self.selection = selection
        self.refresh()

    def refresh(self) -> None:
        """Read anew which data sets there are."""
        self.names = tuple(dataset_names())

    def look(self, reference: str, *, wait: bool = False) -> None:
        """Select a data set and show it; a thread reads and examines it.

        Args:
            reference: A name or a path.
            wait: Return once it is shown.
        """
        self.selection.dataset = reference
        self.busy, self.page = True, ""
        thread = threading.Thread(target=self._examine, args=(reference,), daemon=True)
        thread.start()
        if wait:
            thread.join()

    def _examine(self, reference: str) -> None:
        try:
            self._show(reference)
        finally:
            self.busy = False

    @guarded
    def _show(self, reference: str) -> None:
        from agiwb.reporting.page import framed
        from agiwb.reporting.result import dataset_sections

        data, notes = load_with_notes(reference)
        self.page = framed(dataset_sections(data, notes=notes))


class DataPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Choose a data set and look at it, or add one."""

    def __init__(self, selection: Selection | None = None) -> None:
        self.selection = selection or Selection()
        self.state = DataState(self.selection)
        self.choice = ipw.Combobox(
            description="Data set", options=self.state.names, ensure_option=False,
            value=self.selection.dataset or self.state.names[0],
            placeholder="a name, or the path of your data", style=_STYLE,
            layout={"width": "min(100%, 34rem)"},
        )  # fmt: skip
        self.button = ipw.Button(description="Show", button_style="primary")
        self.problem, self.page = problem_line(self.state), ipw.HTML(_HINT)
        self.page.add_class("agiwb-scroll")
        self.adding = ipw.Checkbox(value=False, description="Add your own data", indent=False)
        self.add_panel = ipw.VBox()
        self.button.on_click(lambda _: self.state.look(self.choice.value))
        self.adding.observe(self._open_form, "value")
        self.selection.observe(self._selected, "dataset")
        self.state.observe(self._show, ["page", "busy"])
        traitlets.dlink((self.state, "names"), (self.choice, "options"))
        row = ipw.HBox([self.choice, self.button])
        row.add_class("agiwb-buttons")
        super().__init__([style_sheet(), row, self.problem, self.page, self.adding, self.add_panel])
        self.add_class("agiwb")
        if is_batch():
            self.state.look(self.choice.value, wait=True)

    def static_html(self) -> str:
        """Return the data set that is shown, or the names of all."""
        names = "".join(f"<tr><td>{escape(name)}</td></tr>" for name in self.state.names)
        return self.state.page or f"<table><tr><th>data set</th></tr>{names}</table>"

    def _open_form(self, change: Any) -> None:
        if change["new"] and not self.add_panel.children:  # made when first asked for
            with self.state.showing_errors():
                panel = StepPanel("add_dataset", self.selection, verb="Add")
                panel.state.observe(lambda _: self.state.refresh(), "record")
                self.add_panel.children = [panel]
        self.add_panel.layout.display = "" if change["new"] else "none"

    def _selected(self, change: Any) -> None:
        if change["new"] and self.choice.value != change["new"]:
            self.choice.value = change["new"]

    def _show(self, _: Any) -> None:
        busy = '<p role="status">Reading and examining the data…</p>'
        self.page.value = busy if self.state.busy else self.state.page or _HINT
        self.button.disabled = self.state.busy
