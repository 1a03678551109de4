"""What decides a search: the config to search around, the space, and how."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from agiwb.crews.fields import SchedulerAddress, Workers, scheduler_field
from agiwb.training.config import TrainConfig
from agiwb.training.search.space import (
    Range,
    Value,
    canonical,
    default_space,
    grid_size,
    parse_range,
    space_texts,
)
from agiwb.training.search.storage import StorageUrl

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median", "asha", "hyperband"]

_USUAL_TRIALS = 20
# These change neither a trial's settings nor its value.
_INDECISIVE = {"trials", "timeout_s", "workers", "scheduler", "storage", "name"}


class SearchConfig(TrainConfig):
    """What decides a search: a TrainConfig to search around, a space, and how to search it.

    A field that the space has is set by each trial; all others are the same in every trial.
    """

    space: Annotated[dict[str, str], BeforeValidator(space_texts), AfterValidator(canonical)] = (
        Field(
            {},
            description="NAME=RANGE for each field to search: LOW..HIGH, LOW..HIGH:STEP, "
            "LOW..HIGH:log or A,B,C; by default a usual space for the family.",
        )
    )
    sampler: Sampler = Field(
        "tpe", description="How settings are drawn: tpe learns from the trials before."
    )
    pruner: Pruner = Field(
        "none", description="How poor trials are ended early; asha is successive halving."
    )
    trials: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description=f"Trials in all; by default {_USUAL_TRIALS}, or every point of a grid.",
    )
    timeout_s: float | None = Field(
        None, gt=0, description="Seconds after which no further trial is begun."
    )
    folds: int = Field(
        1,
        ge=1,
        le=50,
        description="Folds of the cross-validation over train and validation; 1 keeps the data "
        "set's own validation split.",
    )
    metric: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Validation metric to compare by, as in `auc` or `loss`; by default the "
        "task's main one.",
    )
    workers: Workers = Field(
        None,
        description="Trials at once: local processes, by default 1; of a Dask cluster, by default "
        "as many as it has workers.",
    )
    scheduler: SchedulerAddress = scheduler_field("carry out the trials")
    storage: StorageUrl = Field(
        None,
        description="URL of the database that keeps the study: postgresql://USER@HOST/DATABASE, "
        "without its password; by default AGIWB_OPTUNA_STORAGE, or SQLite in the workspace.",
    )

    @field_validator("metric")
    @classmethod
    def _without_split(cls, metric: str | None) -> str | None:
        return metric.removeprefix("validation_") if metric else metric

    @model_validator(mode="after")
    def _searchable(self) -> SearchConfig:
        for name in self.space:
            default = TrainConfig.model_fields[name].get_default()
            if (given := getattr(self, name)) != default:
                raise ValueError(
                    f"`{name}` is set to {given} and searched as well ({self.space[name]}). "
                    "Leave one of them out."
                )
        if self.strategy == "multi_worker":
            raise ValueError(
                "strategy multi_worker cannot be searched with. Use `scheduler` to spread trials "
                "over machines."
            )
        if self.sampler == "grid":
            grid_size(self.ranges)
        return self

    @functools.cached_property
    def ranges(self) -> dict[str, Range]:
        """The space that is searched, by name in alphabetical order."""
        if self.space:
            return {name: parse_range(name, self.space[name]) for name in sorted(self.space)}
        usual = default_space(self, as_grid=self.sampler == "grid")
        return {name: usual[name] for name in sorted(usual)}

    @property
    def total_trials(self) -> int:
        """How many trials there shall be; a grid has no more than its points."""
        if self.sampler != "grid":
            return self.trials or _USUAL_TRIALS
        points = grid_size(self.ranges)
        return min(points, self.trials or points)

    @property
    def longest_epochs(self) -> int:
        """The most epochs that a trial may train for."""
        found = self.ranges.get("epochs")
        points = getattr(found, "values", None) or (getattr(found, "high", self.epochs),)
        return max(int(value) for value in points)

    def trial_config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return the config of a trial with these settings.

        Raises:
            ConfigError: These settings do not go together.
        """
        base = {name: getattr(self, name) for name in TrainConfig.model_fields}
        return TrainConfig.from_mapping({**base, **params})

    def decisive(self) -> dict[str, Any]:
        """Return what the trials depend on: searches that agree in it share their trials."""
        fields = self.model_dump(mode="json", exclude=_INDECISIVE)
        return {**fields, "space": {name: str(each) for name, each in self.ranges.items()}}
