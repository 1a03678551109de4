"""What the admin routes are told, checked field by field."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agiwb.errors import InputError
from agiwb.serving.rollout.state import Guards, Share, Version
from agiwb.serving.servables.policy import All, Latest, Specific, VersionPolicy


class AdminBody(BaseModel):
    """What the bodies share: no unknown fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=False)


class Decision(AdminBody):
    """Why a change is made, upon which revision, and which decision of a ledger it carries out."""

    why: str = ""
    revision: int | None = None
    decision: int | None = None


class CanaryBody(Decision):
    """Of ``PUT canary``."""

    version: Version
    share: Share
    guards: Guards = Guards()


class ShadowBody(Decision):
    """Of ``PUT shadow``."""

    version: Version
    share: Share = 1.0


class PromoteBody(Decision):
    """Of ``POST promote``."""

    version: Version | None = None


class LabelBody(AdminBody):
    """Of ``PUT labels/LABEL``."""

    version: Version


class LatestBody(AdminBody):
    """The policy that serves the newest versions."""

    latest: Annotated[int, Field(ge=1)]


class SpecificBody(AdminBody):
    """The policy that serves the versions named."""

    specific: Annotated[tuple[Version, ...], Field(min_length=1)]


class ModelBody(AdminBody):
    """Of ``POST models``."""

    name: str
    base_path: str
    policy: Literal["all"] | LatestBody | SpecificBody = LatestBody(latest=1)
    labels: dict[str, Version] = {}

    def version_policy(self) -> VersionPolicy:
        """Return the policy meant."""
        if isinstance(self.policy, LatestBody):
            return Latest(self.policy.latest)
        return All() if self.policy == "all" else Specific(self.policy.specific)


_B = TypeVar("_B", bound=AdminBody)


def parse_body(kind: type[_B], body: bytes) -> _B:
    """Return the body of an admin request; an empty one is ``{}``.

    Raises:
        InputError: It is not JSON, or a field is unknown, missing or out of bounds.
    """
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        fields = ", ".join(kind.model_fields)
        raise InputError(f"{where}: {first['msg']}.", f"The body takes: {fields}.") from None
