"""Panels that are their steps' forms, jobs and results, and nothing of their own."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

from widgets.data import dataset_names
from widgets.selection import Selection
from widgets.static import StaticFallback
from widgets.step_panel import StepPanel
from widgets.style import style_sheet

_LOADS: dict[str, dict[str, Any]] = {
    "A busy service: 500 requests a second, 50 ms": {"rps": 500.0, "p99_ms": 50.0},
    "A page that people wait for: 20 a second, 200 ms": {"rps": 20.0, "p99_ms": 200.0},
    "Batches: 50 a second of 64 examples, 1 s": {"rps": 50.0, "p99_ms": 1000.0, "rows": 64},
}


class PlanPanel(StepPanel):
    """How many servers a load needs: a server is measured, and a queueing model does the rest."""

    def __init__(self, selection: Selection | None = None) -> None:
        super().__init__(
            "plan",
            selection,
            verb="Plan",
            basic=("model", "format", "rps", "p99_ms", "rows", "workers_per_replica", "headroom"),
            presets=_LOADS,
            values=_LOADS["A busy service: 500 requests a second, 50 ms"],
        )


class MonitorPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Evaluation of a model by slices, and the comparison of served traffic with its data."""

    def __init__(self, selection: Selection | None = None) -> None:
        shared = selection or Selection()
        offered = {"dataset": dataset_names()}
        self.panels = {
            "Evaluate": StepPanel("evaluate", shared, verb="Evaluate", suggestions=offered),
            "Monitor": StepPanel("monitor", shared, verb="Compare", suggestions=offered),
        }
        children: list[Any] = [style_sheet()]
        for title, panel in self.panels.items():
            children += [ipw.HTML(f"<h2>{title}</h2>"), panel]
        super().__init__(children)
        self.add_class("agiwb")

    def static_html(self) -> str:
        """Return both panels, one below the other."""
        return "".join(
            f"<h2>{title}</h2>{panel.static_html()}" for title, panel in self.panels.items()
        )
