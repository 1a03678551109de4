"""Records of finished runs, read from the workspace's files alone, as entries.py reads the history.

Views read their data here: neither a database nor a tracking server is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agiwb.errors import NotFoundError
from agiwb.history.entries import HistoryEntry, find_entry, read_history
from agiwb.runs.record import Record
from agiwb.runs.record_file import RECORD_FILE, read_record
from agiwb.settings import Settings


def finished(step: str, history: Sequence[HistoryEntry] | None = None) -> list[HistoryEntry]:
    """Return the finished runs of a step, newest first.

    Args:
        step: Its name.
        history: What to look through; by default the workspace's history as it is now.
    """
    entries = read_history() if history is None else history
    found = [one for one in entries if one.step == step and one.state == "finished"]
    return sorted(found, key=lambda one: one.started_at, reverse=True)


def record_of(entry: HistoryEntry) -> Record:
    """Return the record of a finished run.

    Raises:
        NotFoundError: It cannot be read.
    """
    folder = Settings().workspace_path / "artifacts" / entry.step / entry.id / "artifacts"
    return read_record(folder / RECORD_FILE)


def find_record(run_id: str, history: Sequence[HistoryEntry] | None = None) -> Record:
    """Return the record of the finished run whose id is ``run_id`` or begins so.

    Raises:
        NotFoundError: There is no such run, or its record cannot be read.
    """
    return record_of(find_entry(run_id, read_history() if history is None else history))


def records_from(
    step: str, parent: str, run_id: str, history: Sequence[HistoryEntry]
) -> Iterator[Record]:
    """Yield the records of a step whose input ``parent`` the run ``run_id`` made, newest first."""
    for entry in finished(step, history):
        if entry.parents.get(parent) == run_id:
            try:
                yield record_of(entry)
            except NotFoundError:  # of another version of agiwb
                continue
