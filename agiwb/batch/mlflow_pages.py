"""MLflow's own pages on the workspace's history: started once, found again, on loopback."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from http import HTTPStatus
from pathlib import Path

import psutil

from agiwb.errors import ServingError
from agiwb.jobs.start import start_detached
from agiwb.runs.files import write_atomic
from agiwb.runs.tracking_address import tracking_address
from agiwb.settings import Settings

_START_S = 180.0
_LOOK_S = 0.3
_START_TIME_TOLERANCE_S = 1.0
_PAGES_ONLY = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def mlflow_address() -> str:
    """Return where MLflow's pages are, once they answer; they are started if need be.

    They go on when this process ends, until ``stop_mlflow``. A tracking server that
    AGIWB_TRACKING_URI names has pages of its own.

    Raises:
        ServingError: They did not start.
    """
    settings = Settings()
    workspace = settings.workspace_path
    history = tracking_address(settings.tracking_uri, workspace)
    if history.shown.startswith("http"):
        return history.shown
    if (address := _running(workspace)) is not None:
        return address[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    workspace.mkdir(parents=True, exist_ok=True)
    log = workspace / "mlflow-pages.log"
    with log.open("ab") as output:
        # Not among the words: whoever lists the processes could read a password there.
        environment = {**os.environ, **_PAGES_ONLY, "MLFLOW_BACKEND_STORE_URI": history.uri}
        pid = start_detached(words, workspace, environment, output=output.fileno())
    about = {
        "address": f"http://127.0.0.1:{port}",
        "pid": pid,
        "started_at": psutil.Process(pid).create_time(),
    }
    write_atomic(_file(workspace), json.dumps(about))
    _wait(port, pid, log)
    return str(about["address"])


def stop_mlflow() -> None:
    """End MLflow's pages, if they run."""
    workspace = Settings().workspace_path
    if (found := _running(workspace)) is not None:
        family = [found[1], *found[1].children(recursive=True)]
        for process in family:
            process.terminate()
        psutil.wait_procs(family, timeout=10)
    _file(workspace).unlink(missing_ok=True)


def _running(workspace: Path) -> tuple[str, psutil.Process] | None:
    try:
        about = json.loads(_file(workspace).read_bytes())
        process = psutil.Process(about["pid"])
        is_ours = abs(process.create_time() - about["started_at"]) < _START_TIME_TOLERANCE_S
    except (OSError, ValueError, psutil.Error):
        return None
    alive = is_ours and process.status() != psutil.STATUS_ZOMBIE
    return (about["address"], process) if alive else None


def _wait(port: int, pid: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and psutil.pid_exists(pid):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(_LOOK_S)
        finally:
            connection.close()
    stop_mlflow()
    raise ServingError("MLflow's pages did not start.", f"Their log is {log}.")


def _file(workspace: Path) -> Path:
    return workspace / ".mlflow-pages.json"
