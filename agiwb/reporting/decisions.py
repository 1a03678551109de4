"""Who answers and who decided so, as tables and lists; nothing here draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape

from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.history import Event, history
from agiwb.maintenance.overview import Overview
from agiwb.reporting.tables import Table

_VERDICTS = {
    "promote": "may take the place of",
    "reject": "may not take the place of",
    "not enough evidence": "cannot be judged yet against",
}
_ACTIONS = {
    "challenge": "became the challenger",
    "shadow": "is tried as a shadow",
    "canary": "is tried as a canary",
    "promote": "became the champion",
    "roll_back": "was rolled back",
    "reject": "was rejected",
    "unpin": "was no longer held",
}


def verdict_words(record: GateRecord) -> str:
    """Return the verdict as a sentence."""
    return (
        f"Version {record.challenger.version} of {record.model_name} {_VERDICTS[record.verdict]} "
        f"version {record.champion.version}, the champion."
    )


def standing_html(seen: Overview) -> str:
    """Return who has which role, since when, and with which figures, and what the gate said."""
    if not seen.roles:
        return (
            f"<p>{escape(seen.model)} has no champion yet: the first promotion needs no gate.</p>"
        )
    since = {
        event.version: event.time
        for event in seen.events
        if event.where == "ledger" and event.action in {"promote", "challenge"}
    }
    rows = [
        {
            "role": one.name,
            "version": str(one.version.version),
            "on servers": "" if one.version.served is None else f"number {one.version.served}",
            "decided (UTC)": _minute(since.get(str(one.version.version))),
            "made (UTC)": "" if one.made_at is None else f"{one.made_at:%Y-%m-%d %H:%M}",
            "figures": _figures(one.metrics),
        }
        for one in seen.roles
    ]
    if not any(row["figures"] for row in rows):
        rows = [{name: text for name, text in row.items() if name != "figures"} for row in rows]
    said = _gate_words(seen)
    return f"{Table.of(rows).html()}<p>{escape(said)}</p>" if said else Table.of(rows).html()


def _gate_words(seen: Overview) -> str:
    if seen.standing.challenger is None:
        return "Nobody challenges it: retrain, or register another version."
    if seen.gate is None:
        return "The gate has not compared the two yet."
    return f"The gate: {verdict_words(seen.gate)}"


def _figures(metrics: Mapping[str, float]) -> str:
    tested = {name: value for name, value in metrics.items() if name.startswith("test_")}
    return ", ".join(f"{name} {value:.4g}" for name, value in list((tested or metrics).items())[:3])


def decision_table(model: str) -> Table:
    """Return what was decided about a registered model, the oldest first."""
    return Table.of(
        [
            {
                "time (UTC)": _time(one.time),
                "who": one.who,
                "what": f"version {one.version} {_ACTIONS.get(one.action, one.action)}",
                "since then": one.stands,
                "why": one.why,
            }
            for one in history(model)
        ]
    )


def timeline_html(events: Sequence[Event]) -> str:
    """Return decisions as a list to read, the newest first."""
    items = "".join(f"<li>{_told(event)}</li>" for event in reversed(events))
    return f"<ol reversed>{items}</ol>" if items else "<p>Nothing was decided yet.</p>"


def _told(event: Event) -> str:
    what = f"Version {event.version} {_ACTIONS.get(event.action, event.action)}"
    where = "" if event.where == "ledger" else " (decided on the server, numbered as there)"
    by = f"by {event.who}"
    gated = f", evidence {event.evidence[:8]}" if event.evidence else ""
    why = f"<br>{escape(event.why)}" if event.why else ""
    return (
        f"<b>{escape(what)}</b>{where} · {_time(event.time)} UTC, {escape(by)}{escape(gated)}{why}"
    )


def _minute(text: str | None) -> str:
    return "" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
