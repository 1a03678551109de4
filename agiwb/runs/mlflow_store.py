"""The run store on MLflow: SQLite and a folder, or any server ``AGIWB_TRACKING_URI`` names."""

from __future__ import annotations

import logging
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from agiwb.config import Config
from agiwb.errors import NotFoundError, WorkError, WorkspaceError
from agiwb.runs.events import Listener
from agiwb.runs.files import damaged_files, list_files, write_atomic
from agiwb.runs.history_write import Discard, RunWrite, milliseconds
from agiwb.runs.liveness import RunFolder, new_status
from agiwb.runs.mlflow_client import first_line
from agiwb.runs.mlflow_deletion import MlflowDeletion
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import MetricPoint, Record, RunInfo
from agiwb.runs.record_file import RECORD_FILE, read_record
from agiwb.runs.store import require_writable

if TYPE_CHECKING:
    from agiwb.runs.shared_runs import SharedRuns

_RUN_ID = re.compile(r"[0-9a-f]{6,32}")


class MlflowStore(MlflowDeletion):
    """The run store on MLflow; see RunStore for the contract.

    MLflow takes seconds to import and is opened when first needed: to start a run or to search the
    history. A record whose id or cache key is known is read from its file alone.
    """

    def __init__(
        self,
        workspace: Path,
        tracking_uri: SecretStr | None = None,
        shared: SharedRuns | None = None,
    ) -> None:
        require_writable(workspace)
        super().__init__(workspace, tracking_uri, shared)

    def start(
        self,
        step: str,
        config: Config,
        cache_key: str,
        provenance: Provenance,
        job: RunFolder | None = None,
    ) -> RunInfo:
        """Return a new running run, known to MLflow and carried by this process.

        Its folder is that of the ``job``, if there is one, or one of its own.
        """
        values = config.model_dump(mode="json")
        run_id = self._client.create_run(
            self._experiment(step),
            run_name=f"{step} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}",
            tags={
                "agiwb.step": step,
                "agiwb.workspace": str(self.workspace),
                "agiwb.host": platform.node(),
                "agiwb.cache_key": cache_key,
                "agiwb.code": provenance.code_sha256,
                "mlflow.source.git.commit": provenance.git_commit or "",
                **{f"agiwb.input.{name}": value for name, value in provenance.inputs.items()},
                **{f"agiwb.parent.{name}": value for name, value in provenance.parents.items()},
            },
        ).info.run_id
        run = RunInfo(
            id=run_id,
            step=step,
            folder=self._files(step, run_id),
            cache_key=cache_key,
            started_at=datetime.now(UTC),
            provenance=provenance,
        )
        if job is None:
            job = self.folder(run_id)
            job.create(values, new_status(step))
        else:
            (self.workspace / "jobs" / run_id).symlink_to(job.path.name)
        job.begin(run)
        params = {name: str(value) for name, value in values.items()}
        self._writer.write(RunWrite(run_id=run_id, params=params))
        return run

    def reopen(self, run_id: str) -> RunInfo:
        """Return a run that did not finish, running again and carried by this process.

        Raises:
            NotFoundError: The history does not know it.
        """
        from mlflow.exceptions import MlflowException

        run = self.folder(run_id).run()
        if run is None:
            raise NotFoundError(f"Nothing is left of run {run_id} to go on from.", "Start it anew.")
        try:
            self._client.update_run(run_id, status="RUNNING")
            self._client.set_tag(run_id, "agiwb.state", "running")
            self._client.set_tag(run_id, "agiwb.error", "")
        except MlflowException as error:
            raise NotFoundError(
                f"The history does not know run {run_id}: {first_line(error)}", "Start it anew."
            ) from None
        self.folder(run_id).begin(run)
        return run

    def finish(self, record: Record) -> Record:
        """Return the record as stored: its files moved into place, listed, and the run closed."""
        run, unfinished = record.run, self.folder(record.run.id).unfinished
        run = run.model_copy(
            update={"files": list_files(unfinished), "finished_at": datetime.now(UTC)}
        )
        record = record.model_copy(update={"run": run})
        write_atomic(unfinished / RECORD_FILE, record.model_dump_json(indent=2))
        shutil.rmtree(run.folder, ignore_errors=True)  # of an attempt that was killed right here
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unfinished, run.folder)
        shutil.rmtree(self.folder(run.id).checkpoint, ignore_errors=True)
        if self._shared is not None:
            self._shared.note(run.id, run.step)
        at = datetime.now(UTC)
        self.log_metrics(run.id, [MetricPoint(*item, 0, at) for item in record.metrics.items()])
        self._end(run.id, "finished", {"agiwb.problems": " ".join(record.problems)})
        write_atomic(self._index(run.cache_key), run.id)
        return record

    def share(self, tell: Listener, stopped: Callable[[], bool] = lambda: False) -> None:
        """Bring what has finished and is not there yet to the object store, if there is one."""
        if self._shared is not None:
            self._shared.upload_waiting(tell, stopped)

    def unshared(self) -> list[str]:
        """Return the ids of the runs that have still to go up to the object store."""
        return self._shared.waiting() if self._shared is not None else []

    def discard(self, run_id: str) -> None:
        """Forget a run that should never have started; a job it belongs to stays."""
        self._writer.write(Discard(run_id=run_id), last=True)
        folder, link = self.folder(run_id), self.workspace / "jobs" / run_id
        if link.is_symlink():
            link.unlink()
            folder.forget_run()
        else:
            shutil.rmtree(folder.path, ignore_errors=True)

    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Add points of curves to a run."""
        self._writer.write(
            RunWrite(
                run_id=run_id,
                points=tuple(
                    (one.name, one.value, milliseconds(one.at), one.index) for one in points
                ),
            )
        )

    def get(self, run_id: str) -> Record:
        """Return the record of the finished run with this id, or with an id that begins so."""
        if _RUN_ID.fullmatch(run_id):
            found = list(self.workspace.glob(f"artifacts/*/{run_id}*/artifacts/{RECORD_FILE}"))
            if not found and self._shared is not None:
                found = [path for path in (self._shared.fetch(run_id),) if path is not None]
            if len(found) == 1:
                return read_record(found[0])
        states = [run.state for run in self.summaries() if run.id.startswith(run_id)]
        if states == ["finished"]:
            raise NotFoundError(
                f"Run {run_id} has finished in another workspace, and its files are not here.",
                "Set AGIWB_ARTIFACTS, there and here, to an object store that both reach."
                if self._shared is None
                else f"The next command there brings them up to {self._shared.url}.",
            )
        raise NotFoundError(
            f"Run {run_id} has no record: it is {states[0]}."
            if len(states) == 1
            else f"The workspace {self.workspace} has no run {run_id!r}.",
            "`agiwb runs list` shows the runs it has.",
        )

    def known(self, cache_key: str) -> Record | None:
        """Return the last record made under this cache key, if it and its files are intact."""
        index = self._index(cache_key)
        try:
            if index.is_file():
                record = self.get(index.read_text("utf-8"))
            elif self._shared is not None and (run_id := self._shared.known(cache_key)):
                record = self.get(run_id)
                write_atomic(index, run_id)
            else:
                return None
        except NotFoundError:
            return None
        except (WorkError, WorkspaceError) as error:  # of the object store: it only saves work
            logging.getLogger("agiwb").warning("%s", error)
            return None
        return None if damaged_files(record.run.folder, record.run.files) else record

    def know(self, cache_key: str, run_id: str) -> None:
        """Let a run that was made elsewhere stand for what would be made here under this key."""
        write_atomic(self._index(cache_key), run_id)

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
            path = self._files(step, run.info.run_id) / RECORD_FILE
            if self._shared is not None and not path.is_file():
                self._shared.fetch(run.info.run_id)
            try:
                record = read_record(path)
            except NotFoundError:
                continue
            if not damaged_files(record.run.folder, record.run.files):
                yield record

    def _experiment(self, step: str) -> str:
        from mlflow.exceptions import MlflowException

        location = str(self.workspace / "artifacts" / step)
        known = self._client.get_experiment_by_name(step)
        if known is not None:
            return str(known.experiment_id)
        try:
            return self._client.create_experiment(step, artifact_location=location)
        except MlflowException:
            known = self._client.get_experiment_by_name(step)
            if known is None:
                raise
            return str(known.experiment_id)  # another process was first

    def _files(self, step: str, run_id: str) -> Path:
        return self.workspace / "artifacts" / step / run_id / "artifacts"

    def _index(self, cache_key: str) -> Path:
        """Return the file that names the last run under a cache key."""
        return self.workspace / "artifacts" / ".known" / cache_key
