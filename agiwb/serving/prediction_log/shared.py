"""A model's log in the object store: what servers on several machines have brought up.

Below the store's address it lies as in a log's folder::

    predictions/<model>/day=2026-11-22/part-<ids>.parquet
    predictions/<model>/rollups/<profile>/...
    predictions/<model>/labels/...

A file never changes, and its name is of the server that made it, so files of several servers lie
side by side. Whoever asks for a log is answered from its folder and the store as one.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agiwb.errors import WorkError
from agiwb.runs.carried_bytes import CarriedBytes
from agiwb.runs.object_store import ObjectStore, open_object_store
from agiwb.serving.prediction_log.places import Part, part_at
from agiwb.settings import Settings

_AT_ONCE = 8
_ATTEMPTS = 20
"""Files may be replaced while they are fetched; each time that is what happened."""


@dataclass(frozen=True)
class SharedPart(Part):
    """A part in the object store; ``path`` is its key there, and ``size`` its bytes."""

    size: int
    store: ObjectStore

    @property
    def address(self) -> str:
        """What DuckDB calls the file."""
        return self.store.address(self.path.as_posix())

    def open(self) -> Any:
        """Return its ``ParquetFile``; raise FileNotFoundError if it was deleted."""
        import pyarrow.parquet as pq

        key = self.path.as_posix()
        files = self.store.known({key: self.size})
        return pq.ParquetFile(self.store.path(key), filesystem=files)

    def exists(self) -> bool:
        """Return whether it was not deleted."""
        key = self.path.as_posix()
        return key in self.store.sizes(key)


def shared_log(folder: Path) -> SharedLog | None:
    """Return what the object store has of the log in ``folder``, a model's; None without a store.

    Raises:
        ConfigError: The store's address is none.
    """
    store = open_object_store()
    return None if store is None else SharedLog(store, folder.name)


def shared_models() -> list[str]:
    """Return the names of the folders of all logs in the object store."""
    store = open_object_store()
    return [] if store is None else store.names("predictions")


class SharedLog:
    """A model's log in an object store.

    Thread safety: every method may be called from any thread and from several processes. What the
    store does not carry out raises a WorkspaceError.
    """

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._prefix = f"predictions/{name}"
        self._cache = Settings().workspace_path / "shared" / self._prefix

    def parts(self) -> list[SharedPart]:
        """Return the parts, by day."""
        found = []
        for path, size in self.files().items():
            part = part_at(Path(self._prefix, path)) if path.startswith("day=") else None
            if part is not None:
                found.append(SharedPart(part.path, part.day, part.ids, size, self._store))
        return found

    def files(self) -> dict[str, int]:
        """Return the bytes of each file, by its path in a log's folder."""
        skipped = len(self._prefix) + 1
        return {key[skipped:]: size for key, size in self._store.sizes(self._prefix).items()}

    def upload(self, folder: Path, path: str) -> None:
        """Bring up a file of the log in ``folder``, whole or not at all."""
        self._store.upload(folder / path, f"{self._prefix}/{path}")

    def download(self, path: str, folder: Path, told: CarriedBytes | None = None) -> bool:
        """Bring a file down into ``folder``, whole or not at all; return whether it is there."""
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        try:
            is_there = self._store.download(
                f"{self._prefix}/{path}", draft, told or (lambda _: None)
            )
            if is_there:
                draft.rename(target)
            return is_there
        finally:
            draft.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._store.delete(f"{self._prefix}/{path}")

    def fetched(self, kind: str) -> Path:
        """Return a folder with all that the store has of the log's folder ``kind``.

        Only what came since is fetched: ``rollups`` and ``labels``, which are small, and never
        change. It belongs to this workspace; others may look at it and fetch at the same time.

        Raises:
            WorkError: The files were replaced again and again while they were fetched.
        """
        for _ in range(_ATTEMPTS):
            there = {
                path: size for path, size in self.files().items() if path.startswith(f"{kind}/")
            }
            here = _files_below(self._cache, kind)
            if self._fetch(sorted(there.keys() - here), there):
                for path in here - there.keys():
                    (self._cache / path).unlink(missing_ok=True)
                return self._cache / kind
        raise WorkError(
            f"The {kind} in {self._store.url}/{self._prefix} were replaced each time they were "
            "fetched.",
            "Try it again.",
        )

    def _fetch(self, paths: Sequence[str], sizes: dict[str, int]) -> bool:
        """Return whether all of these files were there."""
        if not paths:
            return True
        told = CarriedBytes("fetching the log", sum(sizes[path] for path in paths))
        with contextlib.closing(told), ThreadPoolExecutor(_AT_ONCE) as threads:
            return all(threads.map(lambda path: self.download(path, self._cache, told), paths))


def _files_below(folder: Path, kind: str) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / kind).rglob("*")
        if not path.name.startswith(".") and path.is_file()
    }
