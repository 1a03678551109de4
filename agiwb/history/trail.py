"""The trail of a model: the runs that led to it or from it, and whether their files are whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.errors import NotFoundError
from agiwb.history.entries import HistoryEntry
from agiwb.history.lineage import lineage
from agiwb.history.records import record_of
from agiwb.runs.files import damaged_files
from agiwb.runs.record import Record

ORIGINS = ("train", "import_model")
"""Steps that bring a model into the workspace."""
_MAKE_ARTIFACTS = ("convert", "import_model")
_VERSION = re.compile("[/@]")
_MOST_BYTES = 2 << 30
"""Files of a run beyond this size are not read again."""


@dataclass(frozen=True)
class TrailEntry:
    """One run of a trail.

    Attributes:
        entry: Its line in the history.
        record: What came of it; None if it did not finish or cannot be read.
        damaged: Its files that are missing or changed since; None if that was not looked at.
    """

    entry: HistoryEntry
    record: Record | None
    damaged: tuple[str, ...] | None


def model_names(history: Sequence[HistoryEntry]) -> list[str]:
    """Return the names of the models that were trained or imported, the newest first."""
    found = sorted(_origins(history), key=lambda one: one[0].started_at, reverse=True)
    return list(dict.fromkeys(name for _, name in found))


def trail_of(model: str, history: Sequence[HistoryEntry]) -> list[TrailEntry]:
    """Return the runs that led to a model and from it, the oldest first.

    Args:
        model: Its name.
        history: The workspace's.
    """
    entries: dict[str, HistoryEntry] = {}
    for origin, name in _origins(history):
        if name == model:
            entries |= lineage(origin.id, history).entries
    return [_looked_at(entry) for entry in sorted(entries.values(), key=lambda one: one.started_at)]


def formats_made(
    model: str, formats: Sequence[str], history: Sequence[HistoryEntry]
) -> tuple[str, ...]:
    """Return those of the formats that there are of a model.

    Args:
        model: Its name, with or without a version; a run's id, or where it begins, with or without
            a candidate; empty or ``latest`` for the newest.
        formats: Those that are looked for.
        history: The workspace's.
    """
    reference, _, candidate = model.partition(":")
    name = _VERSION.split(reference)[0]
    newest_first = sorted(_origins(history), key=lambda one: one[0].started_at, reverse=True)
    named = [entry.id for entry, known in newest_first if name in {"", "latest", known}]
    run_id = named[0] if named else name
    records = [
        record
        for entry in history
        if entry.step in _MAKE_ARTIFACTS
        and any(one.startswith(run_id) for one in (entry.id, *entry.parents.values()))
        if (record := _record(entry)) is not None
        and str(getattr(record.config, "model", "")).partition(":")[2] == candidate
    ]
    return tuple(kind for kind in formats if any(one.file(kind).is_dir() for one in records))


def models_made(kind: str, history: Sequence[HistoryEntry]) -> list[str]:
    """Return what to call the models of which there is an artifact in a format, newest first.

    They are as a conversion was told them: a name, a run, or ``<run>:<candidate>``.

    Args:
        kind: The format.
        history: The workspace's.
    """
    made = [
        (entry.started_at, getattr(record.config, "model", "latest"), record)
        for entry in history
        if entry.step in _MAKE_ARTIFACTS
        and (record := _record(entry)) is not None
        and record.file(kind).is_dir()
    ]
    made.sort(key=lambda one: one[0], reverse=True)
    names = (
        str(getattr(record, "model_name", called)) if called == "latest" else str(called)
        for _, called, record in made
    )
    return list(dict.fromkeys(names))


def _origins(history: Sequence[HistoryEntry]) -> list[tuple[HistoryEntry, str]]:
    found = []
    for entry in history:
        if entry.step in ORIGINS and entry.state == "finished":
            record = _record(entry)
            if name := getattr(record, "model_name", None):
                found.append((entry, name))
    return found


def _record(entry: HistoryEntry) -> Record | None:
    if entry.state != "finished":
        return None
    try:
        return record_of(entry)
    except NotFoundError:  # of another version of agiwb
        return None


def _looked_at(entry: HistoryEntry) -> TrailEntry:
    record = _record(entry)
    if record is None:
        return TrailEntry(entry, None, None)
    run = record.run
    if sum(file.size_bytes for file in run.files) > _MOST_BYTES:
        return TrailEntry(entry, record, None)
    return TrailEntry(entry, record, tuple(damaged_files(run.folder, run.files)))
