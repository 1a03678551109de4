"""The report on an evaluation, with another beside it and a threshold to move."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.evaluation.opened import Evaluation, open_evaluation
from agiwb.history.entries import find_entry
from agiwb.history.records import finished
from agiwb.reporting.evaluation_report import evaluation_sections, threshold_section
from widgets.guard import guarded
from widgets.reports.frame import (
    Report,
    ReportState,
    about_run,
    html_of,
    label_of,
    menu,
    page_html,
)

_STANDARD = 0.5


class EvaluationState(ReportState):
    """An evaluation, the one it is compared with, and a threshold on one class of one slice."""

    step = "evaluate"
    nothing = "No model has been evaluated in this workspace yet: `agiwb evaluate` does."

    others: traitlets.List[tuple[str, str]] = traitlets.List(
        help="(label, run id) of what it can be compared with"
    )
    compared = traitlets.Unicode("", help="Id of the run beside it; empty for its own baseline")
    slices: traitlets.List[str] = traitlets.List()
    classes: traitlets.List[str] = traitlets.List()
    slice_name = traitlets.Unicode("")
    class_name = traitlets.Unicode("")
    threshold = traitlets.Float(_STANDARD)
    at_threshold = traitlets.Unicode("", help="HTML: what the threshold does")

    def __init__(self) -> None:
        super().__init__()
        self._found: Evaluation | None = None

    def show(self, chosen: str) -> None:
        """Show an evaluation; the slice and the class stay if it has them too."""
        self._found = found = open_evaluation(find_entry(chosen, self.history), self.history)
        record = found.record
        baseline = "its baseline" if record.config.baseline else "nothing"
        self.others = [
            (baseline, ""),
            *(
                (label_of(one), one.id)
                for one in finished("evaluate", self.history)
                if one.id in {other.run.id for other in found.others} - {record.run.id}
            ),
        ]
        self.about = about_run(
            record,
            record.run.provenance.inputs.get("artifact"),
            f"The {record.config.split} split of {record.dataset}, {record.examples:,} examples.",
        )
        with self.hold_trait_notifications():
            self.slices = found.slices
            self.classes = [name for name, _ in found.classes]
            self.compared = ""
            if self.slice_name not in self.slices:
                self.slice_name = next(iter(self.slices), "")
            if self.class_name not in self.classes:
                self.class_name = next(iter(self.classes), "")
        self._draw()
        self._draw_threshold()

    @guarded
    def compare(self, run_id: str) -> None:
        """Put another evaluation on the same data beside this one; "" for its own baseline."""
        if run_id in [known for _, known in self.others] and run_id != self.compared:
            self.compared = run_id
            self._draw()

    @guarded
    def move(self, slice_name: Any, class_name: Any, threshold: Any) -> None:
        """Move the threshold; what is not offered, or is no number, changes nothing."""
        before = self.slice_name, self.class_name, self.threshold
        if slice_name in self.slices and class_name in self.classes:
            self.slice_name, self.class_name = slice_name, class_name
        if isinstance(threshold, int | float) and math.isfinite(threshold):
            self.threshold = min(max(float(threshold), 0.0), 1.0)
        if before != (self.slice_name, self.class_name, self.threshold):
            self._draw_threshold()

    def _draw(self) -> None:
        if self._found is None:
            return
        other = next((one for one in self._found.others if one.run.id == self.compared), None)
        self.page = page_html(evaluation_sections(self._found, other))

    def _draw_threshold(self) -> None:
        found = self._found
        if found is None or not self.slices:
            self.at_threshold = ""
            return
        class_id = dict(found.classes).get(self.class_name)
        made = threshold_section(found, self.slice_name, class_id, self.threshold)
        self.at_threshold = page_html([made])


class EvaluationReport(Report):
    """How good a model is, where, beside another, and at which threshold."""

    state: EvaluationState

    def __init__(self, state: EvaluationState | None = None) -> None:
        state = state or EvaluationState()
        self.other = menu("Compare with")
        self.slice_menu, self.class_menu = menu("Slice"), menu("Class")
        self.threshold = ipw.BoundedFloatText(
            value=_STANDARD, min=0, max=1, step=0.01, description="Threshold",
            style={"description_width": "7rem"}, layout={"width": "14rem"},
        )  # fmt: skip
        self.slider = ipw.FloatSlider(
            value=_STANDARD, min=0, max=1, step=0.01, readout=False,
            layout={"width": "min(100%, 24rem)"},
        )  # fmt: skip
        self.moved = ipw.VBox(
            [self.slice_menu, self.class_menu, ipw.HBox([self.threshold, self.slider])]
        )
        self.moved.children[-1].add_class("agiwb-row")
        self.moved.add_class("agiwb-controls")
        self.at_threshold = html_of(state, "at_threshold")
        super().__init__(state, [self.moved, self.at_threshold])
        self.controls.children = [self.menu, self.other]
        state.observe(
            self._fill_menus, ["others", "compared", "slices", "classes", "slice_name",
                               "class_name", "threshold"],
        )  # fmt: skip
        self._fill_menus()
        self.other.on_choice(state.compare)
        for chosen in (self.slice_menu, self.class_menu):
            chosen.on_choice(lambda _: self._move(state.threshold))
        for box in (self.threshold, self.slider):
            box.observe(lambda change: self._move(change["new"]), "value")

    def static_html(self) -> str:
        """Return the report at the threshold that is set."""
        return f"{super().static_html()}{self.at_threshold.value}"

    def _fill_menus(self, _: Any = None) -> None:
        state = self.state
        self.other.fill(state.others, state.compared)
        self.slice_menu.fill([(one, one) for one in state.slices], state.slice_name)
        self.class_menu.fill([(one, one) for one in state.classes], state.class_name)
        self.threshold.value = self.slider.value = state.threshold
        self.moved.layout.display = "" if state.slices else "none"

    def _move(self, threshold: float) -> None:
        self.state.move(self.slice_menu.value, self.class_menu.value, threshold)
