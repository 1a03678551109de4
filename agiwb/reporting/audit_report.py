"""The report for an audit: what was decided about a model and why, and what it was made of."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from agiwb.errors import WorkspaceError
from agiwb.history.entries import HistoryEntry
from agiwb.history.trail import ORIGINS, TrailEntry, model_names
from agiwb.maintenance.history import Event
from agiwb.maintenance.ledger import decided_models
from agiwb.reporting.page import Section
from agiwb.reporting.tables import Table

_DIGITS = 12


def audited_models(history: Sequence[HistoryEntry]) -> list[str]:
    """Return the models that were trained or imported, the newest first, or decided about."""
    decided: list[str] = []
    with contextlib.suppress(WorkspaceError):  # the report itself says that it cannot be read
        decided = decided_models()
    return list(dict.fromkeys([*model_names(history), *decided]))


def audit_sections(
    model: str, events: Sequence[Event], trail: Sequence[TrailEntry], problem: str = ""
) -> list[Section]:
    """Return the parts of the report.

    Args:
        model: The model's name.
        events: What was decided about it, the oldest first.
        trail: The runs that led to it and from it, the oldest first.
        problem: Why the decisions cannot be told; empty if they can.
    """
    return [
        _decisions(model, events, problem),
        _runs(trail),
        _integrity(trail),
        _origin(trail),
    ]


def _decisions(model: str, events: Sequence[Event], problem: str) -> Section:
    if problem:
        return Section("Decisions", problem, passed=False)
    if not events:
        return Section("Decisions", f"Nobody has decided anything about {model} yet.")
    newest = events[-1]
    stands = next((one.stands for one in reversed(events) if one.where == "ledger"), "")
    sentence = (
        f"The last of {len(events)}: {newest.action} version {newest.version}, by {newest.who}, "
        f"{_time(newest.time)} UTC."
    )
    if stands:
        sentence += f" By the ledger, this holds now: {stands}."
    rows = [
        {
            "time (UTC)": _time(one.time),
            "where": one.where,
            "who": one.who,
            "what": f"{one.action} version {one.version}",
            "holds since": one.stands,
            "evidence": one.evidence[:_DIGITS],
            "why": one.why,
        }
        for one in reversed(events)
    ]
    chained = (
        "Each line of the ledger holds the digest of the one before: the chain was checked.",
    )
    return Section("Decisions", sentence, "", Table.of(rows).html(), details=chained)


def _runs(trail: Sequence[TrailEntry]) -> Section:
    if not trail:
        return Section("Runs", "No run that made this model is left in the workspace.")
    problems = [one for one in trail if one.record is not None and one.record.problems]
    ended = sum(one.entry.state not in {"finished", "running", "queued"} for one in trail)
    sentence = (
        f"{len(trail)} runs led to this model or from it; {len(problems)} found something "
        f"wrong, and {ended} did not finish."
    )
    rows = [
        {
            "started (UTC)": f"{one.entry.started_at:%Y-%m-%d %H:%M:%S}",
            "run": one.entry.id[:8],
            "step": one.entry.step,
            "state": one.entry.state,
            "made from": ", ".join(
                f"{name} {parent[:8]}" for name, parent in one.entry.parents.items()
            ),
            "found": _found(one),
        }
        for one in reversed(trail)
    ]
    return Section("Runs", sentence, "", Table.of(rows).html())


def _found(one: TrailEntry) -> str:
    if one.record is None:
        return one.entry.error or ""
    problems = one.record.problems
    if not problems:
        return "nothing wrong"
    return problems[0] + (f" And {len(problems) - 1} more." if len(problems) > 1 else "")


def _integrity(trail: Sequence[TrailEntry]) -> Section:
    looked = [one for one in trail if one.damaged is not None]
    damaged = [one for one in looked if one.damaged]
    unread = sum(one.record is not None for one in trail) - len(looked)
    files = sum(len(one.record.run.files) for one in looked if one.record is not None)
    if damaged:
        sentence = f"{len(damaged)} of {len(looked)} runs no longer have the files they ended with."
    else:
        sentence = f"All {files} files of {len(looked)} runs are as they were when the runs ended."
    if unread:
        sentence += f" The files of {unread} runs are too large to be read again here."
    details = tuple(
        f"Run {one.entry.id[:8]} ({one.entry.step}): {', '.join((one.damaged or ())[:5])}"
        for one in damaged
    )
    return Section("Files", sentence, passed=not damaged, details=details)


def _origin(trail: Sequence[TrailEntry]) -> Section:
    known = [one.record for one in trail if one.record is not None]
    if not known:
        return Section("Origin", "Nothing is known of where it comes from.")
    rows = []
    for record in reversed(known):
        made = record.run.provenance
        commit = (made.git_commit or "none")[:_DIGITS] + (" changed" if made.git_dirty else "")
        inputs = ", ".join(f"{name} {text[:_DIGITS]}" for name, text in made.inputs.items())
        rows.append(
            {
                "run": record.run.id[:8],
                "code (SHA-256)": made.code_sha256[:_DIGITS],
                "commit": commit,
                "Python": made.python,
                "machine": made.machine,
                "inputs (SHA-256)": inputs,
            }
        )
    data = {
        record.run.provenance.inputs["dataset"]
        for record in known
        if record.run.step in ORIGINS and "dataset" in record.run.provenance.inputs
    }
    dirty = sum(bool(record.run.provenance.git_dirty) for record in known)
    sentence = (
        f"Trained on {len(data)} version{'s' if len(data) != 1 else ''} of the data; {dirty} of "
        f"{len(known)} runs were made with local changes in the repository."
    )
    return Section("Origin", sentence, "", Table.of(rows).html())


def _time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return text
