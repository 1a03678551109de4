"""The run store on MLflow: SQLite and a folder, or any server ``AGIWB_TRACKING_URI`` names."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agiwb.config import Config
from agiwb.errors import NotFoundError
from agiwb.runs.files import damaged_files, list_files, write_atomic
from agiwb.runs.liveness import RunFolder, exit_code, job_folders, new_status
from agiwb.runs.mlflow_client import first_line
from agiwb.runs.mlflow_deletion import MlflowDeletion
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import ENDED, MetricPoint, Record, RunInfo, RunState, RunSummary, title
from agiwb.runs.record_file import RECORD_FILE, read_record
from agiwb.runs.store import require_writable

if TYPE_CHECKING:
    from mlflow.entities import Run

_RUN_ID = re.compile(r"[0-9a-f]{6,32}")
_LISTED_RUNS = 1000
_MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class MlflowStore(MlflowDeletion):
    """The run store on MLflow; see RunStore for the contract.

    MLflow takes seconds to import and is opened when first needed: to start a run or to search the
    history. A record whose id or cache key is known is read from its file alone.
    """

    def __init__(self, workspace: Path, tracking_uri: str | None = None) -> None:
        require_writable(workspace)
        super().__init__(workspace, tracking_uri)

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
        from mlflow.entities import Param

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
        params = [Param(name, str(value)) for name, value in values.items()]
        self._client.log_batch(run_id, params=params)
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
        at = datetime.now(UTC)
        self.log_metrics(run.id, [MetricPoint(*item, 0, at) for item in record.metrics.items()])
        self._client.set_tag(run.id, "agiwb.problems", " ".join(record.problems))
        self.close(run.id, "finished")
        write_atomic(self._index(run.cache_key), run.id)
        return record

    def close(self, run_id: str, state: RunState, error: str = "") -> None:
        """Give a run its terminal state in the history."""
        self._client.set_tag(run_id, "agiwb.state", state)
        if error:
            self._client.set_tag(run_id, "agiwb.error", error)
        self._client.set_terminated(run_id, _MLFLOW_STATUS.get(state, "KILLED"))

    def discard(self, run_id: str) -> None:
        """Forget a run that should never have started; a job it belongs to stays."""
        self._client.delete_run(run_id)
        folder, link = self.folder(run_id), self.workspace / "jobs" / run_id
        if link.is_symlink():
            link.unlink()
            folder.forget_run()
        else:
            shutil.rmtree(folder.path, ignore_errors=True)

    def log_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Add points of curves to a run."""
        from mlflow.entities import Metric

        metrics = [
            Metric(point.name, point.value, int(1000 * point.at.timestamp()), point.index)
            for point in points
        ]
        for first in range(0, len(metrics), _LISTED_RUNS):
            self._client.log_batch(run_id, metrics=metrics[first : first + _LISTED_RUNS])

    def get(self, run_id: str) -> Record:
        """Return the record of the finished run with this id, or with an id that begins so."""
        if _RUN_ID.fullmatch(run_id):
            found = list(self.workspace.glob(f"artifacts/*/{run_id}*/artifacts/{RECORD_FILE}"))
            if len(found) == 1:
                return read_record(found[0])
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
                record = read_record(self._files(step, run.info.run_id) / RECORD_FILE)
            except NotFoundError:
                continue
            if not damaged_files(record.run.folder, record.run.files):
                yield record

    def summaries(self, step: str | None = None) -> list[RunSummary]:
        """Return the history, newest first."""
        return [self._summary(run) for run in self._search([step] if step else None)]

    def close_lost(self) -> list[RunSummary]:
        """Close each run and job whose process is gone; return the runs just found to be lost."""
        lost = set()
        for folder in job_folders(self.workspace):
            status = folder.read()
            if status is None or not folder.has_died(status):
                continue
            with folder.locked() as status:
                if status is None or not folder.has_died(status):  # it was resumed meanwhile
                    continue
                state = folder.state_of_dead(status)
                if status.run_id is not None:
                    state = self._close_dead_run(status.run_id, state)
                folder.close(state, exit_code(state))
            if state == "lost" and status.run_id is not None:
                lost.add(status.run_id)
        return [run for run in self.summaries() if run.id in lost] if lost else []

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder that holds what is alive about a run."""
        return RunFolder((self.workspace / "jobs" / run_id).resolve())

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
        ended, is_open = info.end_time, state == "running"  # one that was resumed had ended
        return RunSummary(
            id=info.run_id,
            step=tags["agiwb.step"],
            state=state,
            started_at=datetime.fromtimestamp(info.start_time / 1000, UTC),
            duration_s=None if ended is None or is_open else (ended - info.start_time) / 1000,
            title=title(run.data.params),
            metrics=dict(run.data.metrics),
            error=tags.get("agiwb.error") or None,
        )

    def _close_dead_run(self, run_id: str, state: RunState) -> RunState:
        """Return the history's state of a run whose process is gone; unless closed, ``state``."""
        from mlflow.exceptions import MlflowException

        # A history that was moved away, or another server's, does not know it.
        with contextlib.suppress(MlflowException):
            known = self._client.get_run(run_id).data.tags.get("agiwb.state", "running")
            if known in ENDED:
                return next(ended for ended in ENDED if ended == known)
            self.close(run_id, state, "The process was gone without a word.")
        return state

    def _index(self, cache_key: str) -> Path:
        """Return the file that names the last run under a cache key."""
        return self.workspace / "artifacts" / ".known" / cache_key
