"""The trade-off on screen: two scatter plots, the limits, and the candidates looked at."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.compression.sweep import SweepRecord
from widgets.menu import Menu
from widgets.static import StaticFallback
from widgets.style import style_sheet
from widgets.tradeoff import marks
from widgets.tradeoff.detail import (
    PICTURES,
    figures_html,
    picture_html,
    recipe_html,
    still_html,
    verdict_html,
)
from widgets.tradeoff.limits import LimitBoxes
from widgets.tradeoff.scatter import Scatter
from widgets.tradeoff.state import TradeoffState
from widgets.wording import problem_line

_ACCURACY = "validation accuracy (%)"
_WIDE = 8
"""How many times the least latency the greatest must be to need a logarithmic axis."""
_HINT = (
    "Filled: on the front; square: what would be chosen; bars: 95 % intervals; the shaded band is "
    "too close to the baseline to call. Click a point to look at it, with Shift to compare it; "
    "drag a dashed line, or move it with the arrow keys, to see what would be chosen."
)


class TradeoffView(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A sweep's candidates: click on one, compare two, and move the limits of the choice."""

    children: tuple[ipw.Widget, ...]

    def __init__(self, state: TradeoffState | SweepRecord | None = None) -> None:
        given = isinstance(state, TradeoffState)
        self.state = state if isinstance(state, TradeoffState) else TradeoffState()
        self.size = Scatter(
            x_label="size after gzip (KiB)", y_label=_ACCURACY, x_unit=" KiB", x_log=True,
            x_steps=marks.KIB,
        )  # fmt: skip
        self.speed = Scatter(x_label="latency, ratio to the baseline's", y_label=_ACCURACY)
        self.plots = ipw.Box([self.size, self.speed])
        self.plots.layout = {"flex_flow": "row wrap", "width": "100%"}
        for plot in (self.size, self.speed):
            plot.layout = {"flex": "1 1 320px", "min_width": "0"}
        self.choice = ipw.HTML()
        self.limits = LimitBoxes(self.state)
        self.inspect, self.compare = _menu("Look at"), _menu("Compare with")
        self.picture = ipw.Dropdown(
            description="Picture",
            options=[("none", ""), *((name, name) for name in PICTURES)],
            style={"description_width": "8rem"},
            layout={"width": "min(100%, 26rem)"},
        )
        self.verdict, self.figures, self.drawing = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.figures.add_class("agiwb-scroll")
        self.problem = problem_line(self.state)
        hint = ipw.HTML(f'<p class="agiwb-soft">{_HINT}</p>')
        menus = ipw.Box([self.inspect, self.compare])
        menus.add_class("agiwb-row")
        super().__init__(
            [style_sheet(), self.plots, hint, self.limits, self.choice, self.problem, menus,
             self.verdict, self.figures, self.picture, self.drawing]
        )  # fmt: skip
        self.add_class("agiwb")
        self._link()
        if isinstance(state, SweepRecord):
            self.state.record = state
        elif given:
            self._show_record()

    def add_below_verdict(self, *widgets: ipw.Widget) -> None:
        """Put what is done with a candidate where it is told what it is worth."""
        shown = list(self.children)
        place = shown.index(self.verdict) + 1
        self.children = (*shown[:place], *widgets, *shown[place:])

    def static_html(self) -> str:
        """Return the trade-off as a picture and a table."""
        record = self.state.record
        return "<p>There is no sweep to show yet.</p>" if record is None else still_html(record)

    def _link(self) -> None:
        state = self.state
        for plot in (self.size, self.speed):
            plot.observe(lambda change: state.inspect(change["new"]), "inspected")
            plot.observe(lambda change: state.compare(change["new"]), "compared")
            plot.observe(self._move_accuracy, "y_limit")
            traitlets.dlink((state, "inspected"), (plot, "inspected"))
            traitlets.dlink((state, "compared"), (plot, "compared"))
        self.size.observe(self._move_size, "x_limit")
        self.speed.observe(self._move_latency, "x_limit")
        self.inspect.on_choice(state.inspect)
        self.compare.on_choice(state.compare)
        self.picture.observe(self._show_picture, "value")
        state.observe(self._show_record, "record")
        state.observe(self._show_limits, ["accuracy_drop", "gzip_bytes", "latency_ratio"])
        state.observe(self._show_choice, "choice")
        state.observe(self._show_candidates, ["inspected", "compared"])

    def _move_accuracy(self, change: Any) -> None:
        if change["new"] is not None and change["new"] != self._least_accuracy():
            self.state.allow_accuracy(change["new"] / 100)

    def _move_size(self, change: Any) -> None:
        kib = change["new"]
        limit = None if kib is None else max(1, round(kib * marks.KIB))
        if limit != self.state.gzip_bytes:
            self.state.gzip_bytes = limit

    def _move_latency(self, change: Any) -> None:
        ratio = None if change["new"] is None else round(change["new"], 3)
        if ratio != self.state.latency_ratio:
            self.state.latency_ratio = ratio

    def _least_accuracy(self) -> float | None:
        baseline = self.state.baseline_accuracy
        return None if baseline is None else round(100 * (baseline - self.state.accuracy_drop), 4)

    def _show_record(self, _: Any = None) -> None:
        record = self.state.record
        if record is None:
            return
        size, speed = marks.size_marks(record), marks.speed_marks(record)
        baseline = self.state.baseline_accuracy
        about = f"of {len(size)} forms of {record.model_name}"
        ratios = [mark[end] for mark in speed for end in ("x_low", "x_high")]
        wide = bool(ratios) and max(ratios) > _WIDE * min(ratios)
        shared = {"baseline": None if baseline is None else 100 * baseline}
        _show(self.size, marks=size, front=marks.size_front(record),
              label=f"Accuracy and size {about}", **shared)  # fmt: skip
        _show(self.speed, marks=speed, front=marks.speed_front(record), x_log=wide,
              band=[1 / record.latency_floor, record.latency_floor],
              label=f"Accuracy and latency {about}", **shared)  # fmt: skip
        self._show_limits()
        self._show_choice()
        self._show_candidates()

    def _show_limits(self, _: Any = None) -> None:
        size, least = self.state.gzip_bytes, self._least_accuracy()
        _show(self.size, y_limit=least, x_limit=None if size is None else size / marks.KIB)
        _show(self.speed, y_limit=least, x_limit=self.state.latency_ratio)

    def _show_choice(self, _: Any = None) -> None:
        choice = self.state.choice
        for plot in (self.size, self.speed):
            plot.chosen = choice.name or ""
        word = f"Would be chosen: {choice.name}." if choice.name else "None would be chosen."
        reason = escape(choice.reason.replace("`", ""))
        self.choice.value = f'<p role="status"><b>{escape(word)}</b> {reason}</p>' if reason else ""

    def _show_candidates(self, _: Any = None) -> None:
        state, record = self.state, self.state.record
        if record is None:
            return
        self._show_menus()
        if not state.inspected:
            self.verdict.value = self.figures.value = self.drawing.value = ""
            return
        self.verdict.value = verdict_html(record, state.inspected, state.compared)
        figures = figures_html(record, state.inspected, state.compared)
        self.figures.value = figures + recipe_html(record, state.inspected)
        self._show_picture()

    def _show_menus(self) -> None:
        names = [("none", ""), *((name, name) for name in self.state.names)]
        self.inspect.fill(names, self.state.inspected)
        self.compare.fill(names, self.state.compared)

    def _show_picture(self, _: Any = None) -> None:
        record, what = self.state.record, self.picture.value
        shown = record is not None and what and self.state.inspected
        self.drawing.value = ""
        if shown:
            with self.state.showing_errors():
                self.drawing.value = picture_html(record, self.state.inspected, what)


def _menu(label: str) -> Menu:
    return Menu(
        description=label, options=[("none", "")], style={"description_width": "8rem"},
        layout={"width": "min(100%, 26rem)"},
    )  # fmt: skip


def _show(widget: traitlets.HasTraits, **values: Any) -> None:
    """Set traits that differ: each one set is a message to the browser."""
    for name, value in values.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)
