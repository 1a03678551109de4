"""What was made before: folders named by a digest of all that decided their content.

An entry is whole or not there: it is drafted elsewhere on the same disk, and then renamed. Its
list of digests tells one that was damaged since, which counts as not there. Nothing else refers to
the entries of a sweep that has finished: the folder ``candidates`` of the workspace may be deleted
whenever no sweep runs.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agiwb.runs.files import StoredFile, damaged_files, list_files, write_atomic

FOLDER = "candidates"
"""Of the workspace: where all sweeps keep their entries."""

_ENTRY_FILE = "entry.json"


class Entry(BaseModel):
    """What an entry holds."""

    model_config = ConfigDict(frozen=True)

    made_at: datetime
    facts: dict[str, Any]
    """What is known of the files, as JSON tells it."""
    files: tuple[StoredFile, ...]


@dataclass(frozen=True)
class Found:
    """An entry that is there and undamaged."""

    folder: Path
    facts: dict[str, Any]

    def file(self, name: str) -> Path:
        """Return where the entry's file ``name`` lies."""
        return self.folder / name


@dataclass(frozen=True)
class Parcel:
    """An entry as it travels to another machine."""

    key: str
    facts: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Cache:
    """Entries by key.

    Atomicity: any number of processes may read and write; of two that make the same entry, the
    later one's stays.

    Attributes:
        folder: Where the entries lie.
        drafts: A folder of the sweep's own on the same disk.
        not_before: Entries made earlier do not count; None for all.
    """

    folder: Path
    drafts: Path
    not_before: datetime | None = None

    def find(self, key: str) -> Found | None:
        """Return the entry; None if there is none, or it is damaged or too old."""
        folder = self.folder / key
        try:
            entry = Entry.model_validate_json((folder / _ENTRY_FILE).read_bytes())
        except (OSError, ValidationError):
            return None
        too_old = self.not_before is not None and entry.made_at < self.not_before
        if too_old or damaged_files(folder, entry.files):
            return None
        return Found(folder, entry.facts)

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """Yield an empty folder to make an entry in; what is left of it is removed."""
        folder = self.drafts / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, key: str, draft: Path, facts: dict[str, Any]) -> Found:
        """Return the entry that the folder ``draft`` has become."""
        entry = Entry(made_at=datetime.now(UTC), facts=facts, files=list_files(draft))
        write_atomic(draft / _ENTRY_FILE, entry.model_dump_json(indent=2))
        target = self.folder / key
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                draft.rename(target)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                former = self.drafts / uuid.uuid4().hex
                with contextlib.suppress(FileNotFoundError):  # somebody else was first
                    target.rename(former)
                shutil.rmtree(former, ignore_errors=True)
            else:
                return Found(target, entry.facts)

    def pack(self, key: str) -> Parcel | None:
        """Return the entry as it travels; None if there is none."""
        if (found := self.find(key)) is None:
            return None
        files = {
            path.name: path.read_bytes()
            for path in sorted(found.folder.iterdir())
            if path.name != _ENTRY_FILE
        }
        return Parcel(key, found.facts, files)

    def unpack(self, parcel: Parcel) -> None:
        """Keep an entry that has arrived, unless it is known."""
        if self.find(parcel.key) is not None:
            return
        with self.draft() as draft:
            for name, content in parcel.files.items():
                (draft / name).write_bytes(content)
            self.keep(parcel.key, draft, parcel.facts)
