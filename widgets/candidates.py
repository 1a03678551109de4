"""A sweep's candidates as they are made: a row for each, and a point for what is known so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as ipw

from agiwb.compression.trials.told import Told, read_told
from widgets.job import JobState
from widgets.live import LiveEvents
from widgets.tradeoff.scatter import Scatter

_KIB = 1024


class CandidateRows(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Which candidates are made, which failed and why, and which are still to come."""

    def __init__(self) -> None:
        self.live = LiveEvents()
        self.rows = ipw.HTML()
        self.rows.add_class("agiwb-scroll")
        self.plot = Scatter(
            label="Candidates made so far", x_label="size after gzip (KiB)", x_unit=" KiB",
            y_label="validation accuracy (%)", x_log=True, movable=False,
        )  # fmt: skip
        self._expected: Sequence[str] = ()
        self._job: JobState | None = None
        super().__init__([self.rows, self.plot], layout={"display": "none"})
        self.live.observe(self._show, "events")

    def follow(self, job: JobState) -> None:
        """Show the candidates of this job until it has finished: then its record says more."""
        self._job, self._expected = job, tuple(job.config.get("recipes", ()))
        job.observe(self._show, "state")
        self.live.follow(job.id)
        self._show()

    def _show(self, _: Any = None) -> None:
        told = {one.recipe: one for one in read_told(self.live.events)}
        over = self._job is None or self._job.state == "finished"
        self.layout.display = "none" if over else ""
        self.rows.value = rows_html(self._expected, told)
        self.plot.marks = [mark for one in told.values() if (mark := _mark(one)) is not None]
        self.plot.layout.display = "" if self.plot.marks else "none"


def rows_html(expected: Sequence[str], told: Mapping[str, Told]) -> str:
    """Return a table with a row for each recipe that is expected or was told of."""
    rows = "".join(_row(name, told.get(name)) for name in dict.fromkeys([*expected, *told]))
    head = "<th>candidate</th><th>state</th><th>validation accuracy</th><th>after gzip</th>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(name: str, told: Told | None) -> str:
    if told is None:
        cells = ["to be made", "", ""]
    elif told.validation_accuracy is None or told.gzip_bytes is None:
        cells = [f"failed: {told.reason}", "", ""]
    else:
        cells = [
            "made", f"{told.validation_accuracy:.2%}", f"{told.gzip_bytes / _KIB:.1f} KiB"
        ]  # fmt: skip
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in [name, *cells]) + "</tr>"


def _mark(told: Told) -> dict[str, Any] | None:
    if told.validation_accuracy is None or not told.gzip_bytes:
        return None
    kib, percent = told.gzip_bytes / _KIB, 100 * told.validation_accuracy
    said = f"{told.recipe}: {percent:.1f}% of the validation split right, {kib:.1f} KiB after gzip"
    unknown = dict.fromkeys(("x_low", "x_high", "y_low", "y_high"))
    place = {"name": told.recipe, "x": kib, "y": percent, "front": False, "picks": []}
    return {**place, **unknown, "told": said}
