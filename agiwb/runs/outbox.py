"""The outbox: what waits in the workspace for a history that is away.

Each write is a file of its own, made whole or not at all, and numbered in the order they came. It
goes once it has been delivered; whoever is killed in between delivers it again, which changes
nothing.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from agiwb.errors import AgiwbError, UnreachableError
from agiwb.runs.files import write_atomic
from agiwb.runs.history_write import WRITES, HistoryWrite, RunWrite

_LOCK_TIMEOUT_S = 60


class Outbox:
    """Writes that wait. Thread and process safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, workspace: Path) -> Self:
        """Return that of a workspace."""
        return cls(workspace / "outbox")

    def put(self, write: HistoryWrite) -> None:
        """Keep a write; it is on the disk when this returns."""
        with self._locked(".numbers.lock"):
            last = max((int(path.stem) for path in self._files()), default=0)
            write_atomic(self.folder / f"{last + 1:010d}.json", write.model_dump_json())

    def count(self) -> int:
        """Return how many writes wait."""
        return len(self._files())

    def deliver(self, apply: Callable[[HistoryWrite], None]) -> None:
        """Hand all that waits to ``apply``, the oldest first.

        What the history refuses for a reason of its own is put aside, and told of: it must not
        hold up the rest.

        Raises:
            AgiwbError: The history cannot be opened or reached; what is left goes on waiting.
        """
        with self._locked(".delivery.lock"):
            while files := self._files():
                for together, write in _joined(files):
                    try:
                        apply(write)
                    except AgiwbError:
                        raise
                    except Exception as error:  # noqa: BLE001  whatever it has against this one
                        self._put_aside(together, str(error))
                    else:
                        for path in together:
                            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))

    def _put_aside(self, files: Sequence[Path], reason: str) -> None:
        aside = self.folder / "refused"
        aside.mkdir(exist_ok=True)
        for path in files:
            path.replace(aside / f"{path.stem}-{path.stat().st_mtime_ns}.json")
        logging.getLogger("agiwb").warning(
            "The run history refuses what waited for it; it is kept in %s. The reason: %s",
            aside,
            (reason.strip().splitlines() or [""])[0],
        )

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / name, timeout=_LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except Timeout:
            raise UnreachableError(
                f"Another process has been busy with {self.folder} for a minute.",
                "Look for one that hangs: `agiwb jobs`.",
            ) from None
        try:
            yield
        finally:
            lock.release()


def _joined(files: Sequence[Path]) -> Iterator[tuple[list[Path], HistoryWrite]]:
    """Yield the writes with their files; the points of a run that follow each other as one."""
    together: list[Path] = []
    pending: HistoryWrite | None = None
    for path in files:
        try:
            write = WRITES.validate_json(path.read_bytes())
        except FileNotFoundError:
            continue
        except ValidationError:
            path.replace(path.with_suffix(".damaged"))
            continue
        both = pending.followed_by(write) if isinstance(pending, RunWrite) else None
        if both is None and pending is not None:
            yield together, pending
            together = []
        together, pending = [*together, path], both or write
    if pending is not None:
        yield together, pending
