"""Who has the last word on which version of an endpoint's model answers everybody.

A server only follows: by default whoever asks it decides. Where a model keeps a promotion ledger,
the endpoints that people get are given a decider that enters the decision there first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from agiwb.serving.endpoint import Endpoint


class Decider(Protocol):
    """Decides on a promotion or a roll-back, and has the endpoint's server carry it out."""

    def promote(self, endpoint: Endpoint, version: int | None, why: str, *, ungated: bool) -> int:
        """Have a version, by default the canary's, answer everybody; return its number."""
        ...

    def roll_back(self, endpoint: Endpoint, why: str) -> None:
        """End the canary; without one, undo the last promotion."""
        ...


class ByWhoeverAsks:
    """Has the server do what it is asked for; its own ledger keeps who asked and why."""

    def promote(self, endpoint: Endpoint, version: int | None, why: str, *, ungated: bool) -> int:
        """Have a version answer everybody; see Decider."""
        body: dict[str, Any] = {"why": why}
        if version is not None:
            body["version"] = version
        return int(endpoint.administer("POST", "promote", body)["champion"])

    def roll_back(self, endpoint: Endpoint, why: str) -> None:
        """End the canary or undo the last promotion; see Decider."""
        endpoint.administer("POST", "rollback", {"why": why})
