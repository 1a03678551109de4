"""The ledger of a model: appended to, never changed, and the only truth about its champion.

Each decision is one line, written whole and flushed to the disk before anybody acts on it. Whoever
is killed in the middle of a line leaves one without an end, which counts for nothing and is cut off
by the next to write. Every line holds the digest of the one before and what stands after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agiwb.artifacts.manifest import check_served_name
from agiwb.errors import WorkError, WorkspaceError
from agiwb.maintenance.decision import Action, Decision, ModelVersion, Standing
from agiwb.settings import Settings

LEDGER_FILE = "promotions.jsonl"
_LOCK_FILE = ".promotions.lock"
_LOCK_TIMEOUT_S = 60

_UNCHANGED: dict[str, Any] = {}


class SupersededError(WorkError):
    """Somebody else decided meanwhile; nothing was changed."""


def ledger_of(model: str) -> Ledger:
    """Return the ledger of a registered model in the workspace.

    Raises:
        InputError: A model cannot be called so.
    """
    return Ledger(Settings().workspace_path / "maintenance" / check_served_name(model), model)


class Ledger:
    """The decisions on one model. Thread and process safe."""

    def __init__(self, folder: Path, model: str) -> None:
        self.model = model
        self.folder = folder
        self.file = folder / LEDGER_FILE

    def standing(self) -> Standing:
        """Return what holds now; a model nobody decided about has the first standing.

        Raises:
            WorkspaceError: The file cannot be read, or its lines do not follow from each other.
        """
        decisions = self.decisions()
        return decisions[-1].stands if decisions else Standing()

    def decisions(self) -> list[Decision]:
        """Return all decisions, the first one first, their chain of digests checked.

        Raises:
            WorkspaceError: See ``standing``.
        """
        return _parsed(self.file, self._read())

    def decide(
        self,
        action: Action,
        subject: ModelVersion,
        changes: Callable[[Standing], dict[str, Any]] = lambda _: _UNCHANGED,
        *,
        who: str,
        expected: int | None = None,
        then: Callable[[Standing], None] = lambda _: None,
        why: str = "",
        evidence: tuple[str, str] | None = None,
        server: str | None = None,
    ) -> Standing:
        """Return what stands after a decision, which is on the disk and carried out.

        Decisions on one model are carried out one after the other, in the order of the ledger. If
        carrying it out fails, another line says so and what stood before stands again.

        Args:
            action: What is decided.
            subject: About which version.
            changes: Gives the fields of the standing that change.
            who: Decides.
            expected: The revision it was decided upon; None takes any.
            then: Carries it out, once it is written; given what stands.
            why: In words.
            evidence: Digest and run of the record that it rests on.
            server: The server it is carried out on.

        Raises:
            SupersededError: The ledger is at another revision.
            WorkspaceError: The file cannot be read or written.
        """
        with self._locked():
            content = self._mend()
            known = _parsed(self.file, content)
            before = known[-1].stands if known else Standing()
            if expected is not None and before.revision != expected:
                raise self._superseded(known, expected)
            made = Decision(
                time=_now(),
                who=who,
                action=action,
                subject=subject,
                why=why,
                evidence=evidence[0] if evidence else None,
                evidence_run=evidence[1] if evidence else None,
                server=server,
                stands=_after(before, changes(before)),
                parent=_parent(content),
            )
            line = self._append(made)
            try:
                then(made.stands)
            except Exception as error:
                failed = made.model_copy(
                    update={
                        "time": _now(),
                        "action": "roll_back",
                        "why": f"revision {made.revision} was not carried out: {error}",
                        "stands": before.model_copy(update={"revision": made.revision + 1}),
                        "parent": _digest(line),
                    }
                )
                self._append(failed)
                raise
            return made.stands

    def _superseded(self, known: list[Decision], expected: int) -> SupersededError:
        newest = known[-1] if known else None
        told = (
            f" {newest.who} decided at {newest.time}: {newest.action} version "
            f"{newest.subject.version}{f' ({newest.why})' if newest.why else ''}."
            if newest
            else ""
        )
        return SupersededError(
            f"Somebody else decided about {self.model} meanwhile: its ledger is at revision "
            f"{newest.revision if newest else 0}, not {expected}.{told}",
            f"Nothing was changed. Look at `agiwb history {self.model}`, and decide again.",
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        lock = FileLock(self.folder / _LOCK_FILE, timeout=_LOCK_TIMEOUT_S)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise WorkspaceError(
                f"The ledger {self.file} cannot be written: {error}.",
                "Make its folder writable, and look for another process that decides.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _read(self) -> bytes:
        """Return all complete lines."""
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise WorkspaceError(f"The ledger {self.file} cannot be read: {error}.") from error
        return content[: content.rfind(b"\n") + 1]

    def _mend(self) -> bytes:
        """Return all complete lines; one that was half written is cut off."""
        content = self._read()
        if self.file.exists() and self.file.stat().st_size > len(content):
            with self.file.open("rb+") as stream:
                stream.truncate(len(content))
        return content

    def _append(self, decision: Decision) -> bytes:
        line = decision.model_dump_json().encode() + b"\n"
        try:
            with self.file.open("ab") as stream:
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise WorkspaceError(
                f"The ledger {self.file} cannot be written: {error}.",
                "Nothing was changed; make room, or make its folder writable.",
            ) from error
        return line


def _parsed(file: Path, content: bytes) -> list[Decision]:
    found: list[Decision] = []
    parent = ""
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            decision = Decision.model_validate_json(line)
        except ValidationError:
            raise _damaged(file, number, "is no decision") from None
        if decision.parent != parent or decision.revision != number:
            raise _damaged(file, number, "does not follow from the line before it")
        found.append(decision)
        parent = _digest(line)
    return found


def _damaged(file: Path, number: int, what: str) -> WorkspaceError:
    return WorkspaceError(
        f"Line {number} of the ledger {file} {what}: it was changed by something else.",
        "Restore the file from a backup; without it the workspace knows no champion.",
    )


def _parent(content: bytes) -> str:
    lines = content.splitlines(keepends=True)
    return _digest(lines[-1]) if lines else ""


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _after(before: Standing, changes: dict[str, Any]) -> Standing:
    return before.model_copy(update={**changes, "revision": before.revision + 1})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
