"""The fields that every config has whose work a crew carries out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Workers = Annotated[int | None, Field(ge=1, le=1024)]
"""How many pieces of work are carried out at once; None is as many as the crew sees fit."""

SchedulerAddress = Annotated[str | None, Field(pattern=r"^[a-z]+://\S+$")]
"""Address of a Dask scheduler; None means processes of this machine."""
