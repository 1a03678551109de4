"""The ledger of a model: appended to, never changed, and the only truth about its champion.

Each decision is one line, kept for good before anybody acts on it. Every line holds the digest of
the one before and what stands after it. They lie in a file of the workspace; if the run history is
a PostgreSQL database, in a table there, and whoever shares the database shares the decisions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agiwb.artifacts.manifest import check_served_name
from agiwb.errors import WorkError, WorkspaceError
from agiwb.maintenance.decision import Action, Decision, ModelVersion, Standing
from agiwb.maintenance.ledger_database import DatabaseLines, models_in
from agiwb.maintenance.ledger_file import LEDGER_FILE, FileLines
from agiwb.maintenance.ledger_lines import LedgerLines, Pen
from agiwb.runs.tracking_address import tracking_address
from agiwb.settings import Settings

_UNCHANGED: dict[str, Any] = {}


class SupersededError(WorkError):
    """Somebody else decided meanwhile; nothing was changed."""


def ledger_of(model: str) -> Ledger:
    """Return the ledger of a registered model: in the history's database, else in the workspace.

    Raises:
        InputError: A model cannot be called so.
    """
    settings = Settings()
    folder = settings.workspace_path / "maintenance" / check_served_name(model)
    database = tracking_address(settings.tracking_uri, settings.workspace_path).database
    here = FileLines(folder)
    return Ledger(here if database is None else DatabaseLines(database, model, here), model)


def is_shared() -> bool:
    """Return whether decisions lie in a database, which may take long to answer."""
    settings = Settings()
    return tracking_address(settings.tracking_uri, settings.workspace_path).database is not None


def decided_models() -> list[str]:
    """Return the models that somebody has decided about, sorted.

    Raises:
        WorkspaceError: The database that keeps them cannot be read.
    """
    settings = Settings()
    folder: Path = settings.workspace_path / "maintenance"
    here = {path.parent.name for path in folder.glob(f"*/{LEDGER_FILE}")}
    database = tracking_address(settings.tracking_uri, settings.workspace_path).database
    return sorted(here if database is None else {*here, *models_in(database)})


class Ledger:
    """The decisions on one model. Thread and process safe."""

    def __init__(self, lines: LedgerLines, model: str) -> None:
        self.model = model
        self._lines = lines

    def standing(self) -> Standing:
        """Return what holds now; a model nobody decided about has the first standing.

        Raises:
            WorkspaceError: It cannot be read, or its lines do not follow from each other.
        """
        decisions = self.decisions()
        return decisions[-1].stands if decisions else Standing()

    def decisions(self) -> list[Decision]:
        """Return all decisions, the first one first, their chain of digests checked.

        Raises:
            WorkspaceError: See ``standing``.
        """
        return self._parsed(self._lines.read())

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
        """Return what stands after a decision, which is kept and carried out.

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
            WorkspaceError: It cannot be read or written.
        """
        with self._lines.locked() as pen:
            known = self._parsed(pen.lines)
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
                parent=_parent(pen.lines),
            )
            if not _append(pen, made):
                raise self._superseded(self.decisions(), before.revision)
            try:
                then(made.stands)
            except Exception as error:
                failed = made.model_copy(
                    update={
                        "time": _now(),
                        "action": "roll_back",
                        "why": f"revision {made.revision} was not carried out: {error}",
                        "stands": before.model_copy(update={"revision": made.revision + 1}),
                        "parent": _parent(pen.lines),
                    }
                )
                try:
                    _append(pen, failed)  # unless somebody has decided since, whose word stands
                except WorkspaceError as unwritten:
                    raise WorkError(
                        f"Revision {made.revision} of {self.model} was not carried out: {error} "
                        f"And the ledger could not be told: {unwritten.problem}",
                        f"It says that {action} stands: once it can be written, decide again.",
                    ) from error
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

    def _parsed(self, lines: Sequence[bytes]) -> list[Decision]:
        found: list[Decision] = []
        parent = ""
        for number, line in enumerate(lines, start=1):
            try:
                decision = Decision.model_validate_json(line)
            except ValidationError:
                raise self._damaged(number, "is no decision") from None
            if decision.parent != parent or decision.revision != number:
                raise self._damaged(number, "does not follow from the line before it")
            found.append(decision)
            parent = _digest(line)
        return found

    def _damaged(self, number: int, what: str) -> WorkspaceError:
        return WorkspaceError(
            f"Line {number} of the ledger {self._lines.where} {what}: it was changed by something "
            "else.",
            self._lines.remedy,
        )


def _append(pen: Pen, decision: Decision) -> bool:
    return pen.append(decision.model_dump_json().encode() + b"\n")


def _parent(lines: Sequence[bytes]) -> str:
    return _digest(lines[-1]) if lines else ""


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _after(before: Standing, changes: dict[str, Any]) -> Standing:
    return before.model_copy(update={**changes, "revision": before.revision + 1})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
