"""Pinning, noting, deleting and restoring runs."""

from __future__ import annotations

from datetime import UTC, datetime

from agiwb.errors import InputError
from agiwb.history.entries import find_entry, read_history
from agiwb.history.lineage import dependents
from agiwb.history.marks import Mark, change_mark
from agiwb.runs.record import ENDED
from agiwb.runs.store import open_store
from agiwb.settings import Settings

_MOST_NAMED = 5


def pin(run_id: str, *, pinned: bool = True) -> Mark:
    """Return the mark of a run that was pinned, or unpinned: listed first, and never deleted.

    Raises:
        NotFoundError: There is no such run.
    """
    entry = find_entry(run_id, read_history())
    return change_mark(Settings().workspace_path, entry.id, pinned=pinned)


def note(run_id: str, text: str) -> Mark:
    """Return the mark of a run with the note ``text``; "" takes the note away.

    Raises:
        NotFoundError: There is no such run.
    """
    entry = find_entry(run_id, read_history())
    return change_mark(Settings().workspace_path, entry.id, note=text.strip())


def delete(run_id: str) -> str:
    """Return the id of a run that was deleted: out of the history, its files put aside.

    Nothing is lost before the folder ``deleted`` of the workspace is emptied: see ``restore``.

    Raises:
        NotFoundError: There is no such run.
        InputError: It is pinned, it has not ended, or others were made from its result.
    """
    history = read_history()
    entry = find_entry(run_id, history)
    name = f"Run {entry.id[:8]} ({entry.step})"
    if entry.mark.pinned:
        raise InputError(
            f"{name} is pinned.", f"Unpin it first: `agiwb runs unpin {entry.id[:8]}`."
        )
    if entry.state not in ENDED:
        raise InputError(f"{name} is {entry.state}.", "Cancel it first, or wait for its end.")
    if followers := dependents(entry.id, history):
        named = ", ".join(one.name for one in followers[:_MOST_NAMED])
        more = len(followers) - _MOST_NAMED
        raise InputError(
            f"{name} cannot be deleted: {len(followers)} runs were made from its result: {named}"
            + (f" and {more} more." if more > 0 else "."),
            "Delete those first.",
        )
    open_store().delete(entry.id)
    change_mark(Settings().workspace_path, entry.id, deleted_at=datetime.now(UTC))
    return entry.id


def restore(run_id: str) -> str:
    """Return the id of a deleted run that is back in the history with its files.

    Raises:
        NotFoundError: No run of this id was deleted.
    """
    entry = find_entry(run_id, read_history(deleted=True))
    open_store().restore(entry.id)
    change_mark(Settings().workspace_path, entry.id, deleted_at=None)
    return entry.id
