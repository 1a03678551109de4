"""The panel that compresses a model in several ways, and weighs them up."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.compression.sweep import SweepRecord
from agiwb.compression.trials.told import is_of_candidate
from widgets.candidates import CandidateRows
from widgets.recipes import RecipesEditor
from widgets.selection import Selection
from widgets.send_on import SendOnState
from widgets.step_panel import StepPanel
from widgets.tradeoff import TradeoffState, TradeoffView
from widgets.wording import problem_html

_BASIC = (
    "model",
    "recipes",
    "name",
    "fine_tune_epochs",
    "strategy",
    "max_accuracy_drop",
    "max_bytes",
)

PRESETS: dict[str, dict[str, Any]] = {
    "Quick look: no training, rough latencies": {
        "recipes": ("baseline", "float16", "dynamic", "int8"),
        "latency_blocks": 5,
        "sensitivity": False,
    },
    "Usual: prune, quantize, both": {
        "recipes": ("baseline", "prune_80", "float16", "dynamic", "int8", "prune_80+int8"),
        "latency_blocks": 30,
        "sensitivity": True,
    },
    "Smallest file": {
        "recipes": (
            "baseline", "prune_80+int8", "cluster_16+int8", "prune_80+cluster_16+int8",
            "shrink_50+prune_80+int8",
        ),
        "fine_tune_epochs": 8,
    },
}  # fmt: skip


class CompressPanel(StepPanel):
    """The form of ``agiwb sweep``, its candidates as they are made, and the trade-off to click on.

    What is clicked can be sent on: it becomes the selection that the other panels begin with.
    """

    children: tuple[ipw.Widget, ...]

    def __init__(self, selection: Selection | None = None) -> None:
        self.tradeoff = TradeoffState()
        self.view = TradeoffView(self.tradeoff)
        self.view.layout.display = "none"
        self.candidates = CandidateRows()
        super().__init__("sweep", selection, verb="Compress", basic=_BASIC, presets=PRESETS)
        self.recipes = RecipesEditor(self.state.form)
        self.send_on = SendOnState(self.tradeoff, self.selection)
        self.convert = ipw.Button(description="Convert this")
        self.serve = ipw.Button(description="Serve this")
        self.reuse_limits = ipw.Button(
            description="Put limits into the form", layout={"width": "auto"}
        )
        self.told = ipw.HTML()
        self.convert.on_click(lambda _: self.send_on.convert())
        self.serve.on_click(lambda _: self.send_on.serve())
        self.reuse_limits.on_click(lambda _: self._reuse_limits())
        self.send_on.observe(self._show_told, ["told", "error"])
        traitlets.dlink((self.tradeoff, "record"), (self.view.layout, "display"), _shown_with)
        buttons = ipw.HBox([self.convert, self.serve, self.reuse_limits])
        buttons.add_class("agiwb-buttons")
        self.view.add_below_verdict(buttons, self.told)
        children = [child for child in self.children if child is not self.result]
        self.children = (*children, self.candidates, self.view)
        self.form.add_below("recipes", self.recipes)
        self.state.observe(self._take_record, "record")
        self._take_record()
        if self.state.job is not None:
            self.candidates.follow(self.state.job)

    def _show_job(self, change: Any) -> None:
        super()._show_job(change)
        if change["new"] is not None:
            self.candidates.follow(change["new"])

    def _is_shown(self, message: str) -> bool:
        return is_of_candidate(message)

    def _take_record(self, _: Any = None) -> None:
        record = self.state.record
        self.tradeoff.record = record if isinstance(record, SweepRecord) else None

    def _reuse_limits(self) -> None:
        self.state.form.change(self.tradeoff.limit_fields())

    def _show_told(self, _: Any = None) -> None:
        wrong = problem_html(self.send_on.error, self.send_on.error_traceback)
        self.told.value = wrong or f'<p role="status">{escape(self.send_on.told)}</p>'


def _shown_with(record: SweepRecord | None) -> str:
    return "none" if record is None else ""
