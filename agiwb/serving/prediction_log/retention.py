"""Deleting what a policy does not keep, the oldest first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from agiwb.serving.prediction_log.places import DRAFT_SUFFIX, end_of, parts_in, segments_in
from agiwb.serving.prediction_log.policy import LogPolicy

_DAY_S = 86_400
_DRAFT_AGE_S = 60


@dataclass(frozen=True, order=True)
class _File:
    newest: float
    path: Path
    size: int


def retain(folder: Path, policy: LogPolicy, now: float) -> tuple[Path, ...]:
    """Delete files of a model's log that are too old or too many; return them.

    A file is as old as the newest row it may hold. Segments that are still written stay, but count.

    Args:
        folder: The model's.
        policy: ``keep_days`` and ``keep_bytes``.
        now: Unix time in seconds.

    Raises:
        OSError: A file cannot be deleted.
    """
    if policy.keep_days is None and policy.keep_bytes is None:
        return ()
    files = sorted(_files(folder))
    total = sum(file.size for file in files)
    deleted = []
    for file in files:
        is_old = policy.keep_days is not None and file.newest < now - policy.keep_days * _DAY_S
        is_much = policy.keep_bytes is not None and total > policy.keep_bytes
        if (is_old or is_much) and _delete(file.path):
            deleted.append(file.path)
            total -= file.size
    return tuple(deleted)


def _files(folder: Path) -> list[_File]:
    found = []
    for part in parts_in(folder):
        status = part.path.stat()
        found.append(_File(end_of(part.day), part.path, status.st_size))
    for path in (*segments_in(folder), *folder.glob("seg-*.damaged")):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            found.append(_File(status.st_mtime, path, status.st_size))
    return found


def _delete(path: Path) -> bool:
    """Return whether the file was deleted: nobody writes it any more."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    with contextlib.suppress(OSError):
        if path.parent.name.startswith("day="):
            path.parent.rmdir()
    return True


def delete_drafts(folder: Path) -> None:
    """Delete what a crash left: half-written parts, and segments that never got their name."""
    for draft in folder.glob(f"day=*/*{DRAFT_SUFFIX}"):
        draft.unlink(missing_ok=True)
    for draft in folder.glob(".seg-*.bin"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > _DRAFT_AGE_S:
                draft.unlink()
