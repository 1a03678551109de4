"""What keeps the lines of a ledger: a file of the workspace, or a table that a team shares."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from agiwb.errors import WorkspaceError


class Pen(Protocol):
    """The right to append, which one holds at a time; ``lines`` are those that are there."""

    lines: list[bytes]

    def append(self, line: bytes) -> bool:
        """Return True once ``line`` is kept for good; False if somebody else was first.

        Raises:
            WorkspaceError: It cannot be written.
        """
        ...


class LedgerLines(Protocol):
    """Keeps lines that are appended to and never changed; each ends with a newline.

    Thread and process safe. A line is kept whole or not at all, whoever is killed and whenever.
    """

    remedy: str
    """What to do about lines that something else has changed."""

    @property
    def where(self) -> str:
        """Where they are, as a message says it."""
        ...

    def read(self) -> list[bytes]:
        """Return all lines, the first one first.

        Raises:
            WorkspaceError: They cannot be read.
        """
        ...

    def locked(self) -> AbstractContextManager[Pen]:
        """Return a context in which nobody else appends.

        Raises:
            WorkspaceError: They cannot be written.
        """
        ...


def not_written(where: str, problem: str, fix: str) -> WorkspaceError:
    """Return the error that says so."""
    return WorkspaceError(f"The ledger {where} cannot be written: {problem}.", fix)
