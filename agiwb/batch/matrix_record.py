"""What came out of a matrix."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agiwb.batch.failed_cell import FailedCell
from agiwb.batch.matrix_config import MatrixConfig
from agiwb.runs.record import Record

INDEX_FILE = "index.html"
JUNIT_FILE = "junit.xml"
SUMMARY_FILE = "summary.md"
PAGES = "notebooks"
"""Folder of the executed notebooks, and of what they look like in a browser."""

Outcome = Literal["passed", "failed", "skipped"]
OUTCOMES: tuple[Outcome, ...] = ("passed", "failed", "skipped")


class EntryResult(BaseModel):
    """How one notebook of a matrix ended.

    Attributes:
        name: Of the entry.
        notebook: Its path, as it was given.
        parameters: What it was given.
        command: What runs it by itself.
        outcome: A notebook whose gates were not passed has failed; one that never ran is skipped.
        reused: Whether the result is an earlier run's.
        attempts: How often it was run now.
        run_id: Its run, if that finished.
        seconds: Wall-clock time of that run, or of the last attempt.
        reason: Why it failed or was skipped.
        cell: The cell that failed.
        results: By step, the run that the notebook got.
        page: The executed notebook as HTML, in the matrix's files.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    notebook: str
    parameters: dict[str, Any]
    command: str
    outcome: Outcome
    reused: bool = False
    attempts: int = 0
    run_id: str | None = None
    seconds: float | None = None
    reason: str = ""
    cell: FailedCell | None = None
    results: dict[str, str] = {}
    page: str | None = None

    @property
    def how(self) -> str:
        """The outcome in words: ``passed, used again``, ``passed at attempt 2``."""
        if self.reused:
            return f"{self.outcome}, used again"
        if self.attempts > 1:
            after = "at attempt" if self.outcome == "passed" else "after attempt"
            return f"{self.outcome} {after} {self.attempts}"
        return self.outcome


class MatrixRecord(Record):
    """A matrix carried out, each entry in the order of the matrix."""

    config: MatrixConfig
    entries: tuple[EntryResult, ...]

    def count(self, outcome: Outcome) -> int:
        """Return how many entries ended so."""
        return sum(entry.outcome == outcome for entry in self.entries)
