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
_CELL_STYLE = {"description_width": "11rem"}
_CELL = {"width": "min(100%, 21rem)"}
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
        self.example = ipw.Button(
            description="Take an example of the data", layout={"width": "auto"},
            tooltip="Ask about an example of the test split, drawn at random",
        )  # fmt: skip
        self.takes, self.inputs, self.taken = ipw.HTML(), ipw.VBox(), ipw.HTML()
        self.answer, self.explanation, self.curl = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.ask.on_click(lambda _: self._ask())
        self.example.on_click(lambda _: self.state.take_example())
        self.why.on_click(lambda _: self.state.explain())
        self.pad.observe(self._drawn, "picture")
        self.file.observe(self._uploaded, "value")
        self.white.observe(self._set_white, "value")
        state.observe(self._show_white, "white")
        state.observe(self._show_inputs, ["kind", "takes", "columns"])
        state.observe(self._show_example, ["example", "has_examples"])
        state.observe(self._show_busy, "busy")
        state.observe(self._show_answer, "answer")
        state.observe(self._show_explanation, "explanation")
        super().__init__(
            [ipw.HTML("<h2>Try it</h2>"), self.takes, self.inputs,
             row(self.ask, self.example, self.why), status_line(state, "busy"),
             problem_line(state), self.taken, self.answer, self.explanation, self.curl]
        )  # fmt: skip
        self._show_inputs()
        self._show_example()
        self._show_busy()

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
        takes = f"Takes {self.state.takes}"
        if kind == "table":
            takes = f"Takes {len(self.state.columns)} columns; leave empty what is not known."
        self.takes.value = f'<p class="agiwb-note">{escape(takes)}</p>'
        if kind == "image":
            children = [row(self.pad, ipw.VBox([self.file, self.white]))]
        elif kind == "table":
            self.cells = {
                name: ipw.Text(
                    description=name, tooltip=name, placeholder="unknown", style=_CELL_STYLE,
                    layout=_CELL,
                )
                for name in self.state.columns
            }  # fmt: skip
            children = [row(*self.cells.values())]
        else:
            self.text.placeholder = "A text" if kind == "text" else "Numbers, by commas or blanks"
            children = [self.text]
        self.inputs.children = children

    def _show_busy(self, _: Any = None) -> None:
        self.example.disabled = bool(self.state.busy)
        self.why.disabled = bool(self.state.busy) or not self._can_explain

    @property
    def _can_explain(self) -> bool:
        return self.state.answer is not None and self.state.can_explain

    def _show_example(self, _: Any = None) -> None:
        """Fill in what was taken from the data; an image, which nobody could draw, is shown."""
        self.example.layout.display = "" if self.state.has_examples else "none"
        example = self.state.example
        self.taken.value = ""
        if example is None:
            return
        if isinstance(example.entered, dict):
            for name, text in example.entered.items():
                self.cells[name].value = text
        elif example.entered is not None:
            self.text.value = example.entered
        else:
            from agiwb.reporting.examples import plot_examples

            title = example.truth or "what the model sees"
            image = plot_examples(example.row.squeeze()[None], [title], columns=1)
            self.taken.value = f"<figure>{image.html()}</figure>"

    def _show_answer(self, _: Any = None) -> None:
        answer = self.state.answer
        self.why.disabled = bool(self.state.busy) or not self._can_explain
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
        if not self.state.truth:
            self.taken.value = ""
        truth = f" The data set says {escape(self.state.truth)}." if self.state.truth else ""
        self.answer.value = (
            f'<p role="status">{words}, after {answer.milliseconds:.1f} ms.{truth}</p>{shown}'
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
