"""What the monitor step is asked: which served traffic is compared with what."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from agiwb.artifacts.any_format import OneArtifactConfig
from agiwb.artifacts.manifest import SERVED_NAME, ServedFormat
from agiwb.datasets.registry import DatasetName


def unix_time(text: str | None, otherwise: float) -> float:
    """Return a time of ISO 8601 as Unix time in seconds; without a zone it is UTC."""
    if text is None:
        return otherwise
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time of ISO 8601. Write it as 2026-11-22 or 2026-11-22T18:30."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _moment(text: str | None) -> str | None:
    """Return the text, sure to be a time."""
    if text is not None:
        unix_time(text, math.nan)
    return text


Moment = Annotated[str | None, AfterValidator(_moment)]


class MonitorConfig(OneArtifactConfig):
    """Which served traffic is compared with what."""

    model: str = Field(
        "latest", description="Model: a registered name, a run's id, latest, or an artifact folder."
    )
    format: ServedFormat = Field(
        "onnx",
        description="Which of the model's artifacts answers for the validation split: the one that "
        "is served, since fewer bits change its scores.",
    )
    dataset: DatasetName | None = Field(
        None, description="Data set to compare with; by default the one the model was trained on."
    )
    last_rows: int | None = Field(
        None, ge=1, description="Rows served last that are compared; by default all."
    )
    since: Moment = Field(
        None, description="First time that is compared, ISO 8601, in UTC unless it says otherwise."
    )
    until: Moment = Field(None, description="Last time that is compared, written alike.")
    version: int | None = Field(
        None, ge=0, description="Version whose answers are compared; by default the newest row's."
    )
    slices: tuple[str, ...] | None = Field(
        None,
        description="Columns whose slices are compared each for itself: of a table, features of "
        "few values, `predicted` (the class answered), `hour` (of the day, UTC); by default a "
        "table's columns of categories.",
    )
    request_log: Path | None = Field(
        None, description="The server's request log, to see in it whether more requests fail."
    )
    false_alarm_rate: float = Field(
        0.05, ge=0.005, lt=0.5, description="Share of windows without drift that may alarm."
    )
    # Below 0.0025 no p-value from the permutations in compare_output would be small enough.
    self_test: bool = Field(
        False,
        description="Put known faults into copies of the training data, and say which are found.",
    )
    model_name: str | None = Field(
        None,
        pattern=SERVED_NAME,
        description="Name under which the model is served; by default the artifact's.",
    )

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if unix_time(self.since, -math.inf) > unix_time(self.until, math.inf):
            raise ValueError("`since` is after `until`: exchange the two.")
        return self
