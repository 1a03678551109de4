"""Servers that outlive whoever started them: listed, asked and stopped from any process.

Each has a folder below ``<workspace>/serving/.servers``. It says which process serves (by its id
*and* its start time, so that a recycled id is never mistaken for it) and what it said once it was
ready. No server is ever out of sight: whatever was started and is not stopped is in the list.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.errors import InputError, NotFoundError, ServingError
from agiwb.runs.files import write_atomic
from agiwb.runs.liveness import living_process
from agiwb.runs.store import require_writable
from agiwb.serving.address import Ready, listen
from agiwb.serving.client_needs import needs_of_clients
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.foreign_process import ForeignProcess
from agiwb.serving.launch import stop_server
from agiwb.serving.serve import ServeConfig, publish_model, settled
from agiwb.settings import Settings

ServerState = Literal["starting", "running", "ended"]

_LOOK_S = 0.1
_START_TIMEOUT_S = 180.0
_SHOWN_LINES = 12


class ServerProcessInfo(BaseModel):
    """Which process serves, and since when."""

    model_config = ConfigDict(frozen=True)

    pid: int
    process_started_at: float
    """Seconds since the epoch, as the operating system says."""
    host: str
    started_at: datetime


class ServerFolder:
    """The files of one detached server; mode 0700, for its operator's key is among them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.process = path / "process.json"
        self.ready = path / "ready.json"
        self.key = path / "operator.key"
        self.certificate = path / "server.crt"
        self.base_path = path / "base_path.txt"
        """Holds the folder of the numbered versions; none where several models are served."""
        self.log = path / "log.txt"


class DetachedServer:
    """A server of the workspace, as its folder shows it.

    Thread safety: all methods may be called from any thread and from several processes. Nothing
    is kept here but the folder: two of these, in two processes, see the same.
    """

    def __init__(self, folder: ServerFolder) -> None:
        self._folder = folder

    @property
    def id(self) -> str:
        """What it is called in the list."""
        return self._folder.path.name

    @property
    def state(self) -> ServerState:
        """``starting``, ``running``, or ``ended`` without having been stopped here."""
        if self.process() is None:
            return "ended"
        return "starting" if self.ready() is None else "running"

    @property
    def config(self) -> ServeConfig:
        """What it was started with."""
        return ServeConfig.from_mapping(json.loads(self._folder.config.read_text("utf-8")))

    @property
    def info(self) -> ServerProcessInfo:
        """Its process.

        Raises:
            NotFoundError: It was stopped, perhaps by another process.
        """
        try:
            return ServerProcessInfo.model_validate_json(self._folder.process.read_bytes())
        except (OSError, ValidationError):
            raise NotFoundError(
                f"The server {self.id} is not there any more.", "Start it again."
            ) from None

    def ready(self) -> Ready | None:
        """Return what the server said once it was ready; None before that."""
        try:
            return Ready.model_validate_json(self._folder.ready.read_bytes())
        except (OSError, ValidationError):  # half a line is none
            return None

    def process(self) -> psutil.Process | None:
        """Return its living process, or None if it is gone or another host's."""
        try:
            info = self.info
        except NotFoundError:
            return None
        if info.host != platform.node():
            return None
        return living_process(info.pid, info.process_started_at)

    def log(self, lines: int = _SHOWN_LINES) -> str:
        """Return the end of the server's log."""
        try:
            text = self._folder.log.read_text("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def model_folder(self) -> Path | None:
        """Return the folder with the artifact of the version served first, if there is one."""
        ready = self.ready()
        try:
            base_path = Path(self._folder.base_path.read_text("utf-8"))
        except OSError:
            return None
        if ready is None:
            return None
        names = (path for path in base_path.glob("*") if path.name.isdecimal())
        return next((path for path in names if int(path.name) == ready.version), None)

    def describe(self) -> dict[str, Any]:
        """Return what the list of servers says of it."""
        info, ready = self.info, self.ready() or Ready(address="")
        return {
            "id": self.id,
            "state": self.state,
            "model": ready.model_name or str(self.config.model),
            "version": ready.version,
            "address": ready.address,
            "pid": info.pid,
            "started": f"{info.started_at.astimezone():%Y-%m-%d %H:%M}",
        }

    def endpoint(self) -> Endpoint:
        """Return how to ask the server, load it and try other versions on it.

        Raises:
            ServingError: It is not running, or no model answers by the usual signature.
        """
        process, ready = self.process(), self.ready()
        if process is None or ready is None:
            raise ServingError(
                f"The server {self.id} is not running.", f"Its log is {self._folder.log}."
            )
        if not ready.model_name:
            raise ServingError(
                "None of the models answers by the usual signature.",
                f"The reasons are in {self._folder.log}.",
            )
        config, workspace = self.config, Settings().workspace_path
        certificate = self._folder.certificate if self._folder.certificate.is_file() else None
        return Endpoint(
            ForeignProcess(process),
            ready,
            self._folder.log,
            operator_key=self._folder.key.read_text("ascii"),
            certificate_file=certificate,
            curl_options=needs_of_clients(config).curl_options(certificate),
            find_version=lambda reference, wanted: publish_model(
                reference, wanted or settled(config).format, ready.model_name, workspace
            ),
            outlives=True,
        )

    def wait_until_ready(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Return once the server answers.

        Raises:
            ServingError: It ended, or is not ready after ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while (state := self.state) == "starting" and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if state != "running":
            raise ServingError(
                f"The server did not start: {self.log() or 'it said nothing.'}",
                f"Its log is {self._folder.log}.",
            )

    def stop(self) -> None:
        """Stop the server, if it still runs, and take it off the list.

        Requests it has taken are still answered. Stopping twice is fine.

        Raises:
            InputError: It runs on another host.
        """
        with contextlib.suppress(NotFoundError):
            if self.info.host != platform.node():
                raise InputError(
                    f"The server {self.id} was started on {self.info.host}.", "Stop it there."
                )
        if (process := self.process()) is not None:
            stop_server(ForeignProcess(process), self.config.drain_seconds)
        shutil.rmtree(self._folder.path, ignore_errors=True)


def serve_detached(config: ServeConfig) -> DetachedServer:
    """Return a server that was just started, and goes on when this process ends.

    It finds and publishes its model itself: see ``wait_until_ready``.

    Raises:
        InputError: The port is taken, or clients need certificates of their own.
        WorkspaceError: The workspace cannot be written.
    """
    needs = needs_of_clients(config)
    if needs.own_certificate:
        raise InputError(
            "The server would verify its clients' certificates, and an endpoint has none.",
            "Serve it by `agiwb serve`, or leave out `client_verify` and have clients use keys.",
        )
    if config.rest_api_port:
        listen(config.host, config.rest_api_port).close()
    workspace = Settings().workspace_path
    require_writable(workspace)
    folder = ServerFolder(_servers(workspace) / uuid.uuid4().hex[:8])
    folder.path.mkdir(parents=True, mode=0o700)
    write_atomic(folder.config, config.model_dump_json(exclude_unset=True))
    if needs.server_certificate:
        write_atomic(folder.certificate, needs.server_certificate)
    with os.fdopen(os.open(folder.key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as key:
        key.write(secrets.token_urlsafe(32))
    with folder.ready.open("ab") as said, folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agiwb.serving.detached_process", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "AGIWB_WORKSPACE": str(workspace)},
        )
    # Whoever has ended and was not waited for stays in the process table as long as we live.
    threading.Thread(target=process.wait, name="agiwb-reaper", daemon=True).start()
    started_at = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended, and is shown as such
        started_at = psutil.Process(process.pid).create_time()
    info = ServerProcessInfo(
        pid=process.pid,
        process_started_at=started_at,
        host=platform.node(),
        started_at=datetime.now(UTC),
    )
    write_atomic(folder.process, info.model_dump_json())
    return DetachedServer(folder)


def list_servers() -> list[DetachedServer]:
    """Return the workspace's detached servers that nobody has stopped, newest first."""
    found = _servers(Settings().workspace_path).glob("*/process.json")
    dated = [(path.stat().st_mtime, path.parent) for path in found]
    return [DetachedServer(ServerFolder(path)) for _, path in sorted(dated, reverse=True)]


def find_server(name: str) -> DetachedServer:
    """Return the server whose id begins with ``name``, or whose address that is.

    Raises:
        NotFoundError: There is none, or more than one.
    """
    servers = list_servers()
    found = [one for one in servers if name and one.id.startswith(name)]
    found = found or [one for one in servers if (it := one.ready()) and it.address == name]
    if len(found) != 1:
        raise NotFoundError(
            f"There are {len(found) or 'no'} servers {name!r}.",
            "`agiwb servers list` shows those there are.",
        )
    return found[0]


def _servers(workspace: Path) -> Path:
    return workspace / "serving" / ".servers"
