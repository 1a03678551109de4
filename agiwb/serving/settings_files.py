"""What the files hold that a server's settings name, opened once at its start."""

from __future__ import annotations

from agiwb.config import read_yaml
from agiwb.errors import InputError
from agiwb.serving.access.gate import ANY_CERTIFICATE, Gate
from agiwb.serving.access.identity import Scope
from agiwb.serving.access.keys import KeyRing
from agiwb.serving.access.rate import RateLimiter
from agiwb.serving.access.tls import TlsConfig
from agiwb.serving.batching import BatchingParameters, read_batching_parameters
from agiwb.serving.metrics.request_log import RequestLog
from agiwb.serving.prediction_log.log import PredictionLog
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.protobuf.messages import parse_text
from agiwb.serving.rest.routes import Route
from agiwb.serving.settings import ServerSettings

_CERTIFIED: frozenset[Scope] = frozenset({"predict", "metrics"})


def open_gate(settings: ServerSettings, tls: TlsConfig | None, operator_key: str) -> Gate:
    """Return what knows who may ask; raise ConfigError for a file that is not as it should be."""
    tokens = None
    if settings.jwt_file is not None:
        from agiwb.serving.access.token_file import read_token_rules
        from agiwb.serving.access.tokens import TokenVerifier

        tokens = TokenVerifier(read_token_rules(settings.jwt_file))
    keys = KeyRing(settings.api_keys_file) if settings.api_keys_file else None
    verified = tls is not None and tls.client_verify
    return Gate(
        keys=keys,
        tokens=tokens,
        # Without keys or tokens, mutual TLS is what tells clients apart from strangers.
        certificates={ANY_CERTIFICATE: _CERTIFIED} if verified and not (keys or tokens) else None,
        limiter=RateLimiter(share=1 / settings.workers) if settings.workers > 1 else None,
        operator_key=operator_key,
    )


def open_log(settings: ServerSettings) -> PredictionLog | None:
    """Return the prediction log, None without one; raise ConfigError for a wrong policy."""
    if settings.log_folder is None:
        return None
    policy = LogPolicy.from_mapping(read_yaml(settings.log_policy)) if settings.log_policy else None
    return PredictionLog(settings.log_folder, policy=policy)


def open_request_log(settings: ServerSettings) -> RequestLog | None:
    """Return the request log, None without one; raise InputError if it cannot be written."""
    if settings.request_log is None:
        return None
    try:
        stream = settings.request_log.open("ab", buffering=0)
    except OSError as error:
        raise InputError(
            f"The request log {settings.request_log} cannot be written: {error.strerror}.",
            "Give a file in a folder that exists.",
        ) from None
    return RequestLog(stream.write)


def monitoring_path(settings: ServerSettings) -> dict[tuple[str, str], Route]:
    """Return where a MonitoringConfig wants TensorFlow Serving's metrics, if it enables them.

    Raises:
        InputError: The file cannot be read, or is none.
    """
    path = settings.monitoring_config_file
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The monitoring configuration {path} cannot be read: {error}.",
            'Give a file such as `prometheus_config { enable: true, path: "/metrics/tfs" }`.',
        ) from None
    wanted = parse_text("MonitoringConfig", text, str(path)).prometheus_config
    if not (wanted.enable and wanted.path):
        return {}
    return {("GET", wanted.path): Route("tensorflow_metrics")}


def read_batching(settings: ServerSettings) -> BatchingParameters | None:
    """Return how requests wait for each other, None if they do not.

    Raises:
        InputError: The file is wrong, or there without ``enable_batching``.
    """
    if not settings.enable_batching:
        if settings.batching_parameters_file is not None:
            raise InputError(
                "batching_parameters_file is set without setting enable_batching to true.",
                "Add `--enable-batching`, or leave the file out.",
            )
        return None
    if settings.batching_parameters_file is None:
        return BatchingParameters()
    return read_batching_parameters(settings.batching_parameters_file)
