"""Closing runs: as their process says, or as somebody finds who looks after it is gone."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from agiwb.errors import WorkspaceError
from agiwb.runs.history_write import RunWrite, milliseconds
from agiwb.runs.liveness import exit_code, job_folders
from agiwb.runs.mlflow_history import MlflowHistory
from agiwb.runs.record import ENDED, RunState, RunSummary

_MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class MlflowClosing(MlflowHistory):
    """The part of the run store that closes runs; see RunStore for the contract."""

    def close(self, run_id: str, state: RunState, error: str = "") -> None:
        """Give a run its terminal state in the history."""
        self._end(run_id, state, {"agiwb.error": error} if error else {})

    def close_lost(self) -> list[RunSummary]:
        """Close each run and job whose process is gone; return the runs just found to be lost.

        While the history is away nobody can tell how a run ended: it is left to the next look.
        """
        try:
            self._writer.catch_up()
        except WorkspaceError:
            return []
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
                    try:
                        state = self._close_dead_run(status.run_id, state)
                    except WorkspaceError:
                        return []
                folder.close(state, exit_code(state))
            if state == "lost" and status.run_id is not None:
                lost.add(status.run_id)
        return [run for run in self.summaries() if run.id in lost] if lost else []

    def _end(self, run_id: str, state: RunState, tags: dict[str, str]) -> None:
        end = RunWrite(
            run_id=run_id,
            tags={"agiwb.state": state, **tags},
            status=_MLFLOW_STATUS.get(state, "KILLED"),
            ended_ms=milliseconds(datetime.now(UTC)),
        )
        self._writer.write(end, last=True)

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
