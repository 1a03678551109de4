"""The Serve panel: start and stop servers, try one, watch it, and try another version on it."""

from __future__ import annotations

from html import escape
from typing import Any, get_args

import ipywidgets as ipw

from agiwb.artifacts.manifest import ServedFormat
from widgets.menu import Menu
from widgets.selection import Selection
from widgets.serve.rollout import TrafficState
from widgets.serve.servers import ServersState
from widgets.serve.traffic_view import TrafficView, tiles_html
from widgets.serve.trial import TrialState
from widgets.serve.trial_view import TrialView
from widgets.static import StaticFallback, is_batch
from widgets.style import style_sheet
from widgets.wording import problem_line, row, status_line

_STYLE = {"description_width": "9rem"}
_WIDTH = {"width": "min(100%, 32rem)"}
_HEADS = ("id", "state", "model", "version", "address", "pid", "started")


class ServePanel(StaticFallback, ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """Servers of the workspace: each outlives this kernel, and can be stopped from any other."""

    def __init__(self, selection: Selection | None = None) -> None:
        self.state = ServersState(selection)
        self.trial, self.traffic = TrialState(self.state), TrafficState(self.state)
        self.model = ipw.Text(
            description="Model", placeholder="latest", continuous_update=False, style=_STYLE,
            layout=_WIDTH,
        )  # fmt: skip
        self.format = Menu(description="Format", style=_STYLE, layout=_WIDTH)
        self.start = ipw.Button(description="Start", button_style="primary")
        self.stop = ipw.Button(description="Stop", button_style="danger", disabled=True)
        self.chosen = Menu(description="Server", style=_STYLE, layout=_WIDTH)
        self.list, self.tiles, self.words = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.body = ipw.VBox()
        self._views: list[ipw.Widget] = []
        self.start.on_click(lambda _: self.state.start(self.model.value, self.format.value))
        self.stop.on_click(lambda _: self.state.stop())
        self.chosen.on_choice(self._choose)
        self.model.observe(self._offer_formats, "value")
        self.state.selection.observe(self._take_selection, ["model", "artifact"])
        self.state.observe(self._show_list, ["servers", "chosen"])
        self.state.observe(self._show_state, ["state", "problem"])
        self.state.observe(self._show_figures, ["figures", "state"])
        super().__init__(
            [style_sheet(), ipw.HTML("<h2>Servers</h2>"), row(self.model, self.format),
             row(self.start, self.stop), status_line(self.state, "busy"),
             problem_line(self.state), self.chosen, self.list, self.words, self.tiles, self.body]
        )  # fmt: skip
        self.add_class("agiwb")
        self._take_selection()
        self._show_list()
        self._show_state()
        self._offer_formats()
        if not is_batch():
            self.state.follow()

    def static_html(self) -> str:
        """Return the servers and the last answer, for a page without a kernel."""
        return self._list_html() + tiles_html(self.state.figures) + self.trial_html()

    def trial_html(self) -> str:
        """Return the last answer."""
        return "".join(view.static_html() for view in self._views)

    def _take_selection(self, _: Any = None) -> None:
        chosen = self.state.selection
        if reference := chosen.artifact or chosen.model:
            self.model.value = reference

    def _offer_formats(self, _: Any = None) -> None:
        """Offer what was made first, and choose of it: of the rest no server can be started yet."""
        found: tuple[str, ...] = ()
        with self.state.showing_errors():
            found = self.state.formats_made(self.model.value)
        made = [kind for kind in found if kind in get_args(ServedFormat)]
        missing = [kind for kind in get_args(ServedFormat) if kind not in found]
        options = [(kind, kind) for kind in made]
        options += [(f"{kind} (not made yet)", kind) for kind in missing]
        self.format.fill(options, *made, self.format.value, *missing)

    def _choose(self, chosen: str) -> None:
        self.state.chosen = chosen or None

    def _show_list(self, _: Any = None) -> None:
        options = [
            (f"{one['id']}, {one['model']}, {one['state']}", one["id"])
            for one in self.state.servers
        ] or [("none yet", "")]
        self.chosen.fill(options, self.state.chosen or "")
        shown = self._list_html()
        if self.list.value != shown:
            self.list.value = shown

    def _list_html(self) -> str:
        if not self.state.servers:
            return '<p class="agiwb-soft">No server runs in this workspace.</p>'
        head = "".join(f"<th>{name}</th>" for name in _HEADS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(one[name]))}</td>" for name in _HEADS) + "</tr>"
            for one in self.state.servers
        )
        return f'<div class="agiwb-scroll"><table><tr>{head}</tr>{rows}</table></div>'

    def _show_state(self, _: Any = None) -> None:
        state = self.state.state
        self.stop.disabled = not state
        self.stop.description = "Take off the list" if state == "ended" else "Stop"
        words = {"starting": "The server is starting.", "ended": "This server has ended:"}
        text, log = words.get(state, ""), escape(self.state.problem)
        self.words.value = f'<p role="status">{text}</p>' + (f"<pre>{log}</pre>" if log else "")
        running = state == "running"
        if running and not self._views:  # made when first needed
            self._views = [TrialView(self.trial), TrafficView(self.traffic)]
        self.body.children = self._views if running else []

    def _show_figures(self, _: Any = None) -> None:
        running = self.state.state == "running"
        self.tiles.value = tiles_html(self.state.figures) if running else ""
