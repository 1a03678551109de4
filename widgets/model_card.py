"""The model card: one model's life cycle, for people who never read code."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.reporting.lifecycle import newest_life_cycle, sections
from agiwb.reporting.page import page_style, sections_html
from agiwb.runs.store import open_store
from widgets.guard import GuardedState, guarded


class ModelCardState(GuardedState):
    """Which models there are, which one is shown, and its page as HTML."""

    models: traitlets.List[tuple[str, str]] = traitlets.List(
        help="(label, run id) of each trained model, newest first"
    )
    selected = traitlets.Unicode(None, allow_none=True)
    page = traitlets.Unicode("")

    @guarded
    def refresh(self) -> None:
        """Read the workspace's trained models, and show the newest."""
        runs = [run for run in open_store().summaries("train") if run.state == "finished"]
        self.models = [
            (f"{run.title}, {run.started_at:%Y-%m-%d %H:%M} UTC, run {run.id[:8]}", run.id)
            for run in runs
        ]
        self.selected = runs[0].id if runs else None
        if not runs:
            self.page = "<p>No model has been trained in this workspace yet.</p>"

    @traitlets.observe("selected")
    @guarded
    def _show(self, change: Any) -> None:
        self.page = ""
        if change["new"]:
            self.page = sections_html(sections(newest_life_cycle(change["new"], open_store())))


class ModelCard(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A menu of the trained models, and below it the card of the one chosen."""

    def __init__(self, state: ModelCardState | None = None) -> None:
        self.state = state or ModelCardState()
        self.state.refresh()
        self.menu = ipw.Dropdown(
            description="Model",
            options=self.state.models,
            value=self.state.selected,
            layout={"width": "min(100%, 44rem)"},
        )
        self.card = ipw.HTML()
        self.problem = ipw.HTML()
        traitlets.dlink((self.state, "models"), (self.menu, "options"))
        traitlets.link((self.state, "selected"), (self.menu, "value"))
        traitlets.dlink((self.state, "page"), (self.card, "value"), _with_style)
        traitlets.dlink((self.state, "error"), (self.problem, "value"), _problem_html)
        super().__init__([self.menu, self.problem, self.card])


def _with_style(page: str) -> str:
    return f'<div class="agiwb-page"><style>{page_style()}</style>{page}</div>'


def _problem_html(error: str) -> str:
    return f'<p role="alert"><b>This could not be shown.</b> {escape(error)}</p>' if error else ""
