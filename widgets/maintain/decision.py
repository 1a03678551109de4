"""Promoting and rolling back by hand: a reason, a button, and a question before it is done."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw

from widgets.maintain.state import MaintainState
from widgets.menu import Menu
from widgets.wording import problem_line, row, status_line

_STYLE = {"description_width": "9rem"}
_WIDE = {"width": "min(100%, 40rem)"}
_AUTO = {"width": "auto"}


class DecisionView(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """What a person decides about the model; nothing is done before it is confirmed."""

    def __init__(self, state: MaintainState) -> None:
        self.state = state
        self.server = Menu(description="Server", style=_STYLE, layout=_WIDE)
        self.version = ipw.Text(
            description="Version", placeholder="the challenger", style=_STYLE, layout=_WIDE
        )
        self.why = ipw.Text(
            description="Reason", placeholder="for the ledger", style=_STYLE, layout=_WIDE
        )
        self.ungated = ipw.Checkbox(
            value=False, indent=False,
            description="Without the gate's consent (a reason is then needed)",
        )  # fmt: skip
        self.promote = ipw.Button(description="Promote", button_style="primary")
        self.roll_back = ipw.Button(description="Roll back", button_style="danger")
        self.question = ipw.HTML()
        self.confirm = ipw.Button(description="Yes, do it", button_style="warning", layout=_AUTO)
        self.withdraw = ipw.Button(description="No, leave it", layout=_AUTO)
        self.asking = ipw.VBox([self.question, row(self.confirm, self.withdraw)])
        self.asking.add_class("agiwb-asking")
        self.promote.on_click(
            lambda _: state.ask_to_promote(
                self.version.value, self.why.value, ungated=self.ungated.value
            )
        )
        self.roll_back.on_click(lambda _: state.ask_to_roll_back(self.why.value))
        self.confirm.on_click(lambda _: state.confirm())
        self.withdraw.on_click(lambda _: state.withdraw())
        self.server.on_choice(self._choose_server)
        state.observe(self._show_servers, ["servers", "server"])
        state.observe(self._show_question, "asked")
        state.observe(self._show_readiness, ["overview", "busy"])
        super().__init__(
            [self.server, self.version, self.why, self.ungated,
             row(self.promote, self.roll_back), status_line(state, "busy", "told"),
             problem_line(state), self.asking]
        )  # fmt: skip
        self._show_servers()
        self._show_question()
        self._show_readiness()

    def _choose_server(self, chosen: str) -> None:
        self.state.server = chosen

    def _show_servers(self, _: Any = None) -> None:
        options = [("none: only the ledger", "")]
        options += [(f"{name}, serves {model}", name) for name, model, _ in self.state.servers]
        self.server.fill(options, self.state.server)

    def _show_question(self, _: Any = None) -> None:
        asked = self.state.asked
        self.question.value = f'<p role="alert"><b>{escape(asked)}</b></p>'
        self.asking.layout.display = "" if asked else "none"

    def _show_readiness(self, _: Any = None) -> None:
        seen, busy = self.state.overview, bool(self.state.busy)
        undoable = seen is not None and seen.standing.previous is not None
        self.promote.disabled = busy or seen is None
        self.roll_back.disabled = busy or not undoable
        self.roll_back.tooltip = "" if undoable else "There is no promotion to undo."
