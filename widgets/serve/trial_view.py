"""Trying a server by hand: pad, upload, text or form, and the answer below."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw

from widgets.serve.pad import DrawingPad
from widgets.serve.trial import TrialState
from widgets.wording import bars, problem_line, row, status_line

_STYLE = {"description_width": "9rem"}
_WIDTH = {"width": "min(100%, 32rem)"}
_MOST_BARS = 10
_LONGEST_CURL = 4000


class TrialView(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """One input, one answer."""

    def __init__(self, state: TrialState) -> None:
        self.state = state
        self.pad = DrawingPad()
        self.white = ipw.FloatText(
            state.white, description="Value of white", style=_STYLE, layout={"width": "16rem"}
        )
        self.file = ipw.FileUpload(accept="image/*", description="Upload an image", multiple=False,
                                   layout={"width": "auto"})  # fmt: skip
        self.text = ipw.Textarea(description="Input", style=_STYLE, rows=3, layout=_WIDTH)
        self.cells: dict[str, ipw.Text] = {}
        self.ask = ipw.Button(description="Ask", button_style="primary")
        self.why = ipw.Button(description="Explain this answer", disabled=True,
                              layout={"width": "auto"})  # fmt: skip
        self.takes, self.inputs = ipw.HTML(), ipw.VBox()
        self.answer, self.explanation, self.curl = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.ask.on_click(lambda _: self._ask())
        self.why.on_click(lambda _: self.state.explain())
        self.pad.observe(self._drawn, "picture")
        self.file.observe(self._uploaded, "value")
        self.white.observe(self._set_white, "value")
        state.observe(self._show_white, "white")
        state.observe(self._show_inputs, ["kind", "takes", "columns"])
        state.observe(self._show_answer, "answer")
        state.observe(self._show_explanation, "explanation")
        super().__init__(
            [ipw.HTML("<h2>Try it</h2>"), self.takes, self.inputs, row(self.ask, self.why),
             status_line(state, "busy"), problem_line(state), self.answer, self.explanation,
             self.curl]
        )  # fmt: skip
        self._show_inputs()

    def static_html(self) -> str:
        """Return the last answer, for a page without a kernel."""
        return f"{self.answer.value}{self.explanation.value}{self.curl.value}"

    def _ask(self) -> None:
        kind = self.state.kind
        if kind == "image":
            self.state.draw(self.pad.png)
        elif kind == "table":
            self.state.fill_in({name: cell.value for name, cell in self.cells.items()})
        else:
            self.state.write(self.text.value)

    def _drawn(self, change: Any) -> None:
        if change["new"]:
            self.state.draw(self.pad.png)

    def _uploaded(self, change: Any) -> None:
        for one in change["new"]:
            self.state.upload(bytes(one["content"]))

    def _set_white(self, change: Any) -> None:
        self.state.white = change["new"]

    def _show_white(self, change: Any) -> None:
        self.white.value = change["new"]

    def _show_inputs(self, _: Any = None) -> None:
        kind = self.state.kind
        self.takes.value = f'<p class="agiwb-note">Takes {escape(self.state.takes)}</p>'
        if kind == "image":
            children = [row(self.pad, ipw.VBox([self.file, self.white]))]
        elif kind == "table":
            self.cells = {
                name: ipw.Text(description=name, style=_STYLE, layout=_WIDTH)
                for name in self.state.columns
            }
            children = list(self.cells.values())
        else:
            self.text.placeholder = "A text" if kind == "text" else "Numbers, by commas or blanks"
            children = [self.text]
        self.inputs.children = children

    def _show_answer(self, _: Any = None) -> None:
        answer = self.state.answer
        self.why.disabled = answer is None or self.state.kind not in {"image", "text"}
        if answer is None:
            self.answer.value = self.curl.value = ""
            return
        ranked = answer.ranked(self.state.classes)
        name, value = ranked[0]
        if self.state.classes:
            words = f"Answer: <b>{escape(name)}</b>, with {value:.1%}"
            shown = bars(ranked[:_MOST_BARS], "Probabilities")
        else:
            words = ", ".join(f"{escape(name)}: <b>{value:.6g}</b>" for name, value in ranked[:10])
            shown = ""
        self.answer.value = (
            f'<p role="status">{words}, after {answer.milliseconds:.1f} ms.</p>{shown}'
        )
        curl = answer.curl
        if len(curl) > _LONGEST_CURL:
            curl = f"{curl[:_LONGEST_CURL]} ... ({len(curl):,} characters)"
        self.curl.value = (
            f"<details><summary>The same call by curl</summary><pre>{escape(curl)}</pre></details>"
        )

    def _show_explanation(self, change: Any) -> None:
        shown = change["new"]
        self.explanation.value = f"<figure>{shown}</figure>" if shown else ""
