"""Whether an earlier run of a notebook may stand for a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agiwb.batch.notebook import RunConfig, RunRecord, run_notebook
from agiwb.errors import AgiwbError
from agiwb.runs.execute import cache_key, origin
from agiwb.runs.registry import load_step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore


@dataclass(frozen=True)
class NotebookCache:
    """The notebook runs of a workspace that still hold.

    Attributes:
        store: The workspace's.
        not_before: Runs that began earlier do not count; None for all.
    """

    store: RunStore
    not_before: datetime | None = None

    def find(self, config: RunConfig) -> RunRecord | None:
        """Return the last run of this very notebook with these parameters, if it still holds.

        Notebook, parameters, code, packages, Python and machine must be as they were, and so must
        what each step of the notebook has read: data and models by their content, `latest` by what
        it means now. What a notebook reads by itself, outside of any step, is not seen.
        """
        try:
            key = cache_key(run_notebook.name, config, origin(run_notebook, config, self.store))
        except AgiwbError:
            return None
        known = self.store.known(key)
        if not isinstance(known, RunRecord):
            return None
        if self.not_before is not None and known.run.started_at < self.not_before:
            return None
        return known if all(map(self._holds, known.results.values())) else None

    def _holds(self, run_id: str) -> bool:
        """Return whether a step's result would be found again if the step were called now."""
        try:
            result = self.store.get(run_id)
            step = load_step(result.run.step)
            if not step.reusable:
                return True
            now = cache_key(step.name, result.config, origin(step, result.config, self.store))
        except AgiwbError:
            return False
        return now == result.run.cache_key
