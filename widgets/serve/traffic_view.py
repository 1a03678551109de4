"""A running server's figures, its load test, and other versions on trial."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.serving.live import Figures
from widgets.serve.rollout import TrafficState
from widgets.serve.share import ShareSlider
from widgets.wording import problem_line, row, status_line

_STYLE = {"description_width": "9rem"}
_NARROW = {"width": "16rem"}
_PART = "margin: 0; float: none; width: auto"
"""JupyterLab gives each part of such a list a share of its width: words would break."""


def tiles_html(figures: Figures | None) -> str:
    """Return the last seconds of a server as tiles."""
    if figures is None:
        return ""

    def milliseconds(value: float | None) -> str:
        return "none" if value is None else f"{value:.2g} ms"

    versions = ", ".join(
        f"version {version} {state.lower()}" + (f" ({share:.0%})" if share is not None else "")
        for version, (state, share) in figures.versions.items()
    )
    apart = "no shadow" if figures.disagreement is None else f"{figures.disagreement:.1%}"
    tiles = {
        "Requests a second": f"{figures.requests_per_s:.1f}",
        "Median": milliseconds(figures.p50_ms),
        "99th percentile": milliseconds(figures.p99_ms),
        "Errors": f"{figures.errors:,} of {figures.requests:,}",
        "Versions": versions or "none",
        "Shadow disagrees": apart,
    }
    cells = "".join(
        '<div style="border: 1px solid var(--jp-border-color2, #d9dee7); border-radius: 4px; '
        f'padding: .3rem .7rem"><dt class="agiwb-soft" style="{_PART}">{name}</dt>'
        f'<dd style="{_PART}; font-weight: 600">{escape(text)}</dd></div>'
        for name, text in tiles.items()
    )
    return f'<dl style="display: flex; flex-wrap: wrap; gap: .5rem; margin: .4rem 0">{cells}</dl>'


class TrafficView(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Load test and rollout of the chosen server."""

    def __init__(self, state: TrafficState) -> None:
        self.state = state
        self.seconds = ipw.BoundedFloatText(
            value=3.0, min=0.5, max=60.0, description="Seconds", style=_STYLE, layout=_NARROW
        )
        self.clients = ipw.BoundedIntText(
            value=8, min=1, max=256, description="At once", style=_STYLE, layout=_NARROW
        )
        self.measure = ipw.Button(description="Test under load")
        self.version = ipw.Combobox(
            description="Other version", options=state.rivals, ensure_option=False,
            placeholder="a number, or a model that was converted to the same format", style=_STYLE,
            layout={"width": "min(100%, 32rem)"},
        )  # fmt: skip
        traitlets.dlink((state, "rivals"), (self.version, "options"))
        self.percent = ipw.BoundedFloatText(
            value=10.0, min=0.0, max=100.0, description="Share (%)", style=_STYLE, layout=_NARROW
        )
        self.slider = ShareSlider(label="Share, by slider")
        traitlets.link((self.percent, "value"), (self.slider, "value"))
        self.why = ipw.Text(
            description="Reason", placeholder="for the ledger", style=_STYLE,
            layout={"width": "min(100%, 32rem)"},
        )  # fmt: skip
        self.ungated = ipw.Checkbox(
            value=False, indent=False,
            description="Without the gate's consent (a reason is then needed)",
        )  # fmt: skip
        self.canary = ipw.Button(description="Set canary")
        self.shadow = ipw.Button(description="Set shadow")
        self.promote = ipw.Button(description="Promote")
        self.roll_back = ipw.Button(description="Roll back", button_style="danger")
        self.result, self.words = ipw.HTML(), ipw.HTML()
        self.measure.on_click(lambda _: state.measure(self.seconds.value, self.clients.value))
        self.canary.on_click(lambda _: state.canary(self.version.value, self.percent.value))
        self.shadow.on_click(lambda _: state.shadow(self.version.value, self.percent.value))
        self.promote.on_click(lambda _: state.promote(self.why.value, ungated=self.ungated.value))
        self.roll_back.on_click(lambda _: state.roll_back(self.why.value))
        state.observe(self._show_result, "load_test")
        state.observe(self._show_rollout, "rollout")
        super().__init__(
            [ipw.HTML("<h2>Under load</h2>"), row(self.seconds, self.clients, self.measure),
             self.result, ipw.HTML("<h2>Another version</h2>"), self.version,
             row(self.percent, self.slider), self.why, self.ungated,
             row(self.canary, self.shadow, self.promote, self.roll_back),
             status_line(state, "busy", "told"), problem_line(state), self.words]
        )  # fmt: skip
        self._show_rollout()

    def static_html(self) -> str:
        """Return the last load test and who answers, for a page without a kernel."""
        return f"{self.result.value}{self.words.value}"

    def _show_result(self, change: Any) -> None:
        if change["new"] is None:
            self.result.value = ""
            return
        from agiwb.reporting.serving import plot_load_test

        picture = plot_load_test(change["new"])
        self.result.value = f"<p>{escape(str(change['new']))}</p><figure>{picture.html()}</figure>"

    def _show_rollout(self, _: Any = None) -> None:
        rollout = self.state.rollout
        if not rollout:
            self.words.value = ""
            return
        from agiwb.reporting.serving import describe_shadow

        canary = rollout["canary"]
        parts = [f"Version {rollout['champion']} answers."]
        if canary is not None:
            parts.append(f"Version {canary['version']} is a canary with {canary['share']:.0%}.")
        parts.append(describe_shadow(rollout))
        self.words.value = f"<p>{escape(' '.join(parts))}</p>"
