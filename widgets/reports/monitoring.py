"""The report on a model's traffic, for a stretch of time, a version and a slice."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import ipywidgets as ipw
import traitlets

from agiwb.errors import InputError, NotFoundError
from agiwb.history.entries import read_history
from agiwb.history.records import finished, record_of
from agiwb.monitoring.config import unix_time
from agiwb.monitoring.dashboard import (
    Asked,
    Offered,
    read_dashboard,
    what_is_offered,
)
from agiwb.monitoring.log import logged_models
from agiwb.monitoring.monitor import MonitorRecord
from agiwb.reporting.monitoring_report import monitoring_sections
from widgets.guard import guarded
from widgets.reports.frame import Report, ReportState, about_html, menu, page_html

_STRETCHES = {
    "Last hour": 3600,
    "Last 24 hours": 86_400,
    "Last 7 days": 7 * 86_400,
    "Last 30 days": 30 * 86_400,
    "All": None,
}
_BETWEEN = "Between two times"
_ALL = "All"
_LONGEST_TIME = 40


class MonitoringState(ReportState):
    """A served model, and the stretch of its log that is shown."""

    step = "monitor"
    nothing = "No predictions have been logged in this workspace yet: `agiwb serve` logs them."

    stretch = traitlets.Unicode("Last 24 hours")
    since = traitlets.Unicode("", help="First time, ISO 8601; counts for _BETWEEN only")
    until = traitlets.Unicode("", help="Last time, written alike; empty for now")
    versions: traitlets.List[str] = traitlets.List()
    version = traitlets.Unicode(_ALL)
    slices: traitlets.List[str] = traitlets.List()
    slice_name = traitlets.Unicode(_ALL)

    def __init__(self) -> None:
        super().__init__()
        self._offered: Offered | None = None

    def offered(self) -> list[tuple[str, str]]:
        """Return the names under which predictions were logged."""
        self.history = read_history()
        return [(name, name) for name in logged_models()]

    def show(self, chosen: str) -> None:
        """Show a model's log; version and slice stay if it has them too."""
        self._offered = found = what_is_offered(chosen)
        self.versions = [_ALL, *map(str, found.versions)]
        self.slices = [_ALL, *found.slices]
        self.version = self.version if self.version in self.versions else _ALL
        self.slice_name = self.slice_name if self.slice_name in self.slices else _ALL
        self._draw()

    @guarded
    def ask(self, **wanted: Any) -> None:
        """Show another stretch, version or slice; what is not offered changes nothing.

        Args:
            wanted: ``stretch``, ``since``, ``until``, ``version`` or ``slice_name``.

        Raises:
            InputError: A time cannot be read.
        """
        offered = {
            "stretch": [*_STRETCHES, _BETWEEN],
            "version": self.versions,
            "slice_name": self.slices,
        }
        changed = False
        for name, value in wanted.items():
            before = getattr(self, name, None)
            if name in offered and value in offered[name]:
                setattr(self, name, value)
            elif name in {"since", "until"} and isinstance(value, str):
                setattr(self, name, value[:_LONGEST_TIME].strip())
            changed |= before != getattr(self, name, None)
        if changed:
            self._draw()

    def _draw(self) -> None:
        if self._offered is None:
            return
        start, end = self._between(self._offered)
        asked = Asked(
            start,
            end,
            None if self.version == _ALL else int(self.version),
            "" if self.slice_name == _ALL else self.slice_name,
        )
        found = read_dashboard(self.selected, asked)
        judged = self._judged(asked)
        self.about = about_html(
            datetime.fromtimestamp(min(found.until, end, time.time()), UTC),
            next((one.run.provenance.inputs["artifact"] for one in judged), None),
            f"{self.selected}, from {_moment(start)} to {_moment(end)} UTC, all times in UTC.",
        )
        self.page = page_html(monitoring_sections(found, judged))

    def _between(self, offered: Offered) -> tuple[float, float]:
        if self.stretch != _BETWEEN:
            length = _STRETCHES[self.stretch]
            # Nothing may have been asked for a while: the last stretch of what there is.
            end = min(time.time(), offered.last)
            return (offered.first if length is None else end - length), end
        try:
            start = unix_time(self.since or None, offered.first)
            end = unix_time(self.until or None, time.time())
        except (ValueError, OverflowError) as error:
            raise InputError(str(error), "") from None
        if start >= end:
            raise InputError("The first time is not before the last.", "Exchange the two.")
        return start, end

    def _judged(self, asked: Asked) -> list[MonitorRecord]:
        """Return the judgements on windows that meet the stretch, newest first."""
        found = []
        for entry in finished("monitor", self.history):
            try:
                record = cast("MonitorRecord", record_of(entry))
            except NotFoundError:  # of another version of agiwb
                continue
            meets = (
                record.window_start.timestamp() <= asked.end
                and record.window_end.timestamp() >= asked.start
            )
            of_version = asked.version is None or (
                asked.version in record.versions and record.config.version in {None, asked.version}
            )
            if record.model_name == self.selected and meets and of_version:
                found.append(record)
        return found


class MonitoringReport(Report):
    """What a served model is asked, how that differs, and how well it does."""

    state: MonitoringState

    def __init__(self, state: MonitoringState | None = None) -> None:
        state = state or MonitoringState()
        self.stretch, self.version, self.slice_menu = menu("Time"), menu("Version"), menu("Slice")
        self.since, self.until = (
            ipw.Text(
                description=label, placeholder="2026-11-22 18:30", continuous_update=False,
                style={"description_width": "7rem"}, layout={"width": "20rem"},
            )
            for label in ("From (UTC)", "To (UTC)")
        )  # fmt: skip
        self.times = ipw.HBox([self.since, self.until])
        self.times.add_class("agiwb-row")
        super().__init__(state)
        self.menu.description = "Model"
        self.controls.children = [
            self.menu, self.stretch, self.times, self.version, self.slice_menu
        ]  # fmt: skip
        state.observe(self._fill_menus, ["stretch", "versions", "version", "slices", "slice_name"])
        self._fill_menus()
        self.stretch.on_choice(lambda chosen: state.ask(stretch=chosen))
        self.version.on_choice(lambda chosen: state.ask(version=chosen))
        self.slice_menu.on_choice(lambda chosen: state.ask(slice_name=chosen))
        self.since.observe(lambda change: state.ask(since=change["new"]), "value")
        self.until.observe(lambda change: state.ask(until=change["new"]), "value")

    def _fill_menus(self, _: Any = None) -> None:
        state = self.state
        stretches = [*_STRETCHES, _BETWEEN]
        self.stretch.fill([(one, one) for one in stretches], state.stretch)
        self.version.fill([(one, one) for one in state.versions], state.version)
        self.slice_menu.fill([(one, one) for one in state.slices], state.slice_name)
        self.times.layout.display = "" if state.stretch == _BETWEEN else "none"
        self.slice_menu.layout.display = "" if len(state.slices) > 1 else "none"


def _moment(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
