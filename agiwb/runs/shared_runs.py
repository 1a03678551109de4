"""Finished runs in the object store: brought up by who made them, brought down by who needs them.

Below the store's address::

    artifacts/<step>/<run>/artifacts/<file>   as in the workspace
    records/<run>.json                        the record, written last: what makes a run be there
    known/<cache key>                         the id of the last run under that key
    deleted/<run>.json                        the record of a run that was deleted

Until its record is there a run is there for nobody, so an upload that was interrupted shows
nothing. In the workspace, ``uploads/<run>`` notes a run that has still to go up. It is written
before the run is closed and taken away after its record is up, so that whoever is killed in
between leaves the rest to the next command.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from agiwb.errors import CancelledError, WorkError, WorkspaceError
from agiwb.runs.carried_bytes import CarriedBytes
from agiwb.runs.events import Event, Listener
from agiwb.runs.files import StoredFile, sha256_of_file, write_atomic
from agiwb.runs.object_store import ObjectStore
from agiwb.runs.record_file import RECORD_FILE

_WHOLE_ID = 32
_STEP = re.compile(r"[a-z][a-z0-9_]*")
_RUN = re.compile(r"[0-9a-f]{6,32}")

_PAUSE_S = 60.0
"""A panel opens the workspace every second; a store that is away is not asked as often."""
_away_at: dict[Path, float] = {}
"""When a workspace could last not upload, by this process's clock."""


class _Run(BaseModel):
    id: str
    step: str
    cache_key: str
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


class _Record(BaseModel):
    """What of a record is needed to carry it, whatever step it is of."""

    run: _Run


class SharedRuns:
    """The runs of a workspace and those in an object store, as one.

    Thread safety: every method may be called from any thread and from several processes. Whatever
    the store does not carry out raises a WorkspaceError.
    """

    def __init__(self, workspace: Path, store: ObjectStore) -> None:
        self._workspace = workspace
        self._store = store

    @property
    def url(self) -> str:
        """The object store's address."""
        return self._store.url

    def note(self, run_id: str, step: str) -> None:
        """Have a run go up with the next upload."""
        write_atomic(self._notes / run_id, step)

    def waiting(self) -> list[str]:
        """Return the ids of the runs that have still to go up."""
        return sorted(path.name for path in self._notes.glob("*") if _RUN.fullmatch(path.name))

    def are_worth_a_try(self) -> bool:
        """Return whether runs wait, and the store was not away just now, for this process."""
        since = time.monotonic() - _away_at.get(self._workspace, -math.inf)
        return bool(self.waiting()) and since > _PAUSE_S

    def upload_waiting(self, tell: Listener, stopped: Callable[[], bool] = lambda: False) -> None:
        """Bring up the noted runs, as far as the store lets us, and say what is left.

        Nothing is raised: the runs have finished, and lie in the workspace.

        Args:
            tell: Told of the progress, if it takes long, and of what is left.
            stopped: Asked between files; if it says True, the rest is for the next command.
        """
        for run_id in self.waiting():
            try:
                self._upload(run_id, tell, stopped)
            except (WorkError, OSError) as error:
                tell(self._left(run_id, str(error)))
            except (WorkspaceError, CancelledError, KeyboardInterrupt) as error:
                _away_at[self._workspace] = time.monotonic()
                tell(self._left(run_id, str(error) or "The upload was interrupted."))
                return

    def _left(self, run_id: str, reason: str) -> Event:
        others = len(self.waiting()) - 1
        more = f" ({others} others wait with it)" if others > 0 else ""
        return Event(
            message=f"Run {run_id[:8]} has finished here and is not in the object store "
            f"yet{more}; the next command tries again. {reason}"
        )

    def _upload(self, run_id: str, tell: Listener, stopped: Callable[[], bool]) -> None:
        """Bring a noted run up, unless another process is about it."""
        note = self._notes / run_id
        try:
            folder = self._folder(note.read_text("utf-8"), run_id)
        except FileNotFoundError:  # another process has just brought it up
            return
        if not (folder / RECORD_FILE).is_file():  # it was deleted before it went up
            note.unlink(missing_ok=True)
            return
        with contextlib.suppress(Timeout), _lock(folder, waits=False):
            if note.is_file():
                self._bring_up(folder, tell, stopped)
                note.unlink()

    def fetch(self, run_id: str) -> Path | None:
        """Return the record of a run that was brought down; None if the store has no such run.

        Args:
            run_id: Its id, or how its id begins.

        Raises:
            WorkError: What arrived is not what the record says. Nothing of it was kept.
        """
        found = self._find(run_id)
        if found is None:
            return None
        key, content = found
        run = _read(content, self._store.url, key).run
        folder = self._folder(run.step, run.id)
        with _lock(folder, waits=True):
            if not (folder / RECORD_FILE).is_file():  # another process may just have
                self._bring_down(run, content, folder)
        return folder / RECORD_FILE

    def known(self, cache_key: str) -> str | None:
        """Return the id of the last run that went up under a cache key."""
        content = self._store.read(f"known/{cache_key}")
        return None if content is None else content.decode()

    def delete(self, run_id: str) -> None:
        """Have a run be there for nobody; its files stay."""
        self._move(run_id, "records", "deleted")

    def restore(self, run_id: str) -> None:
        """Undo ``delete``; a run of this workspace that had not gone up by then is noted to."""
        if not self._move(run_id, "deleted", "records"):
            for folder in self._workspace.glob(f"artifacts/*/{run_id}"):
                self.note(run_id, folder.parent.name)

    def deleted(self) -> set[str]:
        """Return the ids of the runs that were deleted, in whichever workspace.

        None are known while the store is away: what lies in the workspace can be used then, too.
        """
        try:
            return {PurePosixPath(key).stem for key in self._store.sizes("deleted")}
        except WorkspaceError as error:
            logging.getLogger("agiwb").warning("%s", error)
            return set()

    @property
    def _notes(self) -> Path:
        return self._workspace / "uploads"

    def _folder(self, step: str, run_id: str) -> Path:
        return self._workspace / "artifacts" / step / run_id / "artifacts"

    def _bring_up(self, folder: Path, tell: Listener, stopped: Callable[[], bool]) -> None:
        content = (folder / RECORD_FILE).read_bytes()
        run = _read(content, str(folder), RECORD_FILE).run
        record = f"records/{run.id}.json"
        there = self._store.read(record)
        if there != content:
            if there is not None:  # of an attempt that was killed, and then went on to another end
                self._store.delete(record)
            self._store.drop_unfinished(f"artifacts/{run.step}/{run.id}")
            told = CarriedBytes(f"uploading run {run.id[:8]}", run.size_bytes, tell)
            for file in run.files:
                if stopped():
                    raise CancelledError("")
                _require_intact(folder, file, run)
                self._store.upload(folder / file.path, _key(run, file.path), told)
            self._store.write(_key(run, RECORD_FILE), content)
            self._store.write(record, content)
            told.end()
        self._store.write(f"known/{run.cache_key}", run.id.encode())

    def _bring_down(self, run: _Run, content: bytes, folder: Path) -> None:
        draft = folder.with_name(".incoming")
        shutil.rmtree(draft, ignore_errors=True)  # of who was killed here
        try:
            told = CarriedBytes(f"fetching run {run.id[:8]}", run.size_bytes)
            with contextlib.closing(told):
                for file in run.files:
                    target = draft / file.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    key = _key(run, file.path)
                    is_there = self._store.download(key, target, told)
                    if not is_there or sha256_of_file(target) != file.sha256:
                        what = "is damaged: its SHA-256 is not" if is_there else "is not there as"
                        raise WorkError(
                            f"The file {file.path} of run {run.id[:8]} in the object store "
                            f"{self.url} {what} what its record says.",
                            "Nothing of it was kept. Put the object "
                            f"{key} back as it was, or make the run anew.",
                        )
            write_atomic(draft / RECORD_FILE, content)
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _find(self, run_id: str) -> tuple[str, bytes] | None:
        """Return the key of a run's record and the record; None unless there is just one such."""
        keys = [f"records/{run_id}.json"]
        if len(run_id) < _WHOLE_ID:
            keys = [key for key in self._store.sizes("records") if key.startswith(keys[0][:-5])]
        content = self._store.read(keys[0]) if len(keys) == 1 else None
        return None if content is None else (keys[0], content)

    def _move(self, run_id: str, origin: str, target: str) -> bool:
        content = self._store.read(f"{origin}/{run_id}.json")
        if content is None:
            return False
        self._store.write(f"{target}/{run_id}.json", content)
        self._store.delete(f"{origin}/{run_id}.json")
        return True


@contextlib.contextmanager
def _lock(folder: Path, *, waits: bool) -> Iterator[None]:
    """Hold the lock of a run that is carried, which the kernel frees."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(".carried.lock"), timeout=-1 if waits else 0):
        yield


def _key(run: _Run, path: str) -> str:
    return f"artifacts/{run.step}/{run.id}/artifacts/{path}"


def _read(content: bytes, where: str, name: str) -> _Record:
    """Return a record whose names cannot lead out of its folder."""
    try:
        record = _Record.model_validate_json(content)
    except ValidationError:
        raise _wrong_record(where, name) from None
    paths = [PurePosixPath(file.path) for file in record.run.files]
    sound = all(path.parts and not path.is_absolute() and ".." not in path.parts for path in paths)
    if not (sound and _RUN.fullmatch(record.run.id) and _STEP.fullmatch(record.run.step)):
        raise _wrong_record(where, name)
    return record


def _wrong_record(where: str, name: str) -> WorkError:
    return WorkError(
        f"The record {name} in {where} is damaged.", "Make the run anew, or delete the record."
    )


def _require_intact(folder: Path, file: StoredFile, run: _Run) -> None:
    path = folder / file.path
    if not path.is_file() or sha256_of_file(path) != file.sha256:
        raise WorkError(
            f"The file {file.path} of run {run.id[:8]} was changed since the run finished, so the "
            "run is not uploaded.",
            "Put it back as it was, or delete the run and make it anew.",
        )
