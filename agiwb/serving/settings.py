"""How a server is set up: what it serves, where it listens, who may ask, and what it keeps.

The names are TensorFlow Serving's flags where it has them, so that its command lines work here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from agiwb.artifacts.manifest import SERVED_NAME
from agiwb.config import Config

OPERATOR_KEY = "AGIWB_OPERATOR_KEY"
"""Environment variable with the key that opens ``/admin/`` to who started the server."""

DEFAULT_GRPC_PORT = 8500
MAX_BODY_BYTES = 64 << 20


class ListenSettings(Config):
    """Where a server listens, and who may ask."""

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on; other than this machine's own needs keys or tokens.",
    )
    rest_api_port: int = Field(
        8501, ge=0, le=65_535, description="Port for HTTP; 0 takes a free one."
    )
    port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description=f"Port for gRPC; by default {DEFAULT_GRPC_PORT}, or a free one where "
        "rest_api_port is 0.",
    )
    grpc: bool = Field(True, description="Answer gRPC too.")
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that share both ports; each has its share of max_concurrency and of "
        "the rates of keys.",
    )
    api_keys_file: Path | None = Field(
        None, description="Keys that clients must show; made by `agiwb keys add`."
    )
    jwt_file: Path | None = Field(
        None, description="YAML with issuer, audience, algorithms and key of accepted tokens."
    )
    ssl_config_file: Path | None = Field(
        None, description="TensorFlow Serving's SSLConfig; here for both ports."
    )
    insecure: bool = Field(False, description="Serve other machines without authentication.")
    admin: bool = Field(
        False, description="Let clients with the scope `admin` load, label, promote and roll back."
    )
    rest_api_timeout_in_ms: int = Field(
        30_000,
        ge=1,
        description="Milliseconds after which an HTTP request is answered with 504; gRPC calls "
        "bring deadlines of their own.",
    )
    max_body_bytes: int = Field(MAX_BODY_BYTES, ge=1, description="Longest request, in bytes.")
    max_concurrency: int = Field(
        1024,
        ge=1,
        description="Requests in flight, by HTTP and by gRPC each; beyond them clients get 503, "
        "by gRPC RESOURCE_EXHAUSTED.",
    )
    drain_seconds: float = Field(
        0,
        ge=0,
        le=600,
        description="Seconds that requests are still taken when the server is asked to stop; "
        "meanwhile its probes say that it is not ready, so that a load balancer sends no more.",
    )
    monitoring_config_file: Path | None = Field(
        None,
        description="TensorFlow Serving's MonitoringConfig, as text: one more path of its "
        "metrics, if it enables them.",
    )
    request_log: Path | None = Field(
        None, description="Append one JSON line for each request to this file; never the inputs."
    )
    trace_endpoint: str | None = Field(
        None, description="OpenTelemetry collector to send traces to; needs `agiwb[tracing]`."
    )

    @property
    def grpc_port(self) -> int | None:
        """The port gRPC is asked for on, 0 for a free one; None for no gRPC."""
        if not self.grpc:
            return None
        if self.port is None:
            return DEFAULT_GRPC_PORT if self.rest_api_port else 0
        return self.port


class RunSettings(Config):
    """How predictions are made and kept."""

    threads: int = Field(1, ge=1, le=256, description="Threads of one prediction.")
    enable_batching: bool = Field(
        False, description="Gather requests into batches by a queue; see the batching parameters."
    )
    batching_parameters_file: Path | None = Field(
        None, description="TensorFlow Serving's batching parameters, as text; with enable_batching."
    )
    log_policy: Path | None = Field(
        None, description="YAML on what of a prediction is logged, how safely, and for how long."
    )


class VersionSettings(Config):
    """How versions are found, loaded and kept."""

    require_signature: Path | None = Field(
        None, description="Public key; versions that its owner has not signed are not loaded."
    )
    models_root: Path | None = Field(
        None, description="Folder that models added later must be in; by default none may be."
    )
    model_config_file_poll_wait_seconds: float = Field(
        0, ge=0, description="Seconds between looks at model_config_file; 0 looks once."
    )
    file_system_poll_wait_seconds: float = Field(
        1, gt=0, description="Seconds between looks for new versions."
    )
    max_num_load_retries: int = Field(5, ge=0, description="Times a failed load is tried again.")
    load_retry_interval_micros: int = Field(
        60_000_000, ge=0, description="Microseconds between the tries."
    )
    servable_versions_always_present: bool = Field(
        False, description="Keep the last version when its folder is gone."
    )
    fleet_folder: Path | None = Field(
        None,
        description="Folder that several servers of the same models share: a new version answers "
        "in all of them from one moment on. Their clocks must agree.",
    )
    preserve_resources: bool = Field(
        False,
        description="Unload a version before the next is loaded, where memory holds one only; the "
        "model does not answer meanwhile.",
    )
    allow_version_labels_for_unavailable_models: bool = Field(
        False, description="Let a new label name a version that is not loaded yet."
    )
    enable_model_warmup: bool = Field(
        True, description="Run the requests recorded in a version's assets.extra before it answers."
    )
    num_request_iterations_for_warmup: int = Field(
        1, ge=1, description="Times each recorded request runs."
    )


class ServerSettings(ListenSettings, RunSettings, VersionSettings):
    """Everything a server process is told."""

    model_name: str | None = Field(None, pattern=SERVED_NAME, description="Name in the URL.")
    model_base_path: Path | None = Field(
        None, description="Folder of numbered versions; the highest is served."
    )
    model_version: int | None = Field(
        None, ge=0, description="Serve this version, whatever else appears."
    )
    model_config_file: Path | None = Field(
        None, description="TensorFlow Serving's ModelServerConfig, as text: several models."
    )
    log_folder: Path | None = Field(
        None, description="Folder of the prediction log; by default predictions are not logged."
    )
    stop_with_stdin: bool = Field(False, description="Stop when stdin closes.")

    @model_validator(mode="after")
    def _some_model(self) -> Self:
        if (self.model_base_path is None) == (self.model_config_file is None):
            raise ValueError("Give `model_base_path`, or else `model_config_file`.")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        for name in ("model_name", "model_version"):
            if self.model_config_file is not None and getattr(self, name) is not None:
                raise ValueError(f"`{name}` goes with `model_base_path`; the file has its own.")
        if self.log_policy is not None and self.log_folder is None:
            raise ValueError("`log_policy` says how to log; give `log_folder`, or leave it out.")
        return self

    @model_validator(mode="after")
    def _a_fleet_keeps_what_answers(self) -> Self:
        if self.fleet_folder is not None and self.preserve_resources:
            raise ValueError(
                "`fleet_folder` keeps a version until all servers have the next, which "
                "`preserve_resources` unloads first; leave out one of them."
            )
        return self
