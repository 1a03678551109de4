"""A server put together from its settings: models, engine, gate, and what answers."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from agiwb.config import read_yaml
from agiwb.errors import InputError
from agiwb.serving.access.gate import ANY_CERTIFICATE, Gate, require_safe_bind
from agiwb.serving.access.identity import Scope
from agiwb.serving.access.keys import KeyRing
from agiwb.serving.access.rate import RateLimiter
from agiwb.serving.access.tls import TlsConfig, read_ssl_config
from agiwb.serving.batching import BatchingParameters, read_batching_parameters
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.metrics.request_log import RequestLog
from agiwb.serving.metrics.traces import open_traces
from agiwb.serving.prediction_log.log import PredictionLog
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.prediction_log.upkeep import Upkeep
from agiwb.serving.protobuf.messages import parse_text
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rest.application import RestApplication
from agiwb.serving.rest.clouds import aliases
from agiwb.serving.rest.routes import Route
from agiwb.serving.rollout.guards import Broken
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig, State
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.models_config import ModelsFile, ModelsFileWatch
from agiwb.serving.servables.policy import Latest, Specific
from agiwb.serving.settings import ServerSettings
from agiwb.serving.versions import Version, choose_version
from agiwb.serving.workers.changes import FOLLOW_ROLLOUTS, SharedAdmin, SharedCatalogue

if TYPE_CHECKING:
    from agiwb.serving.workers.crew import Crew

_LONGEST_START_S = 120.0
_CERTIFIED: frozenset[Scope] = frozenset({"predict", "metrics"})


class Server:
    """Everything of a server but its sockets.

    Attributes:
        settings: What it was built from.
        engine: Predicts.
        gate: Knows who may ask.
        tls: Keys and certificates for both ports; None for none.
        application: Answers HTTP.
    """

    def __init__(
        self, settings: ServerSettings, operator_key: str = "", crew: Crew | None = None
    ) -> None:
        """Build what the settings say; nothing is loaded before ``start``.

        Args:
            settings: The server's.
            operator_key: Opens the admin routes to who started the server.
            crew: The other workers if this process is one of several.

        Raises:
            InputError: A file of the settings is wrong, or other machines could ask without
                authentication.
        """
        self.settings = settings
        self._crew = crew
        self.tls = read_ssl_config(settings.ssl_config_file) if settings.ssl_config_file else None
        self.gate = _open_gate(settings, self.tls)
        require_safe_bind(settings.host, self.gate, insecure=settings.insecure)
        self._metrics = Metrics()
        self._log = _open_log(settings)
        self._upkeep: Upkeep | None = None
        if self._log is not None and settings.log_folder is not None:
            self._metrics.follow(self._log)
            self._upkeep = Upkeep(settings.log_folder, self._log.policy)
        self._request_log = _open_request_log(settings)
        make_catalogue = Catalogue if crew is None else partial(SharedCatalogue, crew)
        self._catalogue = make_catalogue(
            self._load,
            poll_s=settings.file_system_poll_wait_seconds,
            retries=settings.max_num_load_retries,
            retry_wait_s=settings.load_retry_interval_micros / 1e6,
            always_present=settings.servable_versions_always_present,
            allow_labels_for_unavailable=settings.allow_version_labels_for_unavailable_models,
            on_change=self._note_change,
            admissions=crew,
        )
        # Every worker does by itself what it was started with: not to be shared with the others.
        configure = partial(Catalogue.configure, self._catalogue)
        self._rollout = Rollout(
            self._catalogue, on_rollback=self._note_rollback, on_compared=self._note_compared
        )
        self.engine = Engine(
            self._catalogue,
            metrics=self._metrics,
            rollout=self._rollout,
            log=self._log,
            request_log=self._request_log,
            traces=open_traces("agiwb", settings.trace_endpoint)
            if settings.trace_endpoint
            else None,
            batching=_read_batching(settings),
        )
        models_file: ModelsFile | None = None
        self._models_watch: ModelsFileWatch | None = None
        if settings.model_config_file is None:
            configure([_only_model(settings)])
        else:
            models_file = ModelsFile(settings.model_config_file)
            self._models_watch = ModelsFileWatch(
                models_file,
                configure,
                settings.model_config_file_poll_wait_seconds,
            )
            self._models_watch.start()
        make_admin = Admin if crew is None else partial(SharedAdmin, crew)
        admin = make_admin(
            self._catalogue, self._rollout, root=settings.models_root, models_file=models_file
        )
        self.application = RestApplication(
            self.engine,
            self.gate,
            timeout_s=settings.rest_api_timeout_in_ms / 1000,
            traced=settings.trace_endpoint is not None,
            admin=admin if settings.admin or operator_key else None,
            operator_key=operator_key,
            aliases={**aliases(os.environ), **_monitoring_path(settings)},
            sum_metrics=None if crew is None else crew.summed_metrics,
        )

    def start(self) -> None:
        """Load the models; return once each has a version available, or cannot have one.

        Raises:
            InputError: The one model of ``model_base_path`` cannot be loaded; the reason is told.
                With a ``model_config_file``, the others are served.
            ServingError: The other workers answer with what this one cannot load.
        """
        if self._crew is not None:
            self._crew.start(self.engine)
        self._catalogue.start()
        ready = self._catalogue.wait_until_ready(_LONGEST_START_S)
        self._rollout.start()
        if not ready and self.settings.model_config_file is None:
            raise InputError(self._why_not(self.first_model))
        if self._log is not None:
            self._check_rules(self._log.policy)
        if self._upkeep is not None and (self._crew is None or self._crew.index == 0):
            self._upkeep.start()
        if self._crew is not None:
            self._crew.join()

    def stop(self) -> None:
        """End every thread; requests that were taken are answered."""
        if self._models_watch is not None:
            self._models_watch.stop()
        if self._upkeep is not None:
            self._upkeep.stop()
        self._rollout.stop()
        self._catalogue.stop()
        self.engine.close()
        for log in (self._log, self._request_log):
            if log is not None:
                log.close()

    @property
    def first_model(self) -> str:
        """The name of the first model; "" if there is none."""
        models = self._catalogue.models()
        return models[0].name if models else ""

    def _load(self, name: str, version: Version) -> Prepared:
        start = time.perf_counter()
        try:
            prepared = _load(name, version, self.settings)
        except BaseException:
            self._metrics.loaded(name, "error", time.perf_counter() - start)
            raise
        self._metrics.loaded(name, "ok", time.perf_counter() - start)
        return prepared

    def _note_change(self, name: str, version: int, state: State) -> None:
        self._metrics.version_state(name, version, state)
        self._rollout.versions_changed()

    def _note_rollback(self, model: str, broken: Broken) -> None:
        self._metrics.rolled_back(model, broken.guard)
        if self._crew is not None:
            self._crew.hint(FOLLOW_ROLLOUTS)

    def _note_compared(self, model: str, version: int, rows: int, disagreeing: int) -> None:
        self._metrics.shadow_compared(model, version, disagreeing, rows)

    def _check_rules(self, policy: LogPolicy) -> None:
        """Raise ConfigError for a rule about a tensor that no model has: it would hide nothing."""
        if not policy.redact:
            return
        inputs: dict[str, set[str]] = {}
        outputs: dict[str, set[str]] = {}
        for model in self._catalogue.models():
            if not self._catalogue.available(model.name):
                continue
            with self._catalogue.lease(ModelSpec(model.name)) as version:
                signatures = [one.signature for one in version.servable.signatures.values()]
            inputs[model.name] = {spec.name for one in signatures for spec in one.inputs}
            outputs[model.name] = {spec.name for one in signatures for spec in one.outputs}
        policy.check(inputs, outputs)

    def _why_not(self, name: str) -> str:
        reasons = [one.message for one in self._catalogue.status(ModelSpec(name)) if one.message]
        return reasons[0] if reasons else f"The model {name} was not loaded in time."


def _load(name: str, version: Version, settings: ServerSettings) -> Prepared:
    iterations = settings.num_request_iterations_for_warmup if settings.enable_model_warmup else 0
    servable = load_servable(name, version, settings.threads, warm_up_iterations=iterations)
    try:
        return Prepared(servable)
    except BaseException:
        servable.close()
        raise


def _only_model(settings: ServerSettings) -> ModelConfig:
    assert settings.model_base_path is not None  # noqa: S101  the settings check it
    base_path = settings.model_base_path.expanduser().resolve()
    version = settings.model_version
    choose_version(base_path, version)
    policy = Latest() if version is None else Specific((version,))
    return ModelConfig(settings.model_name or base_path.name, base_path, policy)


def _open_gate(settings: ServerSettings, tls: TlsConfig | None) -> Gate:
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
    )


def _open_log(settings: ServerSettings) -> PredictionLog | None:
    if settings.log_folder is None:
        return None
    policy = LogPolicy.from_mapping(read_yaml(settings.log_policy)) if settings.log_policy else None
    return PredictionLog(settings.log_folder, policy=policy)


def _open_request_log(settings: ServerSettings) -> RequestLog | None:
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


def _monitoring_path(settings: ServerSettings) -> dict[tuple[str, str], Route]:
    """Return where a MonitoringConfig wants TensorFlow Serving's metrics."""
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
    return {("GET", wanted.path): Route("tensorflow_metrics")} if wanted.path else {}


def _read_batching(settings: ServerSettings) -> BatchingParameters | None:
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
