"""One line of a model's ledger: who decided what, why, on what evidence, and what holds since."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Action = Literal["challenge", "shadow", "canary", "promote", "roll_back", "reject"]
"""What can be decided.

challenge: a version is to be tried. shadow, canary: it is tried on a server. promote: it is the
champion. roll_back: the former champion is champion again. reject: the challenger is none any more.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelVersion(_Frozen):
    """A registered version of a model.

    Attributes:
        version: Its number in the registry.
        run_id: The run that made it.
        served: The number it is published under for servers, which count for themselves; None
            before it was published.
    """

    version: int
    run_id: str
    served: int | None = None


class Standing(_Frozen):
    """Where a model stands.

    Attributes:
        revision: Grows by one with each decision; 0 before the first.
        champion: The version that is to answer; None before the first promotion.
        challenger: The version on trial.
        previous: The champion before, which a roll-back returns to.
    """

    revision: int = 0
    champion: ModelVersion | None = None
    challenger: ModelVersion | None = None
    previous: ModelVersion | None = None


class Decision(_Frozen):
    """One entry of the ledger.

    Attributes:
        time: UTC, ISO 8601.
        who: A person, or what decided by itself.
        action: What was decided.
        subject: The version it was decided about.
        why: In words.
        evidence: SHA-256 of the record the decision rests on; None without one.
        evidence_run: The run of that record.
        server: The server it was carried out on; None if on none.
        stands: What holds since.
        parent: SHA-256 of the line before, so that a line that was changed or taken out later
            shows; "" on the first.
    """

    time: str
    who: str
    action: Action
    subject: ModelVersion
    why: str = ""
    evidence: str | None = None
    evidence_run: str | None = None
    server: str | None = None
    stands: Standing
    parent: str

    @property
    def revision(self) -> int:
        """Its number, from 1."""
        return self.stands.revision
