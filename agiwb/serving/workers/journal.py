"""The changes that a worker which is started later has to make up for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Change = dict[str, Any]


def keep_change(journal: Sequence[Change], change: Change) -> list[Change]:
    """Return ``journal`` with ``change``, and without what that makes good for nothing.

    A server may be relabelled for years; the journal stays as short as its models and labels are
    few.
    """
    if change["do"] == "configure":
        return [change]
    return [*(kept for kept in journal if _subject(kept) != _subject(change)), change]


def _subject(change: Change) -> tuple[str, ...]:
    names = [model["name"] for model in change.get("models", ())]
    return change["do"], *names, change.get("name", ""), change.get("label", "")
