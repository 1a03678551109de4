"""Panels that are their steps' forms, jobs and results, and nothing of their own."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

from widgets.data import dataset_names
from widgets.selection import Selection
from widgets.static import StaticFallback
from widgets.step_panel import StepPanel
from widgets.style import style_sheet


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
