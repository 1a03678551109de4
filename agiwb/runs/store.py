"""The store's contract: what keeps every run's config, record, metrics, files and lineage."""

from __future__ import annotations

import contextlib
import errno
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agiwb.config import Config
from agiwb.errors import WorkspaceError
from agiwb.runs.events import Console, Listener
from agiwb.runs.liveness import RunFolder
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import MetricPoint, Record, RunInfo, RunState, RunSummary
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.runs.shared_runs import SharedRuns


class RunStore(Protocol):
    """Keeps runs and registered models.

    Thread safety: every method may be called from any thread and from several processes.
    Atomicity: a run is ``finished`` only once its record and all its files are in place; a
    process killed before that leaves a run that ``close_lost`` marks as ``lost``.
    Distance: a run may start only while the history answers (else UnreachableError). What a run
    that was started writes is kept in the workspace while the history is away, and delivered in
    order by the next write or the next ``open_store``; ``behind`` says so.
    Ownership: the store keeps the history. What a run's folder says of its state is written by who
    carries the run (``execute``, a job's worker), and by ``close_lost`` for whoever is gone.
    """

    def start(
        self,
        step: str,
        config: Config,
        cache_key: str,
        provenance: Provenance,
        job: RunFolder | None = None,
    ) -> RunInfo: ...
    def reopen(self, run_id: str) -> RunInfo: ...
    def finish(self, record: Record) -> Record: ...
    def share(self, tell: Listener, stopped: Callable[[], bool] = lambda: False) -> None: ...
    def unshared(self) -> list[str]: ...
    def close(self, run_id: str, state: RunState, error: str = "") -> None: ...
    def discard(self, run_id: str) -> None: ...
    def delete(self, run_id: str) -> None: ...
    def restore(self, run_id: str) -> None: ...
    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None: ...
    def get(self, run_id: str) -> Record: ...
    def known(self, cache_key: str) -> Record | None: ...
    def know(self, cache_key: str, run_id: str) -> None: ...
    def find(self, step: str, **wanted: str) -> Iterator[Record]: ...
    def summaries(self, step: str | None = None) -> list[RunSummary]: ...
    def close_lost(self) -> list[RunSummary]: ...
    def behind(self) -> str: ...
    def folder(self, run_id: str) -> RunFolder: ...
    def register_model(self, name: str, record: Record) -> None: ...
    def newest_model(self) -> str | None: ...
    def registered_run(self, name: str, version: str | None = None) -> str: ...
    def registered_names(self) -> list[str]: ...
    def registered_versions(self, name: str) -> dict[int, str]: ...
    def set_alias(self, name: str, alias: str, version: int | None) -> None: ...
    def aliased_version(self, name: str, alias: str) -> str: ...


def open_store() -> RunStore:
    """Return the store of the workspace that the environment names; lost runs are marked."""
    from agiwb.runs.mlflow_store import MlflowStore

    settings = Settings()
    shared = _shared_runs(settings)
    store = MlflowStore(settings.workspace_path, settings.tracking_uri, shared)
    for run in store.close_lost():
        logging.getLogger("agiwb").warning(
            "Run %s (%s) was interrupted: its process is gone. It is marked as lost.",
            run.id[:8],
            run.step,
        )
    if shared is not None and shared.are_worth_a_try():
        with contextlib.closing(Console()) as console:
            store.share(console)
    return store


def _shared_runs(settings: Settings) -> SharedRuns | None:
    if settings.artifacts is None:
        return None
    from agiwb.runs.object_store import ObjectStore
    from agiwb.runs.shared_runs import SharedRuns

    store = ObjectStore(settings.artifacts.get_secret_value())
    return SharedRuns(settings.workspace_path, store)


def require_writable(workspace: Path) -> None:
    """Raise WorkspaceError unless files can be written into the workspace."""
    probe = workspace / f".write-{uuid.uuid4().hex}"
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise WorkspaceError(
            f"The workspace {workspace} cannot be written: {reason}.",
            "Set AGIWB_WORKSPACE to a folder you may write to.",
        ) from None
