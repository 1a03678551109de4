"""A rollout's state and its ledger, in two files beside the versions of the model.

The state is the truth, replaced atomically; the ledger is appended to after it. A process that is
killed in between leaves a state whose change the ledger lacks, so the state carries that change,
and the next to open the ledger adds it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from agiwb.errors import WorkspaceError
from agiwb.runs.files import write_atomic
from agiwb.serving.rollout.state import Change, RolloutState
from agiwb.serving.status import Code, Refusal

STATE_FILE = ".rollout.json"
LEDGER_FILE = ".rollout.jsonl"
_LOCK_FILE = ".rollout.lock"
_LOCK_TIMEOUT_S = 10
_TAIL_BYTES = 1 << 20


class RolloutStore:
    """The files of one model's rollout. Thread and process safe."""

    def __init__(self, base_path: Path) -> None:
        self.base_path = base_path
        self._state_file = base_path / STATE_FILE
        self._ledger_file = base_path / LEDGER_FILE

    def stamp(self) -> tuple[int, int]:
        """Return what differs as soon as any process has changed the state."""
        try:
            stat = self._state_file.stat()
        except OSError:
            return (0, 0)
        return (stat.st_ino, stat.st_mtime_ns)

    def load(self) -> RolloutState:
        """Return the state; a model that never had a rollout has the first one.

        Raises:
            WorkspaceError: The file cannot be read, or is not a state.
        """
        try:
            return RolloutState.model_validate_json(self._state_file.read_bytes())
        except FileNotFoundError:
            return RolloutState()
        except (OSError, ValidationError) as error:
            raise WorkspaceError(
                f"The rollout in {self._state_file} cannot be read: "
                f"{str(error).partition(chr(10))[0]}.",
                f"Restore it, or delete it to serve the highest version; {LEDGER_FILE} beside it "
                "tells what was decided.",
            ) from error

    def swap(self, expected_revision: int, state: RolloutState) -> None:
        """Replace the state of ``expected_revision`` and enter its change in the ledger.

        Raises:
            Refusal: ABORTED, another change came first.
            WorkspaceError: The files cannot be written.
        """
        with self._locked():
            found = self.load()
            if found.revision != expected_revision:
                raise Refusal(
                    Code.ABORTED,
                    f"The rollout was changed meanwhile: it is at revision {found.revision}, "
                    f"not {expected_revision}.",
                    "Look at it again, and decide again.",
                )
            self._mend_ledger(found)
            write_atomic(self._state_file, state.model_dump_json(indent=2, by_alias=True))
            self._append(state.last_change)

    def ledger(self, last: int = 20) -> list[Change]:
        """Return the newest ``last`` changes, oldest first."""
        with contextlib.suppress(WorkspaceError), self._locked():
            self._mend_ledger(self.load())
        return [Change.model_validate_json(line) for line in self._tail()[-last:]]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock  # not at a server's start

        try:
            with FileLock(self.base_path / _LOCK_FILE, timeout=_LOCK_TIMEOUT_S):
                yield
        except OSError as error:
            raise WorkspaceError(
                f"The rollout in {self.base_path} cannot be changed: {error}.",
                "Make the folder writable for the server, and look for another process that "
                f"holds {_LOCK_FILE}.",
            ) from error

    def _mend_ledger(self, state: RolloutState) -> None:
        """Cut a line that was half written, and add the state's change if it is missing."""
        if self._ledger_file.exists():
            with self._ledger_file.open("rb+") as stream:
                content = stream.read()
                if content and not content.endswith(b"\n"):
                    stream.truncate(content.rfind(b"\n") + 1)
        lines = self._tail()
        newest = json.loads(lines[-1])["revision"] if lines else 0
        if newest < state.revision:
            self._append(state.last_change)

    def _append(self, change: Change | None) -> None:
        if change is None:
            return
        with self._ledger_file.open("ab") as stream:
            stream.write(change.model_dump_json(by_alias=True).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _tail(self) -> list[bytes]:
        """Return the newest complete lines."""
        try:
            with self._ledger_file.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                start = max(0, size - _TAIL_BYTES)
                stream.seek(start)
                content = stream.read()
        except FileNotFoundError:
            return []
        lines = content.split(b"\n")[:-1]
        return lines[1:] if start else lines
