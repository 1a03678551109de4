"""The servers of the workspace, and the one that is looked at: its state and its figures."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from pathlib import Path
from typing import Any, get_args

import traitlets

from agiwb.artifacts.manifest import ServedFormat, format_of, read_artifact
from agiwb.artifacts.resolve import artifact_beside
from agiwb.errors import AgiwbError, InputError, NotFoundError
from agiwb.history.entries import read_history
from agiwb.history.trail import formats_made, models_made
from agiwb.maintenance.endpoints import endpoint_of
from agiwb.serving.detached import DetachedServer, find_server, list_servers, serve_detached
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.live import Reading, figures, read_metrics
from agiwb.serving.serve import ServeConfig
from widgets.background import BusyState
from widgets.guard import guarded
from widgets.poller import watch
from widgets.selection import Selection

_LOOKS_A_READING = 3
_READINGS = 6
"""Figures are of about as many seconds."""


class ServersState(BusyState):
    """What ``agiwb servers list`` shows, and the server chosen of it.

    All is read from the servers' folders, so that it is the same in every kernel.
    """

    servers: traitlets.List[dict[str, Any]] = traitlets.List(help="Each as the list describes it")
    chosen = traitlets.Unicode(None, allow_none=True)
    state = traitlets.Unicode("", help="Of the chosen: starting, running, ended; empty for none")
    problem = traitlets.Unicode("", help="Why the chosen server has ended: the end of its log")
    figures = traitlets.Any(None, allow_none=True)

    def __init__(self, selection: Selection | None = None) -> None:
        super().__init__()
        self.selection = selection or Selection()
        self._lock = threading.RLock()
        self._endpoint: Endpoint | None = None
        self._readings: deque[Reading] = deque(maxlen=_READINGS)
        self._looks = 0
        self._selected: str | None = None
        self.look()

    @property
    def server(self) -> DetachedServer:
        """The chosen server.

        Raises:
            InputError: None is chosen.
        """
        if self.chosen is None:
            raise InputError("No server is chosen.", "Start one, or choose one of the list.")
        return find_server(self.chosen)

    @property
    def endpoint(self) -> Endpoint:
        """How to ask the chosen server.

        Raises:
            InputError: None is chosen.
            ServingError: It is not running.
        """
        with self._lock:
            if self._endpoint is None or not self._endpoint.running:
                self._endpoint = endpoint_of(self.server)
            return self._endpoint

    def follow(self) -> None:
        """Have the poller look from now on."""
        watch(self)

    def look(self) -> bool:
        """Bring the list, the state and now and then the figures up to date."""
        with self._lock:
            found = list_servers()
            self.servers = [one.describe() for one in found]
            ids = [one.id for one in found]
            if self.chosen not in ids:
                self.chosen = next(
                    (one["id"] for one in self.servers if one["state"] != "ended"), None
                )
            chosen = next((one for one in found if one.id == self.chosen), None)
            state = "" if chosen is None else chosen.state
            self.problem = chosen.log() if chosen is not None and state == "ended" else ""
            self._select(state == "running")
            self.state = state
            if state == "running" and self._looks % _LOOKS_A_READING == 0:
                self._read()
            self._looks += 1
            return True

    def _select(self, is_running: bool) -> None:
        """Have the chosen server selected while it runs, and none of ours after that."""
        addresses = {one["id"]: one["address"] for one in self.servers}
        address = addresses[self.chosen] if is_running else None
        if address != self._selected:
            self._selected = self.selection.endpoint = address

    def formats_made(self, reference: str) -> tuple[str, ...]:
        """Return the served formats that there are of a model; an artifact's own comes first."""
        if reference and (folder := Path(reference)).is_dir():
            with contextlib.suppress(NotFoundError):
                made = format_of(folder)
                others = [kind for kind in get_args(ServedFormat) if kind != made]
                return (made, *(kind for kind in others if artifact_beside(folder, kind)))
        return formats_made(reference, get_args(ServedFormat), read_history())

    def rivals(self) -> tuple[str, ...]:
        """Return the models that the chosen server could try: in the format that it serves."""
        folder = self.server.model_folder()
        if folder is None:
            return ()
        return tuple(models_made(read_artifact(folder).format, read_history()))

    @guarded
    def start(self, model: str, artifact_format: str) -> None:
        """Start a server on a free port of this machine only; it goes on without this kernel."""
        config = ServeConfig.from_mapping(
            {
                "model": model or "latest", "format": artifact_format, "rest_api_port": 0,
                "grpc": False,
            }
        )  # fmt: skip
        self.chosen = serve_detached(config).id
        self.look()

    @guarded
    def stop(self) -> None:
        """Stop the chosen server, or take one that has ended off the list."""
        server = self.server

        def work() -> None:
            server.stop()
            self.look()

        self.begin(f"stopping server {server.id}", work)

    @traitlets.observe("chosen")
    def _forget(self, _: Any) -> None:
        with self._lock:
            if self._endpoint is not None:
                self._endpoint.disconnect()
            self._endpoint, self.figures = None, None
            self._readings.clear()
            self.state = ""

    def _read(self) -> None:
        try:
            self._readings.append(read_metrics(self.endpoint.metrics()))
        except AgiwbError:  # it is being stopped; the next look says so
            return
        if len(self._readings) > 1:
            self.figures = figures(self._readings[0], self._readings[-1])
