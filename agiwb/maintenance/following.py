"""A server and its model's ledger brought together again, where they name two champions.

Mostly the server was left behind: whoever decided was killed before it was told, or it was started
again. Then it follows. But its operator may also have decided on the server itself, at night, say,
by one call of its admin route: that is the newer decision, and the ledger takes it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.errors import NotFoundError
from agiwb.maintenance.decision import Standing
from agiwb.maintenance.ledger import Ledger, ledger_of
from agiwb.maintenance.promotion import mirror
from agiwb.maintenance.served_version import registered_version

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore
    from agiwb.serving.endpoint import Endpoint
    from agiwb.serving.rollout.state import Change

_DECIDES = ("promote", "roll_back", "unpin")


def follow(model: str, endpoint: Endpoint, store: RunStore) -> str:
    """Return what was done so that ledger and server name the same champion; "" if they do.

    Raises:
        InputError: The server cannot load the ledger's champion.
        ServingError: The server is gone.
        SupersededError: Somebody else decided meanwhile.
    """
    ledger = ledger_of(model)
    standing, rollout = ledger.standing(), endpoint.rollout()
    champion = standing.champion
    if champion is None or champion.served in {None, rollout["champion"]}:
        return ""
    made = _decided_on_server(rollout, ledger)
    if made is not None:
        return _take_over(ledger, made, rollout["champion"], endpoint, store)
    endpoint.load(int(champion.served or 0))
    body = {
        "version": champion.served,
        "why": "the ledger says so",
        "decision": standing.revision,
    }
    endpoint.administer("POST", "promote", body)
    return f"The server was told again that version {champion.version} is the champion."


def taken_over(change: Change | dict[str, Any]) -> str:
    """Return the reason of the ledger's line that takes over a change made on a server."""
    said = change if isinstance(change, dict) else change.model_dump()
    why = said["why"] or "no reason was given"
    return f"decided on the server at {said['time']}, without the gate: {why}"


def _decided_on_server(rollout: dict[str, Any], ledger: Ledger) -> dict[str, Any] | None:
    """Return the server's newest change of champion if nobody but the server knows of it."""
    changes: list[dict[str, Any]] = [one for one in rollout["ledger"] if one["action"] in _DECIDES]
    champions = [one for one in changes if one["from"].get("champion") != one["to"].get("champion")]
    if not champions or champions[-1]["decision"] is not None:
        return None
    newest = champions[-1]
    return newest if newest["time"] > ledger.decisions()[-1].time else None


def _take_over(
    ledger: Ledger, made: dict[str, Any], number: int, endpoint: Endpoint, store: RunStore
) -> str:
    standing = ledger.standing()
    try:
        version = registered_version(ledger.model, endpoint.model_name, number, store)
    except NotFoundError as error:
        return f"{made['who']} changed who answers on the server. {error} It is left as it is."
    returned = standing.previous is not None and standing.previous.served == number

    def changes(before: Standing) -> dict[str, Any]:
        rival = before.challenger
        ends = rival is not None and rival.version == version.version
        return {
            "champion": version,
            "previous": None if returned else before.champion,
            "challenger": None if ends else rival,
        }

    stands = ledger.decide(
        "roll_back" if returned else "promote",
        standing.champion if returned and standing.champion is not None else version,
        changes,
        who=made["who"],
        expected=standing.revision,
        why=taken_over(made),
        server=endpoint.address,
    )
    mirror(ledger.model, stands, store)
    return (
        f"The ledger has taken over what {made['who']} decided on the server: version "
        f"{version.version} is the champion."
    )
