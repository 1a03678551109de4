"""The Maintain panel: who answers, the gate, the decision, retraining, watch, and the ledger."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw

from agiwb.reporting.decisions import standing_html, timeline_html
from widgets.maintain.decision import DecisionView
from widgets.maintain.state import MaintainState
from widgets.menu import Menu
from widgets.selection import Selection
from widgets.static import StaticFallback, is_batch
from widgets.step_panel import StepPanel
from widgets.style import style_sheet
from widgets.wording import problem_line, row

_STYLE = {"description_width": "9rem"}
_WIDE = {"width": "min(100%, 32rem)"}
_AUTO = {"width": "auto"}
_GATE = ("model", "challenger", "margin", "slice_margin", "slices", "labelled")
_RETRAIN = ("model", "dataset", "replay", "min_rows", "start", "epochs")
_WATCH = ("model", "server", "approval", "every_s", "min_labels", "max_drop")


class MaintainPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A registered model in service: who answers, and what is decided about that."""

    def __init__(self, selection: Selection | None = None) -> None:
        self.state = MaintainState(selection)
        self._own = Selection(model=self.state.model)  # the steps here take registered names only
        self.model = Menu(description="Model", style=_STYLE, layout=_WIDE)
        self.count = ipw.Button(description="Count labels", layout=_AUTO)
        self.stop = ipw.Button(description="Stop watching", button_style="danger", layout=_AUTO)
        self.standing, self.labels, self.watched, self.timeline = (ipw.HTML() for _ in range(4))
        self.standing.add_class("agiwb-scroll")
        self.unread = problem_line(self.state, "unread")
        self.decision = DecisionView(self.state)
        self.panels = {
            "Gate": StepPanel("gate", self._own, verb="Run the gate", basic=_GATE),
            "Retrain": StepPanel("retrain", self._own, verb="Retrain", basic=_RETRAIN),
            "Watch": StepPanel(
                "maintain", self._own, verb="Start watching", basic=_WATCH,
                values={"watch": True, "approval": "person", "server": self.state.server},
            ),
        }  # fmt: skip
        self.model.on_choice(self._choose)
        self.count.on_click(lambda _: self.state.count_labels())
        self.stop.on_click(lambda _: self.state.stop_watching())
        self.state.observe(self._show_models, ["models", "model"])
        self.state.observe(self._show_server, "server")
        self.state.observe(self._show_overview, ["overview", "unread", "model"])
        self.state.observe(self._show_labels, ["labels", "overview"])
        for panel in self.panels.values():
            panel.state.observe(self._take_record, "record")
        self.steps = ipw.Tab(list(self.panels.values()), titles=tuple(self.panels))
        self.person = ipw.VBox(
            [ipw.HTML("<h2>Who answers</h2>"), self.model, self.unread, self.standing,
             row(self.labels, self.count), problem_line(self.state.counting),
             row(self.watched, self.stop), ipw.HTML("<h2>Decide</h2>"), self.decision]
        )  # fmt: skip
        self.person.add_class("agiwb-decides")
        super().__init__(
            [style_sheet(), self.person, ipw.HTML("<h2>Judge, retrain, watch</h2>"), self.steps,
             ipw.HTML("<h2>What was decided</h2>"), self.timeline]
        )  # fmt: skip
        self.add_class("agiwb")
        self._show_models()
        self._show_overview()
        self._show_labels()
        if is_batch():
            self.state.reading.settle()
            self.state.counting.settle()
        else:
            self.state.follow()

    def static_html(self) -> str:
        """Return the standing, the newest gate and the decisions, for a page without a kernel."""
        gate = self.panels["Gate"].static_html()
        stands = f"{self.unread.value}{self.standing.value}{self.labels.value}"
        return f"{stands}{gate}{self.timeline.value}"

    def _take_record(self, _: Any) -> None:
        self.state.refresh()
        self.state.count_labels()

    def _choose(self, chosen: str) -> None:
        self.state.model = self.state.selection.model = chosen

    def _show_models(self, _: Any = None) -> None:
        options = [(name, name) for name in self.state.models] or [("none yet", "")]
        self.model.fill(options, self.state.model or "")
        if self.state.model is not None:
            self._own.model = self.state.model

    def _show_server(self, change: Any) -> None:
        if change["new"]:
            self.panels["Watch"].state.form.change({"server": change["new"]})

    def _show_overview(self, _: Any = None) -> None:
        seen = self.state.overview
        if seen is None:
            self.standing.value = f'<p class="agiwb-soft">{self._nothing_seen()}</p>'
            self.watched.value = self.timeline.value = ""
            self.stop.layout.display = "none"
            return
        self.standing.value = standing_html(seen)
        watched = "Nobody watches it: nothing is done without you."
        if seen.watching is not None:
            watched = f"Job {seen.watching[:8]} watches it."
        self.watched.value = f'<p role="status">{escape(watched)}</p>'
        self.stop.layout.display = "" if seen.watching is not None else "none"
        self.timeline.value = timeline_html(seen.events)

    def _nothing_seen(self) -> str:
        if self.state.model is None:
            return "No model is registered yet: train one, or import one."
        return "" if self.state.unread else "Reading where it stands."

    def _show_labels(self, _: Any = None) -> None:
        count, seen = self.state.labels, self.state.overview
        if count is None or seen is None or seen.role("champion") is None:
            self.labels.value = ""
            return
        said = f"{count:,} labelled rows were served since the champion was made."
        self.labels.value = f'<p role="status">{said}</p>'
