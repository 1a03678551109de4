"""The limits of the choice as numbers: exact, and for those who do not drag."""

from __future__ import annotations

from typing import Any

import ipywidgets as ipw

from widgets.tradeoff.state import TradeoffState

_STYLE = {"description_width": "14rem"}
_LAYOUT = {"width": "min(100%, 22rem)"}
_EMPTY_IS_NONE = "no limit"


class LimitBoxes(ipw.Box):  # type: ignore[misc]  # ipywidgets is untyped
    """A box for each limit, and a button that sets them back to the sweep's own."""

    def __init__(self, state: TradeoffState) -> None:
        self._state = state
        self.drop = ipw.BoundedFloatText(
            description="Points of accuracy to lose", min=0, max=100, step=0.1,
            style=_STYLE, layout=_LAYOUT,
        )  # fmt: skip
        self.size = _text("Most bytes after gzip")
        self.latency = _text("Most of the baseline's time")
        self.restore = ipw.Button(description="Limits of the sweep")
        super().__init__([self.drop, self.size, self.latency, self.restore])
        self.add_class("agiwb-row")
        self._show()
        self.drop.observe(self._enter_drop, "value")
        self.size.observe(self._enter_size, "value")
        self.latency.observe(self._enter_latency, "value")
        self.restore.on_click(lambda _: state.restore_limits())
        state.observe(self._show, ["accuracy_drop", "gzip_bytes", "latency_ratio"])

    def _enter_drop(self, change: Any) -> None:
        drop = round(change["new"] / 100, 6)
        if drop != self._state.accuracy_drop:
            self._state.accuracy_drop = drop

    def _enter_size(self, change: Any) -> None:
        text = change["new"].replace(",", "").replace("_", "").strip()
        if not text or (text.isdecimal() and int(text) > 0):
            self._state.gzip_bytes = int(text) if text else None
        else:
            self._show()

    def _enter_latency(self, change: Any) -> None:
        text = change["new"].strip()
        try:
            ratio = float(text) if text else None
        except ValueError:
            ratio = -1.0
        if ratio is None or 0 < ratio < float("inf"):
            self._state.latency_ratio = ratio
        else:
            self._show()

    def _show(self, _: Any = None) -> None:
        state = self._state
        self.drop.value = round(100 * state.accuracy_drop, 4)
        self.size.value = "" if state.gzip_bytes is None else f"{state.gzip_bytes}"
        self.latency.value = "" if state.latency_ratio is None else f"{state.latency_ratio:g}"


def _text(label: str) -> ipw.Text:
    return ipw.Text(
        description=label, placeholder=_EMPTY_IS_NONE, continuous_update=False,
        style=_STYLE, layout=_LAYOUT,
    )  # fmt: skip
