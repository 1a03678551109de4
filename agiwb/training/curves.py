"""The training curves: one point an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Epoch(BaseModel):
    """One point of the training curves."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    epoch: int
    """The first is 1."""
    learning_rate: float
    """Of the epoch's last batch."""
    metrics: dict[str, float]
    """``train_<metric>`` (a mean over the epoch's batches) and ``validation_<metric>``."""


def kept_epoch(curves: Sequence[Epoch], *, early_stopping: bool) -> Epoch:
    """Return the epoch whose weights a model has: under early stopping the best, else the last."""
    if not early_stopping:
        return curves[-1]
    return min(curves, key=lambda epoch: epoch.metrics["validation_loss"])
