"""One job on screen: how far it is, what it says, and the buttons to stop it or go on."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as ipw

from widgets.job.curves import curves_svg
from widgets.job.state import JobState
from widgets.progress import ProgressBar
from widgets.static import StaticFallback
from widgets.style import style_sheet
from widgets.wording import brief

_WORDS = {
    "queued": "Waiting for its turn",
    "running": "Running",
    "finished": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "killed": "Killed: it did not stop in time",
    "lost": "Lost: its process is gone without a word",
}


class JobView(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """The job whose id is given, or begins so; also one that this kernel did not start.

    Args:
        job: Its id, or its state.
        is_told_elsewhere: Whether a message of the job is shown by the panel around this view.
    """

    def __init__(
        self, job: str | JobState, *, is_told_elsewhere: Callable[[str], bool] | None = None
    ) -> None:
        self._is_told_elsewhere = is_told_elsewhere or (lambda _: False)
        self.state = job if isinstance(job, JobState) else JobState(job)
        self._what = brief(f"{self.state.step} {self.state.title}".strip())
        self.bar = ProgressBar(label=f"Progress of {self._what}, job {self.state.id[:8]}")
        self.head, self.curves, self.words = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.problem, self.printed = ipw.HTML(), ipw.HTML(layout={"display": "none"})
        self.stop = ipw.Button(description="Cancel", button_style="danger")
        self.resume = ipw.Button(description="Resume", button_style="primary")
        self.show_log = ipw.Checkbox(value=False, description="Show the log", indent=False)
        self.stop.on_click(lambda _: self.state.cancel())
        self.resume.on_click(lambda _: self.state.resume())
        self.show_log.observe(self._show_log, "value")
        buttons = ipw.HBox([self.stop, self.resume, self.show_log])
        buttons.add_class("agiwb-buttons")
        super().__init__(
            [style_sheet(), self.head, self.bar, buttons, self.problem, self.curves, self.words,
             self.printed]
        )  # fmt: skip
        self.add_class("agiwb")
        self.state.observe(self._show_progress, ["phase", "fraction", "figures", "state"])
        self.state.observe(self._show_state, ["state", "stopping", "problem", "error"])
        self.state.observe(self._show_curves, "curves")
        self.state.observe(self._show_words, "messages")
        self.state.observe(self._show_log, "log")
        for show in (self._show_progress, self._show_state, self._show_curves, self._show_words):
            show()
        self.state.follow()

    def static_html(self) -> str:
        """Return the job as it is now, for a page without a kernel."""
        state = self.state
        facts = {
            "job": state.id[:8],
            "step": state.step,
            "what": state.title,
            "state": state.state,
            "phase": state.phase,
            "problem": state.problem,
        }
        rows = [(name, escape(text)) for name, text in facts.items() if text]
        cells = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows)
        return f"<table>{cells}</table>"

    def _show_progress(self, _: Any = None) -> None:
        state = self.state
        done = state.state == "finished"
        self.bar.fraction = 1.0 if done else state.fraction
        words = _WORDS.get(state.state, "")
        if state.state == "running":
            words = state.phase or "Starting: libraries and data are loaded"
        self.bar.text = ", ".join(part for part in (words, state.figures) if part)
        self.bar.told = f"{_WORDS.get(state.state, '')}. {state.phase if not done else ''}".strip()

    def _show_state(self, _: Any = None) -> None:
        state = self.state
        words = "Stopping: it finishes its batch" if state.stopping else _WORDS.get(state.state, "")
        self.head.value = f"<b>{words}</b> · {escape(self._what)} · job <code>{state.id[:8]}</code>"
        self.stop.disabled = state.has_ended or state.stopping
        self.stop.layout.display = "none" if state.has_ended else ""
        can_resume = state.has_ended and state.state != "finished"
        self.resume.layout.display = "" if can_resume else "none"
        self.problem.value = self._problem()

    def _problem(self) -> str:
        state = self.state
        parts = [text for text in (state.error, state.problem) if text]
        if not parts:
            return ""
        said = "".join(f"<p>{escape(text)}</p>" for text in parts)
        whole = (
            f"<details><summary>The whole traceback</summary><pre>{escape(state.traceback)}</pre>"
            "</details>"
            if state.traceback
            else ""
        )
        return f'<div class="agiwb-wrong" role="alert">{said}</div>{whole}'

    def _show_curves(self, _: Any = None) -> None:
        self.curves.value = curves_svg(self.state.curves)

    def _show_words(self, _: Any = None) -> None:
        said = [text for text in self.state.messages if not self._is_told_elsewhere(text)]
        items = "".join(f"<li>{escape(text)}</li>" for text in said)
        self.words.value = f"<ul>{items}</ul>" if items else ""

    def _show_log(self, _: Any = None) -> None:
        self.printed.layout.display = "" if self.show_log.value else "none"
        if self.show_log.value:
            self.printed.value = f"<pre>{escape(self.state.log) or 'Nothing was printed.'}</pre>"
