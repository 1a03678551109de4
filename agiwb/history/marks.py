"""What people add to a run: a pin, a note; and that it was deleted, until it is restored."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.runs.files import write_atomic

_LONGEST_NOTE = 10_000


class Mark(BaseModel):
    """What people added to one run."""

    model_config = ConfigDict(frozen=True)

    pinned: bool = False
    """Listed first, and never deleted."""
    note: str = ""
    deleted_at: datetime | None = None


def read_mark(workspace: Path, run_id: str) -> Mark:
    """Return a run's mark; an empty one if it has none that can be read."""
    try:
        return Mark.model_validate_json(_file(workspace, run_id).read_bytes())
    except (OSError, ValidationError):
        return Mark()


def change_mark(workspace: Path, run_id: str, **fields: object) -> Mark:
    """Return a run's mark with these fields replaced, once it is stored."""
    changed = read_mark(workspace, run_id).model_copy(update=fields)
    changed = changed.model_copy(update={"note": changed.note[:_LONGEST_NOTE]})
    write_atomic(_file(workspace, run_id), changed.model_dump_json())
    return changed


def _file(workspace: Path, run_id: str) -> Path:
    return workspace / "marks" / f"{run_id}.json"
