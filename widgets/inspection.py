"""The panel that looks inside a model's file, holds two against each other, and imports one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.inspection.named import path_of
from widgets.background import BusyState
from widgets.guard import guarded
from widgets.selection import Selection
from widgets.static import StaticFallback
from widgets.step_panel import StepPanel
from widgets.style import style_sheet
from widgets.wording import problem_line, row, status_line

_STYLE = {"description_width": "7rem"}
_WIDE = {"width": "min(100%, 44rem)"}
_HINT = (
    "A .keras, .h5, .onnx, .tflite or .pb file, the folder of a SavedModel or of an artifact, or a "
    "model's name: signature, operators, layers and weights, read without running any of it."
)


class InspectionState(BusyState):
    """What was found in one model, or between two, as HTML."""

    page = traitlets.Unicode("", help="What was found, as HTML")

    @guarded
    def inspect(self, reference: str, other: str = "") -> None:
        """Show what is in a model, or how another differs from it; a thread reads them."""
        self.page = ""
        words = "comparing the models" if other else "reading the model"
        self.begin(words, lambda: self._inspect(reference, other))

    def _inspect(self, reference: str, other: str) -> None:
        from agiwb.inspection.difference import compare_models
        from agiwb.inspection.inspect_model import inspect_model
        from agiwb.reporting.inspection import difference_sections, inspection_sections
        from agiwb.reporting.page import framed

        path = path_of(reference)
        if other:
            sections = difference_sections(compare_models(path, path_of(other)))
        else:
            sections = inspection_sections(inspect_model(path))
        self.page = framed(sections)


class InspectionPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """What ``agiwb inspect`` and ``agiwb import`` do, on screen.

    It begins with the artifact that is selected, or the model.
    """

    def __init__(self, selection: Selection | None = None) -> None:
        self.selection = selection or Selection()
        self.state = InspectionState()
        self.model = ipw.Text(description="File or model", style=_STYLE, layout=_WIDE)
        self.other = ipw.Text(
            description="Compare with", placeholder="nothing", style=_STYLE, layout=_WIDE
        )
        self.button = ipw.Button(description="Inspect", button_style="primary")
        self.page = ipw.HTML()
        self.page.add_class("agiwb-scroll")
        self.importing = ipw.Checkbox(
            value=False, description="Import a model made elsewhere", indent=False
        )
        self.import_panel = ipw.VBox()
        self.button.on_click(lambda _: self._inspect())
        self.importing.observe(self._open_form, "value")
        self.selection.observe(self._take_selected, ["model", "artifact"])
        self.model.observe(self._show_readiness, "value")
        self.state.observe(self._show_readiness, "busy")
        traitlets.dlink((self.state, "page"), (self.page, "value"))
        super().__init__(
            [style_sheet(), ipw.HTML(f'<p class="agiwb-soft">{_HINT}</p>'), self.model, self.other,
             row(self.button), status_line(self.state, "busy"), problem_line(self.state), self.page,
             self.importing, self.import_panel]
        )  # fmt: skip
        self.add_class("agiwb")
        self._take_selected()
        self._show_readiness()

    def static_html(self) -> str:
        """Return what was inspected."""
        return self.state.page

    def _inspect(self) -> None:
        self.state.inspect(self.model.value.strip(), self.other.value.strip())

    def _take_selected(self, _: Any = None) -> None:
        if chosen := self.selection.artifact or self.selection.model:
            self.model.value = chosen

    def _show_readiness(self, _: Any = None) -> None:
        self.button.disabled = bool(self.state.busy) or not self.model.value.strip()

    def _open_form(self, change: Any) -> None:
        if change["new"] and not self.import_panel.children:  # made when first asked for
            with self.state.showing_errors():
                self.import_panel.children = [
                    StepPanel("import_model", self.selection, verb="Import", values=self._given())
                ]
        self.import_panel.layout.display = "" if change["new"] else "none"

    def _given(self) -> dict[str, Any]:
        """Return the path on screen as what is imported, if it is one."""
        given = self.model.value.strip()
        try:
            return {"path": given} if given and Path(given).exists() else {}
        except OSError:
            return {}
