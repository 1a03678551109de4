"""Serving a model on this machine: from Python, and in the foreground for the command line."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, get_args

from pydantic import Field, model_validator

from agiwb.artifacts.any_format import OneArtifactConfig, with_own_format
from agiwb.artifacts.manifest import SERVED_NAME, ServedFormat, check_served_name
from agiwb.errors import ConfigError, InputError, ServingError, did_you_mean
from agiwb.runs.files import write_atomic
from agiwb.runs.store import open_store, require_writable
from agiwb.serving.address import is_loopback, listen
from agiwb.serving.client_needs import needs_of_clients
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.launch import start_server, stop_server
from agiwb.serving.settings import (
    OPERATOR_KEY,
    ListenSettings,
    RunSettings,
    ServerSettings,
    VersionSettings,
)
from agiwb.serving.versions import Version, choose_version
from agiwb.settings import Settings

_LOOK_S = 0.5
_LONGEST_EXAMPLE = 300
_OWN_FIELDS = frozenset({"model", "format", "log_predictions", "tune", "latency_budget_ms"})
"""The fields that a server process does not know."""

_AMONG_OURSELVES = {
    "host": "127.0.0.1",
    "api_keys_file": None,
    "jwt_file": None,
    "ssl_config_file": None,
}
"""Settings of servers that are only tried: the load comes from here, and so can all others."""


class ServeConfig(OneArtifactConfig, ListenSettings, RunSettings, VersionSettings):
    """What is served, and where."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, or an artifact's folder."
    )
    format: ServedFormat = Field(
        "onnx", description="Format of the artifact; the last two bring TensorFlow, in a process."
    )
    model_name: str | None = Field(
        None, pattern=SERVED_NAME, description="Name in the URL; by default the artifact's."
    )
    model_base_path: Path | None = Field(
        None,
        description="Serve the highest version in this folder of numbered versions instead; new "
        "ones are swapped in as they appear.",
    )
    model_config_file: Path | None = Field(
        None, description="Serve what TensorFlow Serving's ModelServerConfig lists instead."
    )
    log_predictions: bool = Field(True, description="Keep each prediction for monitoring.")
    tune: bool = Field(
        False, description="First try which batching answers most within the latency budget."
    )
    latency_budget_ms: float = Field(
        20.0, gt=0, description="Milliseconds that 99 of 100 requests may take; for tune."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.model_base_path is not None and self.model_config_file is not None:
            raise ValueError("Give `model_base_path` or `model_config_file`, not both.")
        if self.model_name is not None and self.model_config_file is not None:
            raise ValueError("`model_name` goes with one model; `model_config_file` has its own.")
        if self.log_policy is not None and not self.log_predictions:
            raise ValueError("`log_policy` says how to log, and `log_predictions` is off.")
        if self.tune and self.model_config_file is not None:
            raise ValueError("`tune` is for one model; give it as `model` or `model_base_path`.")
        if self.tune and (self.enable_batching or self.batching_parameters_file is not None):
            raise ValueError(
                "`tune` finds the batching parameters; leave out `enable_batching` and "
                "`batching_parameters_file`."
            )
        return self


def serve(config: ServeConfig) -> Endpoint:
    """Return the endpoint of a server that is ready to predict.

    The artifact is published as a version below ``<workspace>/serving/<model_name>/`` and served
    by a process of its own, which ends with this one. In a notebook prefer ``rest_api_port=0``.
    With ``tune`` servers with other batching are tried first, which is told on stderr.

    Raises:
        InputError: The port is taken, there is no such artifact, or clients need certificates of
            their own; nothing was published.
        WorkspaceError: The workspace cannot be written.
        ServingError: The server did not start, or no model of a model_config_file is available.
    """
    if needs_of_clients(config).own_certificate:
        raise InputError(
            "The server would verify its clients' certificates, and an endpoint has none.",
            "Serve it by `agiwb serve`, or leave out `client_verify` and have clients use keys.",
        )
    config = settled(config)
    return _start(config, *prepare(config))


def settled(config: ServeConfig) -> ServeConfig:
    """Return the config with the format of what is served, where the model itself tells it."""
    are_folders = config.model_base_path is not None or config.model_config_file is not None
    if are_folders or Path(str(config.model)).is_dir():  # which tell it without the history
        return config
    require_writable(Settings().workspace_path)
    return with_own_format(config, open_store())


def prepare(config: ServeConfig) -> tuple[str, ServerSettings]:
    """Return the log's name and the server's settings, once the model is published and tuned."""
    if config.rest_api_port:
        listen(config.host, config.rest_api_port).close()
    workspace = Settings().workspace_path
    require_writable(workspace)
    name, settings = _settings(config, workspace)
    return name, _tuned(config, name, settings) if config.tune else settings


def _tuned(config: ServeConfig, name: str, settings: ServerSettings) -> ServerSettings:
    from agiwb.serving.batching_choice import choose_batching

    logs = logs_folder()
    trials_log = logs / f"{name}.tuning.log"

    def start(trial: ServerSettings) -> Endpoint:
        trial = trial.model_copy(update=_AMONG_OURSELVES)
        process, ready = start_server(as_flags(trial), trials_log, slow=is_slow(config))
        return Endpoint(process, ready, trials_log)  # in the clear, and without keys

    return choose_batching(
        settings,
        config.latency_budget_ms,
        start=start,
        chosen_file=logs / f"{name}.batching.txt",
    )


def _start(config: ServeConfig, name: str, settings: ServerSettings) -> Endpoint:
    log_file = logs_folder() / f"{name}.log"
    operator_key = secrets.token_urlsafe(32)
    process, ready = start_server(
        as_flags(settings),
        log_file,
        environment={OPERATOR_KEY: operator_key},
        slow=is_slow(config),
    )
    if not ready.model_name:
        stop_server(process)
        raise ServingError(
            "None of the models answers by the usual signature.", f"The reasons are in {log_file}."
        )
    needs, certificate_file = needs_of_clients(config), None
    if needs.server_certificate:
        certificate_file = log_file.with_suffix(".crt")
        write_atomic(certificate_file, needs.server_certificate)
    workspace = Settings().workspace_path
    return Endpoint(
        process,
        ready,
        log_file,
        operator_key=operator_key,
        certificate_file=certificate_file,
        curl_options=needs.curl_options(certificate_file),
        find_version=lambda reference, wanted: publish_model(
            reference, wanted or config.format, name, workspace
        ),
        drain_s=settings.drain_seconds,
    )


def run_server(config: ServeConfig) -> None:
    """Serve until interrupted or terminated; address, example and log are told on stderr.

    Raises:
        InputError: See ``serve``.
        ServingError: The server did not start, or ended by itself.
    """
    config = settled(config)
    prepared = prepare(config)  # which an interrupt ends at once
    with _stop_signals() as stopped, _start(config, *prepared) as endpoint:
        print(f"Serving {endpoint.url} (version {endpoint.version})", file=sys.stderr)
        if endpoint.grpc_address:
            print(
                f"gRPC at {endpoint.grpc_address}, metrics at {endpoint.address}/metrics",
                file=sys.stderr,
            )
        print(f"Try it:  {_example(endpoint)}", file=sys.stderr)
        if not is_loopback(config.host) and config.ssl_config_file is None:
            print("Warning: keys and data travel in the clear without TLS.", file=sys.stderr)
        print(f"Log: {endpoint.log_file}. Stop it with Ctrl-C.", file=sys.stderr, flush=True)
        told = endpoint.log_file.stat().st_size
        while not stopped.wait(_LOOK_S):
            told = _repeat_log(endpoint.log_file, told)
            if not endpoint.running:
                raise ServingError(
                    "The server ended by itself.", f"Its log is {endpoint.log_file}."
                )


def _repeat_log(log_file: Path, start: int) -> int:
    """Print what the server has logged since byte ``start``; return how far the log is told."""
    with log_file.open("rb") as log:
        log.seek(start)
        lines = log.read()
    sys.stderr.write(lines.decode("utf-8", "replace"))
    sys.stderr.flush()
    return start + len(lines)


def _example(endpoint: Endpoint) -> str:
    """Return a command that asks the server, or what it takes if that would fill the screen."""
    command = endpoint.curl()
    if len(command) <= _LONGEST_EXAMPLE:
        return command
    takes = ", ".join(str(spec) for spec in endpoint.signature.inputs)
    return f'POST {{"instances": [...]}} with {takes}'


def _settings(config: ServeConfig, workspace: Path) -> tuple[str, ServerSettings]:
    """Return the log's name and the server's settings; the artifact is published if need be."""
    known = config.model_dump(exclude_unset=True, exclude=set(_OWN_FIELDS))
    known["stop_with_stdin"] = True
    if config.log_predictions:
        known["log_folder"] = workspace / "predictions"
    if config.model_config_file is not None:
        return config.model_config_file.stem, ServerSettings.from_mapping(known)
    if config.model_base_path is not None:
        base_path = config.model_base_path.expanduser().resolve()
        choose_version(base_path)
        name = config.model_name or check_served_name(base_path.name)
    else:
        version = publish_model(config.model, config.format, config.model_name, workspace)
        base_path = version.folder.parent
        name = base_path.name
        known["model_version"] = version.number
    known |= {"model_name": name, "model_base_path": base_path}
    return name, ServerSettings.from_mapping(known)


def logs_folder() -> Path:
    """Return where the servers' logs lie."""
    return Settings().workspace_path / "serving" / ".logs"


def is_slow(config: ServeConfig) -> bool:
    """Return whether the server may bring TensorFlow along, whose start takes its time."""
    return config.format in {"saved_model", "keras"} or config.model_config_file is not None


def publish_model(reference: str, wanted: str, name: str | None, workspace: Path) -> Version:
    """Return the published version of the model ``reference`` in a format."""
    from agiwb.artifacts.resolve import resolve_artifact
    from agiwb.serving.publish import publish

    source = resolve_artifact(reference, _format(wanted), open_store())
    name = name or check_served_name(source.artifact.name)
    return publish(source, workspace / "serving" / name)


def _format(wanted: str) -> ServedFormat:
    for known in get_args(ServedFormat):
        if known == wanted:
            return known  # type: ignore[no-any-return]
    raise ConfigError(
        f"`format`: {wanted!r} is not served.", did_you_mean(wanted, get_args(ServedFormat))
    )


def as_flags(settings: ServerSettings) -> list[str]:
    """Return the command line that gives a server these settings."""
    words = []
    for name, value in settings.model_dump(mode="json", exclude_unset=True).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return words


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
