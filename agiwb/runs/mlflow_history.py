"""Reading the history: the runs of all who share it, as summaries."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from agiwb.runs.liveness import RunFolder
from agiwb.runs.mlflow_models import MlflowModels
from agiwb.runs.record import RunState, RunSummary, title

if TYPE_CHECKING:
    from mlflow.entities import Run

_LISTED_RUNS = 1000


class MlflowHistory(MlflowModels):
    """The part of the run store that lists runs; see RunStore for the contract."""

    def summaries(self, step: str | None = None) -> list[RunSummary]:
        """Return the history, newest first."""
        return [self._summary(run) for run in self._search([step] if step else None)]

    def folder(self, run_id: str) -> RunFolder:
        """Return the folder that holds what is alive about a run."""
        return RunFolder((self.workspace / "jobs" / run_id).resolve())

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
        is_ours &= tags.get("agiwb.host", platform.node()) == platform.node()
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
