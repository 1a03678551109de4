"""The history read from the workspace's files alone: no database to open, so it is there at once.

The run folders know every run that was begun here, and a finished run's record lies with its files.
Runs of other workspaces on the same tracking server are not in it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Container, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import Field

from agiwb.errors import NotFoundError
from agiwb.history.marks import Mark, read_mark
from agiwb.runs.liveness import RunFolder, job_folders
from agiwb.runs.record import RunState, RunSummary, title
from agiwb.settings import Settings

_RECORDS = "artifacts/*/*/artifacts/record.json"
_KEPT_RECORDS = 4096
_SHORTEST_ID = 4


class HistoryEntry(RunSummary):
    """A line of the history, with the runs it leads from and what people added to it."""

    parents: dict[str, str] = Field(default_factory=dict)
    """Name of each input that another run made, and that run's id."""
    mark: Mark = Mark()

    @property
    def name(self) -> str:
        """The run in a few words: ``761e092b train digits cnn``."""
        return " ".join(part for part in (self.id[:8], self.step, self.title) if part)


def read_history(*, deleted: bool = False) -> list[HistoryEntry]:
    """Return the runs of the workspace, pinned ones first and each part newest first.

    Args:
        deleted: Return those that were deleted instead, which can be restored.
    """
    workspace = Settings().workspace_path
    where = f"deleted/{_RECORDS.partition('/')[2]}" if deleted else _RECORDS
    records = (_finished(path, path.stat().st_mtime_ns) for path in workspace.glob(where))
    found = {entry.id: entry for entry in records if entry is not None}
    for folder in job_folders(workspace):
        begun = _begun(folder, found)
        if begun is not None:
            found[begun.id] = begun
    entries = [
        entry.model_copy(update={"mark": read_mark(workspace, entry.id)})
        for entry in found.values()
    ]
    shown = [entry for entry in entries if (entry.mark.deleted_at is not None) == deleted]
    return sorted(shown, key=lambda one: (one.mark.pinned, one.started_at), reverse=True)


def filtered(
    entries: Sequence[HistoryEntry],
    step: str | None = None,
    state: RunState | None = None,
    text: str = "",
) -> list[HistoryEntry]:
    """Return the entries of a step and state whose words hold all words of ``text``."""
    words = text.lower().split()
    return [
        entry
        for entry in entries
        if step in {None, entry.step}
        and state in {None, entry.state}
        and all(word in f"{entry.name} {entry.mark.note} {entry.error}".lower() for word in words)
    ]


def find_entry(name: str, entries: Sequence[HistoryEntry]) -> HistoryEntry:
    """Return the entry whose id is ``name`` or begins so.

    Raises:
        NotFoundError: There is none, or more than one.
    """
    found = [one for one in entries if len(name) >= _SHORTEST_ID and one.id.startswith(name)]
    if len(found) != 1:
        several = f"{len(found)} runs whose id begins with {name!r}"
        problem = several if found else f"no run {name!r}"
        raise NotFoundError(f"The workspace has {problem}.", "`agiwb runs list` shows them.")
    return found[0]


def _begun(folder: RunFolder, finished: Container[str]) -> HistoryEntry | None:
    """Return the entry of a run folder; None if it is known, or the job began no run of its own."""
    status = folder.look()
    if status is None or status.run_id in finished or (run := folder.run()) is None:
        return None
    ended = status.ended_at
    return HistoryEntry(
        id=run.id,
        step=run.step,
        state=status.state,
        started_at=run.started_at,
        duration_s=None if ended is None else (ended - run.started_at).total_seconds(),
        title=title(folder.config()),
        metrics={},
        error=status.error or None,
        parents=run.provenance.parents,
    )


@functools.lru_cache(_KEPT_RECORDS)
def _finished(path: Path, changed_ns: int) -> HistoryEntry | None:
    """Return the entry of a finished run, or None if its record cannot be read.

    The record is read again only when it has changed: ``changed_ns`` is part of the cache's key.
    """
    try:
        record = json.loads(path.read_bytes())
        run = record["run"]
        started = datetime.fromisoformat(run["started_at"])
        finished = datetime.fromisoformat(run["finished_at"])
        return HistoryEntry(
            id=run["id"],
            step=run["step"],
            state="finished",
            started_at=started,
            duration_s=(finished - started).total_seconds(),
            title=title(record["config"]),
            metrics=record["metrics"],
            parents=run["provenance"]["parents"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
