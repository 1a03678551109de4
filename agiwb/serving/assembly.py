"""A server put together from its settings: models, engine, gate, and what answers."""

from __future__ import annotations

import os
import time

from agiwb.config import read_yaml
from agiwb.errors import InputError
from agiwb.serving.access.gate import ANY_CERTIFICATE, Gate, require_safe_bind
from agiwb.serving.access.identity import Scope
from agiwb.serving.access.keys import KeyRing
from agiwb.serving.access.tls import TlsConfig, read_ssl_config
from agiwb.serving.batching import BatchingParameters, read_batching_parameters
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.prediction_log.log import PredictionLog
from agiwb.serving.prediction_log.policy import LogPolicy
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rest.application import RestApplication
from agiwb.serving.rest.clouds import aliases
from agiwb.serving.rollout.guards import Broken
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig, State
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.models_config import ModelsFile, ModelsFileWatch
from agiwb.serving.servables.policy import Latest, Specific
from agiwb.serving.settings import ServerSettings
from agiwb.serving.versions import Version, choose_version

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

    def __init__(self, settings: ServerSettings, operator_key: str = "") -> None:
        """Build what the settings say; nothing is loaded before ``start``.

        Raises:
            InputError: A file of the settings is wrong, or other machines could ask without
                authentication.
        """
        self.settings = settings
        self.tls = read_ssl_config(settings.ssl_config_file) if settings.ssl_config_file else None
        self.gate = _open_gate(settings, self.tls)
        require_safe_bind(settings.host, self.gate, insecure=settings.insecure)
        self._metrics = Metrics()
        self._log = _open_log(settings)
        if self._log is not None:
            self._metrics.follow(self._log)
        self._catalogue = Catalogue(
            self._load,
            poll_s=settings.file_system_poll_wait_seconds,
            retries=settings.max_num_load_retries,
            retry_wait_s=settings.load_retry_interval_micros / 1e6,
            always_present=settings.servable_versions_always_present,
            allow_labels_for_unavailable=settings.allow_version_labels_for_unavailable_models,
            on_change=self._note_change,
        )
        self._rollout = Rollout(
            self._catalogue, on_rollback=self._note_rollback, on_compared=self._note_compared
        )
        self.engine = Engine(
            self._catalogue,
            metrics=self._metrics,
            rollout=self._rollout,
            log=self._log,
            batching=_read_batching(settings),
        )
        self._models_file: ModelsFileWatch | None = None
        if settings.model_config_file is None:
            self._catalogue.configure([_only_model(settings)])
        else:
            self._models_file = ModelsFileWatch(
                ModelsFile(settings.model_config_file),
                self._catalogue.configure,
                settings.model_config_file_poll_wait_seconds,
            )
            self._models_file.start()
        admin = Admin(self._catalogue, self._rollout, root=settings.models_root)
        self.application = RestApplication(
            self.engine,
            self.gate,
            timeout_s=settings.rest_api_timeout_in_ms / 1000,
            admin=admin if settings.admin or operator_key else None,
            operator_key=operator_key,
            aliases=aliases(os.environ),
        )

    def start(self) -> None:
        """Load the models; return once each has a version available, or cannot have one.

        Raises:
            InputError: The one model of ``model_base_path`` cannot be loaded; the reason is told.
                With a ``model_config_file``, the others are served.
        """
        self._catalogue.start()
        ready = self._catalogue.wait_until_ready(_LONGEST_START_S)
        self._rollout.start()
        if not ready and self.settings.model_config_file is None:
            raise InputError(self._why_not(self.first_model))

    def stop(self) -> None:
        """End every thread; requests that were taken are answered."""
        if self._models_file is not None:
            self._models_file.stop()
        self._rollout.stop()
        self._catalogue.stop()
        self.engine.close()
        if self._log is not None:
            self._log.close()

    @property
    def first_model(self) -> str:
        """The name of the first model; "" if there is none."""
        models = self._catalogue.models()
        return models[0].name if models else ""

    def _load(self, name: str, version: Version) -> Prepared:
        start = time.perf_counter()
        try:
            prepared = _load(name, version, self.settings.threads)
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

    def _note_compared(self, model: str, version: int, rows: int, disagreeing: int) -> None:
        self._metrics.shadow_compared(model, version, disagreeing, rows)

    def _why_not(self, name: str) -> str:
        reasons = [one.message for one in self._catalogue.status(ModelSpec(name)) if one.message]
        return reasons[0] if reasons else f"The model {name} was not loaded in time."


def _load(name: str, version: Version, threads: int) -> Prepared:
    servable = load_servable(name, version, threads)
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
    )


def _open_log(settings: ServerSettings) -> PredictionLog | None:
    if settings.log_folder is None:
        return None
    policy = LogPolicy.from_mapping(read_yaml(settings.log_policy)) if settings.log_policy else None
    return PredictionLog(settings.log_folder, policy=policy)


def _read_batching(settings: ServerSettings) -> BatchingParameters | None:
    if not settings.enable_batching:
        return None
    if settings.batching_parameters_file is None:
        return BatchingParameters()
    return read_batching_parameters(settings.batching_parameters_file)
