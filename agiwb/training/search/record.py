"""What came of a search: every trial, what mattered, and the best one's model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from agiwb.training.config import TrainConfig
from agiwb.training.search.config import SearchConfig
from agiwb.training.search.objective import TrialState
from agiwb.training.search.space import Value
from agiwb.training.train import TrainRecord


class TrialResult(BaseModel):
    """One trial: its settings, and how it ended."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    number: int
    """As in the study; the first is 0."""
    state: TrialState
    params: dict[str, Value]
    values: tuple[float, ...] = ()
    """The validation metric of each fold that was completed."""
    value: float | None = None
    """Their mean, which trials are compared by; None unless the trial is complete."""
    standard_error: float | None = None
    """Of the mean; None for a single fold."""
    epochs: tuple[int, ...] = ()
    """The epoch of each fold that its value is from."""
    duration_s: float = 0.0
    reason: str = ""
    """Why it was pruned or failed."""


class SearchRecord(TrainRecord):
    """The best model of a search, and how it was found.

    ``best.value`` is the best of many, and so better than what the model will show: the test
    metrics say that. The final fit has no validation split left, so that its curves are of the
    training examples alone.
    """

    config: SearchConfig
    fitted: TrainConfig
    """What the model was finally fitted with: the best trial's config."""
    fitted_epochs: int
    metric: str
    """The validation metric that trials were compared by."""
    lower_is_better: bool
    value_of: str
    """Which epoch's metric a trial's value is, in words."""
    space: dict[str, str]
    trials: tuple[TrialResult, ...]
    interrupted: tuple[TrialResult, ...]
    """Trials whose process ended before they did; each was begun again under another number."""
    best: TrialResult
    importance: dict[str, float]
    """Share of the variance of the values that each field explains."""
    importance_note: str
    study: str
    """Name of the study in its storage."""
    storage: str
    """Where the study is kept, without a password."""

    @property
    def best_flags(self) -> str:
        """The best trial's settings as flags of ``agiwb train``."""
        return flags(self.best.params)

    @property
    def best_command(self) -> str:
        """The command that trains the best trial's config on the training split."""
        fields = {
            name: getattr(self.fitted, name)
            for name, field in TrainConfig.model_fields.items()
            if getattr(self.fitted, name) != field.get_default() and name not in self.best.params
        }
        return f"agiwb train {flags({**fields, **self.best.params})}".strip()


def flags(fields: Mapping[str, Value | dict[str, Any]]) -> str:
    """Return fields of a TrainConfig as flags; a default that is None needs none."""
    words = []
    for name, value in fields.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            words += [f"--{flag}", *(f"{key}={each}" for key, each in value.items())]
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
