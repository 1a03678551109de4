"""The panel that writes a model in other formats, each checked against the model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as ipw

from agiwb.compression.artifact_format import artifact_format
from agiwb.compression.recipe import parse_recipe
from agiwb.errors import ConfigError
from agiwb.runs.events import Event
from widgets.inspection import InspectionPanel
from widgets.job import JobState
from widgets.live import LiveEvents
from widgets.selection import Selection
from widgets.step_panel import StepPanel

_BASIC = ("model", "formats", "samples", "calibration_samples", "interface", "allow_divergence")

PRESETS: dict[str, dict[str, Any]] = {
    "For a server: ONNX and SavedModel": {"formats": ("onnx", "saved_model")},
    "For a small device: LiteRT in 8 bits": {"formats": ("litert", "litert_int8")},
    "Every number as it is": {
        "formats": ("keras", "h5", "saved_model", "frozen_pb", "onnx", "litert")
    },
}


class ConvertPanel(StepPanel):
    """The form of ``agiwb convert``, a line for each format as it is checked, and the matrix.

    A candidate of a sweep that is selected, ``<run>:<recipe>``, brings its own format with it.
    Below is the panel that looks inside a model.
    """

    children: tuple[ipw.Widget, ...]

    def __init__(self, selection: Selection | None = None) -> None:
        self.live = LiveEvents()
        self.lines = ipw.HTML()
        self.lines.add_class("agiwb-scroll")
        self._formats: Sequence[str] = ()
        super().__init__("convert", selection, verb="Convert", basic=_BASIC, presets=PRESETS)
        self.inspection = InspectionPanel(self.selection)
        shown = list(self.children)
        shown.insert(shown.index(self.result), self.lines)
        self.children = (*shown, ipw.HTML("<h2>Look inside a model</h2>"), self.inspection)
        self.live.observe(self._show_lines, "events")
        self.selection.observe(self._suggest_format, "model")
        self._suggest_format()
        if self.state.job is not None:
            self._follow(self.state.job)

    def _show_job(self, change: Any) -> None:
        if change["new"] is not None:
            self._follow(change["new"])
        super()._show_job(change)

    def _is_shown(self, message: str) -> bool:
        return bool(format_told(message, self._formats))

    def _follow(self, job: JobState) -> None:
        self._formats = tuple(job.config.get("formats", ()))
        self.live.follow(job.id)
        self._show_lines()

    def _show_lines(self, _: Any = None) -> None:
        self.lines.value = lines_html(self._formats, self.live.events)

    def _suggest_format(self, _: Any = None) -> None:
        wanted = format_of_candidate(self.selection.model or "")
        if wanted is not None:
            self.state.form.change({"formats": (wanted,)})


def format_of_candidate(reference: str) -> str | None:
    """Return the format of the candidate ``<run>:<recipe>``; None of any other model."""
    _, _, recipe = reference.partition(":")
    try:
        return artifact_format(parse_recipe(recipe)) if recipe else None
    except ConfigError:
        return None


def format_told(message: str, formats: Sequence[str]) -> str:
    """Return the format of ``formats`` that a conversion's message is about; "" for another."""
    name = message.partition(" ")[0].rstrip(":")
    return name if name in formats else ""


def lines_html(formats: Sequence[str], events: Sequence[Event]) -> str:
    """Return a row for each format: what its parity check found, once it has."""
    said: dict[str, str] = {}
    for event in events:
        if name := format_told(event.message, formats):
            said[name] = event.message.partition(" ")[2]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(said.get(name, "not yet"))}</td></tr>'
        for name in formats
    )
    return f"<table>{rows}</table>" if rows and said else ""
