"""The store: every run's config, record, metrics, files and lineage, kept by MLflow.

The contract is ``RunStore``; ``MlflowStore`` is its implementation on SQLite and a folder, or on
any MLflow server named by ``AGIWB_TRACKING_URI``. Two processes may share a workspace.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import ValidationError

from agiwb.config import Config
from agiwb.errors import AgiwbError, NotFoundError, WorkspaceError
from agiwb.runs.files import damaged_files, list_files, write_atomic
from agiwb.runs.liveness import RunFolder, is_alive
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import Record, RunInfo, RunState, RunSummary
from agiwb.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RECORD_FILE = "record.json"
_SHORTEST_ID = 6
_LISTED_RUNS = 1000
_MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class RunStore(Protocol):
    """Keeps runs and registered models.

    Thread safety: every method may be called from any thread and from several processes.
    Atomicity: a run is ``finished`` only once its record and all its files are in place; a
    process killed before that leaves a run that ``close_lost`` marks as ``lost``.
    """

    def start(
        self, step: str, config: Config, cache_key: str, provenance: Provenance
    ) -> RunInfo: ...
    def finish(self, record: Record) -> Record: ...
    def close(self, run_id: str, state: RunState, error: str = "") -> None: ...
    def discard(self, run_id: str) -> None: ...
    def log_metric(self, run_id: str, name: str, value: float, index: int) -> None: ...
    def get(self, run_id: str) -> Record: ...
    def find(self, step: str, **wanted: str) -> Iterator[Record]: ...
    def summaries(self, step: str | None = None) -> list[RunSummary]: ...
    def close_lost(self) -> list[RunSummary]: ...
    def folder(self, run_id: str) -> RunFolder: ...
    def register_model(self, name: str, record: Record) -> int: ...
    def registered_run(self, name: str, version: str | None = None) -> str: ...
    def registered_names(self) -> list[str]: ...


class MlflowStore:
    """The run store on MLflow; see RunStore for the contract."""

    def __init__(self, workspace: Path, tracking_uri: str | None = None) -> None:
        self.workspace = workspace
        self._client = _open_client(workspace, tracking_uri)

    def start(self, step: str, config: Config, cache_key: str, provenance: Provenance) -> RunInfo:
        """Return a new running run, known to MLflow and carried by this process."""
        values = config.model_dump(mode="json")
        run_id = self._client.create_run(
            self._experiment(step),
            run_name=f"{step} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
            tags={
                "agiwb.step": step,
                "agiwb.cache_key": cache_key,
                "agiwb.code": provenance.code_sha256,
                "mlflow.source.git.commit": provenance.git_commit or "",
                **{f"agiwb.input.{name}": value for name, value in provenance.inputs.items()},
                **{f"agiwb.parent.{name}": value for name, value in provenance.parents.items()},
            },
        ).info.run_id
        self.folder(run_id).create(run_id, step, values)
        for name, value in values.items():
            self._client.log_param(run_id, name, str(value))
        return RunInfo(
            id=run_id,
            step=step,
            folder=self._files(step, run_id),
            started_at=datetime.now(UTC),
            provenance=provenance,
        )

    def finish(self, record: Record) -> Record:
        """Return the record as stored: its files moved into place, listed, and the run closed."""
        run, unfinished = record.run, self.folder(record.run.id).unfinished
        run = run.model_copy(
            update={"files": list_files(unfinished), "finished_at": datetime.now(UTC)}
        )
        record = record.model_copy(update={"run": run})
        write_atomic(unfinished / RECORD_FILE, record.model_dump_json(indent=2))
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unfinished, run.folder)
        for name, value in record.metrics.items():
            self._client.log_metric(run.id, name, value)
        self._client.set_tag(run.id, "agiwb.problems", " ".join(record.problems))
        self.close(run.id, "finished")
        return record

    def close(self, run_id: str, state: RunState, error: str = "") -> None:
        """Give a run its terminal state."""
        self._client.set_tag(run_id, "agiwb.state", state)
        if error:
            self._client.set_tag(run_id, "agiwb.error", error)
        self._client.set_terminated(run_id, _MLFLOW_STATUS.get(state, "KILLED"))
        self.folder(run_id).close(state)

    def discard(self, run_id: str) -> None:
        """Forget a run that should never have started."""
        self._client.delete_run(run_id)
        shutil.rmtree(self.folder(run_id).path, ignore_errors=True)

    def log_metric(self, run_id: str, name: str, value: float, index: int) -> None:
        """Add one point of a curve to a run."""
        self._client.log_metric(run_id, name, value, step=index)

    def get(self, run_id: str) -> Record:
        """Return the record of the finished run with this id, or with an id that begins so."""
        run = self._run(run_id)
        step = run.data.tags["agiwb.step"]
        path = self._files(step, run.info.run_id) / RECORD_FILE
        if not path.is_file():
            raise NotFoundError(
                f"Run {run_id} ({step}) has no record: it is {_state(run)}.",
                "`agiwb runs list` shows the runs that finished.",
            )
        return _read_record(step, path)

    def find(self, step: str, **wanted: str) -> Iterator[Record]:
        """Yield the finished records of a step, newest first, whose files are all intact.

        Args:
            step: The step's name.
            wanted: What they must have: ``cache_key``, ``input_<name>`` (a fingerprint) or
                ``parent_<name>`` (a run's id).
        """
        conditions = ["attributes.status = 'FINISHED'"]
        conditions += [f"tags.`{_tag(name)}` = '{value}'" for name, value in wanted.items()]
        for run in self._search([step], " and ".join(conditions)):
            try:
                record = _read_record(step, self._files(step, run.info.run_id) / RECORD_FILE)
            except NotFoundError:
                continue
            if not damaged_files(record.run.folder, record.run.files):
                yield record

    def summaries(self, step: str | None = None) -> list[RunSummary]:
        """Return the history, newest first."""
        return [_summary(run) for run in self._search([step] if step else None)]

    def close_lost(self) -> list[RunSummary]:
        """Mark as lost each running run whose process is gone; return those just marked."""
        lost = []
        for run in self._search(None, "attributes.status = 'RUNNING'"):
            if is_alive(self.folder(run.info.run_id).read()):
                continue
            self.close(run.info.run_id, "lost", "The process was gone without a word.")
            lost.append(_summary(self._client.get_run(run.info.run_id)))
        return lost

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder that holds what is alive about a run."""
        return RunFolder(self.workspace / "jobs" / run_id)

    def register_model(self, name: str, record: Record) -> int:
        """Return the new version number under which ``record``'s model is registered."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # the name exists already
            self._client.create_registered_model(name)
        version = self._client.create_model_version(
            name, source=str(record.run.folder), run_id=record.run.id
        )
        return int(version.version)

    def registered_run(self, name: str, version: str | None = None) -> str:
        """Return the id of the run that made a registered model's version, by default the last."""
        from mlflow.exceptions import MlflowException

        try:
            if version is None:
                versions = self._client.search_model_versions(f"name = '{name}'")
                found = max(versions, key=lambda entry: int(entry.version), default=None)
            else:
                found = self._client.get_model_version(name, version)
        except MlflowException:
            found = None
        if found is None or found.run_id is None:
            raise NotFoundError(
                f"The workspace {self.workspace} has no model {name!r}"
                + (f" version {version}." if version else "."),
                f"Registered: {', '.join(self.registered_names()) or 'none yet'}. "
                "`agiwb train` makes one.",
            )
        return str(found.run_id)

    def registered_names(self) -> list[str]:
        """Return the names of all registered models, sorted."""
        return sorted(model.name for model in self._client.search_registered_models())

    def _experiment(self, step: str) -> str:
        from mlflow.exceptions import MlflowException

        location = str(self.workspace / "artifacts" / step)
        known = self._client.get_experiment_by_name(step)
        if known is not None:
            return str(known.experiment_id)
        try:
            return self._client.create_experiment(step, artifact_location=location)
        except MlflowException:  # another process was first
            return self._experiment(step)

    def _files(self, step: str, run_id: str) -> Path:
        return self.workspace / "artifacts" / step / run_id / "artifacts"

    def _search(self, steps: list[str] | None, condition: str = "") -> list[Run]:
        found = self._client.search_experiments()
        ids = [e.experiment_id for e in found if steps is None or e.name in steps]
        runs = (
            self._client.search_runs(
                ids, condition, max_results=_LISTED_RUNS, order_by=["attributes.start_time DESC"]
            )
            if ids
            else []
        )
        return [run for run in runs if "agiwb.step" in run.data.tags]

    def _run(self, run_id: str) -> Run:
        if len(run_id) >= _SHORTEST_ID:
            matches = [run for run in self._search(None) if run.info.run_id.startswith(run_id)]
            if len(matches) == 1:
                return matches[0]
        raise NotFoundError(
            f"The workspace {self.workspace} has no run {run_id!r}.",
            "`agiwb runs list` shows the runs it has.",
        )


def open_store() -> RunStore:
    """Return the store of the workspace that the environment names; lost runs are marked."""
    settings = Settings()
    store = MlflowStore(settings.workspace_path, settings.tracking_uri)
    for run in store.close_lost():
        logging.getLogger("agiwb").warning(
            "Run %s (%s) was interrupted: its process is gone. It is marked as lost.",
            run.id[:8],
            run.step,
        )
    return store


def _open_client(workspace: Path, tracking_uri: str | None) -> MlflowClient:
    """Return MLflow's client on the workspace, made ready under a lock."""
    require_writable(workspace)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)

    uri = tracking_uri or f"sqlite:///{workspace / 'mlflow.db'}"
    try:
        # Two processes that make the tables at once would both fail.
        with FileLock(workspace / ".mlflow.lock"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise WorkspaceError(
            f"The run history {uri} cannot be opened: {_first_line(error)}",
            "If the file is damaged, move it away: the workspace then begins a new history.",
        ) from error
    return client


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


def _tag(name: str) -> str:
    """Return the tag for ``cache_key``, ``input_<name>`` or ``parent_<name>``."""
    for kind in ("input", "parent"):
        if name.startswith(f"{kind}_"):
            return f"agiwb.{kind}.{name.removeprefix(f'{kind}_')}"
    return f"agiwb.{name}"


def _read_record(step: str, path: Path) -> Record:
    """Return the record stored at ``path``.

    Raises:
        NotFoundError: It cannot be read, perhaps because another version of agiwb wrote it.
    """
    from agiwb.runs.registry import load_step

    try:
        record: Record = load_step(step).record_type.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, AgiwbError) as error:
        raise NotFoundError(
            f"The record {path} cannot be read.",
            "Another version of agiwb may have written it: run the step again.",
        ) from error
    # The workspace may have been moved since.
    return record.model_copy(update={"run": record.run.model_copy(update={"folder": path.parent})})


def _summary(run: Run) -> RunSummary:
    tags, info = run.data.tags, run.info
    ended = info.end_time
    return RunSummary(
        id=info.run_id,
        step=tags["agiwb.step"],
        state=_state(run),
        started_at=datetime.fromtimestamp(info.start_time / 1000, UTC),
        duration_s=None if ended is None else (ended - info.start_time) / 1000,
        title=" ".join(_title_words(run.data.params)),
        metrics=dict(run.data.metrics),
        error=tags.get("agiwb.error"),
    )


def _title_words(params: dict[str, Any]) -> Iterator[str]:
    for name in ("dataset", "architecture", "model", "notebook", "format"):
        if params.get(name) not in (None, "None"):
            yield str(params[name])


def _state(run: Run) -> RunState:
    return cast("RunState", run.data.tags.get("agiwb.state", "running"))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
