"""The changes that a worker which is started later has to make up for."""

from __future__ import annotations

from typing import Any

Change = dict[str, Any]


class Journal:
    """Changes by number, in their order, without those that later ones make good for nothing.

    A server may be relabelled for years; the journal stays as short as its models and labels are
    few. It belongs to the supervisor's loop: nothing in it is thread-safe.

    Attributes:
        last: The number of the last change; 0 before the first.
    """

    def __init__(self) -> None:
        self.last = 0
        self._kept: dict[int, Change] = {}

    def keep(self, change: Change) -> None:
        """Keep ``change`` as the last one."""
        self.last += 1
        self._kept = {
            number: kept
            for number, kept in self._kept.items()
            if change["do"] != "configure" and _subject(kept) != _subject(change)
        }
        self._kept[self.last] = change

    def after(self, number: int) -> list[Change]:
        """Return the changes that still count, of those later than ``number``."""
        return [kept for its, kept in self._kept.items() if its > number]


def _subject(change: Change) -> tuple[str, ...]:
    names = [model["name"] for model in change.get("models", ())]
    return change["do"], *names, change.get("name", ""), change.get("label", "")
