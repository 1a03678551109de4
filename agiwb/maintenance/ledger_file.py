"""A ledger's lines in a file of the workspace.

Each is written whole and flushed to the disk. Whoever is killed in the middle of a line leaves one
without an end, which counts for nothing and is cut off by the next to write.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from agiwb.errors import WorkspaceError
from agiwb.maintenance.ledger_lines import not_written

LEDGER_FILE = "promotions.jsonl"
_LOCK_FILE = ".promotions.lock"
_LOCK_TIMEOUT_S = 60


class FileLines:
    """Lines in a file of ``folder``; see LedgerLines for the contract."""

    remedy = "Restore the file from a backup; without it the workspace knows no champion."

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / LEDGER_FILE

    @property
    def where(self) -> str:
        return str(self.file)

    def read(self) -> list[bytes]:
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise WorkspaceError(f"The ledger {self.file} cannot be read: {error}.") from error
        return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[_FilePen]:
        from filelock import FileLock

        lock = FileLock(self._folder / _LOCK_FILE, timeout=_LOCK_TIMEOUT_S)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise not_written(
                self.where,
                str(error),
                "Make its folder writable, and look for another process that decides.",
            ) from error
        try:
            yield _FilePen(self.file, self._mended())
        finally:
            lock.release()

    def _mended(self) -> list[bytes]:
        """Return all lines; one that was half written is cut off."""
        lines = self.read()
        whole = sum(map(len, lines))
        if self.file.exists() and self.file.stat().st_size > whole:
            with self.file.open("rb+") as stream:
                stream.truncate(whole)
        return lines


class _FilePen:
    def __init__(self, file: Path, lines: list[bytes]) -> None:
        self._file = file
        self.lines = lines

    def append(self, line: bytes) -> bool:
        try:
            with self._file.open("ab") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise not_written(
                str(self._file),
                str(error),
                "Nothing was changed; make room, or make its folder writable.",
            ) from error
        self.lines.append(line)
        return True
