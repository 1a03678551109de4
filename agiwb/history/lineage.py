"""Where a run comes from and what was made of it: a graph of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agiwb.history.entries import HistoryEntry
from agiwb.runs.execute import CALLER


@dataclass(frozen=True)
class Lineage:
    """The runs that lead to one run, it, and those that lead from it.

    Attributes:
        run_id: The run in question.
        entries: By id, ancestors before their descendants.
        edges: (parent, child, name of the input).
        missing: Ids of parents that the workspace no longer has.
    """

    run_id: str
    entries: dict[str, HistoryEntry]
    edges: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...]


def lineage(run_id: str, history: Sequence[HistoryEntry]) -> Lineage:
    """Return the lineage of a run, which must be in ``history``."""
    known = {entry.id: entry for entry in history}
    kept = _reached(run_id, {one.id: _parents(one) for one in history})
    kept |= _reached(run_id, _children(history))
    ordered = sorted((known[one] for one in kept if one in known), key=lambda one: one.started_at)
    edges = [
        (parent, entry.id, name)
        for entry in ordered
        for name, parent in entry.parents.items()
        if name != CALLER and parent in kept
    ]
    return Lineage(
        run_id,
        {entry.id: entry for entry in ordered},
        tuple(edges),
        tuple(sorted(one for one in kept if one not in known)),
    )


def dependents(run_id: str, history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """Return the runs that were made from a run's result, at first hand."""
    return [entry for entry in history if run_id in _parents(entry)]


def _parents(entry: HistoryEntry) -> list[str]:
    return [parent for name, parent in entry.parents.items() if name != CALLER]


def _children(history: Sequence[HistoryEntry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for entry in history:
        for parent in _parents(entry):
            found.setdefault(parent, []).append(entry.id)
    return found


def _reached(start: str, following: dict[str, list[str]]) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for one in following.get(waiting.pop(), []):
            if one not in reached:
                reached.add(one)
                waiting.append(one)
    return reached
