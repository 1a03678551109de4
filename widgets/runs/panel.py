"""The Runs panel: a list with filters, and what can be done with the run chosen."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw

from agiwb.history.entries import HistoryEntry
from agiwb.runs.record import ENDED
from agiwb.runs.registry import STEPS
from widgets.job import JobList, JobView
from widgets.matrix import MatrixPanel
from widgets.menu import ListBox, Menu
from widgets.runs.state import RunsState
from widgets.selection import Selection
from widgets.static import StaticFallback, is_batch
from widgets.style import style_sheet
from widgets.wording import brief, problem_line, row, status_line, table

_STYLE = {"description_width": "7rem"}
_NARROW = {"width": "min(100%, 15.5rem)"}
_WIDE = {"width": "min(100%, 48rem)"}
_STATES = ("running", "queued", *ENDED)
_ROWS = 10
_NEED_A_RUN = (
    "Lineage", "Run again and compare", "Pin", "Keep the note",
    "Select for the other panels", "Delete",
)  # fmt: skip
_MOST_STATIC = 30
_HINT = '<p class="agiwb-soft">Choose a run of the list: then there is more to see and do.</p>'


class RunsPanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """The history of the workspace, and notebooks run with many parameters."""

    def __init__(self, selection: Selection | None = None) -> None:
        self.state = RunsState()
        self.selection = selection or Selection()
        self.step = ipw.Dropdown(
            description="Step", options=[("all", ""), *((name, name) for name in sorted(STEPS))],
            style=_STYLE, layout=_NARROW,
        )  # fmt: skip
        self.of_state = ipw.Dropdown(
            description="State", options=[("all", ""), *((name, name) for name in _STATES)],
            style=_STYLE, layout=_NARROW,
        )  # fmt: skip
        self.text = ipw.Text(
            description="Words", placeholder="title or note", style=_STYLE, layout=_NARROW
        )
        self.list = ListBox(description="Run", rows=_ROWS, style=_STYLE, layout=_WIDE)
        self.other = Menu(description="Compare with", style=_STYLE, layout=_WIDE)
        self.note = ipw.Text(description="Note", style=_STYLE, layout=_WIDE)
        self.buttons = {
            "Compare": lambda: self.state.compare(self.other.value or None),
            "Lineage": self.state.trace,
            "Run again and compare": self.state.reproduce,
            "Pin": self.state.pin,
            "Keep the note": lambda: self.state.write_note(self.note.value),
            "Select for the other panels": self._select,
            "Delete": self.state.delete,
            "Undo the deletion": self.state.restore,
            "MLflow and TensorBoard": self.state.give_addresses,
        }
        self.controls: dict[str, ipw.Button] = {}
        for name, action in self.buttons.items():
            style = "danger" if name == "Delete" else ""
            button = ipw.Button(description=name, button_style=style, layout={"width": "auto"})
            button.on_click(lambda _, action=action: action())
            self.controls[name] = button
        self.facts, self.comparison, self.lineage = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.addresses, self.job = ipw.HTML(), ipw.VBox()
        self.matrix = MatrixPanel(self.selection)
        self.step.observe(lambda change: self._filter("step", change["new"] or None), "value")
        self.of_state.observe(lambda change: self._filter("state", change["new"] or None), "value")
        self.text.observe(lambda change: self._filter("text", change["new"]), "value")
        self.list.on_choice(self._choose)
        self.state.observe(self._show_list, ["entries", "chosen"])
        self.state.observe(self._show_note, "chosen")
        self.state.observe(self._show_undo, "undo")
        self.state.observe(self._show_job, "job")
        for name in ("comparison", "lineage", "addresses"):
            self.state.observe(self._show_html, name)
        super().__init__(
            [style_sheet(), row(self.step, self.of_state, self.text), self.list, self.facts,
             self.other, self.note, row(*self.controls.values()),
             status_line(self.state, "busy", "told"), problem_line(self.state), self.job,
             self.addresses, self.comparison, self.lineage, ipw.HTML("<h2>Jobs</h2>"), JobList(),
             ipw.HTML("<h2>A matrix of notebooks</h2>"), self.matrix]
        )  # fmt: skip
        self.add_class("agiwb")
        self._show_list()
        self._show_undo()
        if not is_batch():
            self.state.follow()

    def static_html(self) -> str:
        """Return the newest runs and what was compared, for a page without a kernel."""
        heads = ("run", "step", "state", "started", "what", "figures")
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(entry)) + "</tr>"
            for entry in self.state.entries[:_MOST_STATIC]
        )
        head = "".join(f"<th>{name}</th>" for name in heads)
        found = f"<table><tr>{head}</tr>{rows}</table>"
        return f"{found}{self.state.comparison}{self.state.lineage}"

    def _filter(self, name: str, value: Any) -> None:
        setattr(self.state, name, value)

    def _choose(self, chosen: str | None) -> None:
        self.state.chosen = chosen

    def _select(self) -> None:
        if (chosen := self.state.chosen) is not None:
            self.selection.model = chosen[:8]
            self.state.told = f"Selected the model of run {chosen[:8]}."

    def _show_list(self, _: Any = None) -> None:
        """Show the runs; what has been compared stays on screen while others come and go."""
        entries, chosen = self.state.entries, self.state.chosen
        self.list.fill([(_line(entry), entry.id) for entry in entries], chosen)
        entry = next((one for one in entries if one.id == chosen), None)
        self.facts.value = table(_facts(entry)) if entry is not None else _HINT
        others = [
            (_line(one), one.id)
            for one in self.state.all_of_step(entry.step if entry is not None else None)
            if one.id != chosen
        ] or [("nothing", "")]
        self.other.fill(others, self.other.value, others[0][1])
        for name in _NEED_A_RUN:
            self.controls[name].disabled = entry is None
        is_pinned = entry is not None and entry.mark.pinned
        self.controls["Pin"].description = "Unpin" if is_pinned else "Pin"
        self.controls["Compare"].disabled = entry is None or not self.other.value

    def _show_note(self, _: Any = None) -> None:
        """Show the note of the run that is chosen now; what is typed stays until then."""
        chosen = self.state.chosen
        entry = next((one for one in self.state.entries if one.id == chosen), None)
        self.note.value = entry.mark.note if entry is not None else ""

    def _show_undo(self, _: Any = None) -> None:
        self.controls["Undo the deletion"].disabled = self.state.undo is None

    def _show_job(self, change: Any) -> None:
        self.job.children = [JobView(change["new"])] if change["new"] else []

    def _show_html(self, change: Any) -> None:
        getattr(self, change["name"]).value = change["new"]


def _line(entry: HistoryEntry) -> str:
    pinned = "pinned, " if entry.mark.pinned else ""
    return f"{pinned}{' · '.join(cell for cell in _cells(entry) if cell)}"


def _cells(entry: HistoryEntry) -> tuple[str, ...]:
    figures = [
        f"{name} {value:.4g}" for name, value in entry.metrics.items() if name.startswith("test_")
    ]
    started = f"{entry.started_at.astimezone():%Y-%m-%d %H:%M}"
    shown = ", ".join(figures[:2])
    return entry.id[:8], entry.step, entry.state, started, brief(entry.title), shown


def _facts(entry: HistoryEntry) -> dict[str, str]:
    facts = {
        "run": entry.id,
        "seconds": "" if entry.duration_s is None else f"{entry.duration_s:.1f}",
        "figures": ", ".join(f"{name} {value:.6g}" for name, value in entry.metrics.items()),
        "from": ", ".join(f"{name} {run[:8]}" for name, run in entry.parents.items()),
        "note": entry.mark.note,
        "error": entry.error or "",
    }
    return {name: text for name, text in facts.items() if text}
