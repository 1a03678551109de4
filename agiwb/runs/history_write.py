"""What is written to the history, as data: it may have to wait for a server that is away.

Each may be carried out twice, by somebody who was killed before he could say that it was, and the
history is the same.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_MOST_AT_ONCE = 1000
"""Points that MLflow takes in one request."""


class _Write(BaseModel):
    # JSON has no NaN or infinity; as strings they come back as the numbers they were.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class RunWrite(_Write):
    """What is added to a run.

    Attributes:
        run_id: The run.
        points: Of curves: name, value, milliseconds since the epoch, index.
        params: Fields of its config.
        tags: Set, whatever they were.
        status: MLflow's word for how it ended; None if it has not.
        ended_ms: When, in milliseconds since the epoch.
    """

    kind: Literal["run"] = "run"
    run_id: str
    points: tuple[tuple[str, float, int, int], ...] = ()
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    status: str | None = None
    ended_ms: int | None = None

    def apply(self, client: MlflowClient) -> None:
        """Write it. MLflow keeps equal points, parameters and tags once."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in self.points]
        for first in range(0, len(metrics), _MOST_AT_ONCE):
            client.log_batch(self.run_id, metrics=metrics[first : first + _MOST_AT_ONCE])
        if self.params or self.tags:
            params = [Param(name, _text(value)) for name, value in self.params.items()]
            tags = [RunTag(name, _text(value)) for name, value in self.tags.items()]
            client.log_batch(self.run_id, params=params, tags=tags)
        if self.status is not None:
            client.set_terminated(self.run_id, self.status, self.ended_ms)

    def followed_by(self, other: HistoryWrite) -> RunWrite | None:
        """Return one write that does what this and then ``other`` do; None if there is none."""
        only_points = not (self.params or self.tags or self.status)
        if not only_points or not isinstance(other, RunWrite) or other.run_id != self.run_id:
            return None
        return other.model_copy(update={"points": (*self.points, *other.points)})


class Discard(_Write):
    """A run that should never have started."""

    kind: Literal["discard"] = "discard"
    run_id: str

    def apply(self, client: MlflowClient) -> None:
        """Delete it; deleting it again changes nothing."""
        client.delete_run(self.run_id)


class Registration(_Write):
    """A run's model, which becomes the newest version of a name.

    Attributes:
        name: The registered name.
        run_id: The run that made the model.
        source: Where its files lie.
        key: By which the version is known, so that it is made once.
    """

    kind: Literal["registration"] = "registration"
    name: str
    run_id: str
    source: str
    key: str = Field(default_factory=lambda: uuid.uuid4().hex)


HistoryWrite = RunWrite | Discard | Registration

WRITES: TypeAdapter[HistoryWrite] = TypeAdapter(
    Annotated[HistoryWrite, Field(discriminator="kind")]
)
"""Reads one from JSON."""


def milliseconds(at: datetime) -> int:
    """Return a time as writes have it: in milliseconds since the epoch."""
    return int(1000 * at.timestamp())


def _text(value: str) -> str:
    """Return what every database takes: PostgreSQL has no null character in a text."""
    return value.replace("\0", "\\0")
