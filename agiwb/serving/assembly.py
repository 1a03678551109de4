"""A server put together from its settings: models, engine, gate, and what answers."""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from agiwb.errors import InputError
from agiwb.serving.access.gate import require_safe_bind
from agiwb.serving.access.tls import read_ssl_config
from agiwb.serving.address import is_loopback
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.metrics.metrics import Metrics
from agiwb.serving.metrics.traces import open_traces
from agiwb.serving.prediction_log.rule_coverage import RuleCoverage
from agiwb.serving.prediction_log.upkeep import Upkeep
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rest.application import RestApplication
from agiwb.serving.rest.clouds import aliases
from agiwb.serving.rollout.guards import Broken
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.row_wise import Prepared
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig, State
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.model_changes import ModelChanges
from agiwb.serving.servables.models_config import ModelsFile, ModelsFileWatch
from agiwb.serving.servables.policy import (
    Latest,
    Specific,
    preserve_availability,
    preserve_resources,
)
from agiwb.serving.settings import ServerSettings
from agiwb.serving.settings_files import (
    monitoring_path,
    open_gate,
    open_log,
    open_request_log,
    read_batching,
)
from agiwb.serving.stop_limits import MODELS_S
from agiwb.serving.versions import Version, choose_version
from agiwb.serving.workers.changes import FOLLOW_ROLLOUTS, SharedAdmin, SharedCatalogue

if TYPE_CHECKING:
    from agiwb.serving.fleet.fleet import Fleet
    from agiwb.serving.workers.crew import Crew

_log = logging.getLogger("agiwb")

_LONGEST_START_S = 120.0


class Server:
    """Everything of a server but its sockets.

    Attributes:
        settings: What it was built from.
        engine: Predicts.
        gate: Knows who may ask.
        tls: Keys and certificates for both ports; None for none.
        application: Answers HTTP.
        changes: What clients may change of the models; None for nothing.
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
        self._stopping = threading.Event()
        self._beginning = threading.Lock()
        self._draining = False
        self._fleet: Fleet | None = None
        if settings.fleet_folder is not None:
            from agiwb.serving.fleet.fleet import Fleet  # most servers are alone

            self._fleet = Fleet(settings.fleet_folder.expanduser().resolve())
        self.tls = read_ssl_config(settings.ssl_config_file) if settings.ssl_config_file else None
        self.gate = open_gate(settings, self.tls, operator_key)
        require_safe_bind(settings.host, self.gate, insecure=settings.insecure)
        self._metrics = Metrics()
        self._log = open_log(settings)
        self._upkeep: Upkeep | None = None
        self._rules = RuleCoverage(self._log.policy) if self._log is not None else None
        if self._log is not None and settings.log_folder is not None:
            self._metrics.follow(self._log)
            self._upkeep = Upkeep(settings.log_folder, self._log.policy)
        self._request_log = open_request_log(settings)
        make_catalogue = Catalogue if crew is None else partial(SharedCatalogue, crew)
        self._catalogue = make_catalogue(
            self._load,
            poll_s=settings.file_system_poll_wait_seconds,
            retries=settings.max_num_load_retries,
            retry_wait_s=settings.load_retry_interval_micros / 1e6,
            always_present=settings.servable_versions_always_present,
            allow_labels_for_unavailable=settings.allow_version_labels_for_unavailable_models,
            on_change=self._note_change,
            rule=preserve_resources if settings.preserve_resources else preserve_availability,
            # Workers of a fleet's server are members as others are.
            admissions=self._fleet or crew,
        )
        # Every worker does by itself what it was started with: not to be shared with the others.
        configure = partial(Catalogue.configure, self._catalogue)
        self._rollout = Rollout(
            self._catalogue,
            on_rollback=self._note_rollback,
            on_compared=self._note_compared,
            lead_s=self._fleet.lead_s if self._fleet else 0.0,
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
            batching=read_batching(settings),
            hindrance=self._hindrance,
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
        changes = ModelChanges(self._catalogue, root=settings.models_root, models_file=models_file)
        self.changes = changes if settings.admin or operator_key else None
        self.application = RestApplication(
            self.engine,
            self.gate,
            timeout_s=settings.rest_api_timeout_in_ms / 1000,
            traced=settings.trace_endpoint is not None,
            own_machine_only=self.gate.is_open and is_loopback(settings.host),
            admin=make_admin(self.changes, self._rollout) if self.changes is not None else None,
            aliases={**aliases(os.environ), **monitoring_path(settings)},
            sum_metrics=None if crew is None else crew.summed_metrics,
        )

    def start(self) -> None:
        """Load the models; return once each has a version available, or cannot have one.

        Returns early once ``stop`` is called, which may be while it waits.

        Raises:
            InputError: The one model of ``model_base_path`` cannot be loaded; the reason is told.
                With a ``model_config_file``, the others are served. Or a rule of the log's policy
                would hide nothing.
            ServingError: The other workers, or the fleet, answer with what this one cannot load.
            WorkspaceError: The fleet's folder cannot be used.
        """
        if self._rules is not None:
            self._rules.check_models([model.name for model in self._catalogue.models()])
        if self._crew is not None:
            self._crew.start(self.engine)
        if self._fleet is not None:
            self._fleet.start(self._catalogue)
        self._catalogue.start()
        ready = self._catalogue.wait_until_ready(_LONGEST_START_S)
        with self._beginning:
            if self._stopping.is_set():
                return
            self._rollout.start()
            if not ready and self.settings.model_config_file is None:
                raise InputError(self._why_not(self._catalogue.models()[0].name))
            if ready and self._rules is not None:
                self._rules.check_all()
            if self._upkeep is not None and (self._crew is None or self._crew.index == 0):
                self._upkeep.start()
        if self._fleet is not None:
            self._fleet.join()
        if self._crew is not None:
            self._crew.join()

    def drain(self) -> None:
        """Have the probes say that the server is not ready, while requests are still answered."""
        self._draining = True

    def stop(self) -> None:
        """End every thread, once requests are neither taken nor answered any more.

        Stopping twice is fine.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._crew is not None:
            self._crew.leave()
        try:
            # First of all: what was acknowledged must be written even if a thread hangs below.
            for log in (self._log, self._request_log):
                if log is not None:
                    log.close()
        finally:
            self._end_threads()

    def _end_threads(self) -> None:
        with self._beginning:  # nothing is begun after this
            pass
        if self._fleet is not None:
            self._fleet.stop()
        if self._models_watch is not None:
            self._models_watch.stop()
        if self._upkeep is not None:
            self._upkeep.stop()
        self._rollout.stop()
        self._catalogue.stop(MODELS_S)
        self.engine.close()

    def _hindrance(self) -> str:
        if self._draining:
            return "It is about to stop."
        return self._fleet.hindrance() if self._fleet is not None else ""

    def _load(self, name: str, version: Version) -> Prepared:
        start = time.perf_counter()
        try:
            prepared = _load(name, version, self.settings, self._metrics)
            self._check_rules(name, prepared)
        except BaseException:
            self._metrics.loaded(name, "error", time.perf_counter() - start)
            raise
        self._metrics.loaded(name, "ok", time.perf_counter() - start)
        return prepared

    def _note_change(self, name: str, version: int, state: State) -> None:
        _log.info("Version %d of %s is %s.", version, name, state.name)
        self._metrics.version_state(name, version, state)
        self._rollout.versions_changed()

    def _note_rollback(self, model: str, broken: Broken) -> None:
        self._metrics.rolled_back(model, broken.guard)
        if self._crew is not None:
            self._crew.hint(FOLLOW_ROLLOUTS)

    def _note_compared(self, model: str, version: int, rows: int, disagreeing: int) -> None:
        self._metrics.shadow_compared(model, version, disagreeing, rows)

    def _check_rules(self, name: str, prepared: Prepared) -> None:
        """Close a version, and raise ConfigError, where not all would be hidden that is to be."""
        if self._rules is None:
            return
        signatures = [one.signature for one in prepared.signatures.values()]
        try:
            self._rules.check_version(name, signatures, alone=len(self._catalogue.models()) == 1)
        except BaseException:
            prepared.close()
            raise

    def _why_not(self, name: str) -> str:
        reasons = [one.message for one in self._catalogue.status(ModelSpec(name)) if one.message]
        return reasons[0] if reasons else f"The model {name} was not loaded in time."


def _load(name: str, version: Version, settings: ServerSettings, metrics: Metrics) -> Prepared:
    iterations = settings.num_request_iterations_for_warmup if settings.enable_model_warmup else 0
    servable = load_servable(
        name,
        version,
        settings.threads,
        public_key=settings.require_signature,
        warm_up_iterations=iterations,
        on_warmed=metrics.warmed,
    )
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
