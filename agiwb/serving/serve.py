"""Serving a model on this machine: from Python, and in the foreground for the command line."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from agiwb.artifacts.manifest import SERVED_NAME, check_served_name
from agiwb.config import Config
from agiwb.errors import ServingError
from agiwb.runs.store import open_store, require_writable
from agiwb.serving.address import is_loopback, listen
from agiwb.serving.endpoint import Endpoint, start_endpoint
from agiwb.serving.versions import Version, choose_version
from agiwb.settings import Settings

_LOOK_S = 0.5
_LONGEST_EXAMPLE = 500


class ServeConfig(Config):
    """What is served, and where."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, or an artifact's folder."
    )
    format: Literal["onnx", "litert"] = Field("onnx", description="Format of the artifact.")
    model_name: str | None = Field(
        None, pattern=SERVED_NAME, description="Name in the URL; by default the artifact's."
    )
    model_base_path: Path | None = Field(
        None,
        description="Serve the highest version in this folder of numbered versions instead.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; this machine's own only.")
    rest_api_port: int = Field(
        8501, ge=0, le=65_535, description="Port for HTTP; 0 takes a free one."
    )
    threads: int = Field(1, ge=1, le=256, description="Threads of one prediction.")
    log_predictions: bool = Field(True, description="Keep each prediction for monitoring.")

    @field_validator("host")
    @classmethod
    def _only_loopback(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError(
                f"{host} can be reached from other machines, and authentication comes with a "
                "later version. Serve on 127.0.0.1 until then."
            )
        return host


def serve(config: ServeConfig) -> Endpoint:
    """Return the endpoint of a server that is ready to predict.

    The artifact is published as a version below ``<workspace>/serving/<model_name>/`` and served
    by a process of its own, which ends with this one. In a notebook prefer ``rest_api_port=0``.

    Raises:
        InputError: The port is taken, or there is no such artifact; nothing was published.
        WorkspaceError: The workspace cannot be written.
        ServingError: The server did not start.
    """
    if config.rest_api_port:
        listen(config.host, config.rest_api_port).close()
    workspace = Settings().workspace_path
    require_writable(workspace)
    name, version = _find(config, workspace)
    flags = {
        "--model-name": name,
        "--model-base-path": version.folder.parent,
        "--model-version": version.number,
        "--host": config.host,
        "--rest-api-port": config.rest_api_port,
        "--threads": config.threads,
    }
    if config.log_predictions:
        flags["--log-folder"] = workspace / "predictions" / name
    words = [str(word) for pair in flags.items() for word in pair]
    return start_endpoint(words, workspace / "serving" / ".logs" / f"{name}.log")


def run_server(config: ServeConfig) -> None:
    """Serve until interrupted or terminated; address, example and log are told on stderr.

    Raises:
        InputError: See ``serve``.
        ServingError: The server did not start, or ended by itself.
    """
    with _stop_signals() as stopped, serve(config) as endpoint:
        print(f"Serving {endpoint.url} (version {endpoint.version})", file=sys.stderr)
        print(f"Try it:  {_example(endpoint)}", file=sys.stderr)
        print("Stop it with Ctrl-C.", file=sys.stderr, flush=True)
        while not stopped.wait(_LOOK_S):
            if not endpoint.running:
                raise ServingError(
                    "The server ended by itself.", f"Its log is {endpoint.log_file}."
                )


def _example(endpoint: Endpoint) -> str:
    """Return a command that asks the server, or what it takes if that would fill the screen."""
    command = endpoint.curl()
    if len(command) <= _LONGEST_EXAMPLE:
        return command
    takes = ", ".join(str(spec) for spec in endpoint.signature.inputs)
    return f'POST {{"instances": [...]}} with {takes}'


def _find(config: ServeConfig, workspace: Path) -> tuple[str, Version]:
    """Return the name and the version to serve, publishing the artifact if need be."""
    if config.model_base_path is not None:
        base_path = config.model_base_path.expanduser().resolve()
        return config.model_name or check_served_name(base_path.name), choose_version(base_path)
    return _publish(config, workspace)


def _publish(config: ServeConfig, workspace: Path) -> tuple[str, Version]:
    from agiwb.artifacts.resolve import resolve_artifact
    from agiwb.serving.publish import publish

    source = resolve_artifact(config.model, config.format, open_store())
    name = config.model_name or check_served_name(source.artifact.name)
    return name, publish(source, workspace / "serving" / name)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, where signals can be received at all."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    former = {
        number: signal.signal(number, lambda *_: stopped.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
