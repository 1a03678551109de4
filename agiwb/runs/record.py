"""The record: a run's frozen, typed snapshot, the only thing that travels between steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from agiwb.config import Config
from agiwb.runs.files import StoredFile
from agiwb.runs.provenance import Provenance

RunState = Literal["queued", "running", "finished", "failed", "cancelled", "killed", "lost"]
"""A run whose process is gone without a terminal event is ``lost``, never ``running``.

It is ``killed`` if it had been asked to stop: it did not in time, and was made to.
"""

ENDED: tuple[RunState, ...] = ("finished", "failed", "cancelled", "killed", "lost")
"""The terminal states. All but ``finished`` can be resumed."""


@dataclass(frozen=True)
class MetricPoint:
    """One point of a curve: the value of the metric ``name`` after epoch ``index``."""

    name: str
    value: float
    index: int
    at: datetime


class RunInfo(BaseModel):
    """What the spine knows about a run: its identity, its times and its origin."""

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    folder: Path
    """Where the run's files lie once it has finished."""
    cache_key: str
    """SHA-256 of all that decides the result; see ``cache_key`` in execute."""
    started_at: datetime
    finished_at: datetime | None = None
    files: tuple[StoredFile, ...] = ()
    provenance: Provenance

    @property
    def duration_s(self) -> float | None:
        """Wall-clock seconds from start to finish."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class Record(BaseModel):
    """What came out of a step; each step adds its own fields.

    ``metrics`` are named ``<split>_<metric>``. ``problems`` lists in words each gate that was not
    passed (a parity failure, a threshold); it is empty if all is well.
    """

    # JSON has no NaN or infinity; as strings they come back as the numbers they were.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    run: RunInfo
    config: SerializeAsAny[Config]
    metrics: dict[str, float] = {}
    problems: tuple[str, ...] = ()
    reused: bool = Field(False, exclude=True)
    """True if an earlier run with the same inputs gave this record. Never stored."""

    @property
    def passed(self) -> bool:
        """Whether every gate was passed."""
        return not self.problems

    def file(self, path: str) -> Path:
        """Return where the run's file ``path`` lies."""
        return self.run.folder / path


def title(config: Mapping[str, Any]) -> str:
    """Return what tells one run of a step from another, in a few words of its config."""
    names = ("dataset", "architecture", "model", "notebook", "path", "format")
    return " ".join(
        str(config[name]) for name in names if config.get(name) not in {None, "None", "auto"}
    )


class RunSummary(BaseModel):
    """One line of the history: enough to list a run of any state."""

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    state: RunState
    started_at: datetime
    duration_s: float | None
    title: str
    metrics: dict[str, float]
    error: str | None = None
