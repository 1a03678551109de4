"""What was decided about a model, in the ledger and on servers, in order of time."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from agiwb.maintenance.following import taken_over
from agiwb.maintenance.ledger import ledger_of
from agiwb.serving.rollout.store import LEDGER_FILE, RolloutStore
from agiwb.settings import Settings


class Event(NamedTuple):
    """One thing that was decided.

    Attributes:
        time: UTC, ISO 8601.
        where: ``ledger``, or ``server`` for a change of who answers.
        who: Decided.
        action: What.
        version: Of the registry in the ledger; as served on a server.
        why: In words.
        evidence: SHA-256 of the record that a decision of the ledger rests on, or "".
        stands: What holds since, in words.
    """

    time: str
    where: str
    who: str
    action: str
    version: str
    why: str
    evidence: str
    stands: str


def history(model: str) -> list[Event]:
    """Return all decisions on a model, the oldest first, each once.

    What was decided on a server itself, and is not in the ledger, is told by the server: a canary
    that a person tries, say, or what a guard rolled back by itself. Its versions are numbered as
    they were published.

    Raises:
        WorkspaceError: The ledger was changed by something else, or cannot be read.
    """
    decided = _decisions(model)
    reasons = {event.why for event in decided}
    return sorted([*decided, *_rollouts(model, reasons)], key=lambda event: event.time)


def _decisions(model: str) -> list[Event]:
    return [
        Event(
            time=one.time,
            where="ledger",
            who=one.who,
            action=one.action,
            version=str(one.subject.version),
            why=one.why,
            evidence=one.evidence or "",
            stands=", ".join(
                f"{role} {its.version}"
                for role in ("champion", "challenger", "previous")
                if (its := getattr(one.stands, role)) is not None
            ),
        )
        for one in ledger_of(model).decisions()
    ]


def _rollouts(model: str, in_ledger: Collection[str]) -> list[Event]:
    """Return what was decided on servers, less what carries out a decision or was taken over."""
    folder = Settings().workspace_path / "serving" / model
    if not (folder / LEDGER_FILE).is_file():
        return []
    return [
        Event(
            time=change.time,
            where="server",
            who=change.who,
            action=change.action,
            version=_number(change.after, change.before),
            why=change.why,
            evidence="",
            stands=_roles(change.after),
        )
        for change in RolloutStore(folder).ledger(last=1_000)
        if change.decision is None
        and change.action != "pin"  # which leaves who answers as it was
        and taken_over(change) not in in_ledger
    ]


def _number(after: dict[str, object], before: dict[str, object]) -> str:
    """Return the version that a change of a rollout was about: the first role that changed."""
    for role in ("canary", "shadow", "champion"):
        if after.get(role) != before.get(role):
            its = after.get(role) or before.get(role)
            return str(its["version"] if isinstance(its, dict) else its)
    return ""


def _roles(roles: dict[str, object]) -> str:
    told = []
    for role, its in roles.items():
        if isinstance(its, dict):
            told.append(f"{role} {its['version']} ({its['share']:.0%})")
        elif its is not None:
            told.append(f"{role} {its}")
    return ", ".join(told)
