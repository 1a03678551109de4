"""What a rollout of one model is: who answers, who is tried, and under which guards."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agiwb.serving.versions import LARGEST_VERSION

Version = Annotated[int, Field(ge=0, le=LARGEST_VERSION)]
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
GuardName = Literal["max_error_rate", "max_latency_ratio", "max_disagreement"]
Action = Literal["canary", "shadow", "promote", "roll_back", "pin", "unpin"]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True
    )


class Guards(_Frozen):
    """What a challenger must keep to; it is rolled back once it surely does not.

    Attributes:
        max_error_rate: Share of its requests that fail by the server's fault, and of those it
            refuses as ill-formed, each beyond the champion's share.
        max_latency_ratio: Its median or its 95th percentile of latency, over the champion's.
        max_disagreement: Share of rows for which the shadow's answer differs from the champion's.
        min_requests: Nothing is judged on fewer requests (for disagreement: compared rows).
        window: The newest requests that are judged.
    """

    max_error_rate: Rate | None = None
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = None
    max_disagreement: Rate | None = None
    min_requests: Annotated[int, Field(ge=1)] = 100
    window: Annotated[int, Field(ge=100, le=10_000)] = 1000


class Canary(_Frozen):
    """The challenger ``version`` and the share of clients it answers."""

    version: Version
    share: Share
    guards: Guards = Guards()


class Shadow(_Frozen):
    """The version that answers a share of the requests once more, to nobody."""

    version: Version
    share: Share = 1.0


class Change(_Frozen):
    """One entry of the ledger; the time is UTC in ISO 8601.

    ``decision`` is the revision of the model's promotion ledger that it carries out; None if it was
    decided on the server.
    """

    revision: int
    time: str
    who: str
    action: Action
    before: dict[str, Any] = Field(alias="from")
    after: dict[str, Any] = Field(alias="to")
    why: str = ""
    decision: int | None = None
    evidence: dict[str, Any] = {}


class Decided(_Frozen):
    """Who changes a rollout and why, for its ledger.

    Attributes:
        who: Decided.
        why: In words.
        revision: Of the rollout that it was decided upon; None takes any.
        decision: Revision of the model's promotion ledger that it carries out; None without one.
    """

    who: str
    why: str = ""
    revision: int | None = None
    decision: int | None = None


class RolloutState(_Frozen):
    """Where a model's rollout stands.

    Attributes:
        revision: Grows by one with each change; 0 before the first.
        champion: The version that answers; None for the highest that is available.
        previous: The champion before the last promotion, which a roll-back returns to.
        last_change: The ledger's entry of this revision.
        in_force_at: Unix time from which it decides who answers; until then, what was before.
    """

    revision: int = 0
    champion: Version | None = None
    previous: Version | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    last_change: Change | None = None
    in_force_at: float = 0.0

    def champion_among(self, available: Collection[int]) -> int | None:
        """Return the version that answers if these are loaded; None if none is."""
        return self.champion if self.champion in available else max(available, default=None)

    def roles(self) -> dict[str, Any]:
        """Return who does what, as the ledger tells it."""
        return self.model_dump(
            exclude={"revision", "previous", "last_change", "in_force_at"}, mode="json"
        )
