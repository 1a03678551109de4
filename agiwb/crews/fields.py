"""The fields that every config has whose work a crew carries out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from agiwb.settings import Settings

THIS_MACHINE = "none"
"""The address that stands for no scheduler, whatever the environment names."""

Workers = Annotated[int | None, Field(ge=1, le=1024)]
"""How many pieces of work are carried out at once; None is as many as the crew sees fit."""


def _address(value: Any) -> Any:
    return None if value == THIS_MACHINE else value


SchedulerAddress = Annotated[
    str | None, Field(pattern=r"^[a-z]+://\S+$"), BeforeValidator(_address)
]
"""Address of a Dask scheduler; None means processes of this machine."""


def scheduler_field(whose: str) -> Any:
    """Return the field ``scheduler`` of a config: by default what the environment names.

    A record thus says which scheduler was used, or none.

    Args:
        whose: What the scheduler's workers do, as in "make the candidates".
    """
    return Field(
        default_factory=lambda: Settings().scheduler,
        description=f"Address of a Dask scheduler whose workers {whose}: tcp://HOST:8786. By "
        f"default AGIWB_SCHEDULER; `{THIS_MACHINE}` means processes of this machine.",
    )
