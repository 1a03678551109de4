"""The run store on MLflow: SQLite and a folder, or any server ``AGIWB_TRACKING_URI`` names."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from agiwb.config import Config
from agiwb.errors import AgiwbError, NotFoundError, WorkspaceError
from agiwb.runs.files import damaged_files, list_files, write_atomic
from agiwb.runs.liveness import RunFolder, has_died
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import Record, RunInfo, RunState, RunSummary
from agiwb.runs.store import require_writable

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RECORD_FILE = "record.json"
_RUN_ID = re.compile(r"[0-9a-f]{6,32}")
_LISTED_RUNS = 1000
_MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class MlflowStore:
    """The run store on MLflow; see RunStore for the contract.

    MLflow takes seconds to import and is opened when first needed: to start a run or to search the
    history. A record whose id or cache key is known is read from its file alone.
    """

    def __init__(self, workspace: Path, tracking_uri: str | None = None) -> None:
        require_writable(workspace)
        self.workspace = workspace
        self._tracking_uri = tracking_uri or f"sqlite:///{workspace / 'mlflow.db'}"

    @functools.cached_property
    def _client(self) -> MlflowClient:
        return _open_client(self.workspace, self._tracking_uri)

    def start(self, step: str, config: Config, cache_key: str, provenance: Provenance) -> RunInfo:
        """Return a new running run, known to MLflow and carried by this process."""
        values = config.model_dump(mode="json")
        run_id = self._client.create_run(
            self._experiment(step),
            run_name=f"{step} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
            tags={
                "agiwb.step": step,
                "agiwb.workspace": str(self.workspace),
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
            cache_key=cache_key,
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
        write_atomic(self._index(run.cache_key), run.id)
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
        if _RUN_ID.fullmatch(run_id):
            found = list(self.workspace.glob(f"artifacts/*/{run_id}*/artifacts/{RECORD_FILE}"))
            if len(found) == 1:
                return _read_record(found[0])
        states = [run.state for run in self.summaries() if run.id.startswith(run_id)]
        raise NotFoundError(
            f"Run {run_id} has no record: it is {states[0]}."
            if len(states) == 1
            else f"The workspace {self.workspace} has no run {run_id!r}.",
            "`agiwb runs list` shows the runs it has.",
        )

    def known(self, cache_key: str) -> Record | None:
        """Return the last record made under this cache key, if it and its files are intact."""
        index = self._index(cache_key)
        if not index.is_file():
            return None
        try:
            record = self.get(index.read_text("utf-8"))
        except NotFoundError:
            return None
        return None if damaged_files(record.run.folder, record.run.files) else record

    def find(self, step: str, **wanted: str) -> Iterator[Record]:
        """Yield the finished records of a step, newest first, whose files are all intact.

        Args:
            step: The step's name.
            wanted: What they must have: ``input_<name>`` (a fingerprint) or ``parent_<name>`` (a
                run's id).
        """
        conditions = ["attributes.status = 'FINISHED'"]
        conditions += [
            f"tags.`agiwb.{name.replace('_', '.', 1)}` = '{value}'"
            for name, value in wanted.items()
        ]
        for run in self._search([step], " and ".join(conditions)):
            try:
                record = _read_record(self._files(step, run.info.run_id) / RECORD_FILE)
            except NotFoundError:
                continue
            if not damaged_files(record.run.folder, record.run.files):
                yield record

    def summaries(self, step: str | None = None) -> list[RunSummary]:
        """Return the history, newest first."""
        return [self._summary(run) for run in self._search([step] if step else None)]

    def close_lost(self) -> list[RunSummary]:
        """Mark as lost each running run whose process is gone; return those just marked."""
        folders = map(RunFolder, self.workspace.glob("jobs/*"))
        statuses = [status for folder in folders if (status := folder.read()) is not None]
        gone = {status.run_id for status in statuses if has_died(status)}
        for run_id in gone:
            self._close_lost_run(run_id)
        return [run for run in self.summaries() if run.id in gone] if gone else []

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder that holds what is alive about a run."""
        return RunFolder(self.workspace / "jobs" / run_id)

    def register_model(self, name: str, record: Record) -> None:
        """Make ``record``'s model the newest version of ``name``, unless it is that already."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # the name exists already
            self._client.create_registered_model(name)
        versions = self._versions(name)
        if not versions or versions[max(versions)] != record.run.id:
            self._client.create_model_version(
                name, source=str(record.run.folder), run_id=record.run.id
            )

    def registered_run(self, name: str, version: str | None = None) -> str:
        """Return the id of the run that made a registered model's version, by default the last."""
        versions = self._versions(name)
        last = str(max(versions, default=0))
        wanted = int(text) if (text := version or last).isdecimal() else 0
        if wanted not in versions:
            raise NotFoundError(
                f"The workspace {self.workspace} has no model {name!r}"
                + (f" version {version}." if version else "."),
                f"Registered: {', '.join(self.registered_names()) or 'none yet'}. "
                "`agiwb train` makes one.",
            )
        return versions[wanted]

    def newest_model(self) -> str | None:
        """Return the id of the run whose model was registered last, under whatever name."""
        found = self._client.search_model_versions(
            max_results=1, order_by=["creation_timestamp DESC"]
        )
        return str(found[0].run_id) if found else None

    def registered_names(self) -> list[str]:
        """Return the names of all registered models, sorted."""
        found = self._client.search_registered_models(max_results=_LISTED_RUNS)
        return sorted(model.name for model in found)

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

    def _summary(self, run: Run) -> RunSummary:
        tags, info = run.data.tags, run.info
        state = cast("RunState", tags.get("agiwb.state", "running"))
        is_ours = tags.get("agiwb.workspace") == str(self.workspace)
        if state == "running" and is_ours and self.folder(info.run_id).read() is None:
            state = "lost"  # killed before it could say who carries it
        ended = info.end_time
        return RunSummary(
            id=info.run_id,
            step=tags["agiwb.step"],
            state=state,
            started_at=datetime.fromtimestamp(info.start_time / 1000, UTC),
            duration_s=None if ended is None else (ended - info.start_time) / 1000,
            title=" ".join(_title_words(run.data.params)),
            metrics=dict(run.data.metrics),
            error=tags.get("agiwb.error"),
        )

    def _versions(self, name: str) -> dict[int, str]:
        """Return the run of each version of a registered model; none if there is no such model."""
        from mlflow.exceptions import MlflowException

        if "'" in name:  # MLflow's filters know no escape
            return {}
        try:
            found = self._client.search_model_versions(f"name = '{name}'")
        except MlflowException:
            return {}
        return {int(entry.version): str(entry.run_id) for entry in found}

    def _close_lost_run(self, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.close(run_id, "lost", "The process was gone without a word.")
        except MlflowException:  # a history that was moved away, or another server's
            self.folder(run_id).close("lost")

    def _index(self, cache_key: str) -> Path:
        """Return the file that names the last run under a cache key."""
        return self.workspace / "artifacts" / ".known" / cache_key


def _open_client(workspace: Path, uri: str) -> MlflowClient:
    """Return MLflow's client on ``uri``, its tables made under a lock in the workspace."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from filelock import FileLock
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):  # after the import, which sets its own level
        logging.getLogger(name).setLevel(logging.WARNING)

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


def _read_record(path: Path) -> Record:
    """Return the record stored at ``path``.

    Raises:
        NotFoundError: It cannot be read, perhaps because another version of agiwb wrote it.
    """
    from agiwb.runs.registry import load_step

    step = path.parents[2].name
    try:
        record: Record = load_step(step).record_type.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, AgiwbError) as error:
        raise NotFoundError(
            f"The record {path} cannot be read.",
            "Another version of agiwb may have written it: run the step again.",
        ) from error
    # The workspace may have been moved since.
    return record.model_copy(update={"run": record.run.model_copy(update={"folder": path.parent})})


def _title_words(params: dict[str, Any]) -> Iterator[str]:
    for name in ("dataset", "architecture", "model", "notebook", "format"):
        if params.get(name) not in (None, "None"):
            yield str(params[name])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
