"""A panel for any step: its form, its job and its result."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as ipw

from agiwb.errors import AgiwbError
from agiwb.runs.registry import STEPS
from widgets.form import ConfigForm
from widgets.job import JobView
from widgets.selection import Selection
from widgets.static import StaticFallback, is_batch
from widgets.step_state import StepState
from widgets.style import style_sheet
from widgets.wording import problem_line


class StepPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """What the command ``agiwb <step>`` does, on screen.

    A job of this step that is still going on, whoever started it, is shown as soon as the panel
    is: after a page reload, and after the kernel was restarted.

    Args:
        step_name: The step's name; see ``agiwb.runs.registry.STEPS``.
        selection: What all panels share; by default one of its own.
        verb: What the button says; by default the step's name.
        basic: Fields that are always shown; see ConfigForm.
        presets: Values of several fields by the name of the preset; see ConfigForm.
        suggestions: Values offered for text fields; see ConfigForm.
        values: Fields that do not begin at their default.
    """

    def __init__(
        self,
        step_name: str,
        selection: Selection | None = None,
        *,
        verb: str | None = None,
        basic: Sequence[str] = (),
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        suggestions: Mapping[str, Sequence[str]] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.selection = selection or Selection()
        self.state = StepState(step_name, self.selection, values)
        self.form = ConfigForm(
            self.state.form.config_type,
            state=self.state.form,
            basic=basic,
            presets=presets,
            suggestions=suggestions,
            earlier=self.state.earlier_runs(),
            step_name=step_name,
        )
        verb = verb or step_name.replace("_", " ").capitalize()
        self.button = ipw.Button(description=verb, button_style="primary")
        self.anew = ipw.Checkbox(
            value=False, description="Run anew, even if the result is known", indent=False
        )
        self.problem = problem_line(self.state)
        self.job = ipw.VBox()
        self.result = ipw.HTML()
        self.result.add_class("agiwb-scroll")
        self.button.on_click(lambda _: self.state.run(anew=self.anew.value))
        self.state.observe(self._show_job, "job")
        self.state.observe(self._show_result, "result")
        self.state.form.observe(self._show_readiness, "config")
        buttons = ipw.HBox([self.button, self.anew])
        buttons.add_class("agiwb-buttons")
        summary = ipw.HTML(f'<p class="agiwb-soft">{escape(STEPS[step_name].summary)}</p>')
        super().__init__(
            [style_sheet(), summary, self.form, buttons, self.problem, self.job, self.result]
        )
        self.add_class("agiwb")
        self._show_readiness()
        self.state.attach_newest(wait=is_batch())

    def static_html(self) -> str:
        """Return the newest job of the step and its result."""
        shown = [view.static_html() for view in self.job.children if isinstance(view, JobView)]
        nothing = f"<p>No job of the step {self.state.step_name} yet.</p>"
        return "".join(shown or [nothing]) + self.state.result

    def _show_job(self, change: Any) -> None:
        job = change["new"]
        views = [JobView(job, is_told_elsewhere=self._is_shown)] if job is not None else []
        self.job.children = views
        threading.Thread(target=self._show_earlier, daemon=True).start()

    def _show_earlier(self) -> None:
        """Offer the configs of earlier jobs; to read them all takes too long for a click."""
        try:
            earlier = self.state.earlier_runs()
        except AgiwbError:  # the workspace was cleared meanwhile, of which the job itself tells
            return
        if earlier != list(self.form.earlier.items()):
            self.form.show_earlier(earlier)

    def _is_shown(self, message: str) -> bool:
        """Return whether this panel shows a message of its job in a way of its own."""
        return False

    def _show_result(self, change: Any) -> None:
        self.result.value = change["new"]

    def _show_readiness(self, _: Any = None) -> None:
        self.button.disabled = self.state.form.config is None
        self.button.tooltip = "" if self.state.form.config else "Something above is wrong."
